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
/// <para>AttemptAcquire never blocks and, where the oldest request is served first, never overtakes one that waits.
/// AcquireAsync waits in a queue of at most <see cref="TokenBucketLimiterOptions.QueueLimit"/> permits; a request that
/// gives up loses nothing, and those behind it move up. More permits than <see cref="TokenLimit"/> are an <see cref="ArgumentOutOfRangeException"/>.
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
    private readonly int _queueLimit;
    private readonly bool _newestFirst;
    private readonly StripedCounter _granted = new();
    private volatile int _tokenLimit;
    private volatile bool _disposed;
    private long _denied;

    // The time, by Now, at which the bucket is or was full again, found when so many leases had been granted.
    private long _fullAt, _fullAtGranted;

    /// <summary>Creates a limiter that holds all its permits.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A limit outside its range.</exception>
    public TokenBucketLimiter(TokenBucketLimiterOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        _bucket = options.CreateBucket();
        _deniedOne = new LimiterLease(false, this, 1);
        _clock = options.Clock;
        _metrics = options.Metrics;
        _tokenLimit = options.TokenLimit;
        _queueLimit = options.QueueLimit;
        _newestFirst = options.QueueProcessingOrder == QueueProcessingOrder.NewestFirst;
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
    public void SetRate(double tokensPerSecond)
    {
        _bucket.SetRate(tokensPerSecond);
        IdleNoMore();
    }

    /// <summary>Changes the token limit at once; permits above a smaller one are dropped, and who waits for more than it
    /// gets a failed lease.</summary>
    public void SetTokenLimit(int tokenLimit)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(tokenLimit, 1);
        _bucket.SetCapacity(tokenLimit);
        _tokenLimit = tokenLimit;
        IdleNoMore();
    }

    /// <summary>Sets the permits to what a server said is left; those who wait keep their places.</summary>
    public void SetTokens(double tokens)
    {
        _bucket.SetTokens(tokens);
        IdleNoMore();
    }

    /// <inheritdoc/>
    public override RateLimiterStatistics GetStatistics() => new()
    {
        CurrentAvailablePermits = WholePermits(),
        CurrentQueuedCount = QueuedPermits,
        TotalSuccessfulLeases = _granted.Sum,
        TotalFailedLeases = Volatile.Read(ref _denied),
    };

    /// <inheritdoc/>
    protected override RateLimitLease AttemptAcquireCore(int permitCount)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        return TryTake(permitCount) ? Grant() : Deny(permitCount);
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing && !_disposed)
        {
            _disposed = true;
            _bucket.Dispose();
            DenyThoseForNoPermits();
        }
        base.Dispose(disposing);
    }

    /// <inheritdoc/>
    protected override ValueTask DisposeAsyncCore()
    {
        Dispose(true);
        return base.DisposeAsyncCore();
    }

    private bool TryTake(int permitCount)
    {
        if (permitCount == 0)
        {
            return WholePermits() > 0;
        }
        int status = _bucket.AllowNative(permitCount);
        if (status == NativeMethods.TB_DENIED && _newestFirst && QueuedPermits > 0)
        {
            // The newest goes before those who wait.
            status = NativeMethods.tb_enqueue(_bucket.Handle, permitCount, 0, int.MaxValue, 0, out _, out _);
        }
        return status switch
        {
            NativeMethods.TB_SUCCESS => true,
            NativeMethods.TB_DENIED or NativeMethods.TB_TIMED_OUT => false,
            NativeMethods.TB_EXCEEDS_CAPACITY => throw new ArgumentOutOfRangeException(
                nameof(permitCount), permitCount, $"More permits than the limiter's token limit of {_tokenLimit}."),
            NativeMethods.TB_CLOSED => throw new ObjectDisposedException(nameof(TokenBucketLimiter)),
            _ => throw TokenBucketException.For(status, permitCount, nameof(permitCount)),
        };
    }

    // What nobody was granted yet, in whole permits: what is promised to requests that wait is still there.
    private int WholePermits()
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            return (int)Math.Clamp(Math.Floor(_bucket.Available + _queuedPermits + (_watch is null ? 0 : 1)), 0, _tokenLimit);
        }
    }

    // Null: never, or the limiter was disposed.
    internal long? TimeUntil(int permits) =>
        !_disposed && _bucket.TimeUntilNative(permits, out long ns) == NativeMethods.TB_SUCCESS ? ns : null;

    private void IdleNoMore()
    {
        lock (_lock)
        {
            _fullAtGranted = -1;
        }
    }

    private LimiterLease Grant()
    {
        _granted.Increment();
        _metrics?.Granted();
        return LimiterLease.Granted;
    }

    private LimiterLease Deny(int permits, bool forEver = false)
    {
        Interlocked.Increment(ref _denied);
        _metrics?.Denied();
        return forEver ? LimiterLease.DeniedForEver : permits <= 1 ? _deniedOne : new LimiterLease(false, this, permits);
    }
}
