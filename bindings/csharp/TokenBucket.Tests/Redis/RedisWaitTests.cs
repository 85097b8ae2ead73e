using System;
using System.Diagnostics;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using TokenBucket.Redis;
using Xunit;

namespace TokenBucket.Tests.Redis;

[Collection(SharedRedis.Name)]
public class RedisWaitTests(RedisServer server)
{
    // In seconds: until one token is there, of a bucket that gains one in 1000 s.
    private static async Task<double> Ahead(RedisLimit limit, string key = "a") =>
        (await limit.PeekAsync(key)).RetryAfter.TotalSeconds;

    [RedisFact]
    public async Task A_wait_ends_when_it_is_due()
    {
        RedisLimit limit = server.Limit(capacity: 1, tokens: 40, period: 1, maxWait: 1);
        long start = Stopwatch.GetTimestamp();
        Task<bool>[] waits = [limit.WaitAsync("a"), limit.WaitAsync("a"), limit.WaitAsync("a")];
        Assert.All(await Task.WhenAll(waits), Assert.True);
        Assert.InRange(Stopwatch.GetElapsedTime(start), TimeSpan.FromMilliseconds(50), Buckets.Patience);
    }

    [RedisFact]
    public async Task A_wait_that_takes_too_long_takes_nothing()
    {
        RedisLimit limit = server.Limit(capacity: 1, maxWait: 5000);
        Assert.True(await limit.WaitAsync("a"));
        Assert.False(await limit.WaitAsync("a", 1, TimeSpan.FromSeconds(900)));
        Assert.InRange(await Ahead(limit), 980, 1000);
        using var stop = new CancellationTokenSource();
        Task<bool>[] waits = [.. Enumerable.Range(0, 5).Select(_ => limit.WaitAsync("a", 1, null, stop.Token))];
        Assert.False(await limit.WaitAsync("a", 1, Timeout.InfiniteTimeSpan));
        Assert.InRange(await Ahead(limit), 5980, 6000);
        await stop.CancelAsync();
        foreach (Task<bool> wait in waits)
        {
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => wait);
        }
        Assert.InRange(await Ahead(limit), 980, 1000);
    }

    [RedisFact]
    public async Task Who_gives_up_loses_nothing()
    {
        RedisLimit limit = server.Limit(capacity: 1, maxWait: 5000);
        Assert.True(await limit.WaitAsync("a"));
        using var stop = new CancellationTokenSource();
        Task<bool> wait = limit.WaitAsync("a", 1, null, stop.Token);
        Assert.InRange(await Ahead(limit), 1980, 2000);
        await stop.CancelAsync();
        var e = await Assert.ThrowsAnyAsync<OperationCanceledException>(() => wait);
        Assert.Equal(stop.Token, e.CancellationToken);
        Assert.InRange(await Ahead(limit), 980, 1000);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => limit.WaitAsync("b", 1, null, stop.Token));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => limit.TakeAsync("b", 1, stop.Token));
        Assert.False(server.Database.KeyExists("tb:b"));
    }

    // What the server grants to a caller that has gone goes back.
    [RedisTheory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Who_gives_up_while_the_server_is_asked_loses_nothing(bool waits)
    {
        RedisLimit limit = server.Limit(capacity: 2, maxWait: 5000);
        Assert.True((await limit.TakeAsync("a")).IsGranted);
        using var stop = new CancellationTokenSource();
        server.Pause();
        try
        {
            Task[] gone = waits
                ? [limit.WaitAsync("a", 1, null, stop.Token), limit.WaitAsync("a", 1, null, stop.Token)]
                : [limit.TakeAsync("a", 1, stop.Token)];
            await stop.CancelAsync();
            foreach (Task call in gone)
            {
                await Assert.ThrowsAnyAsync<OperationCanceledException>(() => call.WaitAsync(Buckets.Patience));
            }
        }
        finally
        {
            server.Resume();
        }
        Assert.True(SpinWait.SpinUntil(() => limit.Take("a").IsGranted, Buckets.Patience));
        Assert.InRange(await Ahead(limit), 980, 1000);
    }

    [RedisFact]
    public async Task A_reservation_is_cancelled()
    {
        RedisLimit limit = server.Limit(capacity: 2, maxWait: 5000);
        Assert.True((await limit.TakeAsync("a", 2)).IsGranted);
        RedisReservation first = (await limit.ReserveAsync("a", 2))!, second = (await limit.ReserveAsync("a"))!;
        Assert.Null(await limit.ReserveAsync("a", 1, TimeSpan.FromSeconds(3900)));
        Assert.Equal((2, 1), (first.Tokens, second.Tokens));
        Assert.InRange(second.Wait.TotalSeconds, 2980, 3000);
        Assert.True(second.ReadyAtNanoseconds > first.ReadyAtNanoseconds);
        await first.CancelAsync();
        await first.CancelAsync();
        Assert.Equal(0, first.Tokens);
        await second.CancelAsync();
        Assert.InRange(await Ahead(limit), 980, 1000);
    }

    [RedisFact]
    public async Task A_reservation_is_settled()
    {
        RedisLimit limit = server.Limit(capacity: 10, maxWait: 5000);
        RedisReservation due = (await limit.ReserveAsync("a", 5))!;
        Assert.Equal(0, due.WaitNanoseconds);
        await due.SettleAsync(1);
        Assert.Equal(9, Math.Floor((await limit.PeekAsync("a")).Remaining));
        await Assert.ThrowsAsync<InvalidOperationException>(() => due.SettleAsync(1));

        RedisReservation early = (await limit.ReserveAsync("a", 10))!;
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => early.SettleAsync(-1));
        await limit.ChargeAsync("a", 1);
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => early.SettleAsync(15));
        Assert.Equal(10, early.Tokens);
        await early.SettleAsync(12);
        Assert.InRange(await Ahead(limit), 4980, 5000);
    }
}
