using System;
using System.Globalization;
using System.Threading;
using Xunit;
using static TokenBucket.Tests.Buckets;

namespace TokenBucket.Tests;

public class TakingTests
{
    [Fact]
    public void A_burst_then_the_rate()
    {
        using var clock = new ManualClock();
        using var bucket = On(clock, 10, 3);
        Assert.True(bucket.Allow(10));
        Assert.False(bucket.TryConsume());
        clock.Advance(333_333_333);
        Assert.False(bucket.Allow());
        clock.Advance(1);
        Assert.True(bucket.Allow());
    }

    [Fact]
    public void More_than_the_capacity_is_no()
    {
        using var clock = new ManualClock();
        using var bucket = On(clock, 10, 1);
        Assert.False(bucket.Allow(15));
        Assert.Equal(new Decision(Status.ExceedsCapacity, 10, long.MaxValue, 0), bucket.Take(15));
        Assert.Equal(TimeSpan.MaxValue, bucket.Take(15).RetryAfter);
        Assert.Equal(Status.ExceedsCapacity, Assert.Throws<TokenBucketException>(() => bucket.Reserve(15)).Status);
        Assert.Equal(Status.ExceedsCapacity, Assert.Throws<TokenBucketException>(() => bucket.Wait(15)).Status);
        Assert.Equal(Status.ExceedsCapacity, Assert.Throws<TokenBucketException>(() => bucket.TimeUntil(15)).Status);
        Assert.Equal(10, bucket.Available);
    }

    [Fact]
    public void A_decision_says_why_and_rounds_times_up()
    {
        using var clock = new ManualClock();
        using var bucket = On(clock, 10, 3);
        Assert.Equal(new Decision(Status.Success, 0, 0, 3_333_333_334), bucket.Take(10));
        Decision denied = bucket.Take();
        Assert.Equal(new Decision(Status.Denied, 0, 333_333_334, 3_333_333_334), denied);
        Assert.False(denied.IsGranted);
        Assert.Equal(new TimeSpan(3_333_334), denied.RetryAfter);
        Assert.Equal(new TimeSpan(33_333_334), denied.ResetAfter);
        Assert.Equal(new TimeSpan(3_333_334), bucket.TimeUntil(1));
    }

    [Fact]
    public void Adjusting()
    {
        using var clock = new ManualClock();
        using var bucket = On(clock, 10, 2, initial: 4);
        Assert.Equal(4, bucket.TakeUpTo(7));
        Assert.Equal(TimeSpan.FromSeconds(1.5), bucket.Charge(3));
        Assert.Equal(-3, bucket.Available);
        bucket.Refund(5);
        Assert.Equal(2, bucket.Available);
        bucket.Reset(0);
        Assert.Equal(0, bucket.Available);
        bucket.Reset();
        Assert.Equal(10, bucket.Available);
        bucket.SetCapacity(6);
        bucket.SetRate(1.5);
        Assert.Equal((6, 1.5, Second), (bucket.Limit.Capacity, bucket.Limit.Tokens, bucket.Limit.PeriodNanoseconds));
        Assert.Equal(6, bucket.Available);
        Assert.Equal(Status.ExceedsCapacity, Assert.Throws<TokenBucketException>(() => bucket.Reset(7)).Status);
    }

    [Fact]
    public void Threads_get_exactly_what_is_there()
    {
        using var clock = new ManualClock();
        using var bucket = On(clock, 10_000, 3_000);
        foreach (int expected in (int[])[10_000, 6_000])
        {
            long granted = 0;
            InParallel(8, () =>
            {
                for (int i = 0; i < 4_000; i++)
                {
                    if (bucket.Allow())
                    {
                        Interlocked.Increment(ref granted);
                    }
                }
            });
            Assert.Equal(expected, granted);
            clock.Advance(2 * Second);
        }
    }

    [Theory]
    [InlineData(0.0)]
    [InlineData(-1.0)]
    [InlineData(double.NaN)]
    [InlineData(double.PositiveInfinity)]
    [InlineData(double.NegativeInfinity)]
    public void A_bad_amount_is_refused_and_changes_nothing(double bad)
    {
        using var clock = new ManualClock();
        using var bucket = On(clock, 10, 1, initial: 5);
        Action[] calls =
        [
            () => bucket.Allow(bad), () => bucket.TryConsume(bad), () => bucket.Take(bad), () => bucket.TakeUpTo(bad),
            () => bucket.Reserve(bad), () => bucket.Reserve(bad, TimeSpan.Zero), () => bucket.Wait(bad),
            () => bucket.Wait(bad, TimeSpan.Zero), () => _ = bucket.WaitAsync(bad), () => bucket.Charge(bad),
            () => bucket.Refund(bad), () => bucket.TimeUntil(bad),
        ];
        foreach (Action call in calls)
        {
            var e = Assert.Throws<ArgumentOutOfRangeException>(call);
            Assert.Equal(bad, e.ActualValue);
            Assert.StartsWith(
                string.Create(CultureInfo.InvariantCulture, $"{e.ParamName} must be finite and more than 0, got {bad}"), e.Message,
                StringComparison.Ordinal);
        }
        Assert.Equal(5, bucket.Available);
    }

    [Theory]
    [InlineData(double.NaN)]
    [InlineData(0.0)]
    [InlineData(-1.0)]
    [InlineData(1e16)]
    public void A_bad_limit_is_refused(double bad)
    {
        using var clock = new ManualClock();
        using var bucket = On(clock, 10, 1);
        Assert.Throws<ArgumentOutOfRangeException>(() => new Bucket(bad, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => new Bucket(1, bad));
        Assert.Throws<ArgumentOutOfRangeException>(() => On(clock, bad, 1));
        Assert.Equal("capacity", Assert.Throws<ArgumentOutOfRangeException>(() => bucket.SetCapacity(bad)).ParamName);
        Assert.Equal("tokensPerSecond", Assert.Throws<ArgumentOutOfRangeException>(() => bucket.SetRate(bad)).ParamName);
        Assert.Equal(new BucketLimit(10, 1, Second, 1e-9), bucket.Limit);
    }

    [Fact]
    public void Other_bad_arguments_are_refused()
    {
        using var clock = new ManualClock(5);
        using var bucket = On(clock, 10, 1);
        Assert.Throws<ArgumentNullException>(() => new Bucket(null!));
        foreach (double initial in (double[])[-1, -0.5, 10.5, double.NaN])
        {
            Assert.Throws<ArgumentOutOfRangeException>(() => On(clock, 10, 1, initial));
        }
        Assert.Throws<ArgumentOutOfRangeException>(() => new Bucket(new BucketOptions { Capacity = 1, Tokens = 1, PeriodNanoseconds = 0 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => bucket.Reserve(1, TimeSpan.FromTicks(-1)));
        Assert.Throws<ArgumentOutOfRangeException>(() => bucket.Reset(-1));
        Assert.Throws<ArgumentOutOfRangeException>(() => bucket.Reset(double.NaN));
        Assert.Throws<ArgumentOutOfRangeException>(() => new ManualClock(-1));
        Assert.Throws<ArgumentOutOfRangeException>(() => clock.Set(-1));
        Assert.Throws<ArgumentOutOfRangeException>(() => clock.Advance(-1));
        Assert.Throws<ArgumentOutOfRangeException>(() => clock.Advance(long.MaxValue));
        Assert.Equal(10, bucket.Available);
    }
}
