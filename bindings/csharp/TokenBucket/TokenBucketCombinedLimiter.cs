using System;
using System.Threading;
using System.Threading.RateLimiting;
using System.Threading.Tasks;

namespace TokenBucket;

/// <summary>
/// A <see cref="RateLimiter"/> on a <see cref="CombinedLimit"/>: a lease is granted by all members, or costs none of them
/// anything. In place of <see cref="RateLimiter.CreateChained"/>, where the first limiters pay for what a later one
/// refuses.
/// </summary>
/// <remarks>
/// <para>A permit costs each member its tokens. AttemptAcquire never blocks and overtakes nobody who waits. AcquireAsync
/// waits in the members' queues with all others that wait there; a request that gives up loses nothing. More permits than
/// a member can ever grant are an <see cref="ArgumentOutOfRangeException"/>. Zero permits ask whether one is there, or wait
/// until one is.</para>
/// <para>A failed lease says in <see cref="RefusedBy"/> which member refused, and in <see cref="MetadataName.RetryAfter"/>
/// after what time that member would have granted; where that is not known there is none. Disposing a lease gives nothing
/// back; disposing the limiter leaves its members open.</para>
/// <para>All members may be called from any number of threads at once.</para>
/// </remarks>
public sealed class TokenBucketCombinedLimiter : RateLimiter
{
    private readonly Lock _idleLock = new();
    private readonly CombinedLimit _limit;
    private readonly LimiterState _state;
    private readonly CombinedQueue _queue;
    private long _idleSince = Environment.TickCount64, _idleGranted;

    /// <summary>Creates a limiter.</summary>
    /// <param name="limit">The limits, with what a permit costs each.</param>
    /// <param name="queueLimit">The most permits that may be waited for at a time; 0 is no queue: AcquireAsync then
    /// answers at once. It must be 0 where a member is shared with other processes.</param>
    /// <param name="metrics">Where to count; null is nowhere.</param>
    /// <exception cref="ArgumentOutOfRangeException">A queue limit that is negative, or above 0 with a shared member.
    /// </exception>
    public TokenBucketCombinedLimiter(CombinedLimit limit, int queueLimit = 0, TokenBucketMetrics? metrics = null)
    {
        ArgumentNullException.ThrowIfNull(limit);
        Refusal.Require(queueLimit >= 0, queueLimit, "0 or more");
        limit.RequireQueueLimit(queueLimit);
        _limit = limit;
        _state = new LimiterState(this, queueLimit, metrics);
        _queue = new CombinedQueue(_state);
    }

    /// <summary>Of a failed lease: the member that refused; of several the one that takes longest to grant.</summary>
    public static MetadataName<Member> RefusedBy { get; } = MetadataName.Create<Member>("TOKENBUCKET_REFUSED_BY");

    /// <summary>For how long nobody has waited and all buckets among the members have been full, as far as was looked;
    /// null while one is not. Keys do not count: what they have spent stays in their table when the limiter is dropped.
    /// </summary>
    public override TimeSpan? IdleDuration
    {
        get
        {
            lock (_idleLock)
            {
                long granted = _state.Granted, now = Environment.TickCount64;
                bool isIdle = !_state.IsDisposed && _queue.QueuedPermits == 0 && _limit.AreBucketsFull;
                if (!isIdle || granted != _idleGranted)
                {
                    (_idleSince, _idleGranted) = (now, granted);
                }
                return isIdle ? TimeSpan.FromMilliseconds(now - _idleSince) : null;
            }
        }
    }

    /// <summary>The members with their limits.</summary>
    public override string ToString() => _limit.ToString(nameof(TokenBucketCombinedLimiter));

    /// <inheritdoc/>
    public override RateLimiterStatistics GetStatistics() => _queue.Statistics(_limit);

    /// <inheritdoc/>
    protected override RateLimitLease AttemptAcquireCore(int permitCount) => _queue.AttemptAcquire(_limit, permitCount);

    /// <inheritdoc/>
    protected override ValueTask<RateLimitLease> AcquireAsyncCore(int permitCount, CancellationToken cancellationToken) =>
        _queue.AcquireAsync(_limit, permitCount, cancellationToken);

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing && _state.TryDispose())
        {
            _queue.DenyAll();
        }
        base.Dispose(disposing);
    }

    /// <inheritdoc/>
    protected override ValueTask DisposeAsyncCore()
    {
        Dispose(true);
        return base.DisposeAsyncCore();
    }
}
