using System;
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
        Assert.All(TakingAndChanging(bucket), call => Assert.Throws<ObjectDisposedException>(call));
        Assert.Throws<ObjectDisposedException>(() => bucket.Available);
        Assert.Throws<ObjectDisposedException>(bucket.Close);
        pending.Cancel();
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
            var bucket = new Bucket(1e6, 1e9);
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
}
