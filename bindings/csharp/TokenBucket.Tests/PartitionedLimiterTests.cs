using System;
using System.Linq;
using System.Net;
using System.Threading;
using System.Threading.RateLimiting;
using System.Threading.Tasks;
using Xunit;
using static TokenBucket.Tests.Buckets;

namespace TokenBucket.Tests;

public class PartitionedLimiterTests
{
    private static TokenBucketPartitionedLimiterOptions Options(ManualClock? clock, int limit = 2, int queue = 0) =>
        new() { TokenLimit = limit, TokensPerPeriod = 1, QueueLimit = queue, MaxKeys = 1000, Clock = clock };

    private static TokenBucketPartitionedLimiter<string> Limiter(ManualClock? clock, int limit = 2, int queue = 0) =>
        new(Options(clock, limit, queue));

    private static TimeSpan? RetryAfter(RateLimitLease lease) =>
        lease.TryGetMetadata(MetadataName.RetryAfter, out TimeSpan after) ? after : null;

    private static Task<RateLimitLease> Later<TKey>(
        PartitionedRateLimiter<TKey> limiter, TKey key, int permits, CancellationToken token = default) =>
        limiter.AcquireAsync(key, permits, token).AsTask();

    private static async Task<bool> Granted(Task<RateLimitLease> waiting) => (await waiting.WaitAsync(Patience)).IsAcquired;

    [Fact]
    public void Each_key_has_its_permits()
    {
        using var clock = new ManualClock();
        using TokenBucketPartitionedLimiter<string> limiter = Limiter(clock);
        Assert.True(limiter.AttemptAcquire("a", 2).IsAcquired);
        RateLimitLease denied = limiter.AttemptAcquire("a", 2);
        Assert.Equal((false, TimeSpan.FromSeconds(2)), (denied.IsAcquired, RetryAfter(denied)));
        Assert.True(limiter.AttemptAcquire("b").IsAcquired);
        Assert.Equal((true, false), (limiter.AttemptAcquire("b", 0).IsAcquired, limiter.AttemptAcquire("a", 0).IsAcquired));
        RateLimiterStatistics a = limiter.GetStatistics("a")!, b = limiter.GetStatistics("b")!, c = limiter.GetStatistics("c")!;
        Assert.Equal((0, 1, 2), (a.CurrentAvailablePermits, b.CurrentAvailablePermits, c.CurrentAvailablePermits));
        Assert.Equal((3, 2, 3, 2), (a.TotalSuccessfulLeases, a.TotalFailedLeases, b.TotalSuccessfulLeases, b.TotalFailedLeases));
        Assert.Equal(2, limiter.GetTableStatistics().Occupied);
        clock.Advance(Second);
        Assert.Equal(TimeSpan.FromSeconds(1), RetryAfter(denied));
        Assert.True(limiter.AttemptAcquire("a").IsAcquired);
        limiter.SetRate(10);
        clock.Advance(Second / 5);
        limiter.SetTokenLimit(5);
        Assert.Equal((5, true, 5), (limiter.TokenLimit, limiter.AttemptAcquire("a", 2).IsAcquired, limiter.GetStatistics("c")!.CurrentAvailablePermits));
    }

    [Fact]
    public async Task Each_key_has_its_queue()
    {
        using var clock = new ManualClock();
        using TokenBucketPartitionedLimiter<string> limiter = Limiter(clock, queue: 3);
        Assert.True(limiter.AttemptAcquire("a", 2).IsAcquired && limiter.AttemptAcquire("b", 2).IsAcquired);
        Task<RateLimitLease> first = Later(limiter, "a", 2), nothing = Later(limiter, "a", 0), other = Later(limiter, "b", 2);
        Task<RateLimitLease> tooMany = Later(limiter, "a", 2), muchTooMany = Later(limiter, "c", 2);
        Assert.Equal((false, TimeSpan.FromSeconds(4)), ((await tooMany).IsAcquired, RetryAfter(await tooMany)));
        Assert.True(await Granted(muchTooMany));
        Assert.Equal((2, 2, 0), (limiter.GetStatistics("a")!.CurrentQueuedCount, limiter.GetStatistics("b")!.CurrentQueuedCount, limiter.GetStatistics("c")!.CurrentQueuedCount));
        Assert.Equal((2, 2), (limiter.Queues, clock.Waiters));
        Assert.False(limiter.AttemptAcquire("a").IsAcquired);
        clock.Advance(2 * Second - 1);
        Assert.False(first.IsCompleted || nothing.IsCompleted || other.IsCompleted);
        clock.Advance(1);
        Assert.True(await Granted(first) && await Granted(nothing) && await Granted(other));
        Assert.True(SpinWait.SpinUntil(() => limiter.Queues == 0, Patience));
    }

    [Fact]
    public async Task Who_gives_up_loses_nothing()
    {
        using var clock = new ManualClock();
        using TokenBucketPartitionedLimiter<string> limiter = Limiter(clock, queue: 3);
        using var source = new CancellationTokenSource();
        Assert.True(limiter.AttemptAcquire("a", 2).IsAcquired);
        Task<RateLimitLease> waiting = Later(limiter, "a", 2, source.Token), behind = Later(limiter, "a", 1);
        await source.CancelAsync();
        var e = await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting.WaitAsync(Patience));
        Assert.Equal(source.Token, e.CancellationToken);
        clock.Advance(Second);
        Assert.True(await Granted(behind));
        Assert.Equal((0, 0), (limiter.GetStatistics("a")!.CurrentAvailablePermits, limiter.GetStatistics("a")!.CurrentQueuedCount));
        Assert.True(Later(limiter, "b", 1, source.Token).IsCanceled);
        Assert.True(SpinWait.SpinUntil(() => limiter.Queues == 0, Patience));
    }

    [Fact]
    public async Task The_newest_of_a_key_goes_first()
    {
        using var clock = new ManualClock();
        using var limiter = new TokenBucketPartitionedLimiter<string>(
            Options(clock, queue: 2) with { QueueProcessingOrder = QueueProcessingOrder.NewestFirst });
        Assert.True(limiter.AttemptAcquire("a", 2).IsAcquired);
        Task<RateLimitLease> oldest = Later(limiter, "a", 2), newest = Later(limiter, "a", 1);
        Assert.False(await Granted(oldest));
        Task<RateLimitLease> newer = Later(limiter, "a", 1);
        clock.Advance(Second);
        Assert.True(await Granted(newer));
        Assert.False(newest.IsCompleted);
        clock.Advance(Second);
        Assert.True(await Granted(newest));
    }

    [Fact]
    public async Task A_key_without_room_is_told_why()
    {
        using var clock = new ManualClock();
        using var limiter = new TokenBucketPartitionedLimiter<int>(
            Options(clock, queue: 5) with { MaxKeys = null, MaxBytes = 64, WhenFull = WhenTableFull.Deny });
        Assert.All([1, 2, 3, 4], key => Assert.True(limiter.AttemptAcquire(key).IsAcquired));
        foreach (RateLimitLease denied in (RateLimitLease[])[limiter.AttemptAcquire(5), await Later(limiter, 5, 1)])
        {
            Assert.False(denied.IsAcquired);
            Assert.Null(RetryAfter(denied));
            Assert.Equal([MetadataName.ReasonPhrase.Name], denied.MetadataNames);
            Assert.True(denied.TryGetMetadata(MetadataName.ReasonPhrase, out string? reason));
            Assert.Equal("table full: no room for another key", reason);
        }
        Assert.Equal((4, 2), (limiter.GetStatistics(1)!.TotalSuccessfulLeases, limiter.GetStatistics(1)!.TotalFailedLeases));
        Assert.True(limiter.AttemptAcquire(5, 0).IsAcquired);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Dispose_fails_who_waits(bool async)
    {
        using var clock = new ManualClock();
        TokenBucketPartitionedLimiter<string> limiter = Limiter(clock, queue: 3);
        Assert.True(limiter.AttemptAcquire("a", 2).IsAcquired && limiter.AttemptAcquire("b", 2).IsAcquired);
        Task<RateLimitLease>[] waiting = [Later(limiter, "a", 1), Later(limiter, "b", 0), Later(limiter, "a", 0), Later(limiter, "a", 2)];
        RateLimitLease denied = limiter.AttemptAcquire("a");
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
        Assert.Null(RetryAfter(denied));
        Action[] calls =
        [
            () => limiter.AttemptAcquire("a"), () => limiter.AttemptAcquire("a", 0), () => { _ = Later(limiter, "a", 1); },
            () => limiter.GetStatistics("a"), () => limiter.GetTableStatistics(), () => limiter.SetRate(1), () => limiter.SetTokenLimit(1),
        ];
        Assert.All(calls, call => Assert.Throws<ObjectDisposedException>(call));
        Assert.True(SpinWait.SpinUntil(() => limiter.Queues == 0, Patience));
    }

    [Fact]
    public async Task Who_waits_is_woken_by_the_systems_clock()
    {
        using var limiter = new TokenBucketPartitionedLimiter<long>(Options(null, queue: 100) with { TokensPerPeriod = 500 });
        Task<RateLimitLease>[] waiting = [.. Enumerable.Range(0, 40).Select(i => Later(limiter, i % 4L, 1))];
        foreach (Task<RateLimitLease> w in waiting)
        {
            Assert.True(await Granted(w));
        }
    }

    private static void TwoKeys<TKey>(TKey a, TKey b, KeyEncoder<TKey>? encoder = null)
    {
        using var clock = new ManualClock();
        using var limiter = new TokenBucketPartitionedLimiter<TKey>(Options(clock, limit: 1), encoder);
        Assert.True(limiter.AttemptAcquire(a).IsAcquired && limiter.AttemptAcquire(b).IsAcquired);
        Assert.False(limiter.AttemptAcquire(a).IsAcquired || limiter.AttemptAcquire(b).IsAcquired);
    }

    [Fact]
    public void Keys_are_of_many_types()
    {
        TwoKeys("", "a\0");
        TwoKeys(new string('x', 1000), new string('x', 1001));
        TwoKeys(0, 1 << 31);
        TwoKeys(0L, 1L << 63);
        TwoKeys(Guid.Empty, new Guid("00000000-0000-0000-0000-000000000001"));
        TwoKeys(IPAddress.Parse("2001:db8::1"), IPAddress.Parse("192.0.2.1"));
        TwoKeys(1.5, 2.5, (key, buffer) => BitConverter.TryWriteBytes(buffer, key) ? buffer[..8] : default);

        using var clock = new ManualClock();
        using var addresses = new TokenBucketPartitionedLimiter<IPAddress>(Options(clock, limit: 3));
        Assert.True(addresses.AttemptAcquire(IPAddress.Parse("2001:db8::1"), 2).IsAcquired);
        Assert.True(addresses.AttemptAcquire(IPAddress.Parse("192.0.2.1"), 2).IsAcquired);
        Assert.Equal(1, addresses.GetStatistics(IPAddress.Parse("2001:db8::ffff:1"))!.CurrentAvailablePermits);
        Assert.Equal(1, addresses.GetStatistics(IPAddress.Parse("::ffff:192.0.2.1"))!.CurrentAvailablePermits);
    }

    [Fact]
    public void Bad_arguments_are_refused()
    {
        using TokenBucketPartitionedLimiter<string> limiter = Limiter(null, queue: 5);
        foreach (int permits in (int[])[3, -1])
        {
            Assert.Equal("permitCount", Assert.Throws<ArgumentOutOfRangeException>(() => limiter.AttemptAcquire("a", permits)).ParamName);
        }
        Assert.Throws<ArgumentNullException>(() => limiter.AttemptAcquire(null!));
        Assert.Equal("resource", Assert.Throws<ArgumentException>(() => limiter.AttemptAcquire(new string('x', 65537))).ParamName);
        Assert.Equal("encoder", Assert.Throws<ArgumentException>(() => new TokenBucketPartitionedLimiter<double>(Options(null))).ParamName);
        Assert.Throws<ArgumentNullException>(() => new TokenBucketPartitionedLimiter<string>(null!));
        Assert.Throws<ArgumentOutOfRangeException>(() => Limiter(null, limit: 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => Limiter(null, queue: -1));
        Assert.Throws<ArgumentException>(() => new TokenBucketPartitionedLimiter<string>(Options(null) with { MaxKeys = null }));
        Assert.Throws<ArgumentOutOfRangeException>(() => limiter.SetTokenLimit(0));
    }

    // Waits, cancels and takes of few keys on many threads: what was granted and what is left is all that ever came in.
    [Fact]
    public void Nothing_is_lost_or_made_among_threads()
    {
        const int Keys = 5, Capacity = 1000;
        using var clock = new ManualClock();
        using TokenBucketPartitionedLimiter<int> limiter = new(Options(clock, limit: Capacity, queue: 100));
        Assert.All(Enumerable.Range(0, Keys), key => Assert.True(limiter.AttemptAcquire(key, Capacity).IsAcquired));
        var granted = new long[Keys];
        long seconds = 0;
        int turn = 0;
        InParallel(16, () =>
        {
            var random = new Random(Interlocked.Increment(ref turn));
            for (int i = 0; i < 400; i++)
            {
                int key = random.Next(Keys), permits = random.Next(0, 4);
                using var source = new CancellationTokenSource();
                Task<RateLimitLease> waiting = Later(limiter, key, permits, source.Token);
                if (limiter.AttemptAcquire(key).IsAcquired)
                {
                    Interlocked.Increment(ref granted[key]);
                }
                if (random.Next(8) == 0)
                {
                    clock.Advance(Second);
                    Interlocked.Increment(ref seconds);
                }
                source.Cancel();
                Assert.True(SpinWait.SpinUntil(() => waiting.IsCompleted, Patience));
                if (waiting.IsCompletedSuccessfully && waiting.Result.IsAcquired)
                {
                    Interlocked.Add(ref granted[key], permits);
                }
            }
        });
        for (int key = 0; key < Keys; key++)
        {
            Assert.InRange(granted[key], 1, seconds);
            Assert.Equal(Math.Min(Capacity, seconds - granted[key]), limiter.GetStatistics(key)!.CurrentAvailablePermits);
            Assert.Equal(0, limiter.GetStatistics(key)!.CurrentQueuedCount);
        }
        Assert.Equal((0, 0), (clock.Waiters, limiter.Queues));
    }
}
