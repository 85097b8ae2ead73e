using System;
using System.Collections.Generic;
using System.Linq;
using System.Runtime.CompilerServices;
using System.Threading;
using System.Threading.RateLimiting;
using System.Threading.Tasks;
using Microsoft.Extensions.Time.Testing;
using Xunit;
using static TokenBucket.Tests.Buckets;

namespace TokenBucket.Tests;

// Buckets, tables and limiters that go by a TimeProvider.
public class TimeProviderTests
{
    private static readonly TimeSpan OneSecond = TimeSpan.FromSeconds(1);

    private static Bucket BucketOn(TimeProvider time, double capacity = 10, double perSecond = 1, double? initial = null) =>
        new(new BucketOptions { Capacity = capacity, Tokens = perSecond, InitialTokens = initial, TimeProvider = time });

    private static KeyedTable TableOn(TimeProvider time, double capacity = 10) =>
        new(new KeyedTableOptions { Capacity = capacity, Tokens = 1, MaxKeys = 100, TimeProvider = time });

    private static Task Blocked(Action wait) => Task.Factory.StartNew(
        wait, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    [Fact]
    public void All_calls_go_by_its_time()
    {
        var time = new FakeTimeProvider();
        int events = 0;
        using Bucket bucket = BucketOn(time, initial: 0), told = new Bucket(new BucketOptions
        {
            Capacity = 10, Tokens = 1, InitialTokens = 0, TimeProvider = time, Statistics = true, OnEvent = _ => events++,
        });
        using KeyedTable table = TableOn(time);
        Assert.True(table.Allow("a", 10));
        Assert.False(bucket.Allow() || told.Allow() || table.Allow("a"));
        Assert.Equal(1, events);
        time.Advance(3 * OneSecond);
        Assert.Equal((3, 3, 3), (bucket.Available, told.Available, table.Available("a")));
        Assert.Equal((OneSecond, OneSecond), (bucket.TimeUntil(4), table.TimeUntil("a", 4)));
        Assert.Equal((3, 3), (bucket.Take().RetryAfterNanoseconds + 3, table.Take("a").RetryAfterNanoseconds + 3));
        Assert.Equal((2, 2), (bucket.TakeUpTo(5), table.TakeUpTo("a", 5)));
        Assert.Equal(4 * Second, bucket.Reserve().ReadyAtNanoseconds);
        var both = new CombinedLimit(told, new Member(table, "a"));
        Assert.False(both.Allow());
        time.Advance(OneSecond);
        Assert.True(both.Allow());
    }

    [Fact]
    public async Task Who_waits_is_woken_when_its_time_moves()
    {
        var time = new FakeTimeProvider();
        using Bucket bucket = BucketOn(time, initial: 0);
        using KeyedTable table = TableOn(time);
        Assert.True(table.Allow("a", 10));
        var both = new CombinedLimit(bucket, new Member(table, "a"));
        Task[] waits = [bucket.WaitAsync(2), table.WaitAsync("a", 2), both.WaitAsync()];
        time.Advance(2 * OneSecond - TimeSpan.FromMilliseconds(1));
        Assert.DoesNotContain(waits, w => w.IsCompleted);
        time.Advance(TimeSpan.FromMilliseconds(1));
        await Task.WhenAll(waits[..2]).WaitAsync(Patience);
        Assert.False(waits[2].IsCompleted);
        time.Advance(OneSecond);
        await waits[2].WaitAsync(Patience);
    }

    // Each as if it had come at its own time, as on a ManualClock.
    [Fact]
    public async Task One_great_step_serves_all_that_were_due_in_it()
    {
        var time = new FakeTimeProvider();
        using Bucket bucket = BucketOn(time, capacity: 1, initial: 0);
        Task[] waits = [.. Enumerable.Range(0, 20).Select(_ => bucket.WaitAsync())];
        time.Advance(19 * OneSecond);
        await Task.WhenAll(waits[..19]).WaitAsync(Patience);
        Assert.False(waits[19].IsCompleted);
        time.Advance(OneSecond);
        await waits[19].WaitAsync(Patience);
        Assert.Equal(0, bucket.Available);
    }

    [Fact]
    public async Task A_thread_that_waits_is_woken()
    {
        var time = new TimeOfThreads();
        using Bucket bucket = BucketOn(time, initial: 0);
        Task waiting = Blocked(() => bucket.Wait());
        Assert.True(SpinWait.SpinUntil(() => time.TimersSet > 0, Patience));
        time.Advance(OneSecond);
        await waiting.WaitAsync(Patience);
    }

    private class TimeOfThreads : FakeTimeProvider
    {
        private int _timersSet;

        internal int TimersSet => Volatile.Read(ref _timersSet);

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) =>
            new Timer(this, base.CreateTimer(callback, state, dueTime, period));

        protected virtual void BeforeSetting()
        {
        }

        private sealed class Timer(TimeOfThreads owner, ITimer timer) : ITimer
        {
            public bool Change(TimeSpan dueTime, TimeSpan period)
            {
                owner.BeforeSetting();
                bool changed = timer.Change(dueTime, period);
                Interlocked.Increment(ref owner._timersSet);
                return changed;
            }

            public void Dispose() => timer.Dispose();

            public ValueTask DisposeAsync() => timer.DisposeAsync();
        }
    }

    // Another thread moves the time after the library has said how long to sleep, and before the timer is set.
    private sealed class TimeThatJumps(params double[] seconds) : TimeOfThreads
    {
        private readonly Queue<double> _seconds = new(seconds);

        protected override void BeforeSetting()
        {
            if (_seconds.TryDequeue(out double s))
            {
                Advance(TimeSpan.FromSeconds(s));
            }
        }
    }

    public static TheoryData<double[]> Steps { get; } = [[5], [2, 3], [1, 1, 1, 1, 1]];

    [Theory]
    [MemberData(nameof(Steps))]
    public async Task No_wake_is_missed_when_the_time_moves_meanwhile(double[] steps)
    {
        using Bucket task = BucketOn(new TimeThatJumps(steps), initial: 0), thread = BucketOn(new TimeThatJumps(steps), initial: 0);
        await task.WaitAsync(5).WaitAsync(Patience);
        await Blocked(() => thread.Wait(5)).WaitAsync(Patience);
        var late = new TimeThatJumps([.. steps, .. steps]);
        using Bucket stepped = BucketOn(late, capacity: 20, initial: 0);
        Task waiting = stepped.WaitAsync(12);
        late.Advance(1.5 * OneSecond);
        Assert.False(waiting.IsCompleted);
        late.Advance(10 * OneSecond);
        await waiting.WaitAsync(Patience);
    }

    [Fact]
    public async Task A_limiter_waits_and_idles_by_its_time()
    {
        var time = new FakeTimeProvider();
        using var limiter = new TokenBucketLimiter(
            new TokenBucketLimiterOptions { TokenLimit = 2, TokensPerPeriod = 1, QueueLimit = 9, TimeProvider = time });
        using var perKey = new TokenBucketPartitionedLimiter<string>(new()
        {
            TokenLimit = 2, TokensPerPeriod = 1, QueueLimit = 9, MaxKeys = 10, TimeProvider = time,
        });
        Assert.True(limiter.AttemptAcquire(2).IsAcquired && perKey.AttemptAcquire("a", 2).IsAcquired);
        RateLimitLease denied = limiter.AttemptAcquire();
        Assert.True(denied.TryGetMetadata(MetadataName.RetryAfter, out TimeSpan after));
        Assert.Equal((OneSecond, null), (after, limiter.IdleDuration));
        Task<RateLimitLease>[] waiting = [limiter.AcquireAsync().AsTask(), perKey.AcquireAsync("a").AsTask()];
        Assert.DoesNotContain(waiting, w => w.IsCompleted);
        time.Advance(OneSecond);
        Assert.All(await Task.WhenAll(waiting).WaitAsync(Patience), lease => Assert.True(lease.IsAcquired));
        time.Advance(2 * OneSecond);
        Assert.Equal(TimeSpan.Zero, limiter.IdleDuration);
        time.Advance(7 * OneSecond);
        Assert.Equal(7 * OneSecond, limiter.IdleDuration);
    }

    // The library reads the system's clock by itself, and keeps its own bound on lateness.
    [Fact]
    public unsafe void The_systems_own_is_no_other_clock()
    {
        using Bucket bucket = BucketOn(TimeProvider.System, perSecond: 1e-6);
        tb_config limit = new() { struct_size = (nuint)sizeof(tb_config) };
        Assert.Equal(NativeMethods.TB_SUCCESS, NativeMethods.tb_get_limit(bucket.Handle, ref limit));
        Assert.Equal((0, 0), (limit.clock, limit.max_lateness_ns));
        using var both = new Bucket(1, 1);
        Assert.True(new CombinedLimit(bucket, both).Allow());
        Assert.True(bucket.Allow(9));
        Assert.False(bucket.Allow());
    }

    [Fact]
    public void Two_clocks_are_refused()
    {
        using var clock = new ManualClock();
        var time = new FakeTimeProvider();
        var options = new BucketOptions { Capacity = 1, Tokens = 1, Clock = clock, TimeProvider = time };
        Assert.Contains("Clock and TimeProvider", Assert.Throws<ArgumentException>(() => new Bucket(options)).Message, StringComparison.Ordinal);
        using Bucket one = BucketOn(time), other = BucketOn(new FakeTimeProvider()), manual = On(clock, 1, 1), system = new(1, 1);
        Assert.True(new CombinedLimit(one, manual).Allow());
        Assert.Throws<ArgumentException>(() => new CombinedLimit(one, other));
        Assert.Throws<ArgumentException>(() => new CombinedLimit(one, system));
    }

    private sealed class TimeOfABucket : FakeTimeProvider
    {
        internal Bucket? Bucket { get; set; }
    }

    [Fact]
    public void It_is_collected_with_what_goes_by_it()
    {
        WeakReference[] dropped = [.. Enumerable.Range(0, 20).Select(_ => UsedAndDropped())];
        Assert.True(SpinWait.SpinUntil(
            () =>
            {
                Collect();
                return !dropped.Any(time => time.IsAlive);
            },
            Patience));
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static WeakReference UsedAndDropped()
    {
        var time = new TimeOfABucket();
        time.Bucket = BucketOn(time);
        Assert.True(time.Bucket.Allow() && TableOn(time).Allow("a"));
        Assert.Throws<ArgumentOutOfRangeException>(() => BucketOn(time, capacity: 0));
        Task waiting = BucketOn(time, initial: 0).WaitAsync();
        time.Advance(OneSecond);
        Assert.True(waiting.IsCompletedSuccessfully);
        return new WeakReference(time);
    }
}
