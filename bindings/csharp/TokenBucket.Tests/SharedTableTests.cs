using System;
using System.Threading.RateLimiting;
using System.Threading.Tasks;
using Xunit;

namespace TokenBucket.Tests;

public sealed class SharedTableTests : IDisposable
{
    private const double Slow = SharedLimit.Slow;

    private readonly string _name = $"tokenbucket-cs-{Environment.ProcessId}-{Guid.NewGuid():N}";

    public void Dispose() => KeyedTable.RemoveShared(_name);

    internal static KeyedTableOptions Options(
        double capacity = 10, double tokens = Slow, long? keys = 100, WhenTableFull whenFull = default,
        ManualClock? clock = null) =>
        new() { Capacity = capacity, Tokens = tokens, MaxKeys = keys, WhenFull = whenFull, Clock = clock };

    internal static TokenBucketPartitionedLimiterOptions Limit => new()
    {
        TokenLimit = 10, TokensPerPeriod = Slow, MaxKeys = 100,
    };

    private KeyedTable Open() => KeyedTable.OpenShared(_name, Options());

    private string Mismatch(KeyedTableOptions options)
    {
        var e = Assert.Throws<TokenBucketException>(() => KeyedTable.OpenShared(_name, options));
        Assert.Equal(Status.Mismatch, e.Status);
        string prefix = $"{TokenBucketException.MessageOf(Status.Mismatch)}: {_name}: ";
        Assert.StartsWith(prefix, e.Message, StringComparison.Ordinal);
        return e.Message[prefix.Length..];
    }

    [SharedFact(tables: true)]
    public void The_tokens_of_a_key_are_those_of_all_who_have_it()
    {
        using KeyedTable a = Open(), b = Open();
        Assert.True(a.Allow("alice", 6));
        Assert.False(b.Allow("alice", 5));
        Assert.Equal(4, b.Available("alice"), 3);
        Assert.True(b.Allow("alice", 4));
        Assert.False(a.Allow("alice"));
        Assert.True(a.Allow("bob", 10));
        b.Remove("bob");
        Assert.True(a.Allow("bob", 10));
        b.SetRate(3);
        Assert.Equal(3, a.Limit.Tokens);
    }

    [SharedFact(tables: true)]
    public void Another_table_is_refused_or_adopted()
    {
        using KeyedTable table = Open();
        const string WayOut = " (OpenShared with adopt: true takes what is there)";
        Assert.Equal("Capacity must be 10, as it is there, got 11" + WayOut, Mismatch(Options(capacity: 11)));
        Assert.Equal(
            "Tokens must be 1E-06 tokens/s, as it is there, got 2 tokens/s" + WayOut,
            Mismatch(Options(tokens: 2)));
        Assert.Equal("MaxKeys must be that of the table there, got 200" + WayOut, Mismatch(Options(keys: 200)));
        Assert.Equal(
            "MaxBytes must be that of the table there, got 64" + WayOut,
            Mismatch(new KeyedTableOptions { Capacity = 10, Tokens = Slow, MaxBytes = 64 }));
        Assert.Equal(
            "WhenFull must be that of the table there, got Deny" + WayOut,
            Mismatch(Options(whenFull: WhenTableFull.Deny)));
        KeyedTableOptions other = Options(11, 2, 200, WhenTableFull.Deny);
        using KeyedTable adopted = KeyedTable.OpenShared(_name, other, adopt: true);
        Assert.Equal((table.Limit, table.GetStatistics()), (adopted.Limit, adopted.GetStatistics()));
        Assert.True(adopted.Allow("alice", 10));
        Assert.False(table.Allow("alice"));
    }

    [SharedFact(tables: true)]
    public void It_is_no_bucket_and_a_bucket_is_no_table()
    {
        const string Kind = "the shared memory is a bucket and no table, or the reverse";
        var options = new BucketOptions { Capacity = 10, Tokens = Slow };
        using (Open())
        {
            var e = Assert.Throws<TokenBucketException>(() => Bucket.OpenShared(_name, options, adopt: true));
            Assert.Equal(Status.Mismatch, e.Status);
            Assert.EndsWith($": {_name}: {Kind}", e.Message, StringComparison.Ordinal);
        }
        KeyedTable.RemoveShared(_name);
        using Bucket bucket = Bucket.OpenShared(_name, options);
        Assert.Equal(Kind, Mismatch(Options()));
    }

    [SharedFact(tables: true)]
    public void A_close_is_for_all_until_the_name_is_removed()
    {
        using KeyedTable a = Open(), b = Open();
        var limiting = TokenBucketPartitionedLimiter.OpenShared<string>(_name, Limit);
        b.Close();
        using TokenBucketPartitionedLimiter<string> limiter = limiting;
        const string Closed = "closed: the table was closed";
        Assert.All<(Action Call, string Told)>(
            [
                (() => a.Allow("alice"), Closed), (() => limiter.AttemptAcquire("alice"), Closed),
                (() => new CombinedLimit(new Member(a, "alice")).Allow(), Closed + " (member 0)"),
                (() => Open(), $"{Closed}: {_name}: this lasts until RemoveShared removes the name"),
            ],
            closed => Assert.StartsWith(
                closed.Told, Assert.Throws<ObjectDisposedException>(closed.Call).Message, StringComparison.Ordinal));
        KeyedTable.RemoveShared(_name);
        KeyedTable.RemoveShared(_name);
        using KeyedTable fresh = Open();
        Assert.True(fresh.Allow("alice", 10));
    }

    [SharedFact(tables: true)]
    public void Bad_arguments_are_told()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => KeyedTable.OpenShared("a/b", Options()));
        Assert.Throws<ArgumentOutOfRangeException>(() => KeyedTable.RemoveShared("a/b"));
        Assert.Throws<ArgumentNullException>(() => KeyedTable.OpenShared(null!, Options()));
        Assert.Throws<ArgumentNullException>(() => KeyedTable.OpenShared(_name, null!));
        var e = Assert.Throws<ArgumentOutOfRangeException>(() => KeyedTable.OpenShared(_name, Options(capacity: -1)));
        Assert.Contains("Capacity must be from 1e-6 to 1e15 tokens, got -1", e.Message, StringComparison.Ordinal);
        e = Assert.Throws<ArgumentOutOfRangeException>(() => KeyedTable.OpenShared(_name, Options(keys: 0)));
        Assert.Contains("MaxKeys must be 1 or more, got 0", e.Message, StringComparison.Ordinal);
        KeyedTableOptions endless = Options(keys: long.MaxValue);
        e = Assert.Throws<ArgumentOutOfRangeException>(() => KeyedTable.OpenShared(_name, endless));
        Assert.Contains("MaxKeys must be", e.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => KeyedTable.OpenShared(_name, Options(keys: null)));
        using var clock = new ManualClock();
        var refused = Assert.Throws<TokenBucketException>(() => KeyedTable.OpenShared(_name, Options(clock: clock)));
        Assert.Equal(Status.Unsupported, refused.Status);
        Assert.EndsWith(
            $": {_name}: Clock must be null for what processes share, which goes by the system's clock",
            refused.Message, StringComparison.Ordinal);
        refused = Assert.Throws<TokenBucketException>(() => KeyedTable.OpenShared("/no/such/folder", Options()));
        Assert.Equal(Status.System, refused.Status);
    }

    [SharedFact(tables: true)]
    public async Task A_partitioned_limiter_shares_its_keys()
    {
        TokenBucketPartitionedLimiterOptions options = Limit;
        TokenBucketPartitionedLimiter<string> OpenLimiter(TokenBucketPartitionedLimiterOptions options) =>
            TokenBucketPartitionedLimiter.OpenShared<string>(_name, options);
        using TokenBucketPartitionedLimiter<string> limiter = OpenLimiter(options);
        using KeyedTable table = Open();
        using (TokenBucketPartitionedLimiter<string> left = OpenLimiter(options))
        {
            Assert.True(left.AttemptAcquire("alice", 4).IsAcquired);
        }
        Assert.True(table.Allow("alice", 5));
        Assert.True((await limiter.AcquireAsync("alice")).IsAcquired);
        Assert.False((await limiter.AcquireAsync("alice")).IsAcquired);
        Assert.True(limiter.AttemptAcquire("alice").TryGetMetadata(MetadataName.RetryAfter, out TimeSpan wait));
        Assert.True(wait > TimeSpan.FromDays(1));
        Assert.True(limiter.AttemptAcquire("bob", 10).IsAcquired);
        Assert.False(table.Allow("bob"));
        Assert.Contains(
            "TokenLimit must be 10, as it is there, got 11",
            Assert.Throws<TokenBucketException>(() => OpenLimiter(options with { TokenLimit = 11 })).Message,
            StringComparison.Ordinal);
        using var adopting = TokenBucketPartitionedLimiter.OpenShared<string>(
            _name, options with { TokenLimit = 11, TokensPerPeriod = 5, MaxKeys = 7, WhenFull = WhenTableFull.Deny },
            adopt: true);
        Assert.Equal((10, limiter.ToString()), (adopting.TokenLimit, adopting.ToString()));
        Assert.True(adopting.AttemptAcquire("carol", 10).IsAcquired);
        Assert.False(table.Allow("carol"));
    }
}
