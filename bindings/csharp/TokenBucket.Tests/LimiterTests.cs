using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Linq;
using System.Threading;
using System.Threading.RateLimiting;
using System.Threading.Tasks;
using Xunit;
using static TokenBucket.Tests.Buckets;

namespace TokenBucket.Tests;

public class LimiterTests
{
    private static TokenBucketLimiter Limiter(
        ManualClock? clock, int limit = 2, double perSecond = 1, int queue = 0) =>
        new(new TokenBucketLimiterOptions { TokenLimit = limit, TokensPerPeriod = perSecond, QueueLimit = queue, Clock = clock });

    private static TimeSpan? RetryAfter(RateLimitLease lease) =>
        lease.TryGetMetadata(MetadataName.RetryAfter, out TimeSpan after) ? after : null;

    private static Task<RateLimitLease> Later(TokenBucketLimiter limiter, int permits, CancellationToken token = default) =>
        limiter.AcquireAsync(permits, token).AsTask();

    private static async Task<bool> Granted(Task<RateLimitLease> waiting) => (await waiting.WaitAsync(Patience)).IsAcquired;

    private static void Advance(ManualClock clock, double seconds) => clock.Advance((long)(seconds * Second));

    [Fact]
    public void Permits_come_in_evenly_and_a_denial_says_when()
    {
        using var clock = new ManualClock();
        using TokenBucketLimiter limiter = Limiter(clock, limit: 3, perSecond: 3);
        Assert.True(limiter.AttemptAcquire(3).IsAcquired);
        using RateLimitLease denied = limiter.AttemptAcquire(2);
        Assert.Equal((false, new TimeSpan(6_666_667)), (denied.IsAcquired, RetryAfter(denied)));
        clock.Advance(333_333_333);
        Assert.False(limiter.AttemptAcquire().IsAcquired);
        Assert.Equal(new TimeSpan(3_333_334), RetryAfter(denied));
        clock.Advance(1);
        RateLimitLease granted = limiter.AttemptAcquire();
        Assert.True(granted.IsAcquired);
        Assert.Null(RetryAfter(granted));
        Assert.Equal([MetadataName.RetryAfter.Name], granted.MetadataNames);
        granted.Dispose();
        Assert.Equal(0, limiter.GetStatistics()!.CurrentAvailablePermits);
    }

    // Nothing but the clock moves here: the limiter wakes by itself.
    [Fact]
    public async Task Who_waits_is_woken_in_order()
    {
        using var clock = new ManualClock();
        using TokenBucketLimiter limiter = Limiter(clock, limit: 5, perSecond: 500, queue: 20);
        Assert.True(limiter.AttemptAcquire(5).IsAcquired);
        for (int round = 0; round < 3; round++)
        {
            Task<RateLimitLease>[] waiting = [Later(limiter, 5), Later(limiter, 1), Later(limiter, 4)];
            foreach ((int done, int ms) in ((int, int)[])[(1, 10), (2, 2), (3, 8)])
            {
                clock.Advance(TimeSpan.FromMilliseconds(ms));
                Assert.True(await Granted(waiting[done - 1]));
                Assert.Equal(done, waiting.Count(w => w.IsCompleted));
            }
        }
        Assert.Equal(0, limiter.GetStatistics()!.CurrentQueuedCount);
    }

    // Real sleeping: 22 permits at 500 per second are 44 ms.
    [Fact]
    public async Task Who_waits_is_woken_by_the_systems_clock()
    {
        using TokenBucketLimiter limiter = Limiter(null, limit: 5, perSecond: 500, queue: 100);
        Assert.True(limiter.AttemptAcquire(5).IsAcquired);
        long start = Stopwatch.GetTimestamp();
        Task<RateLimitLease>[] waiting = [.. Enumerable.Range(0, 11).Select(_ => Later(limiter, 2))];
        foreach (Task<RateLimitLease> w in waiting)
        {
            Assert.True(await Granted(w));
        }
        // The five may have been some time in the past.
        Assert.InRange(Stopwatch.GetElapsedTime(start), TimeSpan.FromMilliseconds(34), Patience);
    }

    [Fact]
    public async Task The_queue_limit_counts_permits()
    {
        using var clock = new ManualClock();
        using TokenBucketLimiter limiter = Limiter(clock, queue: 3);
        Assert.True(limiter.AttemptAcquire(2).IsAcquired);
        Task<RateLimitLease> first = Later(limiter, 2);
        Task<RateLimitLease> tooMany = Later(limiter, 2);
        Assert.True(tooMany.IsCompleted);
        Assert.Equal((false, TimeSpan.FromSeconds(4)), ((await tooMany).IsAcquired, RetryAfter(await tooMany)));
        Task<RateLimitLease> second = Later(limiter, 1);
        Assert.Equal(3, limiter.GetStatistics()!.CurrentQueuedCount);
        Advance(clock, 3);
        Assert.True(await Granted(first) && await Granted(second));
    }

    [Fact]
    public async Task A_small_request_does_not_overtake_a_large_one()
    {
        using var clock = new ManualClock();
        using TokenBucketLimiter limiter = Limiter(clock, limit: 5, queue: 10);
        Assert.True(limiter.AttemptAcquire(4).IsAcquired);
        Task<RateLimitLease> large = Later(limiter, 5);
        Assert.Equal(1, limiter.GetStatistics()!.CurrentAvailablePermits);
        Assert.False(limiter.AttemptAcquire(1).IsAcquired);
        Task<RateLimitLease> small = Later(limiter, 1);
        Assert.False(small.IsCompleted);
        Advance(clock, 4);
        Assert.True(await Granted(large));
        Assert.False(small.IsCompleted);
        Advance(clock, 1);
        Assert.True(await Granted(small));
    }

    // The framework's serves those behind at the end of its period.
    [Fact]
    public async Task Who_stood_behind_a_cancelled_request_moves_up_at_once()
    {
        using var clock = new ManualClock();
        using TokenBucketLimiter limiter = Limiter(clock, limit: 5, queue: 10);
        using var source = new CancellationTokenSource();
        Assert.True(limiter.AttemptAcquire(3).IsAcquired);
        Task<RateLimitLease> large = Later(limiter, 5, source.Token);
        Task<RateLimitLease> behind = Later(limiter, 2);
        Task<RateLimitLease> last = Later(limiter, 2);
        await source.CancelAsync();
        var e = await Assert.ThrowsAsync<TaskCanceledException>(() => large);
        Assert.Equal(source.Token, e.CancellationToken);
        Assert.True(await Granted(behind));
        Assert.Equal((0, 2), (limiter.GetStatistics()!.CurrentAvailablePermits, limiter.GetStatistics()!.CurrentQueuedCount));
        Advance(clock, 2);
        Assert.True(await Granted(last));
        Assert.True(Later(limiter, 1, source.Token).IsCanceled);
    }

    [Fact]
    public async Task A_cancel_that_comes_after_the_permits_does_nothing()
    {
        using var clock = new ManualClock();
        using TokenBucketLimiter limiter = Limiter(clock, queue: 2);
        using var source = new CancellationTokenSource();
        Assert.True(limiter.AttemptAcquire(2).IsAcquired);
        Task<RateLimitLease> waiting = Later(limiter, 1, source.Token);
        clock.Advance(Second);
        await source.CancelAsync();
        Assert.True(await Granted(waiting));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Dispose_fails_who_waits(bool async)
    {
        using var clock = new ManualClock();
        TokenBucketLimiter limiter = Limiter(clock, queue: 4);
        Assert.True(limiter.AttemptAcquire(2).IsAcquired);
        Task<RateLimitLease>[] waiting = [Later(limiter, 1), Later(limiter, 0), Later(limiter, 2)];
        Assert.All(waiting, w => Assert.False(w.IsCompleted));
        if (async)
        {
            await limiter.DisposeAsync();
        }
        limiter.Dispose();
        foreach (Task<RateLimitLease> w in waiting)
        {
            Assert.False(await Granted(w));
            Assert.Null(RetryAfter(await w));
        }
        Action[] calls =
        [
            () => limiter.AttemptAcquire(1), () => limiter.AttemptAcquire(0), () => { _ = Later(limiter, 1); }, () => limiter.GetStatistics(),
            () => limiter.SetRate(1), () => limiter.SetTokenLimit(1),
        ];
        Assert.All(calls, call => Assert.Throws<ObjectDisposedException>(call));
        Assert.Null(limiter.IdleDuration);
    }

    [Fact]
    public async Task No_permits_ask_or_wait_for_the_first()
    {
        using var clock = new ManualClock();
        using TokenBucketLimiter limiter = Limiter(clock, limit: 1);
        Assert.True(limiter.AttemptAcquire(0).IsAcquired);
        Assert.True(Later(limiter, 0).IsCompletedSuccessfully);
        Assert.True(limiter.AttemptAcquire(1).IsAcquired);
        Assert.Equal(TimeSpan.FromSeconds(1), RetryAfter(limiter.AttemptAcquire(0)));
        Task<RateLimitLease> waiting = Later(limiter, 0);
        Advance(clock, 0.999);
        Assert.False(waiting.IsCompleted);
        Advance(clock, 0.001);
        Assert.True(await Granted(waiting));
        Assert.True(limiter.AttemptAcquire(1).IsAcquired);
    }

    [Fact]
    public void What_can_never_be_granted_is_an_argument_error()
    {
        using TokenBucketLimiter limiter = Limiter(null, queue: 5);
        foreach (int permits in (int[])[3, -1])
        {
            Assert.Equal("permitCount", Assert.Throws<ArgumentOutOfRangeException>(() => limiter.AttemptAcquire(permits)).ParamName);
            Assert.Equal("permitCount", Assert.Throws<ArgumentOutOfRangeException>(() => { _ = Later(limiter, permits); }).ParamName);
        }
        Assert.Throws<ArgumentOutOfRangeException>(() => Limiter(null, limit: 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => Limiter(null, queue: -1));
        Assert.Throws<ArgumentOutOfRangeException>(() => Limiter(null, perSecond: 0));
        Assert.Throws<ArgumentNullException>(() => new TokenBucketLimiter(null!));
    }

    // A partitioned limiter of the framework asks TryReplenish of all its limiters.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void It_is_a_replenishing_limiter_that_has_nothing_to_replenish(bool auto)
    {
        using var clock = new ManualClock();
        var options = new TokenBucketLimiterOptions
        {
            TokenLimit = 10, TokensPerPeriod = 2, ReplenishmentPeriod = TimeSpan.FromMinutes(1), AutoReplenishment = auto, Clock = clock,
        };
        using ReplenishingRateLimiter limiter = new TokenBucketLimiter(options), theirs = new TokenBucketRateLimiter(new()
        {
            TokenLimit = 10, TokensPerPeriod = 2, ReplenishmentPeriod = TimeSpan.FromMinutes(1), AutoReplenishment = auto,
        });
        Assert.Equal((TimeSpan.FromMinutes(1), auto), (limiter.ReplenishmentPeriod, limiter.IsAutoReplenishing));
        Assert.Equal((theirs.IsAutoReplenishing, theirs.TryReplenish()), (limiter.IsAutoReplenishing, limiter.TryReplenish()));
        Assert.True(limiter.AttemptAcquire(10).IsAcquired);
        limiter.TryReplenish();
        Assert.False(limiter.AttemptAcquire().IsAcquired);
        Advance(clock, 30);
        Assert.True(limiter.AttemptAcquire().IsAcquired);
        Assert.True(new TokenBucketLimiterOptions { TokenLimit = 1, TokensPerPeriod = 1 }.AutoReplenishment);
    }

    [Fact]
    public async Task Idle_is_null_until_full_and_counts_from_then()
    {
        using var clock = new ManualClock();
        using TokenBucketLimiter limiter = Limiter(clock, limit: 4, perSecond: 2);
        clock.Advance(5 * Second);
        Assert.Equal(TimeSpan.FromSeconds(5), limiter.IdleDuration);
        Assert.True(limiter.AttemptAcquire(3).IsAcquired);
        Assert.Null(limiter.IdleDuration);
        clock.Advance(Second * 3 / 2 - 1);
        Assert.Null(limiter.IdleDuration);
        clock.Advance(1);
        Assert.Equal(TimeSpan.Zero, limiter.IdleDuration);
        clock.Advance(2 * Second);
        Assert.Equal(TimeSpan.FromSeconds(2), limiter.IdleDuration);
        // Nobody looked since it was full.
        Assert.True(await Granted(Later(limiter, 2)));
        clock.Advance(8 * Second);
        Assert.Equal(TimeSpan.Zero, limiter.IdleDuration);
        Assert.True(limiter.AttemptAcquire(4).IsAcquired);
        Assert.Null(limiter.IdleDuration);
        limiter.SetRate(4);
        clock.Advance(3 * Second);
        Assert.Equal(TimeSpan.Zero, limiter.IdleDuration);
        clock.Advance(Second);
        Assert.Equal(TimeSpan.FromSeconds(1), limiter.IdleDuration);
    }

    [Fact]
    public async Task A_new_rate_and_limit_count_for_those_who_wait()
    {
        using var clock = new ManualClock();
        using TokenBucketLimiter limiter = Limiter(clock, limit: 10, queue: 100);
        Assert.True(limiter.AttemptAcquire(10).IsAcquired);
        Task<RateLimitLease> first = Later(limiter, 6), second = Later(limiter, 8), third = Later(limiter, 1);
        Advance(clock, 1);
        limiter.SetRate(10);
        Advance(clock, 0.5);
        Assert.True(await Granted(first));
        limiter.SetTokenLimit(5);
        Assert.False(await Granted(second));
        Assert.Null(RetryAfter(await second));
        Advance(clock, 0.1);
        Assert.True(await Granted(third));
        Assert.Equal(5, limiter.TokenLimit);
        Assert.Throws<ArgumentOutOfRangeException>(() => limiter.AttemptAcquire(6));
        Assert.Throws<ArgumentOutOfRangeException>(() => limiter.SetRate(-1));
        Assert.Throws<ArgumentOutOfRangeException>(() => limiter.SetTokenLimit(0));
    }

    [Fact]
    public async Task The_newest_goes_first_and_the_oldest_make_room()
    {
        using var clock = new ManualClock();
        using var limiter = new TokenBucketLimiter(new TokenBucketLimiterOptions
        {
            TokenLimit = 5, TokensPerPeriod = 1, QueueLimit = 3, QueueProcessingOrder = QueueProcessingOrder.NewestFirst, Clock = clock,
        });
        Assert.True(limiter.AttemptAcquire(5).IsAcquired);
        Task<RateLimitLease> oldest = Later(limiter, 1), older = Later(limiter, 2), newest = Later(limiter, 1);
        Assert.False(await Granted(oldest));
        Assert.Null(RetryAfter(await oldest));
        Assert.Equal(3, limiter.GetStatistics()!.CurrentQueuedCount);
        Advance(clock, 1);
        Assert.True(await Granted(newest));
        Advance(clock, 1);
        Assert.False(older.IsCompleted);
        Assert.True(limiter.AttemptAcquire(1).IsAcquired);
        Advance(clock, 2);
        Assert.True(await Granted(older));
        Assert.Equal(0, limiter.GetStatistics()!.CurrentQueuedCount);
    }

    [Fact]
    public async Task Permits_can_be_set_to_what_is_left()
    {
        using var clock = new ManualClock();
        using TokenBucketLimiter limiter = Limiter(clock, limit: 10, queue: 10);
        Assert.True(limiter.AttemptAcquire(10).IsAcquired);
        Task<RateLimitLease> first = Later(limiter, 4), second = Later(limiter, 4);
        limiter.SetTokens(6);
        Assert.True(await Granted(first));
        Assert.False(second.IsCompleted);
        Advance(clock, 2);
        Assert.True(await Granted(second));
        Assert.Equal(0, limiter.GetStatistics()!.CurrentAvailablePermits);
    }

    [Fact]
    public void Very_many_are_cancelled_in_any_order()
    {
        using TokenBucketLimiter limiter = Limiter(null, perSecond: 1e-3, queue: 20_000);
        Assert.True(limiter.AttemptAcquire(2).IsAcquired);
        CancellationTokenSource[] sources = [.. Enumerable.Range(0, 20_000).Select(_ => new CancellationTokenSource())];
        Task<RateLimitLease>[] waiting = [.. sources.Select(s => Later(limiter, 1, s.Token))];
        new Random(1).Shuffle(sources);
        Array.ForEach(sources, s => s.Cancel());
        Assert.All(waiting, w => Assert.True(w.IsCanceled));
        Assert.Equal((0, 0), (limiter.GetStatistics()!.CurrentQueuedCount, limiter.GetStatistics()!.CurrentAvailablePermits));
    }

    // The framework's fills one batch per period, and drops what does not fit while someone waits for more.
    [Fact]
    public async Task What_comes_in_while_someone_waits_is_kept()
    {
        using var clock = new ManualClock();
        using TokenBucketLimiter limiter = Limiter(clock, limit: 5, perSecond: 5, queue: 5);
        Assert.True(limiter.AttemptAcquire(2).IsAcquired);
        Task<RateLimitLease> all = Later(limiter, 5);
        Advance(clock, 1);
        Assert.True(await Granted(all));
        Assert.Equal(3, limiter.GetStatistics()!.CurrentAvailablePermits);
    }

    // Waits, cancels and takes from many threads: what was granted and what is left is all that ever came in.
    [Fact]
    public void Nothing_is_lost_or_made_among_threads()
    {
        using var clock = new ManualClock();
        using TokenBucketLimiter limiter = Limiter(clock, limit: 1000, perSecond: 1, queue: 100);
        Assert.True(limiter.AttemptAcquire(1000).IsAcquired);
        long granted = 0, advanced = 0;
        int turn = 0;
        InParallel(4, () =>
        {
            var random = new Random(Interlocked.Increment(ref turn));
            var pending = new List<Pending>();
            for (int i = 0; i < 3000; i++)
            {
                int permits = random.Next(1, 4);
                var source = new CancellationTokenSource();
                pending.Add(new Pending(Later(limiter, permits, source.Token), source, permits));
                if (limiter.AttemptAcquire(1).IsAcquired)
                {
                    Interlocked.Increment(ref granted);
                }
                if (random.Next(3) > 0)
                {
                    pending[random.Next(pending.Count)].Source.Cancel();
                }
                if (random.Next(4) == 0)
                {
                    clock.Advance(Second);
                    Interlocked.Increment(ref advanced);
                }
                Interlocked.Add(ref granted, TakeOutGranted(pending));
            }
            pending.ForEach(p => p.Source.Cancel());
            // One may have been granted by another thread's advance, which has not said so yet.
            Assert.True(SpinWait.SpinUntil(() => pending.TrueForAll(p => p.Task.IsCompleted), Patience));
            Interlocked.Add(ref granted, TakeOutGranted(pending));
            Assert.Empty(pending);
        });
        Assert.InRange(granted, 1, advanced);
        Assert.Equal(advanced - granted, limiter.GetStatistics()!.CurrentAvailablePermits);
        Assert.Equal(0, limiter.GetStatistics()!.CurrentQueuedCount);
        Assert.Equal(0, clock.Waiters);
    }

    [Fact]
    public void Statistics_count_every_lease()
    {
        using var clock = new ManualClock();
        using TokenBucketLimiter limiter = Limiter(clock, limit: 5_000_000);
        InParallel(10, () =>
        {
            for (int i = 0; i < 1_000_000; i++)
            {
                limiter.AttemptAcquire();
            }
        });
        RateLimiterStatistics statistics = limiter.GetStatistics()!;
        Assert.Equal((5_000_000, 5_000_000), (statistics.TotalSuccessfulLeases, statistics.TotalFailedLeases));
    }

    private sealed record Pending(Task<RateLimitLease> Task, CancellationTokenSource Source, int Permits);

    private static int TakeOutGranted(List<Pending> pending)
    {
        List<Pending> done = pending.FindAll(p => p.Task.IsCompleted);
        pending.RemoveAll(done.Contains);
        return done.Sum(p => p.Task.IsCompletedSuccessfully && p.Task.Result.IsAcquired ? p.Permits : 0);
    }

    // As ASP.NET Core's middleware holds them: one for each client, made at its first request.
    [Fact]
    public void Partitions_take_it()
    {
        using var clock = new ManualClock();
        using PartitionedRateLimiter<string> perClient = PartitionedRateLimiter.Create<string, string>(
            client => RateLimitPartition.Get(client, _ => Limiter(clock)));
        Assert.True(perClient.AttemptAcquire("a", 2).IsAcquired);
        Assert.False(perClient.AttemptAcquire("a").IsAcquired);
        Assert.True(perClient.AttemptAcquire("b").IsAcquired);
        Assert.Equal(1, perClient.GetStatistics("b")!.CurrentAvailablePermits);
    }
}
