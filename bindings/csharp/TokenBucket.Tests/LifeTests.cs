using System;
using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Threading;
using System.Threading.Tasks;
using Xunit;
using static TokenBucket.Tests.Buckets;

namespace TokenBucket.Tests;

public class LifeTests
{
    private static Action[] TakingAndChanging(Bucket b) =>
    [
        () => b.Allow(), () => b.Take(), () => b.TakeUpTo(1), () => b.Reserve(), () => b.Reserve(1, TimeSpan.Zero),
        () => b.Wait(), () => _ = b.WaitAsync(), () => b.Charge(1), () => b.Refund(1), () => b.Reset(), () => b.Reset(1),
        () => b.SetRate(1), () => b.SetCapacity(1),
    ];

    [Fact]
    public void A_closed_bucket_can_be_looked_at()
    {
        using var clock = new ManualClock();
        using var bucket = On(clock, 10, 1, initial: 3);
        Reservation older = bucket.Reserve(5);
        bucket.Close();
        bucket.Close();
        Assert.All(TakingAndChanging(bucket), call => Assert.Throws<ObjectDisposedException>(call));
        Assert.Equal((-2, TimeSpan.FromSeconds(2.5)), (bucket.Available, bucket.TimeUntil(0.5)));
        older.Cancel();
        Assert.Equal(3, bucket.Available);
    }

    [Fact]
    public void A_disposed_bucket_says_so()
    {
        using var clock = new ManualClock();
        var bucket = On(clock, 10, 1, initial: 0);
        Reservation pending = bucket.Reserve(5);
        bucket.Dispose();
        bucket.Dispose();
        Action[] looking = [() => _ = bucket.Available, () => _ = bucket.Limit, () => _ = bucket.Statistics, () => bucket.TimeUntil(1)];
        Assert.All([.. TakingAndChanging(bucket), .. looking, bucket.Close], call => Assert.Throws<ObjectDisposedException>(call));
        Assert.Throws<ObjectDisposedException>(() => pending.Settle(5));
        pending.Cancel();
        Assert.Equal(0, pending.Tokens);
    }

    [Theory]
    [InlineData(true, false)]
    [InlineData(true, true)]
    [InlineData(false, false)]
    [InlineData(false, true)]
    public async Task Closing_ends_waits(bool manual, bool dispose)
    {
        using var clock = new ManualClock();
        using var bucket = new Bucket(
            new BucketOptions { Capacity = 10, Tokens = 1e-9, InitialTokens = 0, Clock = manual ? clock : null });
        Task waiting = bucket.WaitAsync(1);
        Task blocking = Task.Run(() => bucket.Wait(1));
        Assert.True(SpinWait.SpinUntil(() => bucket.Available < -1.5, Patience));
        if (dispose)
        {
            bucket.Dispose();
        }
        else
        {
            bucket.Close();
        }
        await Assert.ThrowsAsync<ObjectDisposedException>(() => waiting.WaitAsync(Patience));
        await Assert.ThrowsAsync<ObjectDisposedException>(() => blocking.WaitAsync(Patience));
    }

    [Fact]
    public void Dispose_during_running_calls_is_safe()
    {
        for (int round = 0; round < 50; round++)
        {
            using var clock = new ManualClock();
            Bucket bucket = round % 2 == 0 ? new Bucket(1e6, 1e9) : On(clock, 1e6, 1e9);
            using var start = new Barrier(5);
            int calls = 0;
            void Call()
            {
                start.SignalAndWait();
                try
                {
                    for (;;)
                    {
                        bucket.Allow();
                        bucket.Take();
                        bucket.TakeUpTo(1);
                        bucket.Reserve().Cancel();
                        _ = bucket.Available;
                        Interlocked.Increment(ref calls);
                    }
                }
                catch (ObjectDisposedException)
                {
                }
            }
            void Dispose()
            {
                start.SignalAndWait();
                SpinWait.SpinUntil(() => Volatile.Read(ref calls) > 100, Patience);
                bucket.Dispose();
                clock.Dispose();
            }
            int turn = 0;
            InParallel(5, () => ((Action)(Interlocked.Increment(ref turn) == 1 ? Dispose : Call))());
        }
    }

    [Fact]
    public void A_bucket_outlives_its_clock_object()
    {
        var clock = new ManualClock(5);
        using var bucket = On(clock, 10, 1);
        clock.Dispose();
        Assert.True(bucket.Allow(10));
        Assert.Throws<ObjectDisposedException>(() => clock.Advance(1));
        Assert.Throws<ObjectDisposedException>(() => On(clock, 10, 1));
    }

    // Many at a time, so that memory is reused while others still call.
    [Fact]
    public void Clocks_and_buckets_come_and_go_on_all_threads()
    {
        var clocks = new ManualClock[4];
        var buckets = new Bucket[4];
        for (int i = 0; i < 4; i++)
        {
            buckets[i] = On(clocks[i] = new ManualClock(), 10, 1);
        }
        int turn = 0;
        InParallel(4, () =>
        {
            var random = new Random(Interlocked.Increment(ref turn));
            for (int i = 0; i < 20_000; i++)
            {
                int at = random.Next(4);
                (ManualClock clock, Bucket bucket) = (Volatile.Read(ref clocks[at]), Volatile.Read(ref buckets[at]));
                try
                {
                    switch (random.Next(8))
                    {
                        case 0:
                            bucket.Dispose();
                            Volatile.Write(ref buckets[at], On(clock, 10, 1));
                            break;
                        case 1:
                            Volatile.Write(ref clocks[at], new ManualClock());
                            clock.Dispose();
                            break;
                        case 2:
                            clock.Advance(Second);
                            break;
                        case 3:
                            _ = bucket.Limit;
                            break;
                        case 4:
                            bucket.Reserve().Cancel();
                            break;
                        default:
                            bucket.Take();
                            break;
                    }
                }
                catch (ObjectDisposedException)
                {
                }
                if (i % 1000 == 0)
                {
                    GC.Collect();
                }
            }
        });
    }

    // The call's own clock collects, when nothing but the call is left to keep the bucket.
    [Fact]
    public unsafe void A_running_call_keeps_its_bucket()
    {
        WeakReference? bucket = null;
        bool? kept = null;
        Action collect = () =>
        {
            if (bucket is not null && kept is null)
            {
                Collect();
                kept = bucket.IsAlive;
            }
        };
        GCHandle user = GCHandle.Alloc(collect);
        Assert.Equal(NativeMethods.TB_SUCCESS, NativeMethods.tb_callback_clock_create(&CallUser, (void*)GCHandle.ToIntPtr(user), out nint address));
        var clock = new ClockHandle(address);
        CallOnly(clock, out bucket);
        Assert.True(kept);
        Collect();
        Assert.False(bucket.IsAlive);
        user.Free();
        GC.KeepAlive(clock);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static unsafe void CallOnly(ClockHandle clock, out WeakReference bucket)
    {
        tb_config config;
        _ = NativeMethods.tb_config_init(&config, (nuint)sizeof(tb_config));
        (config.capacity, config.rate_tokens, config.clock) = (1, 1, clock.Address);
        Assert.Equal(NativeMethods.TB_SUCCESS, NativeMethods.tb_create_with(&config, out nint address));
        var handle = new BucketHandle(address);
        bucket = new WeakReference(handle);
        Assert.Equal(NativeMethods.TB_SUCCESS, NativeMethods.tb_refund(handle, 1));
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static unsafe long CallUser(void* user)
    {
        ((Action)GCHandle.FromIntPtr((nint)user).Target!)();
        return 0;
    }

    [Fact]
    public void A_finalizer_may_still_use_a_bucket()
    {
        var failures = new ConcurrentQueue<Exception>();
        int used = 0;
        Drop(() =>
        {
            var bucket = new Bucket(1, 1e9);
            return new Finalized(() =>
            {
                try
                {
                    bucket.Refund(1);
                    bucket.Dispose();
                    used++;
                }
                catch (Exception e)
                {
                    failures.Enqueue(e);
                }
            });
        });
        Collect();
        Assert.Empty(failures);
        Assert.Equal(100, used);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Drop(Func<object> create)
    {
        for (int i = 0; i < 100; i++)
        {
            create();
        }
    }

    private sealed class Finalized(Action action)
    {
        ~Finalized() => action();
    }
}
