using System;

namespace TokenBucket;

internal sealed class KeyBucket(KeyedTable table, ReadOnlySpan<byte> key) : IBucket
{
    private readonly byte[] _key = key.ToArray();

    public TimeProvider? Timers { get; } = table.Timers;

    public bool IsShared => table.IsShared;

    public bool IsLeft => table.IsLeft;

    internal ReadOnlySpan<byte> Key => _key;

    private TableHandle Table => table.Native;

    private nuint Size => (nuint)_key.Length;

    public int Allow(double tokens) => table.AllowNative(_key, tokens);

    public int Available(out double tokens) => Table.Available(_key, out tokens);

    public int TimeUntil(double tokens, out long ns) => Table.TimeUntil(_key, tokens, out ns);

    public int Refund(double tokens) => NativeMethods.tb_table_refund(Table, _key, Size, tokens);

    public int Enqueue(double tokens, long timeoutNs, int priority, ulong tag, out ulong waiter, out long waitNs) =>
        NativeMethods.tb_table_enqueue(Table, _key, Size, tokens, timeoutNs, priority, tag, out waiter, out waitNs);

    public int Check(ulong waiter, out long waitNs) =>
        NativeMethods.tb_table_waiter_check(Table, _key, Size, waiter, out waitNs);

    public int Leave(ulong waiter) => NativeMethods.tb_table_waiter_leave(Table, _key, Size, waiter);

    public int Cancel(ref tb_reservation reservation) =>
        NativeMethods.tb_table_cancel(Table, _key, Size, ref reservation);

    public int Settle(ref tb_reservation reservation, double actual) =>
        NativeMethods.tb_table_settle(Table, _key, Size, ref reservation, actual);

    public Exception Failure(int status, object? value, string argument, string? allowed) =>
        table.Failure(status, value, argument, allowed);
}
