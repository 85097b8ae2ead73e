using System;
using System.ComponentModel;
using System.Diagnostics;
using System.Threading.Tasks;
using Microsoft.Extensions.Time.Testing;
using Xunit;
using static TokenBucket.Tests.Buckets;

namespace TokenBucket.Tests;

// A test that needs memory, or tables, that processes share; skipped where the library has none.
public sealed unsafe class SharedFactAttribute : FactAttribute
{
    public SharedFactAttribute(bool tables = false) => Skip = Missing(tables);

    internal static string? Missing(bool tables)
    {
        fixed (byte* memory = "shared_memory\0"u8, table = "lock_free_table\0"u8)
        {
            int has = NativeMethods.tb_has_feature(memory) & (tables ? NativeMethods.tb_has_feature(table) : 1);
            return has == 0 ? "the library has no such shared memory here" : null;
        }
    }
}

public sealed class SharedTheoryAttribute : TheoryAttribute
{
    public SharedTheoryAttribute() => Skip = SharedFactAttribute.Missing(tables: false);
}

public sealed class SharedTests : IDisposable
{
    private const double Slow = SharedLimit.Slow;

    private readonly string _name = $"tokenbucket-cs-{Environment.ProcessId}-{Guid.NewGuid():N}";

    public void Dispose() => Bucket.RemoveShared(_name);

    // What another process does with a limit of that kind: takes four tokens, puts five in for each line that it reads,
    // and closes it. With many it opens and disposes each kind often.
    private static int Main(string[] args)
    {
        if (args is [string many, "many"])
        {
            OpenAndDisposeMany(many);
            return 0;
        }
        SharedLimit limit = SharedLimit.Open(args[1], args[0]);
        Console.WriteLine($"{limit.Allow(4)} {limit.Allow(7)}");
        while (Console.ReadLine() is not null)
        {
            limit.Refund(5);
        }
        limit.Close();
        return 0;
    }

    private static void OpenAndDisposeMany(string name)
    {
        var limit = new TokenBucketLimiterOptions { TokenLimit = 10, TokensPerPeriod = Slow };
        TokenBucketPartitionedLimiterOptions limits = SharedTableTests.Limit;
        for (int i = 0; i < 500; i++)
        {
            Bucket.OpenShared(name, Options()).Dispose();
            TokenBucketLimiter.OpenShared(name, limit).Dispose();
            KeyedTable.OpenShared(name + "-table", SharedTableTests.Options()).Dispose();
            TokenBucketPartitionedLimiter.OpenShared<int>(name + "-table", limits).Dispose();
        }
        Console.WriteLine("done");
    }

    private static BucketOptions Options(double capacity = 10, double tokens = Slow, double? initial = null) =>
        new() { Capacity = capacity, Tokens = tokens, InitialTokens = initial };

    private Bucket Open(double capacity = 10, double tokens = Slow, double? initial = null, bool adopt = false) =>
        Bucket.OpenShared(_name, Options(capacity, tokens, initial), adopt);

    private TokenBucketException Refused(double capacity, double tokens) =>
        Assert.Throws<TokenBucketException>(() => Open(capacity, tokens));

    [SharedFact]
    public void The_tokens_are_those_of_all_who_have_it()
    {
        using Bucket a = Open(), b = Open();
        Assert.True(a.Allow(6));
        Assert.False(b.Allow(5));
        Assert.True(b.Allow(4));
        Assert.False(a.Allow());
        b.SetRate(3);
        Assert.Equal(3, a.Limit.Tokens);
    }

    // The runtime takes some 150 descriptors; each that is open takes two.
    [SharedFact(tables: true)]
    public async Task Dispose_leaves_no_descriptors_for_long()
    {
        string program = typeof(SharedTests).Assembly.Location;
        using Process other = Process.Start(
            new ProcessStartInfo("sh", ["-c", "ulimit -n 512 && exec dotnet exec \"$@\"", "sh", program, _name, "many"])
            {
                RedirectStandardOutput = true,
            })!;
        string? told = await other.StandardOutput.ReadLineAsync();
        KeyedTable.RemoveShared(_name + "-table");
        Assert.Equal("done", told);
        Assert.True(other.WaitForExit(Patience));
    }

    [SharedFact]
    public void Another_limit_is_refused_or_adopted()
    {
        using Bucket bucket = Open(10, 1);
        TokenBucketException capacity = Refused(11, 1), rate = Refused(10, 2);
        Assert.Equal((Status.Mismatch, Status.Mismatch), (capacity.Status, rate.Status));
        const string WayOut = " (OpenShared with adopt: true takes what is there)";
        Assert.EndsWith(
            $": {_name}: Capacity must be 10, as it is there, got 11{WayOut}",
            capacity.Message, StringComparison.Ordinal);
        Assert.EndsWith(
            $": {_name}: Tokens must be 1 tokens/s, as it is there, got 2 tokens/s{WayOut}",
            rate.Message, StringComparison.Ordinal);
        using var limiter = TokenBucketLimiter.OpenShared(_name, new TokenBucketLimiterOptions { TokenLimit = 10, TokensPerPeriod = 1 });
        TokenBucketException permits = Assert.Throws<TokenBucketException>(
            () => TokenBucketLimiter.OpenShared(_name, new TokenBucketLimiterOptions { TokenLimit = 11, TokensPerPeriod = 1 }));
        Assert.EndsWith(
            $": {_name}: TokenLimit must be 10, as it is there, got 11{WayOut}",
            permits.Message, StringComparison.Ordinal);
        using Bucket adopted = Open(99, 99, adopt: true);
        Assert.Equal((10, 1), (adopted.Limit.Capacity, adopted.Limit.Tokens));
        var other = new TokenBucketLimiterOptions
        {
            TokenLimit = 99, TokensPerPeriod = 99, ReplenishmentPeriod = TimeSpan.FromHours(1),
        };
        rate = Assert.Throws<TokenBucketException>(
            () => TokenBucketLimiter.OpenShared(_name, other with { TokenLimit = 10 }));
        Assert.Contains(
            "TokensPerPeriod must be 1 tokens/s, as it is there, got 99 tokens per 3600 s",
            rate.Message, StringComparison.Ordinal);
        using var adopting = TokenBucketLimiter.OpenShared(_name, other, adopt: true);
        Assert.Equal((10, TimeSpan.FromSeconds(1)), (adopting.TokenLimit, adopting.ReplenishmentPeriod));
        Assert.Throws<ArgumentOutOfRangeException>(() => adopting.AttemptAcquire(11));
        Assert.NotNull(adopting.IdleDuration);
        bucket.SetCapacity(9.5);
        using var whole = TokenBucketLimiter.OpenShared(_name, other, adopt: true);
        Assert.Equal(9, whole.TokenLimit);
        Assert.True(whole.AttemptAcquire(9).IsAcquired);
    }

    [SharedFact]
    public void A_closed_name_says_until_when()
    {
        using Bucket bucket = Open();
        bucket.Close();
        string closed = $"closed: the bucket was closed: {_name}: this lasts until RemoveShared removes the name";
        var e = Assert.Throws<ObjectDisposedException>(() => Open());
        Assert.StartsWith(closed, e.Message, StringComparison.Ordinal);
        Bucket.RemoveShared(_name);
        Open().Dispose();
    }

    [SharedFact]
    public void A_removed_name_is_free_for_a_new_bucket()
    {
        using Bucket old = Open();
        Bucket.RemoveShared(_name);
        Bucket.RemoveShared(_name);
        using Bucket fresh = Open(5, initial: 2);
        Assert.True(old.Allow(10) && fresh.Allow(2));
        Assert.False(fresh.Allow());
    }

    [SharedFact]
    public void Bad_arguments_are_told()
    {
        const string Rule =
            "name must be the name of a file, without a slash or a leading dot, or an absolute path, got ";
        foreach ((string bad, string told) in ((string, string)[])
            [
                ("", Rule), (".a", Rule + ".a"), ("a/b", Rule + "a/b"), (new string('x', 2000), Rule + "xxx"),
                ("a\0b", "name must be without a zero byte, got a\\0b"),
            ])
        {
            foreach (Action call in (Action[])[() => Bucket.OpenShared(bad, Options()), () => Bucket.RemoveShared(bad)])
            {
                var refused = Assert.Throws<ArgumentOutOfRangeException>(call);
                Assert.StartsWith(told, refused.Message, StringComparison.Ordinal);
                Assert.DoesNotContain('\0', refused.Message);
            }
        }
        Assert.Throws<ArgumentNullException>(() => Bucket.OpenShared(null!, Options()));
        Assert.Throws<ArgumentNullException>(() => Bucket.OpenShared(_name, null!));
        Assert.Throws<ArgumentNullException>(() => Bucket.RemoveShared(null!));
        Assert.Throws<ArgumentOutOfRangeException>(() => Open(-1));
        Assert.Throws<ArgumentOutOfRangeException>(() => Open(initial: -1));
        using var clock = new ManualClock();
        var e = Assert.Throws<TokenBucketException>(
            () => Bucket.OpenShared(_name, new BucketOptions { Capacity = 1, Tokens = 1, Clock = clock }));
        Assert.Equal(Status.Unsupported, e.Status);
        const string SystemClock = " for what processes share, which goes by the system's clock";
        Assert.EndsWith($": {_name}: Clock must be null{SystemClock}", e.Message, StringComparison.Ordinal);
        var time = new FakeTimeProvider();
        e = Assert.Throws<TokenBucketException>(
            () => Bucket.OpenShared(_name, new BucketOptions { Capacity = 1, Tokens = 1, TimeProvider = time }));
        Assert.Equal(Status.Unsupported, e.Status);
        Assert.EndsWith(
            $": {_name}: TimeProvider must be null or TimeProvider.System{SystemClock}",
            e.Message, StringComparison.Ordinal);
        e = Assert.IsType<TokenBucketException>(
            SharedMemory.Failure(NativeMethods.TB_E_UNSUPPORTED, _name, 0, typeof(Bucket), Options()));
        Assert.EndsWith(
            $": {_name}: the native library cannot share it between processes on this system",
            e.Message, StringComparison.Ordinal);
        e = Assert.Throws<TokenBucketException>(() => Bucket.OpenShared("/no/such/folder", Options()));
        Assert.Equal((Status.System, 2), (e.Status, Assert.IsType<Win32Exception>(e.InnerException).NativeErrorCode));
        Assert.Contains("/no/such/folder: No such file or directory", e.Message, StringComparison.Ordinal);
    }
}
