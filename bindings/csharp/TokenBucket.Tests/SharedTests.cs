using System;
using System.ComponentModel;
using System.Diagnostics;
using System.Threading;
using System.Threading.RateLimiting;
using System.Threading.Tasks;
using Microsoft.Extensions.Time.Testing;
using Xunit;
using static TokenBucket.Tests.Buckets;

namespace TokenBucket.Tests;

// A test that needs memory, or tables, that processes share; skipped where the library has none.
public sealed unsafe class SharedFactAttribute : FactAttribute
{
    public SharedFactAttribute(bool tables = false)
    {
        fixed (byte* memory = "shared_memory\0"u8, table = "lock_free_table\0"u8)
        {
            int has = NativeMethods.tb_has_feature(memory) & (tables ? NativeMethods.tb_has_feature(table) : 1);
            Skip = has == 0 ? "the library has no such shared memory here" : null;
        }
    }
}

public sealed class SharedTests : IDisposable
{
    private const double Slow = 1e-6; // next to nothing accrues during a test

    private readonly string _name = $"tokenbucket-cs-{Environment.ProcessId}-{Guid.NewGuid():N}";

    public void Dispose() => Bucket.RemoveShared(_name);

    // What another process does with the bucket: takes four tokens, waits until its input ends, and closes it. With a
    // table it only takes. With many it opens and disposes each kind often.
    private static int Main(string[] args)
    {
        if (args is [string many, "many"])
        {
            OpenAndDisposeMany(many);
            return 0;
        }
        if (args is [string table, _])
        {
            KeyedTable keys = KeyedTable.OpenShared(table, SharedTableTests.Options());
            Console.WriteLine($"{keys.Allow("alice", 4)} {keys.Allow("alice", 7)}");
            return 0;
        }
        Bucket bucket = Bucket.OpenShared(args[0], Options());
        Console.WriteLine($"{bucket.Allow(4)} {bucket.Allow(7)}");
        Console.In.ReadToEnd();
        bucket.Close();
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

    [SharedFact]
    public async Task Another_process_has_it_and_its_close_ends_a_wait()
    {
        using Bucket bucket = Open();
        using Process other = Process.Start(new ProcessStartInfo("dotnet", ["exec", typeof(SharedTests).Assembly.Location, _name])
        {
            RedirectStandardInput = true, RedirectStandardOutput = true,
        })!;
        Assert.Equal("True False", await other.StandardOutput.ReadLineAsync());
        Assert.False(bucket.Allow(7));
        Assert.True(bucket.Allow(6));
        Task waiting = bucket.WaitAsync(5), blocking = Task.Run(() => bucket.Wait(5));
        Assert.True(SpinWait.SpinUntil(() => bucket.Available < -9, Patience));
        other.StandardInput.Close();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => waiting.WaitAsync(Patience));
        await Assert.ThrowsAsync<ObjectDisposedException>(() => blocking.WaitAsync(Patience));
        Assert.True(other.WaitForExit(Patience));
        Assert.Equal(0, other.ExitCode);
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

    // A wait learns of what another handle does, as of what another process does, by asking.
    [SharedFact]
    public async Task Waits_ask_for_what_others_change()
    {
        using Bucket a = Open(), b = Open();
        Assert.True(a.Allow(10));
        Task waiting = a.WaitAsync(2), blocking = Task.Run(() => a.Wait(3));
        Assert.True(SpinWait.SpinUntil(() => b.Available < -4, Patience));
        b.Refund(5);
        await waiting.WaitAsync(Patience);
        await blocking.WaitAsync(Patience);

        using var stop = new CancellationTokenSource();
        waiting = a.WaitAsync(4, stop.Token);
        Assert.InRange(b.Available, -5, -3);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
        Assert.InRange(b.Available, -1, 1);
    }

    [SharedFact]
    public async Task Dispose_ends_what_is_done_here_alone()
    {
        using Bucket other = Open();
        Bucket own = Open();
        Assert.True(own.Allow(10));
        Reservation promised = own.Reserve(1);
        Task waiting = own.WaitAsync(2), blocking = Task.Run(() => own.Wait(3)), others = other.WaitAsync(4);
        Assert.True(SpinWait.SpinUntil(() => other.Available < -9, Patience));
        own.Dispose();
        own.Dispose();
        AssertDisposed<Bucket>(() => waiting.WaitAsync(Patience).GetAwaiter().GetResult());
        AssertDisposed<Bucket>(() => blocking.WaitAsync(Patience).GetAwaiter().GetResult());
        Assert.All<Action>(
            [
                () => own.Allow(), () => own.Take(), () => own.TakeUpTo(1), () => own.Reserve(), () => own.Charge(1),
                () => own.Refund(1), () => own.Reset(), () => own.SetTokens(1), () => own.SetRate(1), () => own.SetCapacity(1),
                () => own.Wait(), () => own.Close(), () => _ = own.Available, () => promised.Settle(0),
                () => own.WaitAsync().GetAwaiter().GetResult(),
            ],
            call => AssertDisposed<Bucket>(call));
        Assert.InRange(other.Available, -5.5, -4.5);
        promised.Cancel();
        AssertMemberDisposed<Bucket>(own);
        other.Refund(4);
        await others.WaitAsync(Patience);
    }

    // It was not closed: others go on using it.
    internal static void AssertDisposed<T>(Action call) => Assert.Equal(
        new ObjectDisposedException(typeof(T).FullName).Message, Assert.Throws<ObjectDisposedException>(call).Message);

    internal static void AssertMemberDisposed<T>(Member member)
    {
        using var first = new Bucket(10, Slow);
        var limit = new CombinedLimit(first, member);
        var limiter = new TokenBucketCombinedLimiter(limit);
        Action[] calls =
        [
            () => limit.Allow(), () => limit.Wait(), () => limit.Reserve(), () => limiter.AttemptAcquire(0),
            () => limiter.AttemptAcquire(1),
        ];
        Assert.All(calls, call =>
        {
            var e = Assert.Throws<ObjectDisposedException>(call);
            Assert.Equal(typeof(T).FullName, e.ObjectName);
            Assert.StartsWith("Cannot access a disposed object (member 1).", e.Message, StringComparison.Ordinal);
        });
        Assert.Equal(10, first.Available);
    }

    [SharedFact]
    public void A_joint_reservation_is_cancelled_also_when_a_member_was_disposed()
    {
        using Bucket other = Open(), first = new Bucket(10, Slow);
        Assert.True(other.Allow(5));
        Bucket own = Open();
        CombinedReservation reservation = new CombinedLimit(first, own).Reserve([1, 9]);
        own.Dispose();
        reservation.Cancel();
        Assert.Equal((10, 5), (first.Available, Math.Round(other.Available, 3)));
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

    [SharedFact]
    public async Task It_joins_decisions_but_not_waits()
    {
        using Bucket shared = Open(), own = new Bucket(10, Slow);
        var both = new CombinedLimit(own, shared);
        Assert.True(both.Allow());
        foreach (int left in (int[])[9, 0])
        {
            var e = await Assert.ThrowsAsync<TokenBucketException>(() => both.WaitAsync(Timeout.InfiniteTimeSpan));
            Assert.Equal((Status.Unsupported, shared), (e.Status, e.RefusedBy?.Bucket));
            Assert.EndsWith(
                ": Members[1] is a shared bucket, which cannot be waited for with others",
                e.Message, StringComparison.Ordinal);
            Assert.Equal(left, shared.TakeUpTo(9));
        }
        Assert.False(both.Allow());
        const string NoQueue =
            "queueLimit must be 0 where a member is shared, which cannot be waited for with others, got 1";
        var joint = new TokenBucketPartitionedCombinedLimiter<int>(_ => both, queueLimit: 1);
        Action[] calls =
        [
            () => _ = new TokenBucketCombinedLimiter(both, queueLimit: 1), () => joint.AttemptAcquire(1),
            () => joint.AcquireAsync(1).AsTask().GetAwaiter().GetResult(), () => joint.GetStatistics(1),
        ];
        Assert.All(calls, call => Assert.StartsWith(
            NoQueue, Assert.Throws<ArgumentOutOfRangeException>("queueLimit", call).Message, StringComparison.Ordinal));
        Assert.False((await new TokenBucketCombinedLimiter(both).AcquireAsync()).IsAcquired);
    }

    [SharedFact]
    public async Task A_limiter_waits_for_what_others_give_back()
    {
        var options = new TokenBucketLimiterOptions { TokenLimit = 10, TokensPerPeriod = Slow, QueueLimit = 10 };
        using Bucket other = Open();
        using TokenBucketLimiter limiter = TokenBucketLimiter.OpenShared(_name, options);
        using (TokenBucketLimiter left = TokenBucketLimiter.OpenShared(_name, options))
        {
            Assert.True(left.AttemptAcquire(9).IsAcquired);
        }
        Assert.True(limiter.AttemptAcquire().IsAcquired);
        Task<RateLimitLease> waiting = limiter.AcquireAsync(3).AsTask();
        Assert.InRange(other.Available, -4, -2);
        other.Refund(3);
        Assert.True((await waiting.WaitAsync(Patience)).IsAcquired);
        waiting = limiter.AcquireAsync(3).AsTask();
        limiter.Dispose();
        Assert.False((await waiting.WaitAsync(Patience)).IsAcquired);
        Assert.True(SpinWait.SpinUntil(() => other.Available > -1, Patience));
        Assert.Throws<TokenBucketException>(() => TokenBucketLimiter.OpenShared(_name, options with { TokenLimit = 11 }));
    }
}
