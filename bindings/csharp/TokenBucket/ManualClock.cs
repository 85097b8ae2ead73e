using System;
using System.Runtime.CompilerServices;
using System.Threading;

namespace TokenBucket;

/// <summary>A clock that stands still until it is moved: for tests and simulations. Waits on its buckets end when it is
/// moved to their time: when the call returns, their tasks are completed and their threads are being woken. Thread-safe; buckets keep it alive after it is disposed, but nobody can move it then.</summary>
public sealed class ManualClock : IDisposable
{
    private readonly ClockHandle _handle;
    private long _now;
    private volatile bool _disposed;

    /// <summary>Creates a clock that stands at a time, in nanoseconds.</summary>
    public ManualClock(long startNanoseconds = 0)
    {
        RequireNotNegative(startNanoseconds);
        int status = NativeMethods.tb_manual_clock_create(startNanoseconds, out nint address);
        Require(status);
        _handle = new ClockHandle(address);
        _now = startNanoseconds;
    }

    /// <summary>How many waits on the clock's buckets are not due yet.</summary>
    public long Waiters => Look().Count;

    /// <summary>When the first of them is due, in nanoseconds; null if there is none.</summary>
    public long? NextDueNanoseconds => Look().NextDue is var due and not NativeMethods.TB_FOREVER ? due : null;

    internal ClockHandle Handle
    {
        get
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            return _handle;
        }
    }

    internal long Now => Volatile.Read(ref _now);

    /// <summary>Moves the clock to a time; one before the present leaves it where it is.</summary>
    public void Set(long nanoseconds)
    {
        ClockHandle handle = Handle;
        RequireNotNegative(nanoseconds);
        for (long now = Now, seen; now < nanoseconds; now = seen)
        {
            seen = Interlocked.CompareExchange(ref _now, nanoseconds, now);
            if (seen == now)
            {
                break;
            }
        }
        Require(NativeMethods.tb_manual_clock_set(handle, nanoseconds));
    }

    /// <summary>Moves the clock on.</summary>
    public void Advance(long nanoseconds)
    {
        RequireNotNegative(nanoseconds);
        Advance(nanoseconds, nanoseconds, nameof(nanoseconds));
    }

    /// <summary>Moves the clock on.</summary>
    public void Advance(TimeSpan time) => Advance(Nanoseconds.FromNonNegative(time, nameof(time)), time, nameof(time));

    /// <inheritdoc/>
    public void Dispose() => _disposed = true;

    // The argument is the time as the caller gave it.
    private void Advance(long nanoseconds, object given, string argument)
    {
        ClockHandle handle = Handle;
        long now, then;
        do
        {
            now = Now;
            if (nanoseconds > long.MaxValue - now)
            {
                throw Refusal.OutOfRange(argument, given, $"at most the {long.MaxValue - now} ns that the clock can still count");
            }
            then = now + nanoseconds;
        }
        while (Interlocked.CompareExchange(ref _now, then, now) != now);
        // Not tb_manual_clock_advance: calls of both kinds at once would come to the library in another order than here.
        Require(NativeMethods.tb_manual_clock_set(handle, then));
    }

    private (long Count, long NextDue) Look()
    {
        Require(NativeMethods.tb_manual_clock_waiters(Handle, out long count, out long nextDue));
        return (count, nextDue);
    }

    private static void RequireNotNegative(
        long value, [CallerArgumentExpression(nameof(value))] string argument = "") =>
        Refusal.Require(value >= 0, value, "0 or more", argument);

    private static void Require(int status)
    {
        if (status != NativeMethods.TB_SUCCESS)
        {
            throw new TokenBucketException((Status)status);
        }
    }
}
