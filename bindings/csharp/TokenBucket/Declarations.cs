// Made from tokenbucket.h by capi/abi/generate.
using System;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace TokenBucket;

[StructLayout(LayoutKind.Sequential)]
internal struct tb_decision
{
    public int status;
    public int reserved;
    public double remaining;
    public long retry_after_ns;
    public long reset_after_ns;
}

[StructLayout(LayoutKind.Sequential)]
internal struct tb_event
{
    public nuint struct_size;
    public int status;
    public int reserved;
    public double n;
    public long waited_ns;
}

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct tb_config
{
    public nuint struct_size;
    public double capacity;
    public double rate_tokens;
    public long rate_period_ns;
    public double initial_tokens;
    public nint clock;
    public double unit;
    public long max_waiters;
    public uint flags;
    public uint reserved;
    public delegate* unmanaged[Cdecl]<void*, tb_event*, void> on_event;
    public void* event_user;
    public delegate* unmanaged[Cdecl]<void*, ulong, void> on_wake;
    public void* wake_user;
    public long max_lateness_ns;
}

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct tb_config_fault
{
    public byte* field;
    public byte* allowed;
}

[StructLayout(LayoutKind.Sequential)]
internal struct tb_reservation
{
    public double tokens;
    public long wait_ns;
    public long ready_at_ns;
    public ulong ticket;
}

[StructLayout(LayoutKind.Sequential)]
internal struct tb_stats
{
    public nuint struct_size;
    public long granted;
    public long denied;
    public long timed_out;
    public long cancelled;
    public long waits;
    public long total_wait_ns;
    public long longest_wait_ns;
    public long waiting;
    public double tokens_taken;
    public double tokens_given_back;
}

[StructLayout(LayoutKind.Sequential)]
internal struct tb_table_config
{
    public nuint struct_size;
    public long max_keys;
    public long max_bytes;
    public int when_full;
    public uint reserved;
}

[StructLayout(LayoutKind.Sequential)]
internal struct tb_table_stats
{
    public nuint struct_size;
    public long places;
    public long occupied;
    public long evicted;
    public double tokens_forgiven;
}

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct tb_member
{
    public nint bucket;
    public nint table;
    public void* key;
    public nuint key_size;
    public double n;
}

[StructLayout(LayoutKind.Sequential)]
internal struct tb_refusal
{
    public int member;
    public int reserved;
    public long retry_after_ns;
}

[StructLayout(LayoutKind.Sequential)]
internal struct tb_remote_answer
{
    public double tokens;
    public double remaining;
    public long retry_after_ns;
    public long reset_after_ns;
}

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct tb_remote_member
{
    public nint remote;
    public void* key;
    public nuint key_size;
    public double n;
}

internal static unsafe partial class NativeMethods
{
    internal const int TB_SUCCESS = 0;
    internal const int TB_DENIED = 1;
    internal const int TB_TIMED_OUT = 2;
    internal const int TB_EXCEEDS_CAPACITY = 3;
    internal const int TB_CLOSED = 4;
    internal const int TB_INTERRUPTED = 5;
    internal const int TB_QUEUE_FULL = 6;
    internal const int TB_TABLE_FULL = 7;
    internal const int TB_PENDING = 8;
    internal const int TB_E_INVALID_ARGUMENT = -1;
    internal const int TB_E_OUT_OF_RANGE = -2;
    internal const int TB_E_OUT_OF_MEMORY = -3;
    internal const int TB_E_UNSUPPORTED = -4;
    internal const int TB_E_SYSTEM = -5;
    internal const int TB_E_UNAVAILABLE = -6;
    internal const int TB_E_MISMATCH = -7;
    internal const long TB_FOREVER = long.MaxValue;
    internal const double TB_INITIALLY_FULL = -1.0;
    internal const uint TB_PRECISE_WAIT = 1;
    internal const uint TB_STATISTICS = 2;
    internal const int TB_MAX_KEY_SIZE = 65536;
    internal const int TB_TABLE_EVICT_FULLEST = 0;
    internal const int TB_TABLE_DENY = 1;
    internal const int TB_TABLE_ADMIT = 2;
    internal const int TB_ADDRESS_KEY_SIZE = 16;
    internal const int TB_MAX_MEMBERS = 16;
    internal const int TB_SHARED_KIND = 1;
    internal const int TB_SHARED_OWNER = 2;
    internal const int TB_SHARED_MODE = 3;
    internal const int TB_SHARED_SIZE = 4;
    internal const int TB_SHARED_LAYOUT = 5;
    internal const int TB_SHARED_BOOT = 6;
    internal const int TB_SHARED_CLOCK = 7;
    internal const int TB_SHARED_DAMAGED = 8;
    internal const int TB_SHARED_CAPACITY = 9;
    internal const int TB_SHARED_RATE = 10;
    internal const int TB_SHARED_OBJECT = 11;
    internal const int TB_SHARED_PLACES = 12;
    internal const int TB_SHARED_FULL = 13;
    internal const uint TB_SHARED_ADOPT = 1;
    internal const int TB_REMOTE_QUEUE_KEY_ADDS = 4;
    internal const int TB_REMOTE_MAX_ARGUMENTS = 9;
    internal const int TB_REMOTE_MAX_REPLY = 6;
    internal const int TB_REMOTE_MAX_KEYS = 1024;
    internal const int TB_VERSION_MAJOR = 1;
    internal const int TB_VERSION_MINOR = 0;
    internal const int TB_VERSION_PATCH = 0;

    [LibraryImport(Library)] internal static partial int tb_create(double capacity, double tokens_per_second, out nint out_bucket);
    [LibraryImport(Library), SuppressGCTransition] internal static partial int tb_allow(BucketHandle bucket, double n);
    [LibraryImport(Library), SuppressGCTransition] internal static partial int tb_try_consume(BucketHandle bucket, double n);
    [LibraryImport(Library), SuppressGCTransition] internal static partial int tb_take(BucketHandle bucket, double n, out tb_decision out_decision);
    [LibraryImport(Library), SuppressGCTransition] internal static partial int tb_take_up_to(BucketHandle bucket, double most, out double out_taken);
    [LibraryImport(Library)] internal static partial int tb_wait(BucketHandle bucket, double n);
    [LibraryImport(Library)] internal static partial int tb_wait_for(BucketHandle bucket, double n, long timeout_ns);
    [LibraryImport(Library)] internal static partial int tb_wait_with(BucketHandle bucket, double n, long timeout_ns, int priority);
    [LibraryImport(Library)] internal static partial int tb_enqueue(BucketHandle bucket, double n, long timeout_ns, int priority, ulong tag, out ulong out_waiter, out long out_wait_ns);
    [LibraryImport(Library)] internal static partial int tb_waiter_check(BucketHandle bucket, ulong waiter, out long out_wait_ns);
    [LibraryImport(Library)] internal static partial int tb_waiter_leave(BucketHandle bucket, ulong waiter);
    [LibraryImport(Library)] internal static partial int tb_close(BucketHandle bucket);
    [LibraryImport(Library)] internal static partial void tb_destroy(nint bucket);
    [LibraryImport(Library)] internal static partial int tb_config_init(tb_config* config, nuint struct_size);
    [LibraryImport(Library)] internal static partial int tb_create_with(tb_config* config, out nint out_bucket);
    [LibraryImport(Library)] internal static partial int tb_config_check(tb_config* config, out tb_config_fault out_fault);
    [LibraryImport(Library)] internal static partial int tb_reserve(BucketHandle bucket, double n, long max_wait_ns, out tb_reservation out_reservation);
    [LibraryImport(Library)] internal static partial int tb_cancel(BucketHandle bucket, ref tb_reservation reservation);
    [LibraryImport(Library)] internal static partial int tb_settle(BucketHandle bucket, ref tb_reservation reservation, double actual);
    [LibraryImport(Library)] internal static partial int tb_charge(BucketHandle bucket, double n, out long out_repaid_after_ns);
    [LibraryImport(Library)] internal static partial int tb_refund(BucketHandle bucket, double n);
    [LibraryImport(Library)] internal static partial int tb_reset(BucketHandle bucket, double tokens);
    [LibraryImport(Library)] internal static partial int tb_set_tokens(BucketHandle bucket, double tokens);
    [LibraryImport(Library)] internal static partial int tb_set_rate(BucketHandle bucket, double tokens_per_second);
    [LibraryImport(Library)] internal static partial int tb_set_capacity(BucketHandle bucket, double capacity);
    [LibraryImport(Library), SuppressGCTransition] internal static partial int tb_available(BucketHandle bucket, out double out_tokens);
    [LibraryImport(Library), SuppressGCTransition] internal static partial int tb_time_until(BucketHandle bucket, double n, out long out_ns);
    [LibraryImport(Library)] internal static partial int tb_get_limit(BucketHandle bucket, ref tb_config out_config);
    [LibraryImport(Library)] internal static partial int tb_get_stats(BucketHandle bucket, ref tb_stats out_stats);
    [LibraryImport(Library)] internal static partial int tb_table_config_init(tb_table_config* config, nuint struct_size);
    [LibraryImport(Library)] internal static partial int tb_table_create(double capacity, double tokens_per_second, long max_keys, out nint out_table);
    [LibraryImport(Library)] internal static partial int tb_table_create_with(tb_config* limit, tb_table_config* config, out nint out_table);
    [LibraryImport(Library)] internal static partial int tb_table_config_check(tb_config* limit, tb_table_config* config, out tb_config_fault out_fault);
    [LibraryImport(Library), SuppressGCTransition] internal static partial int tb_table_allow(TableHandle table, ReadOnlySpan<byte> key, nuint key_size, double n);
    [LibraryImport(Library), SuppressGCTransition] internal static partial int tb_table_take(TableHandle table, ReadOnlySpan<byte> key, nuint key_size, double n, out tb_decision out_decision);
    [LibraryImport(Library), SuppressGCTransition] internal static partial int tb_table_take_up_to(TableHandle table, ReadOnlySpan<byte> key, nuint key_size, double most, out double out_taken);
    [LibraryImport(Library)] internal static partial int tb_table_allow_many(TableHandle table, ReadOnlySpan<byte> keys, nuint* key_sizes, double* amounts, nuint count, int* out_answers);
    [LibraryImport(Library)] internal static partial int tb_table_wait_for(TableHandle table, ReadOnlySpan<byte> key, nuint key_size, double n, long timeout_ns);
    [LibraryImport(Library)] internal static partial int tb_table_wait_with(TableHandle table, ReadOnlySpan<byte> key, nuint key_size, double n, long timeout_ns, int priority);
    [LibraryImport(Library)] internal static partial int tb_table_enqueue(TableHandle table, ReadOnlySpan<byte> key, nuint key_size, double n, long timeout_ns, int priority, ulong tag, out ulong out_waiter, out long out_wait_ns);
    [LibraryImport(Library)] internal static partial int tb_table_waiter_check(TableHandle table, ReadOnlySpan<byte> key, nuint key_size, ulong waiter, out long out_wait_ns);
    [LibraryImport(Library)] internal static partial int tb_table_waiter_leave(TableHandle table, ReadOnlySpan<byte> key, nuint key_size, ulong waiter);
    [LibraryImport(Library)] internal static partial int tb_table_reserve(TableHandle table, ReadOnlySpan<byte> key, nuint key_size, double n, long max_wait_ns, out tb_reservation out_reservation);
    [LibraryImport(Library)] internal static partial int tb_table_cancel(TableHandle table, ReadOnlySpan<byte> key, nuint key_size, ref tb_reservation reservation);
    [LibraryImport(Library)] internal static partial int tb_table_settle(TableHandle table, ReadOnlySpan<byte> key, nuint key_size, ref tb_reservation reservation, double actual);
    [LibraryImport(Library)] internal static partial int tb_table_charge(TableHandle table, ReadOnlySpan<byte> key, nuint key_size, double n, out long out_repaid_after_ns);
    [LibraryImport(Library)] internal static partial int tb_table_refund(TableHandle table, ReadOnlySpan<byte> key, nuint key_size, double n);
    [LibraryImport(Library), SuppressGCTransition] internal static partial int tb_table_available(TableHandle table, ReadOnlySpan<byte> key, nuint key_size, out double out_tokens);
    [LibraryImport(Library), SuppressGCTransition] internal static partial int tb_table_time_until(TableHandle table, ReadOnlySpan<byte> key, nuint key_size, double n, out long out_ns);
    [LibraryImport(Library)] internal static partial int tb_table_remove(TableHandle table, ReadOnlySpan<byte> key, nuint key_size);
    [LibraryImport(Library)] internal static partial int tb_table_set_rate(TableHandle table, double tokens_per_second);
    [LibraryImport(Library)] internal static partial int tb_table_set_capacity(TableHandle table, double capacity);
    [LibraryImport(Library)] internal static partial int tb_table_get_limit(TableHandle table, ref tb_config out_config);
    [LibraryImport(Library)] internal static partial int tb_table_get_stats(TableHandle table, ref tb_table_stats out_stats);
    [LibraryImport(Library)] internal static partial int tb_table_close(TableHandle table);
    [LibraryImport(Library)] internal static partial void tb_table_destroy(nint table);
    [LibraryImport(Library)] internal static partial int tb_address_key(byte* text, nuint text_size, int ipv6_prefix, void* out_key, out nuint out_key_size);
    [LibraryImport(Library)] internal static partial int tb_allow_all(tb_member* members, nuint count, out tb_refusal out_refusal);
    [LibraryImport(Library)] internal static partial int tb_reserve_all(tb_member* members, nuint count, long max_wait_ns, tb_reservation* out_reservations, out long out_wait_ns, out tb_refusal out_refusal);
    [LibraryImport(Library)] internal static partial int tb_cancel_all(tb_member* members, nuint count, ref tb_reservation reservations);
    [LibraryImport(Library)] internal static partial int tb_wait_all(tb_member* members, nuint count, long timeout_ns, int priority, out tb_refusal out_refusal);
    [LibraryImport(Library)] internal static partial int tb_enqueue_all(tb_member* members, nuint count, long timeout_ns, int priority, ulong tag, out nint out_waiter, out long out_wait_ns, out tb_refusal out_refusal);
    [LibraryImport(Library)] internal static partial int tb_waiter_all_check(nint waiter, out long out_wait_ns, out tb_refusal out_refusal);
    [LibraryImport(Library)] internal static partial void tb_waiter_all_leave(nint waiter);
    [LibraryImport(Library)] internal static partial int tb_shared_open(tb_config* config, byte* name, uint flags, out nint out_bucket, out int out_fault);
    [LibraryImport(Library)] internal static partial int tb_shared_table_open(tb_config* limit, tb_table_config* config, byte* name, uint flags, out nint out_table, out int out_fault);
    [LibraryImport(Library)] internal static partial int tb_shared_remove(byte* name, out int out_fault);
    [LibraryImport(Library)] internal static partial byte* tb_shared_fault_message(int fault);
    [LibraryImport(Library)] internal static partial int tb_remote_create(tb_config* limit, long max_wait_ns, out nint out_remote);
    [LibraryImport(Library)] internal static partial int tb_remote_config_check(tb_config* limit, long max_wait_ns, out tb_config_fault out_fault);
    [LibraryImport(Library)] internal static partial void tb_remote_destroy(nint remote);
    [LibraryImport(Library)] internal static partial int tb_remote_get_limit(RemoteHandle remote, ref tb_config out_config);
    [LibraryImport(Library)] internal static partial byte* tb_remote_script();
    [LibraryImport(Library)] internal static partial byte* tb_remote_script_sha1();
    [LibraryImport(Library)] internal static partial int tb_remote_queue_key(ReadOnlySpan<byte> key, nuint key_size, void* out_queue_key, out nuint out_size);
    [LibraryImport(Library)] internal static partial int tb_remote_take(RemoteHandle remote, double n, long* out_arguments, out nuint out_count);
    [LibraryImport(Library)] internal static partial int tb_remote_take_up_to(RemoteHandle remote, double most, long* out_arguments, out nuint out_count);
    [LibraryImport(Library)] internal static partial int tb_remote_charge(RemoteHandle remote, double n, long* out_arguments, out nuint out_count);
    [LibraryImport(Library)] internal static partial int tb_remote_refund(RemoteHandle remote, double n, long* out_arguments, out nuint out_count);
    [LibraryImport(Library)] internal static partial int tb_remote_reset(RemoteHandle remote, double tokens, long* out_arguments, out nuint out_count);
    [LibraryImport(Library)] internal static partial int tb_remote_peek(RemoteHandle remote, double n, long* out_arguments, out nuint out_count);
    [LibraryImport(Library)] internal static partial int tb_remote_reserve(RemoteHandle remote, double n, long max_wait_ns, long* out_arguments, out nuint out_count);
    [LibraryImport(Library)] internal static partial int tb_remote_cancel(RemoteHandle remote, tb_reservation* reservation, long* out_arguments, out nuint out_count);
    [LibraryImport(Library)] internal static partial int tb_remote_settle(RemoteHandle remote, tb_reservation* reservation, double actual, long* out_arguments, out nuint out_count);
    [LibraryImport(Library)] internal static partial int tb_remote_read(RemoteHandle remote, long* arguments, nuint argument_count, long* reply, nuint reply_count, out tb_remote_answer out_answer);
    [LibraryImport(Library)] internal static partial int tb_remote_read_reservation(RemoteHandle remote, long* arguments, nuint argument_count, long* reply, nuint reply_count, out tb_reservation out_reservation);
    [LibraryImport(Library)] internal static partial int tb_remote_take_all(tb_remote_member* members, nuint count, long* out_arguments, out nuint out_count);
    [LibraryImport(Library)] internal static partial int tb_remote_take_each(tb_remote_member* members, nuint count, long* out_arguments, out nuint out_count);
    [LibraryImport(Library)] internal static partial int tb_remote_read_many(tb_remote_member* members, nuint count, long* arguments, nuint argument_count, long* reply, nuint reply_count, int* out_statuses, tb_remote_answer* out_answers);
    [LibraryImport(Library)] internal static partial int tb_remote_parse(byte* text, nuint text_size, nuint room, long* out_reply, out nuint out_count);
    [LibraryImport(Library)] internal static partial int tb_manual_clock_create(long start_ns, out nint out_clock);
    [LibraryImport(Library)] internal static partial int tb_manual_clock_set(ClockHandle clock, long now_ns);
    [LibraryImport(Library)] internal static partial int tb_manual_clock_advance(ClockHandle clock, long duration_ns);
    [LibraryImport(Library)] internal static partial int tb_manual_clock_waiters(ClockHandle clock, out long out_count, out long out_next_due_ns);
    [LibraryImport(Library)] internal static partial int tb_callback_clock_create(delegate* unmanaged[Cdecl]<void*, long> now, void* user, out nint out_clock);
    [LibraryImport(Library)] internal static partial void tb_clock_destroy(nint clock);
    [LibraryImport(Library)] internal static partial int tb_library_version();
    [LibraryImport(Library)] internal static partial byte* tb_library_version_string();
    [LibraryImport(Library)] internal static partial int tb_abi_version();
    [LibraryImport(Library)] internal static partial int tb_has_feature(byte* name);
    [LibraryImport(Library)] internal static partial byte* tb_status_name(int status);
    [LibraryImport(Library)] internal static partial byte* tb_status_message(int status);
}
