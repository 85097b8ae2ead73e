using System;
using System.Collections.Concurrent;
using System.Linq;
using System.Runtime.CompilerServices;
using System.Threading;
using System.Threading.Tasks;
using Xunit;
using static TokenBucket.Tests.Buckets;

namespace TokenBucket.Tests;

public class KeyedTableWaitTests
{
    // Key "a" is empty.
    private static KeyedTable Empty(ManualClock clock, double capacity = 10, double perSecond = 10, long? maxWaiters = null)
    {
        KeyedTable table = TableOn(clock, capacity, perSecond, maxWaiters: maxWaiters);
        Assert.True(table.Allow("a", capacity));
        return table;
    }

    [Fact]
    public async Task Each_key_has_a_queue_of_its_own()
    {
        using var clock = new ManualClock();
        using KeyedTable table = Empty(clock);
        Assert.True(table.WaitAsync("b", 10).IsCompletedSuccessfully);
        Task first = table.WaitAsync("a", 2), other = table.WaitAsync("b"u8, 1);
        Task<bool> second = table.WaitAsync("a"u8, 1, TimeSpan.FromMilliseconds(300));
        Task<bool> urgent = table.WaitAsync("a", 1, Timeout.InfiniteTimeSpan, priority: 1);
        Assert.False(await second);
        Assert.Equal((3, Second / 10), (clock.Waiters, clock.NextDueNanoseconds));
        Assert.Equal((-3, -1), (table.Available("a"), table.Available("b")));
        clock.Advance(Second / 10);
        Assert.True(await urgent.WaitAsync(Patience));
        await other.WaitAsync(Patience);
        Assert.False(table.Allow("a"));
        clock.Advance(Second / 5 - 1);
        Assert.False(first.IsCompleted);
        clock.Advance(1);
        await first.WaitAsync(Patience);
        Assert.Equal((0, 0), (table.Available("a"), clock.Waiters));
        Assert.False(table.Wait("a", 1, TimeSpan.Zero));
        Assert.False(table.Wait("a", 2, TimeSpan.FromMilliseconds(199), CancellationToken.None));
        Assert.True(table.Wait("c", 2, TimeSpan.Zero, priority: -1));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_cancelled_wait_gives_all_back(bool blocking)
    {
        using var clock = new ManualClock();
        using KeyedTable table = Empty(clock);
        using var source = new CancellationTokenSource();
        Task waiting = blocking ? Task.Run(() => table.Wait("a", 4, source.Token)) : table.WaitAsync("a", 4, source.Token);
        Assert.True(SpinWait.SpinUntil(() => clock.Waiters == 1, Patience));
        Task behind = table.WaitAsync("a", 1);
        Assert.Equal(-5, table.Available("a"));
        await source.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting.WaitAsync(Patience));
        Assert.Equal((-1, 1, Second / 10), (table.Available("a"), clock.Waiters, clock.NextDueNanoseconds));
        clock.Advance(Second / 10);
        await behind.WaitAsync(Patience);
        Assert.True(table.WaitAsync("b", 4, source.Token).IsCanceled);
        Assert.Throws<OperationCanceledException>(() => table.Wait("b", 4, source.Token));
        Assert.Equal(10, table.Available("b"));
    }

    [Fact]
    public async Task So_many_may_wait_for_a_key()
    {
        using var clock = new ManualClock();
        using KeyedTable table = Empty(clock, maxWaiters: 1);
        Assert.True(table.Allow("b", 10));
        Task first = table.WaitAsync("a", 3), other = table.WaitAsync("b", 3);
        foreach (Action wait in (Action[])[() => table.Wait("a", 2), () => _ = table.WaitAsync("a", 2)])
        {
            var e = Assert.Throws<TokenBucketException>(wait);
            Assert.Equal((Status.QueueFull, TimeSpan.FromSeconds(0.5)), (e.Status, e.RetryAfter));
        }
        clock.Advance(Second);
        await Task.WhenAll(first, other).WaitAsync(Patience);
    }

    [Fact]
    public async Task Changes_plan_anew_who_waits()
    {
        using var clock = new ManualClock();
        using KeyedTable table = Empty(clock, capacity: 30);
        Task first = table.WaitAsync("a", 20), second = table.WaitAsync("a", 10), large = table.WaitAsync("a", 30);
        table.SetRate(100);
        Assert.Equal(Second / 5, clock.NextDueNanoseconds);
        table.Refund("a", 20);
        await first.WaitAsync(Patience);
        table.Charge("a", 10);
        Assert.Equal(Second / 5, clock.NextDueNanoseconds);
        table.SetCapacity(20);
        var e = await Assert.ThrowsAsync<TokenBucketException>(() => large.WaitAsync(Patience));
        Assert.Equal(Status.ExceedsCapacity, e.Status);
        table.Remove("a");
        await second.WaitAsync(Patience);
        Assert.Equal((0, 10), (clock.Waiters, table.Available("a")));
    }

    [Fact]
    public void Reservations_are_of_their_key()
    {
        using var clock = new ManualClock(7);
        using KeyedTable table = Empty(clock);
        Reservation r = table.Reserve("a", 3), other = table.Reserve("b", 3);
        Assert.Equal((3, 300_000_000, 300_000_007), (r.Tokens, r.WaitNanoseconds, r.ReadyAtNanoseconds));
        Assert.Equal((-3, 7, 0), (table.Available("a"), table.Available("b"), other.WaitNanoseconds));
        Assert.Null(table.Reserve("a", 1, TimeSpan.FromMilliseconds(399)));
        Reservation behind = table.Reserve("a", 1, TimeSpan.FromMilliseconds(400))!;
        r.Cancel();
        r.Cancel();
        Assert.Equal((0, -1), (r.Tokens, table.Available("a")));
        behind.Settle(0.5);
        Assert.Equal(-0.5, table.Available("a"));
        Assert.Throws<InvalidOperationException>(() => behind.Settle(0.5));
        other.Settle(5);
        Assert.Equal(5, table.Available("b"));
        Reservation kept = table.Reserve("a", 10);
        Assert.Equal("actualTokens", Assert.Throws<ArgumentOutOfRangeException>(() => kept.Settle(-1)).ParamName);
        table.Remove("a");
        kept.Cancel();
        Assert.Equal(10, table.Available("a"));
        Assert.Equal(Status.ExceedsCapacity, Assert.Throws<TokenBucketException>(() => table.Reserve("a", 11)).Status);
    }

    [Fact]
    public void A_wait_that_no_time_can_express_is_refused()
    {
        using var clock = new ManualClock(long.MaxValue - 5);
        using KeyedTable table = Empty(clock);
        Assert.Equal(Status.TimedOut, Assert.Throws<TokenBucketException>(() => table.Wait("a")).Status);
        Assert.Equal(Status.TimedOut, Assert.Throws<TokenBucketException>(() => table.Reserve("a")).Status);
    }

    [Theory]
    [InlineData(false, false, false)]
    [InlineData(false, false, true)]
    [InlineData(false, true, false)]
    [InlineData(false, true, true)]
    [InlineData(true, false, false)]
    [InlineData(true, false, true)]
    [InlineData(true, true, false)]
    [InlineData(true, true, true)]
    public async Task Closing_ends_waits(bool blocking, bool manual, bool dispose)
    {
        using var clock = new ManualClock();
        using var table = new KeyedTable(
            new KeyedTableOptions { Capacity = 10, Tokens = 1e-9, MaxKeys = 10, Clock = manual ? clock : null });
        string[] keys = ["a", "b", "a"];
        Array.ForEach(keys, key => table.TakeUpTo(key, 10));
        Task[] waiting = [.. keys.Select(key => blocking ? Task.Run(() => table.Wait(key)) : table.WaitAsync(key))];
        Assert.True(SpinWait.SpinUntil(() => table.Available("a") + table.Available("b") < -2.5, Patience));
        if (dispose)
        {
            table.Dispose();
        }
        else
        {
            table.Close();
        }
        foreach (Task w in waiting)
        {
            var e = await Assert.ThrowsAsync<ObjectDisposedException>(() => w.WaitAsync(Patience));
            Assert.Equal("TokenBucket.KeyedTable", e.ObjectName);
        }
    }

    // Real sleeping: a wait that ended early would find the key in debt.
    [Fact]
    public async Task A_wait_never_ends_early()
    {
        using var table = new KeyedTable(10, 1300, 100);
        for (int i = 0; i < 10; i++)
        {
            table.TakeUpTo("a", 10);
            await table.WaitAsync("a", 3);
            Assert.InRange(table.Available("a"), 0, 10);
            table.TakeUpTo("a", 10);
            table.Wait("a", 3);
            Assert.InRange(table.Available("a"), 0, 10);
        }
    }

    [Fact]
    public async Task A_wait_keeps_its_table_and_nothing_else_does()
    {
        using var clock = new ManualClock();
        (Task<bool> waiting, WeakReference handle) = WaitOnly(clock);
        Collect();
        Assert.True(handle.IsAlive);
        clock.Advance(Second);
        Assert.True(await waiting.WaitAsync(Patience));
        Collect();
        Assert.False(handle.IsAlive);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static (Task<bool>, WeakReference) WaitOnly(ManualClock clock)
    {
        KeyedTable table = Empty(clock, 1, 1);
        return (table.WaitAsync("a", 1, TimeSpan.FromHours(1)), new WeakReference(table.Handle));
    }

    // Waits, cancels, changes and a clock on many threads: every wait ends, and no key loses anything.
    [Fact]
    public async Task Nothing_is_lost_among_threads()
    {
        const int Keys = 20;
        using var clock = new ManualClock();
        using KeyedTable table = TableOn(clock, 1e6, 1000);
        string[] keys = [.. Enumerable.Range(0, Keys).Select(i => $"{i}")];
        Array.ForEach(keys, key => Assert.True(table.Allow(key, 1e6)));
        var waits = new ConcurrentBag<(Task<bool> Task, int Key, int Tokens)>();
        int turn = 0, running = 15;
        InParallel(16, () =>
        {
            int number = Interlocked.Increment(ref turn);
            var random = new Random(number);
            if (number == 16)
            {
                while (Volatile.Read(ref running) > 0)
                {
                    clock.Advance(1_000_000);
                }
                return;
            }
            for (int i = 0; i < 500; i++)
            {
                int key = random.Next(Keys), tokens = random.Next(1, 4);
                using var source = new CancellationTokenSource();
                waits.Add((table.WaitAsync(keys[key], tokens, Timeout.InfiniteTimeSpan, random.Next(3), source.Token), key, tokens));
                if (random.Next(2) == 0)
                {
                    source.Cancel();
                }
                if (random.Next(100) == 0)
                {
                    table.Wait(keys[key], 1);
                    table.Refund(keys[key], 1);
                }
            }
            Interlocked.Decrement(ref running);
        });
        clock.Advance(100 * Second);
        try
        {
            await Task.WhenAll(waits.Select(w => w.Task)).WaitAsync(Patience);
        }
        catch (OperationCanceledException)
        {
        }
        Assert.Equal(0, clock.Waiters);
        for (int key = 0; key < Keys; key++)
        {
            double taken = waits.Where(w => w.Key == key && w.Task.IsCompletedSuccessfully).Sum(w => w.Tokens);
            Assert.Equal(clock.Now / 1e6 - taken, table.Available(keys[key]), 1e-3);
        }
    }
}
