using System;
using System.Linq;
using System.Threading;
using System.Threading.RateLimiting;
using System.Threading.Tasks;
using Xunit;
using static TokenBucket.Tests.Buckets;

namespace TokenBucket.Tests;

// An outer limit of 100 with 10 per second, and an inner one of 4 with 1 per second, of which a permit costs 2.
public sealed class CombinedLimiterTests : IDisposable
{
    private readonly ManualClock _clock = new();
    private readonly Bucket _outer, _inner;
    private readonly CombinedLimit _limit;

    public CombinedLimiterTests()
    {
        _outer = On(_clock, 100, 10);
        _inner = On(_clock, 4, 1);
        _limit = new CombinedLimit(_outer, new Member(_inner, 2));
    }

    public void Dispose()
    {
        _outer.Dispose();
        _inner.Dispose();
        _clock.Dispose();
    }

    private static (TimeSpan? RetryAfter, string? Reason, Member? By) Told(RateLimitLease lease) => (
        lease.TryGetMetadata(MetadataName.RetryAfter, out TimeSpan after) ? after : null,
        lease.TryGetMetadata(MetadataName.ReasonPhrase, out string? reason) ? reason : null,
        lease.TryGetMetadata(TokenBucketCombinedLimiter.RefusedBy, out Member? by) ? by : null);

    private static async Task<bool> Granted(Task<RateLimitLease> waiting) => (await waiting.WaitAsync(Patience)).IsAcquired;

    // As the middleware asks: AttemptAcquire, then AcquireAsync. A chain of limiters has the outer one pay 2 for the one
    // request, and 10 for ten that the inner one refuses.
    [Theory]
    [InlineData(true, 2, 10)]
    [InlineData(false, 1, 0)]
    public async Task The_outer_limit_pays_for_what_is_granted(bool chained, int forOne, int forTenRefused)
    {
        using Bucket inner = On(_clock, 1, 1, initial: 0);
        RateLimiter Chain(out Func<double> left)
        {
            var outer = new TokenBucketLimiter(new TokenBucketLimiterOptions { TokenLimit = 100, TokensPerPeriod = 1e-3, Clock = _clock });
            var one = new TokenBucketLimiter(new TokenBucketLimiterOptions { TokenLimit = 1, TokensPerPeriod = 1, QueueLimit = 1, Clock = _clock });
            Assert.True(one.AttemptAcquire().IsAcquired);
            left = () => outer.GetStatistics()!.CurrentAvailablePermits;
            return RateLimiter.CreateChained(outer, one);
        }
        using Bucket outer = On(_clock, 100, 1e-3);
        Func<double> left = () => Math.Floor(outer.Available);
        RateLimiter limiter = chained ? Chain(out left) : new TokenBucketCombinedLimiter(new CombinedLimit(outer, inner), queueLimit: 1);
        Assert.False(limiter.AttemptAcquire().IsAcquired);
        Task<RateLimitLease> waiting = limiter.AcquireAsync().AsTask();
        _clock.Advance(Second);
        Assert.True(await Granted(waiting));
        Assert.Equal(100 - forOne, left());
        for (int i = 0; i < 10; i++)
        {
            Assert.False(limiter.AttemptAcquire().IsAcquired);
        }
        Assert.Equal(100 - forOne - forTenRefused, left());
    }

    [Fact]
    public void A_failed_lease_says_who_refused()
    {
        using var limiter = new TokenBucketCombinedLimiter(_limit);
        RateLimitLease granted = limiter.AttemptAcquire(2);
        Assert.True(granted.IsAcquired);
        Assert.Equal((null, null, null), Told(granted));
        granted.Dispose();
        Assert.Equal((98, 0), (_outer.Available, _inner.Available));
        RateLimitLease refused = limiter.AttemptAcquire();
        Assert.False(refused.IsAcquired);
        Assert.Equal((TimeSpan.FromSeconds(2), null, _limit.Members[1]), Told(refused));
        Assert.Equal([MetadataName.RetryAfter.Name, TokenBucketCombinedLimiter.RefusedBy.Name], refused.MetadataNames);
        Assert.Equal((TimeSpan.FromSeconds(2), null, _limit.Members[1]), Told(limiter.AttemptAcquire(0)));
        _clock.Advance(2 * Second);
        Assert.True(limiter.AttemptAcquire(0).IsAcquired);
        Assert.Equal((100, 2), (_outer.Available, _inner.Available));
        var e = Assert.Throws<ArgumentOutOfRangeException>(() => limiter.AttemptAcquire(3));
        Assert.Equal("permitCount", e.ParamName);
        Assert.Contains("member 1", e.Message, StringComparison.Ordinal);
        using KeyedTable tiny = TinyTable(_clock, WhenTableFull.Deny);
        RateLimitLease noRoom = Enumerable.Range(0, 100)
            .Select(i => new TokenBucketCombinedLimiter(new CombinedLimit(_outer, new Member(tiny, $"{i}"))).AttemptAcquire())
            .First(lease => !lease.IsAcquired);
        Assert.Equal((null, "table full: no room for another key", tiny), (Told(noRoom).RetryAfter, Told(noRoom).Reason, Told(noRoom).By!.Table));
        Assert.Equal(96, _outer.Available);
    }

    [Fact]
    public async Task Requests_wait_in_the_queues_of_the_members()
    {
        using var limiter = new TokenBucketCombinedLimiter(_limit, queueLimit: 3);
        Assert.True(limiter.AttemptAcquire(2).IsAcquired);
        Task<RateLimitLease> first = limiter.AcquireAsync(1).AsTask();
        Task other = _inner.WaitAsync(1);
        Task<RateLimitLease> second = limiter.AcquireAsync(2).AsTask(), tooMany = limiter.AcquireAsync(1).AsTask();
        Task<RateLimitLease> nothing = limiter.AcquireAsync(0).AsTask();
        Assert.False(await Granted(tooMany));
        Assert.Equal((TimeSpan.FromSeconds(9), null, _limit.Members[1]), Told(await tooMany));
        Assert.Equal((4, Second * 2), (_clock.Waiters, _clock.NextDueNanoseconds));
        RateLimiterStatistics s = limiter.GetStatistics()!;
        Assert.Equal((3, 0, 1, 1), (s.CurrentQueuedCount, s.CurrentAvailablePermits, s.TotalSuccessfulLeases, s.TotalFailedLeases));
        _clock.Advance(2 * Second);
        Assert.True(await Granted(first));
        _clock.Advance(Second);
        await other.WaitAsync(Patience);
        _clock.Advance(4 * Second);
        Assert.True(await Granted(second));
        Assert.False(nothing.IsCompleted);
        _clock.Advance(2 * Second);
        Assert.True(await Granted(nothing));
        Assert.Equal((100, 2), (_outer.Available, _inner.Available));
        s = limiter.GetStatistics()!;
        Assert.Equal((0, 1, 4, 1), (s.CurrentQueuedCount, s.CurrentAvailablePermits, s.TotalSuccessfulLeases, s.TotalFailedLeases));
        Assert.Equal((true, 2), (await Granted(limiter.AcquireAsync(0).AsTask()), _inner.Available));
    }

    [Fact]
    public async Task Who_gives_up_loses_nothing()
    {
        using var limiter = new TokenBucketCombinedLimiter(_limit, queueLimit: 3);
        using var source = new CancellationTokenSource();
        Assert.True(limiter.AttemptAcquire(2).IsAcquired);
        Task<RateLimitLease> waiting = limiter.AcquireAsync(2, source.Token).AsTask(), behind = limiter.AcquireAsync(1).AsTask();
        await source.CancelAsync();
        var e = await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting.WaitAsync(Patience));
        Assert.Equal(source.Token, e.CancellationToken);
        Assert.Equal((1, Second * 2), (limiter.GetStatistics()!.CurrentQueuedCount, _clock.NextDueNanoseconds));
        Assert.True(limiter.AcquireAsync(1, source.Token).AsTask().IsCanceled);
        _clock.Advance(2 * Second);
        Assert.True(await Granted(behind));
        Assert.Equal((100, 0), (_outer.Available, _inner.Available));
    }

    [Fact]
    public async Task Dispose_ends_the_requests_and_not_the_members()
    {
        var limiter = new TokenBucketCombinedLimiter(_limit, queueLimit: 3);
        Assert.True(limiter.AttemptAcquire(2).IsAcquired);
        Task<RateLimitLease>[] waiting = [limiter.AcquireAsync(2).AsTask(), limiter.AcquireAsync(0).AsTask()];
        await limiter.DisposeAsync();
        limiter.Dispose();
        foreach (Task<RateLimitLease> one in waiting)
        {
            Assert.False(await Granted(one));
            Assert.Equal((null, null, null), Told(await one));
        }
        Assert.Equal((98, 0, 0), (_outer.Available, _inner.Available, _clock.Waiters));
        Assert.Null(limiter.IdleDuration);
        Action[] calls = [() => limiter.AttemptAcquire(), () => limiter.AttemptAcquire(0), () => limiter.AcquireAsync().AsTask(), () => limiter.GetStatistics()];
        Assert.All(calls, call => Assert.Throws<ObjectDisposedException>(call));
        Assert.True(_outer.Allow());
    }

    // It is disposed by the event of the take that is denied, before the request waits.
    [Fact]
    public async Task A_request_ends_if_the_limiter_is_disposed_while_it_enters()
    {
        TokenBucketCombinedLimiter? limiter = null;
        using var told = new Bucket(new BucketOptions
        {
            Capacity = 1, Tokens = 1, InitialTokens = 0, OnEvent = _ => limiter!.Dispose(), Clock = _clock,
        });
        limiter = new TokenBucketCombinedLimiter(new CombinedLimit(told, _outer), queueLimit: 1);
        Assert.False(await Granted(limiter.AcquireAsync().AsTask()));
        Assert.Equal((0, 0, 100), (_clock.Waiters, told.Available, _outer.Available));
    }

    [Fact]
    public async Task A_member_that_is_closed_or_lowered_ends_the_requests()
    {
        using var limiter = new TokenBucketCombinedLimiter(_limit, queueLimit: 3);
        Assert.True(limiter.AttemptAcquire(2).IsAcquired);
        Task<RateLimitLease> large = limiter.AcquireAsync(2).AsTask(), small = limiter.AcquireAsync(1).AsTask();
        _inner.SetCapacity(3);
        Assert.False(await Granted(large));
        Assert.Equal((null, null, _limit.Members[1]), Told(await large));
        _inner.Close();
        Assert.False(await Granted(small));
        Assert.Equal((null, null, _limit.Members[1]), Told(await small));
        Assert.Equal(98, _outer.Available);
        Assert.Throws<ObjectDisposedException>(() => limiter.AttemptAcquire());
        Assert.Equal(0, limiter.GetStatistics()!.CurrentQueuedCount);
    }

    [Fact]
    public async Task It_is_idle_while_nobody_waits_and_all_buckets_are_full()
    {
        using KeyedTable users = TableOn(_clock, 1, 1e-3);
        using var limiter = new TokenBucketCombinedLimiter(new CombinedLimit(_outer, _inner, new Member(users, "a")), queueLimit: 1);
        Assert.InRange(limiter.IdleDuration!.Value, TimeSpan.Zero, Patience);
        Assert.True(limiter.AttemptAcquire().IsAcquired);
        Assert.Null(limiter.IdleDuration);
        _clock.Advance(Second);
        Assert.InRange(limiter.IdleDuration!.Value, TimeSpan.Zero, Patience);
        Task<RateLimitLease> waiting = limiter.AcquireAsync().AsTask();
        _clock.Advance(Second);
        Assert.Null(limiter.IdleDuration);
        _clock.Advance(1000 * Second);
        Assert.True(await Granted(waiting));
        Assert.NotNull(limiter.IdleDuration);
        Assert.Throws<ArgumentOutOfRangeException>(() => new TokenBucketCombinedLimiter(_limit, -1));
    }

    [Fact]
    public async Task One_limiter_serves_all_resources()
    {
        using KeyedTable users = TableOn(_clock, 3, 1);
        using var limiter = new TokenBucketPartitionedCombinedLimiter<string>(
            user => new CombinedLimit(_outer, new Member(users, user)), queueLimit: 2);
        Assert.True(limiter.AttemptAcquire("a", 3).IsAcquired && limiter.AttemptAcquire("b", 2).IsAcquired);
        Assert.Equal((95, 0, 1), (_outer.Available, users.Available("a"), users.Available("b")));
        RateLimitLease refused = limiter.AttemptAcquire("a");
        Assert.Equal((TimeSpan.FromSeconds(1), users), (Told(refused).RetryAfter, Told(refused).By!.Table));
        Task<RateLimitLease> first = limiter.AcquireAsync("a", 1).AsTask(), second = limiter.AcquireAsync("b", 2).AsTask();
        Assert.False(await Granted(second));
        RateLimiterStatistics a = limiter.GetStatistics("a")!, b = limiter.GetStatistics("b")!, c = limiter.GetStatistics("c")!;
        Assert.Equal((0, 1, 2, 2), (a.CurrentAvailablePermits, a.CurrentQueuedCount, a.TotalSuccessfulLeases, a.TotalFailedLeases));
        Assert.Equal((1, 3), (b.CurrentAvailablePermits - 1, c.CurrentAvailablePermits - 1));
        _clock.Advance(Second);
        Assert.True(await Granted(first));
        Task<RateLimitLease> left = limiter.AcquireAsync("a", 2).AsTask();
        await limiter.DisposeAsync();
        Assert.False(await Granted(left));
        Assert.Throws<ObjectDisposedException>(() => limiter.AttemptAcquire("a"));
        Assert.Equal(0, users.Available("a"));
        Assert.Throws<ArgumentOutOfRangeException>(() => new TokenBucketPartitionedCombinedLimiter<int>(_ => _limit, -1));
    }

    // Granted, cancelled and disposed on many threads: each request ends, and what was not granted comes back.
    [Fact]
    public async Task Nothing_is_lost_among_threads()
    {
        using Bucket first = On(_clock, 1e6, 1000, initial: 0), second = On(_clock, 1e6, 1000, initial: 0);
        for (int round = 0; round < 20; round++)
        {
            double before = first.Available;
            long start = _clock.Now;
            var limiter = new TokenBucketCombinedLimiter(new CombinedLimit(first, second), queueLimit: 1000);
            int granted = 0, turn = 0;
            InParallel(4, () =>
            {
                if (Interlocked.Increment(ref turn) == 4)
                {
                    for (int i = 0; i < 100; i++)
                    {
                        _clock.Advance(1_000_000);
                    }
                    limiter.Dispose();
                    return;
                }
                for (int i = 0; i < 100; i++)
                {
                    using var source = new CancellationTokenSource();
                    try
                    {
                        Task<RateLimitLease> waiting = limiter.AcquireAsync(1, source.Token).AsTask();
                        if (i % 2 == 0)
                        {
                            source.Cancel();
                        }
                        else if (i % 10 == 1)
                        {
                            _clock.Advance(1_000_000);
                        }
                        Interlocked.Add(ref granted, waiting.ContinueWith(
                            w => w.IsCompletedSuccessfully && w.Result.IsAcquired ? 1 : 0, TaskScheduler.Default).WaitAsync(Patience).Result);
                    }
                    catch (ObjectDisposedException)
                    {
                        return;
                    }
                }
            });
            await limiter.DisposeAsync();
            double gained = (_clock.Now - start) / 1e6;
            Assert.Equal(before + gained - granted, first.Available, 1e-3);
            Assert.Equal(before + gained - granted, second.Available, 1e-3);
            Assert.Equal(0, _clock.Waiters);
        }
    }
}
