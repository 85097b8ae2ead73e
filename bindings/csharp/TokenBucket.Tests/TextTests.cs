using System;
using System.Globalization;
using Xunit;
using static TokenBucket.Tests.Buckets;

namespace TokenBucket.Tests;

// What objects and answers say of themselves.
public sealed class TextTests
{
    private static readonly TokenBucketLimiterOptions Limit = new() { TokenLimit = 10, TokensPerPeriod = 5 };

    [Fact]
    public void What_has_a_limit_shows_it_also_when_disposed()
    {
        CultureInfo before = CultureInfo.CurrentCulture;
        CultureInfo.CurrentCulture = new CultureInfo("de-DE");
        try
        {
            var bucket = new Bucket(10, 5.5);
            var table = new KeyedTable(
                new KeyedTableOptions { Capacity = 10, Tokens = 1000, Period = TimeSpan.FromHours(1), MaxKeys = 4 });
            var limiter = new TokenBucketLimiter(Limit);
            var partitioned = new TokenBucketPartitionedLimiter<string>(
                new TokenBucketPartitionedLimiterOptions { TokenLimit = 10, TokensPerPeriod = 5, MaxKeys = 4 });
            var limit = new CombinedLimit(bucket, new Member(table, "alice"));
            var combined = new TokenBucketCombinedLimiter(limit);
            const string Both = "(Bucket(capacity 10 tokens, 5.5 tokens/s), "
                + "a key of KeyedTable(capacity 10 tokens, 1000 tokens per 3600 s per key))";
            for (int disposed = 0; disposed < 2; disposed++)
            {
                Assert.Equal("Bucket(capacity 10 tokens, 5.5 tokens/s)", bucket.ToString());
                Assert.Equal("KeyedTable(capacity 10 tokens, 1000 tokens per 3600 s per key)", table.ToString());
                Assert.Equal("TokenBucketLimiter(capacity 10 tokens, 5 tokens/s)", limiter.ToString());
                Assert.Equal(
                    "TokenBucketPartitionedLimiter(capacity 10 tokens, 5 tokens/s per key)", partitioned.ToString());
                Assert.Equal("CombinedLimit" + Both, limit.ToString());
                Assert.Equal("TokenBucketCombinedLimiter" + Both, combined.ToString());
                Array.ForEach<IDisposable>([bucket, table, limiter, partitioned, combined], d => d.Dispose());
            }
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }
    }

    [SharedFact]
    public void A_shared_one_shows_its_name()
    {
        string name = $"tokenbucket-cs-{Environment.ProcessId}-text";
        using Bucket bucket = Bucket.OpenShared(name, new BucketOptions { Capacity = 10, Tokens = 5 });
        Bucket.RemoveShared(name);
        bucket.SetRate(6);
        Assert.Equal($"Bucket(shared \"{name}\", capacity 10 tokens, 6 tokens/s)", bucket.ToString());
    }

    [Fact]
    public void A_wait_that_never_ends_is_said_in_words()
    {
        using var clock = new ManualClock();
        using Bucket bucket = On(clock, 10, 1);
        Assert.Equal(
            "Decision { Status = Success, Remaining = 5.5, RetryAfter = 00:00:00, ResetAfter = 00:00:04.5000000 }",
            bucket.Take(4.5).ToString());
        Assert.Equal(
            "Decision { Status = ExceedsCapacity, Remaining = 5.5, RetryAfter = never, ResetAfter = 00:00:04.5000000 }",
            bucket.Take(11).ToString());
        var limit = new CombinedLimit(new Member(bucket, 11));
        Assert.Equal(
            "CombinedDecision { Status = ExceedsCapacity, "
                + "RefusedBy = Bucket(capacity 10 tokens, 1 tokens/s), RetryAfter = never }",
            limit.Take().ToString());
        using KeyedTable table = TinyTable(clock, WhenTableFull.Deny);
        for (int i = 0; i < 100; i++)
        {
            table.Allow($"{i}");
        }
        Assert.Equal(
            "Decision { Status = TableFull, Remaining = 0, RetryAfter = never, ResetAfter = never }",
            table.Take("x").ToString());
    }
}
