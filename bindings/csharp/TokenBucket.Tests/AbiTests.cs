using System;
using System.Collections.Generic;
using System.Linq;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text.RegularExpressions;
using Xunit;
using static TokenBucket.Tests.Buckets;

namespace TokenBucket.Tests;

// What the binding makes of its declarations, and these against the library in use.
public class AbiTests
{
    private static readonly string[] NoStatuses =
    [
        "TB_VERSION_MAJOR", "TB_VERSION_MINOR", "TB_VERSION_PATCH", "TB_MAX_KEY_SIZE", "TB_ADDRESS_KEY_SIZE", "TB_MAX_MEMBERS",
        "TB_TABLE_EVICT_FULLEST", "TB_TABLE_DENY", "TB_TABLE_ADMIT",
        "TB_SHARED_KIND", "TB_SHARED_OWNER", "TB_SHARED_MODE", "TB_SHARED_SIZE", "TB_SHARED_LAYOUT", "TB_SHARED_BOOT",
        "TB_SHARED_CLOCK", "TB_SHARED_DAMAGED", "TB_SHARED_CAPACITY", "TB_SHARED_RATE", "TB_SHARED_OBJECT", "TB_SHARED_PLACES",
        "TB_SHARED_FULL",
        "TB_REMOTE_QUEUE_KEY_ADDS", "TB_REMOTE_MAX_ARGUMENTS", "TB_REMOTE_MAX_REPLY", "TB_REMOTE_MAX_KEYS",
    ];

    private static IEnumerable<(string Name, int Number)> Statuses() =>
        typeof(NativeMethods).GetFields(BindingFlags.Static | BindingFlags.NonPublic)
            .Where(f => f.IsLiteral && f.FieldType == typeof(int) && !NoStatuses.Contains(f.Name))
            .Select(f => (f.Name, (int)f.GetRawConstantValue()!));

    // The methods that the runtime calls native functions by; LibraryImport generates some inside of others.
    private static IEnumerable<(string Name, MethodInfo Method)> PInvokes() =>
        typeof(NativeMethods).GetMethods(BindingFlags.Static | BindingFlags.NonPublic)
            .Where(m => m.Attributes.HasFlag(MethodAttributes.PinvokeImpl))
            .Select(m => (m.GetCustomAttribute<DllImportAttribute>()!.EntryPoint!, m));

    [Fact]
    public void Every_status_is_there_and_no_other() =>
        Assert.Equal(
            Statuses().Select(s => (Camel(s.Name), s.Number)).Order(),
            Enum.GetValues<Status>().Select(s => (s.ToString(), (int)s)).Order());

    private static string Camel(string name) => string.Concat(
        Regex.Replace(name, "^TB_(E_)?", "").Split('_').Select(word => word[0] + word[1..].ToLowerInvariant()));

    [Fact]
    public void The_library_names_and_describes_every_status()
    {
        foreach (var (name, number) in Statuses())
        {
            Assert.Equal(name, TokenBucketException.NameOf(number));
            Assert.NotEqual("unknown status", TokenBucketException.MessageOf((Status)number));
        }
        Assert.Equal("denied: not enough tokens now", new TokenBucketException(Status.Denied).Message);
        Assert.Equal("TB_UNKNOWN", TokenBucketException.NameOf(99));
        Assert.Equal("unknown status", TokenBucketException.MessageOf((Status)99));
    }

    [Fact]
    public void The_version_is_that_of_the_library()
    {
        Assert.Equal(NativeLoader.NeededVersion, NativeMethods.tb_library_version());
        Assert.Equal(NativeLoader.NeededAbi, NativeMethods.tb_abi_version());
    }

    [Fact]
    public void Only_calls_that_never_wait_suppress_the_gc_transition() =>
        Assert.Equal(
            [
                "tb_allow", "tb_available", "tb_table_allow", "tb_table_available", "tb_table_take", "tb_table_take_up_to",
                "tb_table_time_until", "tb_take", "tb_take_up_to", "tb_time_until", "tb_try_consume",
            ],
            PInvokes().Where(p => p.Method.IsDefined(typeof(SuppressGCTransitionAttribute))).Select(p => p.Name).Order());

    // The unit is read where the library wrote it: the rate, 7 / 36e6 tokens per nanosecond, is 1750 of them.
    [Fact]
    public void The_limit_comes_back_whole()
    {
        using var bucket = new Bucket(new BucketOptions { Capacity = 12.5, Tokens = 700000, Period = TimeSpan.FromHours(1) });
        Assert.Equal(new BucketLimit(12.5, 700000, 3_600_000_000_000, 1 / 9e9), bucket.Limit);
    }

    [Fact]
    public unsafe void Functions_without_a_wrapper_can_be_called()
    {
        fixed (byte* name = "counter_clock\0"u8, unknown = "no such feature\0"u8)
        {
            Assert.InRange(NativeMethods.tb_has_feature(name), 0, 1);
            Assert.Equal(0, NativeMethods.tb_has_feature(unknown));
        }
        Assert.Equal("1.0.0", Marshal.PtrToStringUTF8((nint)NativeMethods.tb_library_version_string()));
        Assert.Equal(NativeMethods.TB_E_INVALID_ARGUMENT, NativeMethods.tb_callback_clock_create(null, null, out _));

        Assert.Equal(NativeMethods.TB_SUCCESS, NativeMethods.tb_create(2, 1, out nint address));
        var bucket = new BucketHandle(address);
        Assert.Equal(NativeMethods.TB_SUCCESS, NativeMethods.tb_try_consume(bucket, 1));
        Assert.Equal(NativeMethods.TB_SUCCESS, NativeMethods.tb_wait(bucket, 1));
        Assert.Equal(NativeMethods.TB_TIMED_OUT, NativeMethods.tb_wait_for(bucket, 2, 0));
        Assert.Equal(NativeMethods.TB_TIMED_OUT, NativeMethods.tb_wait_with(bucket, 2, 0, 1));
        var member = new tb_member { bucket = bucket.Address, n = 1.5 };
        Assert.Equal(NativeMethods.TB_TIMED_OUT, NativeMethods.tb_wait_all(&member, 1, 0, 1, out tb_refusal refusal));
        Assert.InRange(refusal.retry_after_ns, 1, 3 * Second / 2);
        GC.KeepAlive(bucket);
    }

    // The calls that suppress the transition may run no managed code; a wake comes from none of them.
    [Fact]
    public unsafe void Only_a_bucket_with_an_OnEvent_calls_back_from_a_take()
    {
        using var clock = new ManualClock();
        using var simple = new Bucket(1, 1);
        using var full = new Bucket(new BucketOptions { Capacity = 1, Tokens = 1, InitialTokens = 0, Statistics = true, Clock = clock });
        using var told = new Bucket(new BucketOptions { Capacity = 1, Tokens = 1, OnEvent = _ => { } });
        foreach (Bucket bucket in (Bucket[])[simple, full, told])
        {
            tb_config limit = new() { struct_size = (nuint)sizeof(tb_config) };
            Assert.Equal(NativeMethods.TB_SUCCESS, NativeMethods.tb_get_limit(bucket.Handle, ref limit));
            Assert.Equal(bucket == told, limit.on_event != null);
            Assert.True(limit.on_wake != null);
            Assert.Equal(bucket == full ? clock.Handle.Address : 0, limit.clock);
        }
    }

    [Fact]
    public unsafe void A_table_is_made_as_asked_for()
    {
        using var clock = new ManualClock();
        using var simple = new KeyedTable(2, 1, 10);
        using var full = new KeyedTable(new KeyedTableOptions
        {
            Capacity = 2, Tokens = 1, MaxKeys = 10, MaxWaiters = 17, MaxLateness = TimeSpan.FromSeconds(3), Clock = clock,
        });
        foreach (KeyedTable table in (KeyedTable[])[simple, full])
        {
            tb_config limit = new() { struct_size = (nuint)sizeof(tb_config) };
            Assert.Equal(NativeMethods.TB_SUCCESS, NativeMethods.tb_table_get_limit(table.Handle, ref limit));
            Assert.True(limit.on_wake != null);
            Assert.Equal(
                table == full ? (17, 3 * Second, clock.Handle.Address) : (0, 0, 0),
                (limit.max_waiters, limit.max_lateness_ns, limit.clock));
        }
        Assert.Equal(NativeMethods.TB_SUCCESS, NativeMethods.tb_table_wait_for(simple.Handle, "a"u8, 1, 2, 0));
        Assert.Equal(NativeMethods.TB_TIMED_OUT, NativeMethods.tb_table_wait_for(simple.Handle, "a"u8, 1, 2, 0));
        Assert.Equal(NativeMethods.TB_TIMED_OUT, NativeMethods.tb_table_wait_with(simple.Handle, "a"u8, 1, 2, 0, 1));
        Assert.Equal(NativeMethods.TB_SUCCESS, NativeMethods.tb_table_create(2, 1, 10, out nint address));
        NativeMethods.tb_table_destroy(address);
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static unsafe void Keep(void* user, tb_event* told) => *(tb_event*)user = *told;

    [Fact]
    public unsafe void Events_statistics_and_the_config_are_where_the_library_has_them()
    {
        Assert.Equal(NativeMethods.TB_SUCCESS, NativeMethods.tb_manual_clock_create(0, out nint clockAddress));
        var clock = new ClockHandle(clockAddress);
        tb_event last = default;
        tb_config config;
        Assert.Equal(NativeMethods.TB_SUCCESS, NativeMethods.tb_config_init(&config, (nuint)sizeof(tb_config)));
        config.capacity = 10;
        config.rate_tokens = 1;
        config.clock = clock.Address;
        config.max_waiters = 17;
        config.flags = NativeMethods.TB_STATISTICS | NativeMethods.TB_PRECISE_WAIT;
        config.on_event = &Keep;
        config.event_user = &last;
        Assert.Equal(NativeMethods.TB_SUCCESS, NativeMethods.tb_create_with(&config, out nint bucketAddress));
        var bucket = new BucketHandle(bucketAddress);

        tb_config limit = new() { struct_size = (nuint)sizeof(tb_config) };
        Assert.Equal(NativeMethods.TB_SUCCESS, NativeMethods.tb_get_limit(bucket, ref limit));
        Assert.Equal((17, config.flags), (limit.max_waiters, limit.flags));

        // The binding's own tb_allow may run no managed code.
        var allow = (delegate* unmanaged[Cdecl]<nint, double, int>)NativeLibrary.GetExport(
            NativeLibrary.Load("libtokenbucket.so.1"), "tb_allow");
        Assert.Equal(NativeMethods.TB_SUCCESS, allow(bucket.Address, 8));
        Assert.Equal(default, last);
        Assert.Equal(NativeMethods.TB_DENIED, allow(bucket.Address, 2.5));
        tb_event denied = new() { struct_size = (nuint)sizeof(tb_event), status = NativeMethods.TB_DENIED, n = 2.5 };
        Assert.Equal(denied, last);

        Assert.Equal(NativeMethods.TB_TIMED_OUT, NativeMethods.tb_reserve(bucket, 9, 1_000_000_000, out _));
        Assert.Equal(NativeMethods.TB_TIMED_OUT, last.status);
        Assert.Equal(NativeMethods.TB_SUCCESS, NativeMethods.tb_reserve(bucket, 2, 0, out tb_reservation reservation));
        Assert.Equal(NativeMethods.TB_SUCCESS, NativeMethods.tb_settle(bucket, ref reservation, 0.5));
        Assert.Equal(0, reservation.tokens);
        Assert.Equal(NativeMethods.TB_E_INVALID_ARGUMENT, NativeMethods.tb_settle(bucket, ref reservation, 0.5));

        tb_stats stats = new() { struct_size = (nuint)sizeof(tb_stats) };
        Assert.Equal(NativeMethods.TB_SUCCESS, NativeMethods.tb_get_stats(bucket, ref stats));
        tb_stats counted = new()
        {
            struct_size = (nuint)sizeof(tb_stats), granted = 2, denied = 1, timed_out = 1, tokens_taken = 10, tokens_given_back = 1.5,
        };
        Assert.Equal(counted, stats);

        Assert.Equal(NativeMethods.TB_SUCCESS, NativeMethods.tb_manual_clock_waiters(clock, out long count, out long nextDue));
        Assert.Equal((0, NativeMethods.TB_FOREVER), (count, nextDue));
    }
}
