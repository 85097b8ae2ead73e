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
/// <para>The <see cref="MetadataName.RetryAfter"/> metadata of a failed lease is found when it is read: the exact time
/// from then until the request would be granted if nobody else came; where it never would be, and from Dispose, there is
/// none. Disposing a lease gives nothing back.</para>
/// <para>All members may be called from any number of threads at once.</para>
/// </remarks>
public sealed partial class TokenBucketLimiter : RateLimiter
{
    private readonly Bucket _bucket;
    private readonly ManualClock? _clock;
    private readonly TokenBucketMetrics? _metrics;
    private readonly LimiterLease _deniedOne;
    private readonly StripedCounter _granted = new();
    private volatile int _tokenLimit;
    private volatile bool _disposed;
    private long _denied;

    // The time, by Now, at which the bucket is or was full again, found when so many leases had been granted.
    private long _fullAt, _fullAtGranted;

    /// <summary>Creates a limiter that holds all its permits.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A limit outside its range.</exception>
    /// <exception cref="ArgumentException">QueueProcessingOrder.NewestFirst.</exception>
    public TokenBucketLimiter(TokenBucketLimiterOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        _bucket = options.CreateBucket();
        _deniedOne = new LimiterLease(false, this, 1);
        _clock = options.Clock;
        _metrics = options.Metrics;
        _tokenLimit = options.TokenLimit;
        _queueLimit = options.QueueLimit;
        _fullAt = Now;
    }

    /// <summary>The largest number of permits held.</summary>
    public int TokenLimit => _tokenLimit;

    /// <summary>For how long all permits have been there; null while any is missing. A limiter may be dropped while this
    /// is not null: a full one equals a new one. If permits were taken and came back between two looks, it counts from
    /// the second.</summary>
    public override TimeSpan? IdleDuration
    {
        get
        {
            lock (_lock)
            {
                long granted = _granted.Sum, now = Now;
                if (TimeUntil(_tokenLimit) is not long left)
                {
                    return null;
                }
                if (left > 0 || granted != _fullAtGranted || _fullAt > now)
                {
                    (_fullAt, _fullAtGranted) = (left < long.MaxValue - now ? now + left : long.MaxValue, granted);
                }
                return left > 0 ? null : new TimeSpan((now - _fullAt) / TimeSpan.NanosecondsPerTick);
            }
        }
    }

    // Milliseconds of the host are fine enough for idling, and cheap.
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
        TotalSuccessfulLeases = _granted.Sum,
        TotalFailedLeases = Volatile.Read(ref _denied),
    };

    /// <inheritdoc/>
    protected override RateLimitLease AttemptAcquireCore(int permitCount)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (permitCount == 0)
        {
            return WholePermits() > 0 ? Grant() : Deny(permitCount);
        }
        return IsQueueEmpty ? TryTake(permitCount) ?? Deny(permitCount) : TakeBehindQueue(permitCount);
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
        _granted.Increment();
        _metrics?.Granted();
        return LimiterLease.Granted;
    }

    private LimiterLease Deny(int permits)
    {
        Interlocked.Increment(ref _denied);
        _metrics?.Denied();
        return permits <= 1 ? _deniedOne : new LimiterLease(false, this, permits);
    }

    private Exception Unanswered(int status, int permitCount) => (Status)status switch
    {
        Status.ExceedsCapacity => new ArgumentOutOfRangeException(
            nameof(permitCount), permitCount, $"More permits than the limiter's token limit of {_tokenLimit}."),
        Status.Closed => new ObjectDisposedException(nameof(TokenBucketLimiter)),
        _ => TokenBucketException.For(status, permitCount, nameof(permitCount)),
    };
}
