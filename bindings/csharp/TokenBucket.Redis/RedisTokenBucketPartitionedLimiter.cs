using System;
using System.Threading;
using System.Threading.RateLimiting;
using System.Threading.Tasks;
using StackExchange.Redis;

namespace TokenBucket.Redis;

/// <summary>
/// A <see cref="PartitionedRateLimiter{TResource}"/> on the keys of a <see cref="RedisLimit"/>, which other processes use
/// too. Nothing is kept for a client in this process, so there is nothing to find idle.
/// </summary>
/// <remarks>
/// <para>Each key is limited, and waited for, as by a <see cref="RedisTokenBucketLimiter"/> of its own, but the queue limit
/// is of all keys. Of the statistics, the available permits are those of the key, and the counts those of all.</para>
/// <para>All members may be called from any number of threads at once.</para>
/// </remarks>
/// <typeparam name="TResource">What asks, such as a request.</typeparam>
public sealed class RedisTokenBucketPartitionedLimiter<TResource> : PartitionedRateLimiter<TResource>
{
    private readonly Func<TResource, RedisKey> _key;
    private readonly RedisQueue _queue;

    /// <summary>Creates a limiter; asks the server nothing.</summary>
    /// <param name="limit">The limit.</param>
    /// <param name="key">The key of a resource, without the limit's prefix. Called for each lease, on the calling thread.
    /// </param>
    /// <param name="queueLimit">The most permits that may be waited for at a time in this process, by all; 0 is no queue:
    /// AcquireAsync then answers once the server has.</param>
    /// <param name="metrics">Where to count; null is nowhere.</param>
    /// <param name="neverBlock">AttemptAcquire, which would block until the server has answered, fails without asking, and
    /// that is not counted. For callers that then call AcquireAsync, as ASP.NET Core's middleware does.</param>
    /// <exception cref="ArgumentOutOfRangeException">A negative queue limit.</exception>
    /// <exception cref="ArgumentException">A queue for a limit whose <see cref="RedisLimitOptions.MaxWait"/> is zero.</exception>
    public RedisTokenBucketPartitionedLimiter(
        RedisLimit limit, Func<TResource, RedisKey> key, int queueLimit = 0, TokenBucketMetrics? metrics = null,
        bool neverBlock = false)
    {
        ArgumentNullException.ThrowIfNull(key);
        _key = key;
        _queue = new RedisQueue(this, limit, queueLimit, metrics, neverBlock);
    }

    /// <summary>The key's permits left on the server, which is asked, blocking the calling thread; the other numbers are of
    /// this process.</summary>
    public override RateLimiterStatistics GetStatistics(TResource resource) => _queue.Statistics(_key(resource));

    /// <inheritdoc/>
    protected override RateLimitLease AttemptAcquireCore(TResource resource, int permitCount) =>
        _queue.AttemptAcquire(_key(resource), permitCount);

    /// <inheritdoc/>
    protected override ValueTask<RateLimitLease> AcquireAsyncCore(
        TResource resource, int permitCount, CancellationToken cancellationToken) =>
        _queue.AcquireAsync(_key(resource), permitCount, cancellationToken);

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _queue.Dispose();
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
