using System;
using System.Threading.RateLimiting;
using System.Threading.Tasks;
using StackExchange.Redis;
using TokenBucket.Redis;
using Xunit;

namespace TokenBucket.Tests.Redis;

// Of a server that is gone, and of one that says nothing.
public sealed class RedisUnavailableTests : IDisposable
{
    private readonly RedisServer _server = new();

    public void Dispose() => _server.Dispose();

    private static async Task Unavailable(Func<Task> call)
    {
        var e = await Assert.ThrowsAsync<TokenBucketException>(call);
        Assert.Equal(Status.Unavailable, e.Status);
        Assert.IsType<RedisConnectionException>(e.InnerException);
    }

    private RedisLimit Gone(OnUnavailable instead, double capacity = 4, double tokens = 0.001, double maxWait = 10)
    {
        RedisLimit limit = _server.Limit(capacity: capacity, tokens: tokens, period: 1, maxWait: maxWait, instead: instead);
        if (_server.Database.Multiplexer.IsConnected)
        {
            _server.Kill();
        }
        return limit;
    }

    [RedisFact]
    public async Task It_is_an_error_by_default()
    {
        RedisLimit before = _server.Limit(maxWait: 5000);
        Assert.True((await before.TakeAsync("a", 10)).IsGranted);
        RedisReservation promised = (await before.ReserveAsync("a"))!;
        RedisLimit limit = Gone(default);
        await Unavailable(() => Task.FromResult(limit.Take("a")));
        await Unavailable(() => limit.TakeAsync("a"));
        await Unavailable(() => limit.TakeUpToAsync("a", 1));
        await Unavailable(() => limit.PeekAsync("a"));
        await Unavailable(() => limit.WaitAsync("a"));
        await Unavailable(() => RedisLimit.TakeAllAsync(new RedisMember(limit, "a")));
        await Unavailable(() => RedisLimit.TakeEachAsync(new(limit, "a"), new(Gone(OnUnavailable.Open), "a")));
        await Unavailable(promised.CancelAsync);
        using var limiter = new RedisTokenBucketLimiter(limit, "a", queueLimit: 1);
        await Unavailable(() => Task.FromResult(limiter.AttemptAcquire()));
        await Unavailable(() => limiter.AcquireAsync().AsTask());
        await Unavailable(() => Task.FromResult(limiter.GetStatistics()));
    }

    [RedisTheory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task It_is_closed_or_open(bool isOpen)
    {
        RedisLimit limit = Gone(isOpen ? OnUnavailable.Open : OnUnavailable.Closed);
        foreach (Decision d in (Decision[])
            [limit.Take("a", 4), await limit.TakeAsync("a", 4),
             (await RedisLimit.TakeAllAsync(new RedisMember(limit, "a")))[0], (await RedisLimit.TakeEachAsync(new RedisMember(limit, "a")))[0]])
        {
            Assert.Equal(isOpen ? (Status.Success, TimeSpan.Zero) : (Status.Denied, TimeSpan.MaxValue), (d.Status, d.RetryAfter));
        }
        Assert.Equal(isOpen, await limit.WaitAsync("a", 4));
        Assert.Equal(isOpen ? 3 : 0, await limit.TakeUpToAsync("a", 3.5));
        Assert.Equal(isOpen ? 4 : 0, await limit.TakeUpToAsync("a", 9));
        Assert.Equal(Status.ExceedsCapacity, limit.Take("a", 5).Status);
        await Unavailable(() => limit.PeekAsync("a"));
        await Unavailable(() => limit.ReserveAsync("a"));
        await Unavailable(() => limit.ChargeAsync("a", 1));
        await Unavailable(() => limit.RefundAsync("a", 1));
        await Unavailable(() => limit.ResetAsync("a"));
        using var limiter = new RedisTokenBucketLimiter(limit, "a", queueLimit: 1);
        foreach (RateLimitLease lease in (RateLimitLease[])[limiter.AttemptAcquire(), await limiter.AcquireAsync(), await limiter.AcquireAsync(0)])
        {
            Assert.Equal(isOpen, lease.IsAcquired);
            Assert.False(lease.TryGetMetadata(MetadataName.RetryAfter, out _));
        }
        await Unavailable(() => Task.FromResult(limiter.GetStatistics()));
    }

    [RedisFact]
    public async Task It_is_a_share_of_ones_own()
    {
        RedisLimit limit = Gone(OnUnavailable.Local(0.5), capacity: 4);
        Decision tooMuch = limit.Take("a", 3), granted = await limit.TakeAsync("a", 2), denied = limit.Take("a");
        Assert.Equal((Status.Denied, TimeSpan.MaxValue), (tooMuch.Status, tooMuch.RetryAfter));
        Assert.Equal((Status.Success, 0), (granted.Status, Math.Floor(granted.Remaining)));
        Assert.Equal(Status.Denied, denied.Status);
        Assert.InRange(denied.RetryAfter.TotalSeconds, 1990, 2000);
        await Unavailable(() => limit.PeekAsync("a"));
        Assert.Equal((2, 0), (await limit.TakeUpToAsync("b", 3), await limit.TakeUpToAsync("b", 3)));
        Assert.False(await limit.WaitAsync("b"));
        Assert.False(await limit.WaitAsync("c", 3));

        RedisLimit open = Gone(OnUnavailable.Open), closed = Gone(OnUnavailable.Closed);
        Task<Decision[]> All(RedisLimit first, RedisLimit second) => RedisLimit.TakeAllAsync(new(first, "{k}"), new(second, "{k}"));
        Assert.All(await All(limit, closed), d => Assert.False(d.IsGranted));
        Assert.All(await All(limit, open), d => Assert.True(d.IsGranted));
        Assert.Equal(1, await limit.TakeUpToAsync("{k}", 3));
        Assert.All(await RedisLimit.TakeAllAsync(new RedisMember(limit, "{k}", 2)), d => Assert.False(d.IsGranted));
    }

    [RedisFact]
    public async Task It_is_waited_for_in_a_share_of_ones_own()
    {
        RedisLimit limit = Gone(OnUnavailable.Local(1), capacity: 1, tokens: 100);
        using var limiter = new RedisTokenBucketLimiter(limit, "a", queueLimit: 2);
        Assert.True((await limiter.AcquireAsync()).IsAcquired && (await limiter.AcquireAsync()).IsAcquired);
        Assert.True(await limit.WaitAsync("a"));
    }

    [RedisFact]
    public void A_server_that_says_nothing_is_unavailable()
    {
        using ConnectionMultiplexer impatient = _server.Connect(syncTimeoutMs: 50);
        var limit = new RedisLimit(impatient.GetDatabase(), new RedisLimitOptions { Capacity = 1, Tokens = 1 });
        _server.Pause();
        var e = Assert.Throws<TokenBucketException>(() => limit.Take("a"));
        _server.Resume();
        Assert.Equal(Status.Unavailable, e.Status);
        Assert.IsType<RedisTimeoutException>(e.InnerException);
    }
}
