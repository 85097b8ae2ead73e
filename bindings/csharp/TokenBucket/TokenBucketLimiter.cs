using System;
using System.Threading;
using System.Threading.RateLimiting;
using System.Threading.Tasks;

namespace TokenBucket;

/// <summary>
/// A <see cref="RateLimiter"/> on an exact token bucket: permits come in evenly, to the nanosecond, and not in steps of a
/// timer. For ASP.NET Core's rate limiting middleware and everything else that takes a <see cref="RateLimiter"/>.
/// </summary>
/// <remarks>
/// <para>AttemptAcquire never blocks and never overtakes a request that waits. AcquireAsync waits in a queue of at most
/// <see cref="TokenBucketLimiterOptions.QueueLimit"/> permits, oldest first; a request that gives up loses nothing, and
/// those behind it move up. More permits than <see cref="TokenLimit"/> are an <see cref="ArgumentOutOfRangeException"/>.
/// Zero permits ask whether any is there, or wait until one is.</para>
/// <para>A failed lease says in its <see cref="MetadataName.RetryAfter"/> metadata, exactly, when the request would be
/// granted if nobody else came; where it never would be, and from Dispose, there is none. Disposing a lease gives nothing back.</para>
/// <para>All members may be called from any number of threads at once.</para>
/// </remarks>
public sealed partial class TokenBucketLimiter : RateLimiter
{
    private readonly Bucket _bucket;
    private readonly ManualClock? _clock;
    private readonly TokenBucketMetrics? _metrics;
    private volatile int _tokenLimit;
    private volatile bool _disposed;
    private long _granted, _denied;

    // The time, by Now, at which the bucket is or was full again, if nobody takes any more.
    private long _fullAt;

    /// <summary>Creates a limiter that holds all its permits.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A limit outside its range.</exception>
    /// <exception cref="ArgumentException">QueueProcessingOrder.NewestFirst.</exception>
    public TokenBucketLimiter(TokenBucketLimiterOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        _bucket = options.CreateBucket();
        _clock = options.Clock;
        _metrics = options.Metrics;
        _tokenLimit = options.TokenLimit;
        _queueLimit = options.QueueLimit;
        _fullAt = Now;
    }

    /// <summary>The largest number of permits held.</summary>
    public int TokenLimit => _tokenLimit;

    /// <summary>For how long all permits have been there; null while any is missing. A limiter may be dropped while this
    /// is not null: a full one equals a new one. Good to some milliseconds.</summary>
    public override TimeSpan? IdleDuration
    {
        get
        {
            if (_disposed || TimeUntilFull() is not 0)
            {
                return null;
            }
            long idle = Now - Volatile.Read(ref _fullAt);
            return idle <= 0 ? TimeSpan.Zero : new TimeSpan(idle / TimeSpan.NanosecondsPerTick);
        }
    }

    // A clock of milliseconds is a fraction of the price of an exact one, which every grant would pay.
    private long Now => _clock?.Now ?? Environment.TickCount64 * 1_000_000;

    /// <summary>Changes the rate at once, for those who wait too; permits and debts are kept.</summary>
    public void SetRate(double tokensPerSecond) => Replan(() => _bucket.SetRate(tokensPerSecond));

    /// <summary>Changes the token limit at once; permits above a smaller one are dropped, and who waits for more than it
    /// gets a failed lease.</summary>
    public void SetTokenLimit(int tokenLimit)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(tokenLimit, 1);
        Replan(() =>
        {
            _bucket.SetCapacity(tokenLimit);
            _tokenLimit = tokenLimit;
        });
    }

    /// <inheritdoc/>
    public override RateLimiterStatistics GetStatistics() => new()
    {
        CurrentAvailablePermits = WholePermits(),
        CurrentQueuedCount = Volatile.Read(ref _queuedPermits),
        TotalSuccessfulLeases = Volatile.Read(ref _granted),
        TotalFailedLeases = Volatile.Read(ref _denied),
    };

    /// <inheritdoc/>
    protected override RateLimitLease AttemptAcquireCore(int permitCount)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (permitCount == 0)
        {
            return WholePermits() > 0 ? Grant() : Deny(TimeUntil(1));
        }
        int status = Volatile.Read(ref _queuedPermits) == 0
            ? _bucket.TakeNative(permitCount, out tb_decision decision)
            : TakeBehindQueue(permitCount, out decision);
        switch (status)
        {
            case NativeMethods.TB_SUCCESS:
                FullAgainIn(decision.reset_after_ns);
                return Grant();
            case NativeMethods.TB_DENIED:
                return Deny(decision.retry_after_ns);
            default:
                throw Unanswered(status, permitCount);
        }
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing && !_disposed)
        {
            CloseQueue();
            _bucket.Dispose();
        }
        base.Dispose(disposing);
    }

    /// <inheritdoc/>
    protected override ValueTask DisposeAsyncCore()
    {
        Dispose(true);
        return base.DisposeAsyncCore();
    }

    private LimiterLease Grant()
    {
        Interlocked.Increment(ref _granted);
        _metrics?.Granted();
        return LimiterLease.Granted;
    }

    private LimiterLease Deny(long retryAfterNs)
    {
        Interlocked.Increment(ref _denied);
        _metrics?.Denied();
        return LimiterLease.Denied(retryAfterNs);
    }

    private Exception Unanswered(int status, int permitCount) => (Status)status switch
    {
        Status.ExceedsCapacity => new ArgumentOutOfRangeException(
            nameof(permitCount), permitCount, $"More permits than the limiter's token limit of {_tokenLimit}."),
        Status.Closed => new ObjectDisposedException(nameof(TokenBucketLimiter)),
        _ => TokenBucketException.For(status, permitCount, nameof(permitCount)),
    };

    // A race of two grants is decided for the later time.
    private void FullAgainIn(long ns)
    {
        long now = Now;
        long fullAt = ns > long.MaxValue - now ? long.MaxValue : now + ns;
        for (long seen = Volatile.Read(ref _fullAt); seen < fullAt;)
        {
            long was = Interlocked.CompareExchange(ref _fullAt, fullAt, seen);
            if (was == seen)
            {
                return;
            }
            seen = was;
        }
    }

    private long? TimeUntilFull() =>
        _bucket.TimeUntilNative(_tokenLimit, out long ns) == NativeMethods.TB_SUCCESS ? ns : null;

    private long TimeUntil(int permits) =>
        _bucket.TimeUntilNative(permits, out long ns) == NativeMethods.TB_SUCCESS ? ns : NativeMethods.TB_FOREVER;
}
