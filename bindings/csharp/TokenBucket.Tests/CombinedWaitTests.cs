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

// Requests, 10 with 1 per second, and tokens, 100 with 10 per second, both empty at 0; and users, full, 5 with 1 per
// second. The rows of ConformanceTests have the rest.
public sealed class CombinedWaitTests : IDisposable
{
    private readonly ManualClock _clock = new();
    private readonly Bucket _requests, _tokens;
    private readonly KeyedTable _users;
    private readonly CombinedLimit _limit;

    public CombinedWaitTests()
    {
        _requests = On(_clock, 10, 1, initial: 0);
        _tokens = On(_clock, 100, 10, initial: 0);
        _users = TableOn(_clock, 5, 1);
        _limit = new CombinedLimit(new Member(_requests, 2), new Member(_tokens, 50), new Member(_users, "u"));
    }

    public void Dispose()
    {
        _requests.Dispose();
        _tokens.Dispose();
        _users.Dispose();
        _clock.Dispose();
    }

    private (double Requests, double Tokens, double User) Left => (_requests.Available, _tokens.Available, _users.Available("u"));

    private Task<CombinedDecision> Start(bool blocking, TimeSpan? timeout = null, int priority = 0, CancellationToken token = default)
    {
        TimeSpan most = timeout ?? Timeout.InfiniteTimeSpan;
        return blocking ? Task.Run(() => _limit.Wait(most, priority, token)) : _limit.WaitAsync(most, priority, token);
    }

    private void AwaitWaiters(int count) => Assert.True(SpinWait.SpinUntil(() => _clock.Waiters == count, Patience));

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task What_is_due_is_held_until_all_have_granted(bool blocking)
    {
        Task<CombinedDecision> waiting = Start(blocking);
        AwaitWaiters(2);
        Assert.Equal((-2, -50, 4), Left);
        Assert.Equal(2 * Second, _clock.NextDueNanoseconds);
        _clock.Advance(2 * Second);
        AwaitWaiters(1);
        Assert.False(_requests.Allow());
        _clock.Advance(3 * Second - 1);
        Assert.False(waiting.IsCompleted);
        _clock.Advance(1);
        Assert.True((await waiting.WaitAsync(Patience)).IsGranted);
        Assert.Equal((3, 0, 5), Left);
        Task<CombinedDecision> costs = blocking ? Task.Run(() => _limit.Wait([3, 5, 1], TimeSpan.FromSeconds(1))) : _limit.WaitAsync([3, 5, 1], TimeSpan.FromSeconds(1));
        AwaitWaiters(1);
        Assert.Equal((0, -5, 4), Left);
        _clock.Advance(Second / 2);
        Assert.True((await costs.WaitAsync(Patience)).IsGranted);
    }

    [Theory]
    [InlineData(true, false)]
    [InlineData(true, true)]
    [InlineData(false, false)]
    [InlineData(false, true)]
    public async Task A_cancelled_wait_gives_all_back(bool blocking, bool holding)
    {
        using var source = new CancellationTokenSource();
        Task waiting = Start(blocking, token: source.Token);
        AwaitWaiters(2);
        Task behind = _tokens.WaitAsync(1);
        if (holding)
        {
            _clock.Advance(2 * Second);
            AwaitWaiters(2);
        }
        await source.CancelAsync();
        var e = await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting.WaitAsync(Patience));
        Assert.Equal(source.Token, e.CancellationToken);
        Assert.Equal(holding, behind.IsCompleted);
        Assert.Equal(holding ? (2, 19, 5) : (0, -1, 5), Left);
        Assert.Equal(holding ? 0 : 1, _clock.Waiters);
        Assert.True(_limit.WaitAsync(source.Token).IsCanceled);
        Assert.Throws<OperationCanceledException>(() => _limit.Wait(source.Token));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_timeout_is_an_answer_at_once_or_later(bool blocking)
    {
        Task<CombinedDecision> tooLong = Start(blocking, TimeSpan.FromSeconds(4.9));
        Assert.Equal(new CombinedDecision(Status.TimedOut, _limit.Members[1], 5 * Second), await tooLong.WaitAsync(Patience));
        Assert.Equal((0, 0, 5), Left);
        Task<CombinedDecision> delayed = Start(blocking, TimeSpan.FromSeconds(5));
        AwaitWaiters(2);
        _tokens.Charge(1);
        Assert.Equal(
            new CombinedDecision(Status.TimedOut, _limit.Members[1], 5 * Second + Second / 10), await delayed.WaitAsync(Patience));
        Assert.Equal((0, -1, 5), Left);
        Assert.Throws<ArgumentOutOfRangeException>(() => _limit.Wait(TimeSpan.FromTicks(-1)));
        Assert.Throws<ArgumentOutOfRangeException>(() => { _ = _limit.WaitAsync(TimeSpan.FromTicks(-1)); });
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_higher_priority_goes_first(bool blocking)
    {
        Task single = _requests.WaitAsync(1);
        Task<CombinedDecision> last = Start(blocking), first = Start(blocking, priority: 1);
        AwaitWaiters(5);
        _clock.Advance(5 * Second);
        Assert.True((await first.WaitAsync(Patience)).IsGranted);
        await single.WaitAsync(Patience);
        Assert.False(last.IsCompleted);
        _clock.Advance(5 * Second);
        Assert.True((await last.WaitAsync(Patience)).IsGranted);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_member_that_refuses_later_ends_it(bool blocking)
    {
        Task<CombinedDecision> waiting = Start(blocking);
        AwaitWaiters(2);
        _tokens.SetCapacity(40);
        var e = await Assert.ThrowsAsync<TokenBucketException>(() => waiting.WaitAsync(Patience));
        Assert.Equal((Status.ExceedsCapacity, _limit.Members[1], null), (e.Status, e.RefusedBy, e.RetryAfter));
        Assert.Equal((0, 0, 5), Left);
        _tokens.SetCapacity(100);
        waiting = Start(blocking);
        AwaitWaiters(2);
        _users.Close();
        var closed = await Assert.ThrowsAsync<ObjectDisposedException>(() => waiting.WaitAsync(Patience));
        Assert.Contains("(member 2)", closed.Message, StringComparison.Ordinal);
        Assert.Equal((0, 0, 4), Left); // nothing comes back to what is closed
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task So_many_may_wait(bool blocking)
    {
        using var narrow = new Bucket(new BucketOptions { Capacity = 10, Tokens = 1, InitialTokens = 0, MaxWaiters = 1, Clock = _clock });
        var both = new CombinedLimit(_requests, narrow);
        Task waiting = blocking ? Task.Run(() => both.Wait()) : both.WaitAsync();
        AwaitWaiters(2);
        foreach (Action wait in (Action[])[() => both.Wait(), () => { _ = both.WaitAsync(); }, () => both.Wait(TimeSpan.FromDays(1))])
        {
            var e = Assert.Throws<TokenBucketException>(wait);
            Assert.Equal((Status.QueueFull, both.Members[1], null), (e.Status, e.RefusedBy, e.RetryAfter));
        }
        _clock.Advance(Second);
        await waiting.WaitAsync(Patience);
    }

    [Fact]
    public void A_wait_that_no_time_can_express_is_refused()
    {
        using var late = new ManualClock(long.MaxValue - 5);
        using Bucket first = On(late, 10, 1), second = On(late, 10, 1, initial: 0);
        var both = new CombinedLimit(first, second);
        var e = Assert.Throws<TokenBucketException>(() => both.Wait());
        Assert.Equal((Status.TimedOut, both.Members[1]), (e.Status, e.RefusedBy));
        Assert.Equal(Status.TimedOut, Assert.Throws<TokenBucketException>(() => { _ = both.WaitAsync(); }).Status);
        Assert.Equal(Status.TimedOut, Assert.Throws<TokenBucketException>(() => both.Reserve()).Status);
        Assert.Equal((10, 0), (first.Available, second.Available));
    }

    [Fact]
    public async Task A_wait_keeps_its_members()
    {
        Task<CombinedDecision> waiting = WaitOnly(_clock);
        Collect();
        _clock.Advance(Second);
        Assert.True((await waiting.WaitAsync(Patience)).IsGranted);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Task<CombinedDecision> WaitOnly(ManualClock clock)
    {
        KeyedTable table = TableOn(clock, 1, 1);
        Assert.True(table.Allow("a"));
        return new CombinedLimit(On(clock, 1, 2, initial: 0), new Member(table, "a")).WaitAsync(TimeSpan.FromHours(1));
    }

    // A denied take that nobody made would be seen.
    [Fact]
    public async Task Statistics_and_events_tell_of_the_wait_alone()
    {
        var events = new List<BucketEvent>();
        using var told = new Bucket(new BucketOptions
        {
            Capacity = 10, Tokens = 1, InitialTokens = 0, Statistics = true, OnEvent = events.Add, Clock = _clock,
        });
        var both = new CombinedLimit(told, _requests);
        Task waiting = both.WaitAsync();
        _clock.Advance(Second);
        await waiting.WaitAsync(Patience);
        Assert.Equal([new BucketEvent(Status.Success, 1, Second)], events);
        Assert.Equal((1, 0), (told.Statistics.Granted, told.Statistics.Denied));
        Assert.False(both.Allow());
        Assert.Equal(2, events.Count);
    }

    // It is cancelled inside of the call of the library that ends it.
    [Fact]
    public async Task An_event_may_cancel_the_wait_that_it_tells_of()
    {
        using var source = new CancellationTokenSource();
        using var told = new Bucket(new BucketOptions
        {
            Capacity = 10, Tokens = 1, InitialTokens = 0, OnEvent = _ => source.Cancel(), Clock = _clock,
        });
        var both = new CombinedLimit(told, _tokens);
        Task<CombinedDecision> waiting = both.WaitAsync(Timeout.InfiniteTimeSpan, 0, source.Token);
        _clock.Advance(Second);
        Assert.True((await waiting.WaitAsync(Patience)).IsGranted);
        Assert.Equal((0, 9), (told.Available, _tokens.Available));
    }

    // A refund moves it up, so that it looks on that thread. It is never served.
    [Fact]
    public async Task A_wait_may_be_cancelled_while_it_looks()
    {
        using Bucket first = On(_clock, 1e6, 1e-3, initial: 0), second = On(_clock, 1e6, 1e-3, initial: 0);
        var both = new CombinedLimit(new Member(first, 10), second);
        bool running = true;
        Task moving = Task.Factory.StartNew(() =>
        {
            while (Volatile.Read(ref running))
            {
                first.Refund(1);
                first.Charge(1);
            }
        }, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        for (int i = 0; i < 2000; i++)
        {
            using var source = new CancellationTokenSource();
            Task waiting = both.WaitAsync(source.Token);
            Thread.SpinWait(i % 100);
            source.Cancel();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting.WaitAsync(Patience));
        }
        Volatile.Write(ref running, false);
        await moving.WaitAsync(Patience);
        Assert.Equal((0, 0, 0), (_clock.Waiters, first.Available, second.Available));
    }

    // Every look of one wakes others; these calls must not nest, nor wait for each other.
    [Fact]
    public void Many_can_be_woken_at_once()
    {
        using Bucket first = On(_clock, 1e6, 1e-3, initial: 0), second = On(_clock, 1e6, 1e-3, initial: 0);
        CombinedLimit[] limits = [new(first, second), new(second, first)];
        Task[] waiting = [.. Enumerable.Range(0, 20_000).Select(i => limits[i % 2].WaitAsync())];
        var thread = new Thread(() =>
        {
            first.Refund(15_000);
            second.Refund(10_000);
        }, maxStackSize: 256 * 1024);
        thread.Start();
        Assert.True(thread.Join(Patience));
        Assert.Equal(10_000, waiting.Count(w => w.IsCompletedSuccessfully));
        second.Close();
        Assert.Equal(10_000, waiting.Count(w => w.IsFaulted));
        Assert.Equal(5000, first.Available, 1e-3);
    }

    // Real sleeping: a wait that ended early would find a bucket in debt. One member moves by hand.
    [Fact]
    public async Task A_wait_never_ends_early()
    {
        using Bucket fast = Empty(1300), slow = Empty(500);
        _clock.Advance(10 * Second);
        var all = new CombinedLimit(new Member(fast, 3), slow, _requests);
        for (int i = 0; i < 5; i++)
        {
            fast.Reset(0);
            slow.Reset(0);
            await all.WaitAsync().WaitAsync(Patience);
            Assert.True(fast.Available >= 0 && slow.Available >= 0);
            fast.Reset(0);
            slow.Reset(0);
            all.Wait();
            Assert.True(fast.Available >= 0 && slow.Available >= 0);
        }
        Task byHand = all.WaitAsync();
        Assert.False(byHand.IsCompleted);
        _clock.Advance(Second);
        await byHand.WaitAsync(Patience);

        static Bucket Empty(double perSecond) => new(new BucketOptions { Capacity = 100, Tokens = perSecond, InitialTokens = 0 });
    }

    // Waits, cancels and a clock on many threads: every wait ends, and nothing is lost.
    [Fact]
    public async Task Nothing_is_lost_among_threads()
    {
        using Bucket first = On(_clock, 1e6, 50, initial: 0), second = On(_clock, 1e6, 100, initial: 0);
        CombinedLimit[] limits = [new(first, new Member(second, 2)), new(new Member(second, 2), first)];
        var waits = new ConcurrentBag<(Task Task, int Times)>();
        int turn = 0, running = 3;
        InParallel(4, () =>
        {
            int number = Interlocked.Increment(ref turn);
            var random = new Random(number);
            if (number == 4)
            {
                while (Volatile.Read(ref running) > 0)
                {
                    _clock.Advance(1_000_000);
                }
                return;
            }
            for (int i = 0; i < 2000; i++)
            {
                int times = random.Next(1, 4), priority = random.Next(3);
                CombinedLimit limit = limits[random.Next(2)];
                double[] costs = limit == limits[0] ? [times, 2 * times] : [2 * times, times];
                using var source = new CancellationTokenSource();
                waits.Add((limit.WaitAsync(costs, Timeout.InfiniteTimeSpan, priority, source.Token), times));
                if (random.Next(2) == 0)
                {
                    source.Cancel();
                }
                if (random.Next(100) == 0)
                {
                    limit.Wait();
                    waits.Add((Task.CompletedTask, 1));
                }
            }
            Interlocked.Decrement(ref running);
        });
        _clock.Advance(1000 * Second);
        try
        {
            await Task.WhenAll(waits.Select(w => w.Task)).WaitAsync(Patience);
        }
        catch (OperationCanceledException)
        {
        }
        Assert.All(waits, w => Assert.True(w.Task.IsCompletedSuccessfully || w.Task.IsCanceled));
        double taken = waits.Where(w => w.Task.IsCompletedSuccessfully).Sum(w => w.Times), seconds = _clock.Now / 1e9;
        Assert.InRange(taken, 1, waits.Sum(w => w.Times) - 1);
        Assert.Equal((50 * seconds - taken, 100 * seconds - 2 * taken), (first.Available, second.Available), Close);
        Assert.Equal(0, _clock.Waiters);

        static bool Close((double First, double Second) a, (double First, double Second) b) =>
            Math.Abs(a.First - b.First) < 1e-3 && Math.Abs(a.Second - b.Second) < 1e-3;
    }
}
