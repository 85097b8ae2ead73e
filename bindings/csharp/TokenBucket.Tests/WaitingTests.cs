using System;
using System.Threading;
using System.Threading.Tasks;
using Xunit;
using static TokenBucket.Tests.Buckets;

namespace TokenBucket.Tests;

public class WaitingTests
{
    [Fact]
    public void A_reservation_is_a_debt_that_can_be_given_back()
    {
        using var clock = new ManualClock(7);
        using var bucket = On(clock, 10, 2, initial: 0);
        Reservation r = bucket.Reserve(3);
        Assert.Equal((3, 1_500_000_000, 1_500_000_007), (r.Tokens, r.WaitNanoseconds, r.ReadyAtNanoseconds));
        Assert.Equal(TimeSpan.FromSeconds(1.5), r.Wait);
        Assert.Equal(-3, bucket.Available);
        r.Cancel();
        Assert.Equal(0, bucket.Available);
        r.Cancel();
        Assert.Equal((0, 0), (r.Tokens, bucket.Available));

        Assert.Null(bucket.Reserve(1, TimeSpan.FromMilliseconds(499)));
        Assert.Equal(0, bucket.Available);
        Assert.NotNull(bucket.Reserve(1, TimeSpan.FromMilliseconds(500)));
        Assert.NotNull(bucket.Reserve(1, Timeout.InfiniteTimeSpan));
        Assert.Equal(-2, bucket.Available);
    }

    [Fact]
    public async Task A_wait_follows_the_manual_clock_to_the_nanosecond()
    {
        using var clock = new ManualClock();
        using var bucket = On(clock, 10, 3, initial: 1);
        Assert.True(bucket.WaitAsync().IsCompletedSuccessfully);
        Task first = bucket.WaitAsync();
        Task<bool> second = bucket.WaitAsync(1, TimeSpan.FromSeconds(1));
        clock.Advance(333_333_333);
        Assert.Equal(2, clock.Waiters);
        clock.Set(333_333_334);
        await first;
        clock.Set(0);
        clock.Set(666_666_666);
        Assert.Equal(1, clock.Waiters);
        clock.Set(666_666_667);
        Assert.True(await second);
        Assert.Equal(0, clock.Waiters);
        Assert.False(bucket.Allow());
    }

    [Fact]
    public async Task A_timeout_is_no_at_once_and_takes_nothing()
    {
        using var clock = new ManualClock();
        using var bucket = On(clock, 10, 1, initial: 2);
        Task<bool> tooLong = bucket.WaitAsync(5, TimeSpan.FromMilliseconds(2999));
        Assert.True(tooLong.IsCompleted);
        Assert.False(await tooLong);
        Assert.False(bucket.Wait(3, TimeSpan.Zero));
        Assert.True(bucket.Wait(2, TimeSpan.Zero));
        Assert.Equal(0, bucket.Available);
        Assert.Throws<ArgumentOutOfRangeException>(() => bucket.Wait(1, TimeSpan.FromTicks(-1)));
    }

    [Fact]
    public void A_wait_that_no_time_can_express_is_refused()
    {
        using var clock = new ManualClock(long.MaxValue - 5);
        using var bucket = On(clock, 10, 1, initial: 0);
        Assert.Equal(Status.TimedOut, Assert.Throws<TokenBucketException>(() => bucket.Wait()).Status);
        Assert.Equal(Status.TimedOut, Assert.Throws<TokenBucketException>(() => bucket.Reserve()).Status);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Cancelling_gives_the_tokens_back(bool manual)
    {
        using var clock = new ManualClock();
        using var bucket = manual ? On(clock, 10, 1e-9, initial: 0) : new Bucket(
            new BucketOptions { Capacity = 10, Tokens = 1e-9, InitialTokens = 0 });
        using var source = new CancellationTokenSource();
        Task waiting = bucket.WaitAsync(4, source.Token);
        Task blocking = Task.Run(() => bucket.Wait(4, source.Token));
        Assert.True(SpinWait.SpinUntil(() => bucket.Available < -7, Patience));
        Assert.False(waiting.IsCompleted);
        await source.CancelAsync();
        Assert.Equal(source.Token, (await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting)).CancellationToken);
        await Assert.ThrowsAsync<OperationCanceledException>(() => blocking);
        Assert.InRange(bucket.Available, 0, 1e-6);
        Assert.True(bucket.WaitAsync(4, source.Token).IsCanceled);
        Assert.Throws<OperationCanceledException>(() => bucket.Wait(4, source.Token));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_cancelled_wait_leaves_nothing_behind(bool blocking)
    {
        using var clock = new ManualClock();
        using var bucket = On(clock, 10, 1, initial: 0);
        using var source = new CancellationTokenSource();
        Task waiting = blocking ? Task.Run(() => bucket.Wait(4, source.Token)) : bucket.WaitAsync(4, source.Token);
        Assert.True(SpinWait.SpinUntil(() => bucket.Available == -4, Patience));
        await source.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
        Assert.Equal((0, 0), (bucket.Available, clock.Waiters));
    }

    // Real sleeping: a wait that ended early would find the bucket in debt.
    [Fact]
    public async Task A_wait_never_ends_early()
    {
        using var bucket = new Bucket(new BucketOptions { Capacity = 100, Tokens = 1300, InitialTokens = 0 });
        for (int i = 0; i < 20; i++)
        {
            bucket.Reset(0);
            await bucket.WaitAsync(3);
            Assert.InRange(bucket.Available, 0, 100);
            bucket.Reset(0);
            bucket.Wait(3);
            Assert.InRange(bucket.Available, 0, 100);
        }
    }
}
