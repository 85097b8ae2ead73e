using System;
using Xunit;
using static TokenBucket.Tests.Buckets;

namespace TokenBucket.Tests;

public class SettlingTests
{
    [Theory]
    [InlineData(0, false, 0)]
    [InlineData(1.5, false, -1.5)]
    [InlineData(4, false, -4)]
    [InlineData(6, false, -6)]
    [InlineData(0, true, 5)]
    [InlineData(1.5, true, 3.5)]
    [InlineData(6, true, -1)]
    public void What_was_not_needed_comes_back_and_the_rest_is_charged(double actual, bool due, double left)
    {
        using var clock = new ManualClock();
        using var bucket = On(clock, 10, 1, initial: 0);
        Reservation r = bucket.Reserve(4);
        clock.Advance(due ? 5 * Second : 0);
        r.Settle(actual);
        Assert.Equal((left, 0), (bucket.Available, r.Tokens));
        Assert.Throws<InvalidOperationException>(() => r.Settle(actual));
        r.Cancel();
        Assert.Equal(left, bucket.Available);
    }

    [Fact]
    public void A_bad_amount_leaves_the_reservation_as_it_was()
    {
        using var clock = new ManualClock();
        using var bucket = On(clock, 10, 1, initial: 0);
        Reservation r = bucket.Reserve(4);
        foreach (double bad in (double[])[-1, double.NaN, double.PositiveInfinity])
        {
            Assert.Equal("actualTokens", Assert.Throws<ArgumentOutOfRangeException>(() => r.Settle(bad)).ParamName);
        }
        Assert.Equal((4, -4), (r.Tokens, bucket.Available));
        r.Cancel();
        Assert.Throws<InvalidOperationException>(() => r.Settle(1));
        Reservation closed = bucket.Reserve(1);
        bucket.Close();
        Assert.Throws<ObjectDisposedException>(() => closed.Settle(1));
        bucket.Dispose();
        Assert.Throws<ObjectDisposedException>(() => closed.Settle(1));
    }

    [Fact]
    public void Statistics_count_where_they_are_asked_for()
    {
        using var clock = new ManualClock();
        using var plain = On(clock, 10, 1);
        Assert.Equal(Status.Unsupported, Assert.Throws<TokenBucketException>(() => plain.Statistics).Status);
        using var bucket = new Bucket(new BucketOptions { Capacity = 10, Tokens = 1, Clock = clock, Statistics = true });
        Assert.Equal(default, bucket.Statistics);
        Assert.True(bucket.Allow(8));
        Assert.False(bucket.Allow(3));
        Assert.Null(bucket.Reserve(4, TimeSpan.FromSeconds(1)));
        bucket.Reserve(5).Cancel();
        bucket.Reserve(2).Settle(0.5);
        Assert.Equal(new BucketStatistics(3, 1, 1, 1, 0, 0, 0, 0, 15, 6.5), bucket.Statistics);
        bucket.Close();
        Assert.Equal(3, bucket.Statistics.Granted);
    }
}
