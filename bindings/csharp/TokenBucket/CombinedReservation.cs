using System;
using System.Runtime.CompilerServices;
using System.Threading;

namespace TokenBucket;

/// <summary>Tokens of all members of a <see cref="CombinedLimit"/>, promised for a later time. They stay taken unless
/// <see cref="Cancel"/> gives them back. Thread-safe.</summary>
public sealed unsafe class CombinedReservation
{
    private readonly Member[] _members;
    private readonly tb_reservation[] _native;
    private bool _cancelled;

    internal CombinedReservation(Member[] members, tb_reservation[] native, long waitNs)
    {
        _members = members;
        _native = native;
        WaitNanoseconds = waitNs;
    }

    /// <summary>From the reservation until the tokens of all members may be used; 0 is at once.</summary>
    public long WaitNanoseconds { get; }

    /// <summary><see cref="WaitNanoseconds"/> as a TimeSpan, rounded up.</summary>
    public TimeSpan Wait => Nanoseconds.ToTimeSpan(WaitNanoseconds);

    /// <summary>Gives all tokens back while any of them is not due, also what is due already. Once all are due they count
    /// as used, and nothing comes back. Cancelling twice, or after a bucket or table was disposed, does nothing.
    /// </summary>
    [SkipLocalsInit]
    public void Cancel()
    {
        if (Interlocked.Exchange(ref _cancelled, true))
        {
            return;
        }
        using var members = new NativeMembers(
            _members, default, 1, stackalloc tb_member[NativeMethods.TB_MAX_MEMBERS], stackalloc byte[NativeMembers.KeysSize]);
        // It fails only for what is no reservation.
        _ = NativeMethods.tb_cancel_all(members.Pointer, members.Count, ref _native[0]);
    }
}
