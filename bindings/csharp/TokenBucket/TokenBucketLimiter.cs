using System;
using System.Threading;
using System.Threading.RateLimiting;
using System.Threading.Tasks;

namespace TokenBucket;

/// <summary>
/// A <see cref="RateLimiter"/> on an exact token bucket, in place of <see cref="TokenBucketRateLimiter"/>: permits come in
/// evenly, to the nanosecond, and not in steps of a timer.
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
public sealed class TokenBucketLimiter : ReplenishingRateLimiter
{
    private readonly Lock _idleLock = new();
    private readonly Bucket _bucket;
    private readonly ManualClock? _clock;
    private readonly TimeProvider _timeProvider;
    private readonly long _start;
    private readonly LimiterState _state;
    private readonly PermitQueue _queue;

    // The time, by Now, at which the bucket is or was full again, found when so many leases had been granted.
    private long _fullAt, _fullAtGranted;

    /// <summary>Creates a limiter that holds all its permits.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A limit outside its range.</exception>
    public TokenBucketLimiter(TokenBucketLimiterOptions options) : this(options, BucketOf(options))
    {
    }

    private TokenBucketLimiter(TokenBucketLimiterOptions options, Bucket bucket)
    {
        _bucket = bucket;
        _clock = options.Clock;
        _timeProvider = options.TimeProvider ?? TimeProvider.System;
        _start = _timeProvider.GetTimestamp();
        ReplenishmentPeriod = options.ReplenishmentPeriod;
        IsAutoReplenishing = options.AutoReplenishment;
        _state = new LimiterState(this, options);
        _queue = new PermitQueue(_state, _bucket);
        _fullAt = Now;
    }

    /// <summary>Opens a limiter on the bucket of that name that processes share, as <see cref="Bucket.OpenShared"/>; the
    /// limit there must be that of the options, or is adopted. The queue's length, its order and the statistics are of
    /// this process. Disposing it leaves the bucket open for others.</summary>
    /// <exception cref="TokenBucketException">As there.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A limit outside its range, or no such name.</exception>
    public static TokenBucketLimiter OpenShared(string name, TokenBucketLimiterOptions options, bool adopt = false)
    {
        ArgumentNullException.ThrowIfNull(options);
        Bucket bucket = Bucket.OpenShared(name, options.ToBucketOptions(), adopt);
        return new TokenBucketLimiter(adopt ? options.Adopting(bucket.Limit) : options, bucket);
    }

    private static Bucket BucketOf(TokenBucketLimiterOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        return new Bucket(options.ToBucketOptions());
    }

    /// <inheritdoc cref="TokenBucketLimiterOptions.ReplenishmentPeriod"/>
    public override TimeSpan ReplenishmentPeriod { get; }

    /// <inheritdoc cref="TokenBucketLimiterOptions.AutoReplenishment"/>
    public override bool IsAutoReplenishing { get; }

    /// <summary>Does nothing, for permits come in by the clock. Answers as that of .NET's limiter: true unless
    /// <see cref="IsAutoReplenishing"/>.</summary>
    public override bool TryReplenish() => !IsAutoReplenishing;

    /// <summary>The largest number of permits held.</summary>
    public int TokenLimit => _state.TokenLimit;

    /// <summary>For how long all permits have been there; null while any is missing. A limiter may be dropped while this
    /// is not null: a full one equals a new one. If permits were taken and came back between two looks, it counts from
    /// the second.</summary>
    public override TimeSpan? IdleDuration
    {
        get
        {
            lock (_idleLock)
            {
                long granted = _state.Granted, now = Now, left = 0;
                if (_state.IsDisposed || _bucket.TimeUntilNative(TokenLimit, out left) != NativeMethods.TB_SUCCESS)
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

    private long Now => _clock?.Now ?? _timeProvider.GetElapsedTime(_start).Ticks * TimeSpan.NanosecondsPerTick;

    /// <summary>Changes the rate at once, for those who wait too; permits and debts are kept.</summary>
    public void SetRate(double tokensPerSecond)
    {
        _state.ThrowIfDisposed();
        _bucket.SetRate(tokensPerSecond);
        IdleNoMore();
    }

    /// <summary>Changes the token limit at once; permits above a smaller one are dropped, and who waits for more than it
    /// gets a failed lease.</summary>
    public void SetTokenLimit(int tokenLimit)
    {
        _state.ThrowIfDisposed();
        TokenBucketLimiterOptions.RequireTokenLimit(tokenLimit, nameof(tokenLimit));
        _bucket.SetCapacity(tokenLimit, tokenLimit, nameof(tokenLimit));
        _state.TokenLimit = tokenLimit;
        IdleNoMore();
    }

    /// <summary>Sets the permits to what a server said is left; those who wait keep their places.</summary>
    public void SetTokens(double tokens)
    {
        _state.ThrowIfDisposed();
        _bucket.SetTokens(tokens);
        IdleNoMore();
    }

    /// <summary>The limit in force, such as "TokenBucketLimiter(capacity 10 tokens, 5 tokens/s)".</summary>
    public override string ToString() => _bucket.ToString(nameof(TokenBucketLimiter));

    /// <inheritdoc/>
    public override RateLimiterStatistics GetStatistics() => _state.Statistics(_queue.WholePermits, _queue.QueuedPermits);

    /// <inheritdoc/>
    protected override RateLimitLease AttemptAcquireCore(int permitCount) => _queue.AttemptAcquire(permitCount);

    /// <inheritdoc/>
    protected override ValueTask<RateLimitLease> AcquireAsyncCore(int permitCount, CancellationToken cancellationToken) =>
        _queue.AcquireAsync(permitCount, cancellationToken);

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing && _state.TryDispose())
        {
            _bucket.Dispose();
            _queue.DenyThoseForNoPermits();
        }
        base.Dispose(disposing);
    }

    /// <inheritdoc/>
    protected override ValueTask DisposeAsyncCore()
    {
        Dispose(true);
        return base.DisposeAsyncCore();
    }

    private void IdleNoMore()
    {
        lock (_idleLock)
        {
            _fullAtGranted = -1;
        }
    }
}
