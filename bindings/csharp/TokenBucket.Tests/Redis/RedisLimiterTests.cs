using System;
using System.Threading;
using System.Threading.RateLimiting;
using System.Threading.Tasks;
using TokenBucket.Redis;
using Xunit;

namespace TokenBucket.Tests.Redis;

[Collection(SharedRedis.Name)]
public class RedisLimiterTests(RedisServer server)
{
    private static TimeSpan? RetryAfter(RateLimitLease lease) =>
        lease.TryGetMetadata(MetadataName.RetryAfter, out TimeSpan after) ? after : null;

    private static double Seconds(RateLimitLease lease) => RetryAfter(lease)!.Value.TotalSeconds;

    [RedisFact]
    public async Task Leases_are_granted_and_denied()
    {
        using var limiter = new RedisTokenBucketLimiter(server.Limit(capacity: 3), "a");
        Assert.True(limiter.AttemptAcquire(0).IsAcquired && limiter.AttemptAcquire(2).IsAcquired && (await limiter.AcquireAsync()).IsAcquired);
        foreach (RateLimitLease denied in (RateLimitLease[])
            [limiter.AttemptAcquire(), await limiter.AcquireAsync(), limiter.AttemptAcquire(0), await limiter.AcquireAsync(0)])
        {
            Assert.False(denied.IsAcquired);
            Assert.InRange(Seconds(denied), 990, 1000);
            Assert.Equal([MetadataName.RetryAfter.Name], denied.MetadataNames);
        }
        RateLimiterStatistics statistics = limiter.GetStatistics()!;
        Assert.Equal((3, 4, 0, 0), (statistics.TotalSuccessfulLeases, statistics.TotalFailedLeases, statistics.CurrentAvailablePermits, statistics.CurrentQueuedCount));
        Assert.Equal("permitCount", Assert.Throws<ArgumentOutOfRangeException>(() => limiter.AttemptAcquire(4)).ParamName);
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => limiter.AcquireAsync(4).AsTask());
    }

    [RedisFact]
    public async Task Leases_are_waited_for()
    {
        RedisLimit limit = server.Limit(capacity: 1, tokens: 50, period: 1, maxWait: 1);
        using var limiter = new RedisTokenBucketLimiter(limit, "a", queueLimit: 2);
        var asked = new Task<RateLimitLease>[3];
        for (int i = 0; i < asked.Length; i++)
        {
            asked[i] = limiter.AcquireAsync().AsTask();
        }
        Assert.All(await Task.WhenAll(asked), lease => Assert.True(lease.IsAcquired));
        Assert.Equal((3, 0), (limiter.GetStatistics()!.TotalSuccessfulLeases, limiter.GetStatistics()!.CurrentQueuedCount));
    }

    [RedisFact]
    public async Task The_queue_is_bounded_and_its_permits_come_back()
    {
        RedisLimit limit = server.Limit(capacity: 2, maxWait: 5000);
        using var limiter = new RedisTokenBucketLimiter(limit, "a", queueLimit: 3);
        Assert.True(limiter.AttemptAcquire(2).IsAcquired);
        using var stop = new CancellationTokenSource();
        Task<RateLimitLease> waiting = limiter.AcquireAsync(2, stop.Token).AsTask();
        Assert.True(SpinWait.SpinUntil(() => limiter.GetStatistics()!.CurrentQueuedCount == 2, Buckets.Patience));
        Assert.True(SpinWait.SpinUntil(() => limit.Decide(RedisLimit.Asking.Peek, "a", 1).RetryAfter.TotalSeconds > 2980, Buckets.Patience));
        RateLimitLease full = await limiter.AcquireAsync(2);
        Assert.False(full.IsAcquired);
        Assert.InRange(Seconds(full), 3980, 4000);
        Assert.Null(limiter.IdleDuration);
        await stop.CancelAsync();
        var e = await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
        Assert.Equal(stop.Token, e.CancellationToken);
        Assert.InRange((await limit.PeekAsync("a")).RetryAfter.TotalSeconds, 980, 1000);
        Assert.True(SpinWait.SpinUntil(() => limiter.IdleDuration is not null, Buckets.Patience));
        Assert.Equal(0, limiter.GetStatistics()!.CurrentQueuedCount);

        // No wait of the fleet is longer than that.
        using var impatient = new RedisTokenBucketLimiter(server.Limit(capacity: 1, maxWait: 900), "a", queueLimit: 3);
        Assert.True(impatient.AttemptAcquire().IsAcquired);
        Assert.InRange(Seconds(await impatient.AcquireAsync()), 980, 1000);
    }

    [RedisTheory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Dispose_fails_who_waits(bool async)
    {
        RedisLimit limit = server.Limit(capacity: 2, maxWait: 5000);
        var limiter = new RedisTokenBucketLimiter(limit, "a", queueLimit: 3);
        Assert.True(limiter.AttemptAcquire(2).IsAcquired);
        Task<RateLimitLease> waiting = limiter.AcquireAsync().AsTask();
        Assert.True(SpinWait.SpinUntil(() => limit.Decide(RedisLimit.Asking.Peek, "a", 1).RetryAfter.TotalSeconds > 1980, Buckets.Patience));
        if (async)
        {
            await limiter.DisposeAsync();
        }
        limiter.Dispose();
        RateLimitLease denied = await waiting;
        Assert.False(denied.IsAcquired);
        Assert.Null(RetryAfter(denied));
        Assert.InRange((await limit.PeekAsync("a")).RetryAfter.TotalSeconds, 980, 1000);
        Assert.Throws<ObjectDisposedException>(() => limiter.AttemptAcquire());
        await Assert.ThrowsAsync<ObjectDisposedException>(() => limiter.AcquireAsync().AsTask());
        Assert.Throws<ObjectDisposedException>(() => limiter.GetStatistics());
    }

    [RedisFact]
    public async Task One_that_never_blocks_only_answers_later()
    {
        using var limiter = new RedisTokenBucketLimiter(server.Limit(capacity: 1), "a", neverBlock: true);
        Assert.False(limiter.AttemptAcquire().IsAcquired);
        Assert.True((await limiter.AcquireAsync()).IsAcquired);
        Assert.Equal((1, 0), (limiter.GetStatistics()!.TotalSuccessfulLeases, limiter.GetStatistics()!.TotalFailedLeases));
    }

    [RedisFact]
    public async Task Each_key_has_its_permits()
    {
        RedisLimit limit = server.Limit(capacity: 2, maxWait: 5000);
        var limiter = new RedisTokenBucketPartitionedLimiter<Uri>(limit, uri => uri.Host, queueLimit: 1);
        Uri a = new("http://a/x"), alsoA = new("http://a/y"), b = new("http://b/");
        Assert.True(limiter.AttemptAcquire(a, 2).IsAcquired && (await limiter.AcquireAsync(b)).IsAcquired);
        Assert.False(limiter.AttemptAcquire(alsoA).IsAcquired);
        Task<RateLimitLease> waiting = limiter.AcquireAsync(alsoA).AsTask();
        Assert.True(SpinWait.SpinUntil(() => limiter.GetStatistics(b)!.CurrentQueuedCount == 1, Buckets.Patience));
        Assert.Equal((1, 0), (limiter.GetStatistics(b)!.CurrentAvailablePermits, limiter.GetStatistics(a)!.CurrentAvailablePermits));
        Assert.Equal((2, 1), (limiter.GetStatistics(b)!.TotalSuccessfulLeases, limiter.GetStatistics(a)!.TotalFailedLeases));
        await limiter.DisposeAsync();
        Assert.False((await waiting).IsAcquired);
        Assert.Throws<ObjectDisposedException>(() => limiter.AttemptAcquire(a));
    }

    [RedisFact]
    public void Bad_arguments_are_refused()
    {
        RedisLimit limit = server.Limit();
        Assert.Equal("queueLimit", Assert.Throws<ArgumentOutOfRangeException>(() => new RedisTokenBucketLimiter(limit, "a", -1)).ParamName);
        Assert.Equal("queueLimit", Assert.Throws<ArgumentException>(() => new RedisTokenBucketLimiter(limit, "a", 1)).ParamName);
        Assert.Throws<ArgumentNullException>(() => new RedisTokenBucketLimiter(null!, "a"));
        Assert.Throws<ArgumentNullException>(() => new RedisTokenBucketPartitionedLimiter<string>(limit, null!));
    }
}
