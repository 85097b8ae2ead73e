using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Linq;
using System.Runtime.CompilerServices;
using System.Threading;
using System.Threading.Tasks;
using Xunit;
using static TokenBucket.Tests.Buckets;

namespace TokenBucket.Tests;

// One queue for threads and tasks. The rows of ConformanceTests have most of it.
public class WaitQueueTests
{
    private static Bucket Empty(ManualClock clock, double capacity = 10, double perSecond = 10, long? maxWaiters = null,
        TimeSpan? maxLateness = null, Action<BucketEvent>? onEvent = null) =>
        new(new BucketOptions
        {
            Capacity = capacity, Tokens = perSecond, InitialTokens = 0, Clock = clock, Statistics = true,
            MaxWaiters = maxWaiters, MaxLateness = maxLateness, OnEvent = onEvent,
        });

    [Fact]
    public async Task Who_waits_moves_up_and_is_not_overtaken()
    {
        using var clock = new ManualClock();
        using Bucket bucket = Empty(clock);
        using var source = new CancellationTokenSource();
        Task large = bucket.WaitAsync(10, source.Token);
        Task small = bucket.WaitAsync(1);
        Assert.Equal((2, Second), (clock.Waiters, clock.NextDueNanoseconds));
        await source.CancelAsync();
        Assert.True(large.IsCanceled);
        Assert.Equal((1, Second / 10), (clock.Waiters, clock.NextDueNanoseconds));
        clock.Advance(Second / 10);
        Assert.True(small.IsCompletedSuccessfully);
        Assert.False(bucket.Allow());
        Assert.Null(clock.NextDueNanoseconds);
    }

    [Fact]
    public async Task A_higher_priority_is_served_first_and_may_time_others_out()
    {
        using var clock = new ManualClock();
        using Bucket bucket = Empty(clock);
        Task<bool> patient = bucket.WaitAsync(1, Timeout.InfiniteTimeSpan);
        Task<bool> hasty = bucket.WaitAsync(1, TimeSpan.FromMilliseconds(250));
        Task<bool> first = bucket.WaitAsync(1, Timeout.InfiniteTimeSpan, priority: 1);
        Assert.False(await hasty.WaitAsync(Patience));
        Task<bool> blocking = Task.Run(() => bucket.Wait(1, Timeout.InfiniteTimeSpan, priority: 2));
        Assert.True(SpinWait.SpinUntil(() => clock.Waiters == 3, Patience));
        foreach (Task<bool> next in (Task<bool>[])[blocking, first, patient])
        {
            Assert.False(next.IsCompleted);
            clock.Advance(Second / 10);
            Assert.True(await next.WaitAsync(Patience));
        }
        Assert.Equal(0, bucket.Available);
    }

    [Fact]
    public async Task Changes_plan_anew_who_waits()
    {
        using var clock = new ManualClock();
        using Bucket bucket = Empty(clock, capacity: 30);
        Task first = bucket.WaitAsync(20), second = bucket.WaitAsync(10), large = bucket.WaitAsync(30);
        bucket.SetRate(100);
        Assert.Equal(Second / 5, clock.NextDueNanoseconds);
        bucket.SetTokens(15);
        Assert.Equal((Second / 20, -45), (clock.NextDueNanoseconds, bucket.Available));
        bucket.Refund(5);
        await first.WaitAsync(Patience);
        bucket.Charge(10);
        Assert.Equal(Second / 5, clock.NextDueNanoseconds);
        bucket.SetCapacity(20);
        var e = await Assert.ThrowsAsync<TokenBucketException>(() => large.WaitAsync(Patience));
        Assert.Equal((Status.ExceedsCapacity, null), (e.Status, e.RetryAfter));
        bucket.Reset(10);
        await second.WaitAsync(Patience);
        Assert.Equal(0, clock.Waiters);
        Assert.Throws<ArgumentOutOfRangeException>(() => bucket.SetTokens(-1));
        Assert.Equal(Status.ExceedsCapacity, Assert.Throws<TokenBucketException>(() => bucket.SetTokens(21)).Status);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task So_many_may_wait(bool blocking)
    {
        using var clock = new ManualClock();
        using Bucket bucket = Empty(clock, maxWaiters: 1);
        Task waiting = blocking ? Task.Run(() => bucket.Wait(3)) : bucket.WaitAsync(3);
        Assert.True(SpinWait.SpinUntil(() => clock.Waiters == 1, Patience));
        foreach (Action wait in (Action[])[() => bucket.Wait(2), () => _ = bucket.WaitAsync(2), () => bucket.Wait(2, TimeSpan.FromDays(1))])
        {
            var e = Assert.Throws<TokenBucketException>(wait);
            Assert.Equal((Status.QueueFull, TimeSpan.FromSeconds(0.5)), (e.Status, e.RetryAfter));
        }
        clock.Advance(Second);
        await waiting.WaitAsync(Patience);
        Assert.True(bucket.Wait(2, TimeSpan.Zero));
        Assert.Equal(5, bucket.Available);
        Assert.Throws<ArgumentOutOfRangeException>(() => Empty(clock, maxWaiters: 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => Empty(clock, maxLateness: TimeSpan.Zero));
    }

    [Fact]
    public void A_negative_timeout_is_refused_and_changes_nothing()
    {
        using var clock = new ManualClock();
        using Bucket bucket = On(clock, 10, 1);
        foreach (TimeSpan bad in (TimeSpan[])[TimeSpan.FromTicks(-1), TimeSpan.MinValue])
        {
            Assert.Equal("timeout", Assert.Throws<ArgumentOutOfRangeException>(() => bucket.Wait(1, bad)).ParamName);
            Assert.Equal("timeout", Assert.Throws<ArgumentOutOfRangeException>(() => { _ = bucket.WaitAsync(1, bad); }).ParamName);
        }
        Assert.Equal(10, bucket.Available);
    }

    [Fact]
    public void Late_ones_do_not_act_all_at_once()
    {
        using var clock = new ManualClock();
        using Bucket bucket = Empty(clock, capacity: 1, maxLateness: TimeSpan.FromMilliseconds(10));
        Task[] waiting = [.. Enumerable.Range(0, 40).Select(_ => bucket.WaitAsync())];
        clock.Set(Second * 235 / 100);
        Assert.InRange(waiting.Count(w => w.IsCompleted), 1, 2);
        int done = waiting.Count(w => w.IsCompleted);
        clock.Advance(Second / 10);
        Assert.Equal(done + 1, waiting.Count(w => w.IsCompleted));
    }

    // Every wake makes its waiter look inside of the call that woke it; these calls must not nest.
    [Fact]
    public void Many_can_be_woken_at_once()
    {
        using var clock = new ManualClock();
        using Bucket bucket = Empty(clock, capacity: 1e6, perSecond: 1e-3);
        Task[] waiting = [.. Enumerable.Range(0, 100_000).Select(_ => bucket.WaitAsync())];
        var thread = new Thread(() => bucket.Refund(60_000), maxStackSize: 256 * 1024);
        thread.Start();
        Assert.True(thread.Join(Patience));
        Assert.Equal(60_000, waiting.Count(w => w.IsCompletedSuccessfully));
        bucket.Close();
        Assert.Equal(40_000, waiting.Count(w => w.IsFaulted));
        Assert.Equal((60_000, 40_000, 100_000), (bucket.Statistics.Granted, bucket.Statistics.Cancelled, bucket.Statistics.Waits));
    }

    [Fact]
    public async Task Continuations_do_not_run_inside_of_the_call_that_wakes()
    {
        using var clock = new ManualClock();
        using Bucket bucket = Empty(clock);
        int here = Environment.CurrentManagedThreadId;
        bool moving = true, inside = false;
        Task after = bucket.WaitAsync().ContinueWith(
            _ => inside = Environment.CurrentManagedThreadId == here && moving, TaskContinuationOptions.ExecuteSynchronously);
        clock.Advance(Second);
        moving = false;
        await after.WaitAsync(Patience);
        Assert.False(inside);
    }

    [Fact]
    public async Task Statistics_and_events_tell_of_waits()
    {
        using var clock = new ManualClock();
        var events = new List<BucketEvent>();
        using var source = new CancellationTokenSource();
        using Bucket bucket = Empty(clock, maxWaiters: 2, onEvent: events.Add);
        Assert.False(bucket.Allow(2));
        Assert.False(bucket.Take(3).IsGranted);
        Assert.False(bucket.Wait(4, TimeSpan.FromMilliseconds(399)));
        Assert.Null(bucket.Reserve(5, TimeSpan.Zero));
        Task served = bucket.WaitAsync(1), left = bucket.WaitAsync(6, source.Token);
        Assert.Equal(2, bucket.Statistics.Waiting);
        Assert.Throws<TokenBucketException>(() => bucket.Wait(7));
        clock.Advance(Second / 10);
        await served.WaitAsync(Patience);
        clock.Advance(Second / 10);
        await source.CancelAsync();
        Assert.True(left.IsCanceled);
        Assert.Equal(
            [
                new(Status.Denied, 2, 0), new(Status.Denied, 3, 0), new(Status.TimedOut, 4, 0), new(Status.TimedOut, 5, 0),
                new(Status.QueueFull, 7, 0), new(Status.Success, 1, Second / 10), new(Status.Interrupted, 6, Second / 5),
            ],
            events);
        Assert.Equal(TimeSpan.FromMilliseconds(200), events[^1].Waited);
        BucketStatistics s = bucket.Statistics;
        Assert.Equal((1, 2, 2, 1), (s.Granted, s.Denied, s.TimedOut, s.Cancelled));
        Assert.Equal((2, Second * 3 / 10, Second / 5, 0), (s.Waits, s.TotalWaitNanoseconds, s.LongestWaitNanoseconds, s.Waiting));
        Assert.Equal((TimeSpan.FromSeconds(0.3), TimeSpan.FromSeconds(0.2)), (s.TotalWait, s.LongestWait));
        Assert.Equal((7, 6), (s.TokensTaken, s.TokensGivenBack));
    }

    [Fact]
    public void A_bucket_whose_OnEvent_refers_to_it_is_collected()
    {
        WeakReference bucket = DropOneThatRefersToItself();
        Collect();
        Assert.False(bucket.IsAlive);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static WeakReference DropOneThatRefersToItself()
    {
        Bucket? bucket = null;
        double seen = 1;
        bucket = new Bucket(new BucketOptions { Capacity = 1, Tokens = 1e-3, InitialTokens = 0, OnEvent = _ => seen = bucket!.Available });
        Collect();
        Assert.False(bucket.Allow());
        Assert.InRange(seen, 0, 0.9);
        return new WeakReference(bucket);
    }

    [Fact]
    public async Task A_wait_keeps_its_bucket()
    {
        using var clock = new ManualClock();
        Task<bool> waiting = WaitOnly(clock);
        Collect();
        clock.Advance(Second);
        Assert.True(await waiting.WaitAsync(Patience));
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Task<bool> WaitOnly(ManualClock clock) => On(clock, 1, 1, initial: 0).WaitAsync(1, TimeSpan.FromHours(1));

    // Waits, cancels, changes and a clock on many threads: every wait ends, and nothing is lost.
    [Fact]
    public async Task Nothing_is_lost_among_threads()
    {
        using var clock = new ManualClock();
        using Bucket bucket = Empty(clock, capacity: 1e6, perSecond: 1000);
        var waits = new ConcurrentBag<(Task<bool> Task, int Tokens)>();
        int turn = 0, running = 3;
        InParallel(4, () =>
        {
            int number = Interlocked.Increment(ref turn);
            var random = new Random(number);
            if (number == 4)
            {
                while (Volatile.Read(ref running) > 0)
                {
                    clock.Advance(1_000_000);
                }
                return;
            }
            for (int i = 0; i < 3000; i++)
            {
                int tokens = random.Next(1, 4), priority = random.Next(3);
                using var source = new CancellationTokenSource();
                Task<bool> wait = bucket.WaitAsync(tokens, Timeout.InfiniteTimeSpan, priority, source.Token);
                waits.Add((wait, tokens));
                if (random.Next(2) == 0)
                {
                    source.Cancel();
                }
                if (random.Next(100) == 0)
                {
                    bucket.Wait(1);
                    bucket.Refund(1);
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
        double taken = waits.Where(w => w.Task.IsCompletedSuccessfully).Sum(w => w.Tokens);
        Assert.Equal(clock.Now / 1e6 - taken, bucket.Available, 1e-3);
        Assert.Equal(0, clock.Waiters);
    }
}
