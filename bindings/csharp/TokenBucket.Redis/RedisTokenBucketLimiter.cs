using System;
using System.Threading;
using System.Threading.RateLimiting;
using System.Threading.Tasks;
using StackExchange.Redis;

namespace TokenBucket.Redis;

/// <summary>A <see cref="RateLimiter"/> on one key of a <see cref="RedisLimit"/>, which other processes use too.</summary>
/// <remarks>
/// <para>AcquireAsync asks the server; where the permits are not there it waits, if the queue of this process has room and
/// <see cref="RedisLimitOptions.MaxWait"/> is long enough. All waits of the fleet stand in one line. One that is cancelled,
/// or ended by Dispose, gives its permits back. More permits than the capacity are an
/// <see cref="ArgumentOutOfRangeException"/>. Zero permits ask whether any is there, and wait for none.</para>
/// <para>The <see cref="MetadataName.RetryAfter"/> metadata of a failed lease is the time from the server's decision until
/// the request would have been granted if nobody else came. Disposing a lease gives nothing back.</para>
/// <para>A server that does not answer is what the limit's <see cref="OnUnavailable"/> says; by default a
/// <see cref="TokenBucketException"/> and no lease.</para>
/// <para>All members may be called from any number of threads at once.</para>
/// </remarks>
public sealed class RedisTokenBucketLimiter : RateLimiter
{
    private readonly RedisKey _key;
    private readonly RedisQueue _queue;

    /// <summary>Creates a limiter; asks the server nothing.</summary>
    /// <param name="limit">The limit.</param>
    /// <param name="key">The key, without the limit's prefix.</param>
    /// <param name="queueLimit">The most permits that may be waited for at a time in this process; 0 is no queue:
    /// AcquireAsync then answers once the server has.</param>
    /// <param name="metrics">Where to count; null is nowhere.</param>
    /// <param name="neverBlock">AttemptAcquire, which would block until the server has answered, fails without asking, and
    /// that is not counted. For callers that then call AcquireAsync, as ASP.NET Core's middleware does.</param>
    /// <exception cref="ArgumentOutOfRangeException">A negative queue limit.</exception>
    /// <exception cref="ArgumentException">A queue for a limit whose <see cref="RedisLimitOptions.MaxWait"/> is zero.</exception>
    public RedisTokenBucketLimiter(
        RedisLimit limit, RedisKey key, int queueLimit = 0, TokenBucketMetrics? metrics = null, bool neverBlock = false)
    {
        _key = key;
        _queue = new RedisQueue(this, limit, queueLimit, metrics, neverBlock);
    }

    /// <summary>For how long nobody has asked or waited here; null while somebody does. A limiter may be dropped while this
    /// is not null: what is taken stays on the server.</summary>
    public override TimeSpan? IdleDuration => _queue.IdleDuration;

    /// <summary>The permits left on the server, which is asked, blocking the calling thread; the other numbers are of this
    /// process.</summary>
    public override RateLimiterStatistics GetStatistics() => _queue.Statistics(_key);

    /// <inheritdoc/>
    protected override RateLimitLease AttemptAcquireCore(int permitCount) => _queue.AttemptAcquire(_key, permitCount);

    /// <inheritdoc/>
    protected override ValueTask<RateLimitLease> AcquireAsyncCore(int permitCount, CancellationToken cancellationToken) =>
        _queue.AcquireAsync(_key, permitCount, cancellationToken);

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
