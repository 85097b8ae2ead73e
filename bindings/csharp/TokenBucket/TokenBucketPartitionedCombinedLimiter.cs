using System;
using System.Threading;
using System.Threading.RateLimiting;
using System.Threading.Tasks;

namespace TokenBucket;

/// <summary>
/// A <see cref="PartitionedRateLimiter{TResource}"/> on a <see cref="CombinedLimit"/> for each resource, such as a limit of
/// all clients with a key of a table for each: nothing is kept for a client, so there is nothing to find idle. In place of
/// <see cref="PartitionedRateLimiter.CreateChained"/>.
/// </summary>
/// <remarks>
/// <para>Leases are those of <see cref="TokenBucketCombinedLimiter"/>. Of the statistics, the available permits are those of
/// the resource, and the counts those of all.</para>
/// <para>All members may be called from any number of threads at once.</para>
/// </remarks>
/// <typeparam name="TResource">What asks, such as a request.</typeparam>
public sealed class TokenBucketPartitionedCombinedLimiter<TResource> : PartitionedRateLimiter<TResource>
{
    private readonly Func<TResource, CombinedLimit> _limits;
    private readonly LimiterState _state;
    private readonly CombinedQueue _queue;

    /// <summary>Creates a limiter.</summary>
    /// <param name="limits">The limits of a resource, with what a permit costs each. Called for each lease, on the calling
    /// thread.</param>
    /// <param name="queueLimit">The most permits that may be waited for at a time, by all; 0 is no queue: AcquireAsync then
    /// answers at once. With another, a resource whose limits have a member that is shared with other processes gets an
    /// <see cref="ArgumentOutOfRangeException"/> for each question.</param>
    /// <param name="metrics">Where to count; null is nowhere.</param>
    /// <exception cref="ArgumentOutOfRangeException">A negative queue limit.</exception>
    public TokenBucketPartitionedCombinedLimiter(
        Func<TResource, CombinedLimit> limits, int queueLimit = 0, TokenBucketMetrics? metrics = null)
    {
        ArgumentNullException.ThrowIfNull(limits);
        Refusal.Require(queueLimit >= 0, queueLimit, "0 or more");
        _limits = limits;
        _state = new LimiterState(this, queueLimit, metrics);
        _queue = new CombinedQueue(_state);
    }

    /// <inheritdoc/>
    public override RateLimiterStatistics GetStatistics(TResource resource) => _queue.Statistics(LimitOf(resource));

    /// <inheritdoc/>
    protected override RateLimitLease AttemptAcquireCore(TResource resource, int permitCount) =>
        _queue.AttemptAcquire(LimitOf(resource), permitCount);

    /// <inheritdoc/>
    protected override ValueTask<RateLimitLease> AcquireAsyncCore(
        TResource resource, int permitCount, CancellationToken cancellationToken) =>
        _queue.AcquireAsync(LimitOf(resource), permitCount, cancellationToken);

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

    private CombinedLimit LimitOf(TResource resource)
    {
        CombinedLimit limit = _limits(resource);
        limit.RequireQueueLimit(_state.QueueLimit);
        return limit;
    }
}
