using System;
using System.Linq;
using System.Net;
using System.Text;
using System.Threading;
using Xunit;
using static TokenBucket.Tests.Buckets;

namespace TokenBucket.Tests;

public class KeyedTableTests
{
    [Fact]
    public void Each_key_has_a_bucket_of_its_own()
    {
        using var clock = new ManualClock();
        using KeyedTable table = TableOn(clock, 10, 3);
        Assert.True(table.Allow("a", 10));
        Assert.False(table.Allow("a"));
        Assert.False(table.Allow("b", 11));
        Assert.Equal(new Decision(Status.Denied, 0, 333_333_334, 3_333_333_334), table.Take("a"));
        Assert.Equal(new Decision(Status.Success, 7, 0, Second), table.Take("b", 3));
        Assert.Equal(new Decision(Status.ExceedsCapacity, 7, long.MaxValue, Second), table.Take("b", 11));
        Assert.Equal(7, table.TakeUpTo("b", 20));
        Assert.Equal(TimeSpan.FromSeconds(1), table.Charge("b", 3));
        Assert.Equal(-3, table.Available("b"));
        table.Refund("b", 5);
        Assert.Equal(2, table.Available("b"));
        Assert.Equal(new TimeSpan(3_333_334), table.TimeUntil("b", 3));
        Assert.Equal(2, table.GetStatistics().Occupied);
        table.Remove("b");
        Assert.Equal((10, 0, 10), (table.Available("b"), table.Available("a"), table.Available("c")));
        clock.Advance(333_333_334);
        Assert.True(table.Allow("a"));
        table.SetRate(5);
        table.SetCapacity(20);
        BucketLimit limit = table.Limit;
        Assert.Equal((20, 5, Second, 1e-9), (limit.Capacity, limit.Tokens, limit.PeriodNanoseconds, limit.Unit));
        clock.Advance(Second);
        Assert.Equal((20, 1, 1), (table.Available("c"), table.GetStatistics().Occupied, table.TakeUpTo("a", 1)));
    }

    [Fact]
    public void Text_is_the_key_of_its_utf8()
    {
        using var clock = new ManualClock();
        using KeyedTable table = TableOn(clock, 1000, 1);
        foreach (string text in (string[])["", "a", "Zoë", "😀", new('x', 256), new('x', 257), new('é', 200), new('é', 32768)])
        {
            byte[] bytes = Encoding.UTF8.GetBytes(text);
            Assert.True(table.Allow(text, 2));
            Assert.True(table.Allow(bytes, 3) && table.Allow(bytes.AsSpan(), 4) && table.Allow((ReadOnlySpan<byte>)bytes, 5));
            Assert.Equal((986, 986), (table.Available(text), table.Available(bytes)));
        }
        Assert.True(table.Allow("u8"u8) && !table.Allow("u8", 1000));
        Assert.True(table.Allow(default, 986) && !table.Allow(""));
    }

    [Fact]
    public void Keys_may_hold_any_bytes_up_to_a_size()
    {
        using var clock = new ManualClock();
        using KeyedTable table = TableOn(clock, 1, 1);
        byte[][] keys = [[], [0], [0, 0], [1, 0, 2], [1, 0, 3], new byte[TableKey.MaxSize - 1], new byte[TableKey.MaxSize]];
        foreach (byte[] key in keys)
        {
            Assert.True(table.Allow(key));
            Assert.False(table.Allow(key));
        }
        Assert.False(table.Allow("\u0001\0\u0002"));
        Assert.Equal(keys.Length, table.GetStatistics().Occupied);
        var long1 = new byte[TableKey.MaxSize + 1];
        string long2 = new('x', TableKey.MaxSize + 1), long3 = new('é', TableKey.MaxSize / 2 + 1);
        Action[] calls =
        [
            () => table.Allow(long1), () => table.Allow(long2), () => table.Allow(long3), () => table.Take(long1), () => table.TakeUpTo(long1, 1),
            () => table.Reserve(long1), () => table.Wait(long1), () => _ = table.WaitAsync(long1), () => table.Charge(long1, 1),
            () => table.Refund(long1, 1), () => table.Available(long1), () => table.TimeUntil(long1, 1), () => table.Remove(long1),
            () => table.AllowMany(["a", long2], new Status[2]),
        ];
        foreach (Action call in calls)
        {
            var e = Assert.Throws<ArgumentException>(call);
            Assert.Equal("key", e.ParamName);
            Assert.StartsWith("key must be at most 65536 bytes, got 6553", e.Message, StringComparison.Ordinal);
        }
        Assert.True(table.Allow("a"));
        Assert.Throws<ArgumentNullException>("key", () => table.Allow((string)null!));
        Assert.Throws<ArgumentNullException>("key", () => table.Allow((byte[])null!));
    }

    [Fact]
    public void Nothing_is_allocated_for_short_keys()
    {
        using var clock = new ManualClock();
        using KeyedTable table = TableOn(clock, 1e6, 1);
        string longest = new('x', 256);
        void Call()
        {
            table.Allow("alice");
            table.Allow(longest);
            table.Allow("bob"u8);
            table.Take("alice", 2);
            table.TakeUpTo("alice", 2);
            table.Available("alice");
            table.TimeUntil("alice", 10);
            table.Charge("alice", 1);
            table.Refund("alice", 1);
            table.Wait("alice");
        }
        Call();
        long before = GC.GetAllocatedBytesForCurrentThread();
        Call();
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    [Fact]
    public void Many_keys_by_one_call()
    {
        using var clock = new ManualClock();
        using KeyedTable table = TableOn(clock, 2, 1, keys: 10_000);
        var answers = new Status[4];
        table.AllowMany(["a", "", "a", "a"], answers);
        Assert.Equal([Status.Success, Status.Success, Status.Success, Status.Denied], answers);
        table.AllowMany(["b", "b", "b", "b"], answers, [1.5, 3, 0, 0.5]);
        Assert.Equal([Status.Success, Status.ExceedsCapacity, Status.InvalidArgument, Status.Success], answers);
        byte[] zeros = [0, 0, 0];
        table.AllowMany((ReadOnlyMemory<byte>[])[zeros, zeros.AsMemory(1), zeros.AsMemory(2), ""u8.ToArray()], answers, [2, 1, 1, 1]);
        Assert.Equal(Enumerable.Repeat(Status.Success, 4), answers);
        Assert.Equal((0, 1, 1, 0), (table.Available(zeros), table.Available("\0\0"), table.Available("\0"), table.Available("")));
        table.AllowMany(default(ReadOnlySpan<string>), default);

        string[] keys = [.. Enumerable.Range(0, 1000).Select(i => $"key {new string('x', i)}")];
        var all = new Status[1000];
        table.AllowMany(keys, all);
        Assert.All(all, a => Assert.Equal(Status.Success, a));
        Assert.All(keys, k => Assert.Equal(1, table.Available(k)));

        Assert.Equal("answers", Assert.Throws<ArgumentException>(() => table.AllowMany(["c"], answers)).ParamName);
        Assert.Equal("tokens", Assert.Throws<ArgumentException>(() => table.AllowMany(["c"], answers.AsSpan(1..2), [1, 1])).ParamName);
        Assert.Throws<ArgumentNullException>(() => table.AllowMany((string[])[null!], answers.AsSpan(1..2)));
        Assert.Equal(2, table.Available("c"));
        table.Close();
        table.AllowMany(["a", "b", "c", "d"], answers);
        Assert.Equal(Enumerable.Repeat(Status.Closed, 4), answers);
    }

    [Fact]
    public void A_new_key_without_room_is_told_so()
    {
        using var clock = new ManualClock();
        using KeyedTable table = TinyTable(clock, WhenTableFull.Deny);
        Assert.Equal(4, table.GetStatistics().Places);
        Assert.True(table.Allow("a", 10) && table.Allow("b") && table.Allow("c") && table.Allow("d"));
        Assert.False(table.Allow("e"));
        Assert.Equal(new Decision(Status.TableFull, 0, long.MaxValue, long.MaxValue), table.Take("e"));
        Assert.False(table.Take("e").IsGranted);
        var answers = new Status[2];
        table.AllowMany(["a", "e"], answers);
        Assert.Equal([Status.Denied, Status.TableFull], answers);
        Action[] calls =
        [
            () => table.TakeUpTo("e", 1), () => table.Reserve("e"), () => table.Reserve("e", 1, TimeSpan.Zero), () => table.Charge("e", 1),
            () => table.Wait("e"), () => _ = table.WaitAsync("e"), () => table.Wait("e", 1, TimeSpan.FromDays(1)),
        ];
        Assert.All(calls, call => Assert.Equal(Status.TableFull, Assert.Throws<TokenBucketException>(call).Status));
        Assert.Equal((4, 4, 0, 0), Numbers(table));
        clock.Advance(Second);
        Assert.True(table.Allow("e"));
    }

    [Fact]
    public void A_full_table_evicts_or_admits_as_told()
    {
        using var clock = new ManualClock();
        using KeyedTable evicting = TinyTable(clock, WhenTableFull.EvictFullest), admitting = TinyTable(clock, WhenTableFull.Admit);
        foreach (KeyedTable table in (KeyedTable[])[evicting, admitting])
        {
            Assert.True(table.Allow("a", 10) && table.Allow("b", 3) && table.Allow("c", 9) && table.Allow("d", 8));
            Assert.True(table.Allow("e", 10));
        }
        Assert.Equal((4, 4, 1, 3), Numbers(evicting));
        Assert.Equal((10, 0), (evicting.Available("b"), evicting.Available("e")));
        Assert.Equal((4, 4, 0, 10), Numbers(admitting));
        Assert.Equal((7, 10), (admitting.Available("b"), admitting.Available("e")));
    }

    private static (long, long, long, double) Numbers(KeyedTable table)
    {
        KeyedTableStatistics s = table.GetStatistics();
        return (s.Places, s.Occupied, s.Evicted, s.TokensForgiven);
    }

    [Fact]
    public void Bad_arguments_are_refused_by_name()
    {
        static string? Refused(Action call) => Assert.Throws<ArgumentOutOfRangeException>(call).ParamName;
        static KeyedTable With(
            double capacity = 1, double tokens = 1, long? keys = null, long? bytes = null, WhenTableFull full = default, long? waiters = null) =>
            new(new KeyedTableOptions
            {
                Capacity = capacity, Tokens = tokens, MaxKeys = keys, MaxBytes = bytes, WhenFull = full, MaxWaiters = waiters,
            });
        Assert.Equal("maxKeys", Refused(() => _ = new KeyedTable(1, 1, 0)));
        Assert.Equal("capacity", Refused(() => _ = new KeyedTable(0, 1, 1)));
        Assert.Equal("MaxKeys", Refused(() => With(keys: 0)));
        Assert.Equal("MaxBytes", Refused(() => With(bytes: 63)));
        Assert.Equal("MaxWaiters", Refused(() => With(keys: 1, waiters: 0)));
        Assert.Equal("Capacity", Refused(() => With(keys: 1, capacity: 1e16)));
        Assert.Equal("Tokens", Refused(() => With(keys: 1, tokens: 0)));
        Assert.Equal("options", Assert.Throws<ArgumentException>(() => With()).ParamName);
        Assert.Equal("options", Assert.Throws<ArgumentException>(() => With(keys: 1, bytes: 64)).ParamName);
        Assert.Equal(Status.Unsupported, Assert.Throws<TokenBucketException>(() => With(keys: 1, full: (WhenTableFull)3)).Status);
        Assert.Throws<ArgumentNullException>(() => new KeyedTable(null!));

        using KeyedTable table = With(keys: 10);
        foreach (double bad in (double[])[0, -1, double.NaN, double.PositiveInfinity])
        {
            Action[] calls =
            [
                () => table.Allow("a", bad), () => table.Take("a", bad), () => table.Reserve("a", bad), () => table.Wait("a", bad),
                () => _ = table.WaitAsync("a", bad), () => table.Charge("a", bad), () => table.Refund("a", bad), () => table.TimeUntil("a", bad),
            ];
            Assert.All(calls, call => Assert.Equal("tokens", Refused(call)));
            Assert.Equal("most", Refused(() => table.TakeUpTo("a", bad)));
            Assert.Equal("tokensPerSecond", Refused(() => table.SetRate(bad)));
            Assert.Equal("capacity", Refused(() => table.SetCapacity(bad)));
        }
        Assert.Equal("timeout", Refused(() => table.Wait("a", 1, TimeSpan.FromTicks(-1))));
        Assert.Equal("timeout", Refused(() => _ = table.WaitAsync("a", 1, TimeSpan.FromTicks(-1))));
        Assert.Equal("maxWait", Refused(() => table.Reserve("a", 1, TimeSpan.FromTicks(-1))));
        Assert.Equal(1, table.Available("a"));
    }

    private static Action[] TakingAndChanging(KeyedTable t) =>
    [
        () => t.Allow("a"), () => t.Take("a"), () => t.TakeUpTo("a", 1), () => t.Reserve("a"), () => t.Reserve("a", 1, TimeSpan.Zero),
        () => t.Wait("a"), () => _ = t.WaitAsync("a"), () => t.Charge("a", 1), () => t.Refund("a", 1), () => t.SetRate(1), () => t.SetCapacity(1),
    ];

    [Fact]
    public void A_closed_table_can_be_looked_at_and_a_disposed_one_says_so()
    {
        using var clock = new ManualClock();
        KeyedTable table = TableOn(clock, 10, 1);
        Assert.True(table.Allow("a", 7));
        Reservation pending = table.Reserve("a", 5);
        table.Close();
        table.Close();
        Assert.All(TakingAndChanging(table), call => Assert.Equal("TokenBucket.KeyedTable", Assert.Throws<ObjectDisposedException>(call).ObjectName));
        Assert.Equal((-2, TimeSpan.FromSeconds(3), 1), (table.Available("a"), table.TimeUntil("a", 1), table.GetStatistics().Occupied));
        table.Dispose();
        table.Dispose();
        Action[] looking =
        [
            () => table.Available("a"), () => _ = table.Limit, () => table.GetStatistics(), () => table.TimeUntil("a", 1),
            () => table.Remove("a"), table.Close,
        ];
        Assert.All([.. TakingAndChanging(table), .. looking], call => Assert.Throws<ObjectDisposedException>(call));
        Assert.Equal("TokenBucket.KeyedTable", Assert.Throws<ObjectDisposedException>(() => pending.Settle(5)).ObjectName);
        pending.Cancel();
        Assert.Equal(0, pending.Tokens);
    }

    [Fact]
    public void Threads_get_exactly_what_each_key_has()
    {
        const int Keys = 500, Capacity = 40;
        using var clock = new ManualClock();
        using KeyedTable table = TableOn(clock, Capacity, 10, keys: 10 * Keys);
        string[] keys = [.. Enumerable.Range(0, Keys).Select(i => $"user {i}")];
        foreach (int expected in (int[])[Capacity, 20])
        {
            var granted = new long[Keys];
            int turn = 0;
            InParallel(16, () =>
            {
                bool batched = Interlocked.Increment(ref turn) % 4 == 0;
                var answers = new Status[Keys];
                for (int round = 0; round < 5; round++)
                {
                    if (batched)
                    {
                        table.AllowMany(keys, answers);
                    }
                    for (int i = 0; i < Keys; i++)
                    {
                        if (batched ? answers[i] == Status.Success : table.Allow(keys[i]))
                        {
                            Interlocked.Increment(ref granted[i]);
                        }
                    }
                }
            });
            Assert.All(granted, g => Assert.Equal(expected, g));
            clock.Advance(2 * Second);
        }
        Assert.Equal(0, table.GetStatistics().Evicted);
    }

    [Fact]
    public void Dispose_during_running_calls_is_safe()
    {
        for (int round = 0; round < 20; round++)
        {
            using var clock = new ManualClock();
            KeyedTable table = round % 2 == 0 ? new KeyedTable(1e6, 1e9, 1000) : TableOn(clock, 1e6, 1e9);
            int turn = 0, calls = 0;
            InParallel(5, () =>
            {
                int number = Interlocked.Increment(ref turn);
                if (number == 1)
                {
                    SpinWait.SpinUntil(() => Volatile.Read(ref calls) > 100, Patience);
                    table.Dispose();
                    return;
                }
                try
                {
                    for (int i = 0;; i++)
                    {
                        table.Allow($"{i}");
                        table.Reserve($"{i}", 10).Cancel();
                        table.Remove($"{i}");
                        Interlocked.Increment(ref calls);
                    }
                }
                catch (ObjectDisposedException)
                {
                }
            });
        }
    }

    [Theory]
    [InlineData("192.0.2.1", "C0000201")]
    [InlineData("192.0.2.1:8080", "C0000201")]
    [InlineData("::ffff:192.0.2.1", "C0000201")]
    [InlineData("2001:db8:1:2:3:4:5:6", "20010DB8000100020000000000000000")]
    [InlineData("[2001:db8:1:2::7]:443", "20010DB8000100020000000000000000")]
    [InlineData("fe80::1%eth0", "FE800000000000000000000000000000")]
    public void Addresses_have_keys(string text, string key)
    {
        Assert.Equal(key, Convert.ToHexString(AddressKey.Of(text)));
        Span<byte> into = stackalloc byte[20];
        Assert.True(AddressKey.TryWrite(text, into, out int size));
        Assert.Equal(key, Convert.ToHexString(into[..size]));
        if (IPAddress.TryParse(text, out IPAddress? address))
        {
            Assert.Equal(key, Convert.ToHexString(AddressKey.Of(address)));
        }
    }

    [Fact]
    public void What_is_no_address_is_refused()
    {
        Assert.Equal("2001:db8::1", new IPAddress(AddressKey.Of("2001:db8::1", 128)).ToString());
        Assert.Equal("2001:d00::", new IPAddress(AddressKey.Of(IPAddress.Parse("2001:db8::1"), 24)).ToString());
        foreach (string bad in (string[])["", "example.com", "1.2.3", "1.2.3.4\0", new('1', 300)])
        {
            Assert.Contains(bad, Assert.Throws<FormatException>(() => AddressKey.Of(bad)).Message, StringComparison.Ordinal);
            Assert.False(AddressKey.TryWrite(bad, new byte[16], out int size));
            Assert.Equal(0, size);
        }
        Assert.Equal("ipv6Prefix", Assert.Throws<ArgumentOutOfRangeException>(() => AddressKey.Of("::1", 129)).ParamName);
        Assert.Equal("ipv6Prefix", Assert.Throws<ArgumentOutOfRangeException>(() => AddressKey.Of("::1", -1)).ParamName);
        Assert.Equal("key", Assert.Throws<ArgumentException>(() => AddressKey.TryWrite("::1", new byte[15], out _)).ParamName);
        Assert.Throws<ArgumentNullException>(() => AddressKey.Of((string)null!));
        Assert.Throws<ArgumentNullException>(() => AddressKey.Of((IPAddress)null!));
    }
}
