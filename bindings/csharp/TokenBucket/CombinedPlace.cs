using System;
using System.Threading;

namespace TokenBucket;

// A place in the queues of all members. The lock is held across no call of the library: some wake waiters or tell of
// events, and what these then do may come back here. So one that leaves during a check leaves when that is over, and the
// check is told TB_INTERRUPTED.
internal sealed class CombinedPlace(CombinedLimit limit, ReadOnlySpan<double> tokens, double times = 1)
    : IPlace<CombinedDecision>
{
    private readonly Lock _lock = new();
    private readonly double[] _tokens = tokens.ToArray();
    private nint _waiter;
    private bool _checking, _leaving;
    private tb_refusal _refusal;

    public TimeProvider? Timers => limit.Timers;

    // The library lets nothing shared be waited for with others.
    public bool IsShared => false;

    public int Enter(long timeoutNs, int priority, ulong tag, out long waitNs)
    {
        int status = limit.Enqueue(_tokens, times, timeoutNs, priority, tag, out nint waiter, out waitNs, out _refusal);
        lock (_lock)
        {
            _waiter = waiter;
        }
        return status;
    }

    public int Check(out long waitNs)
    {
        nint waiter;
        lock (_lock)
        {
            waiter = _waiter;
            _checking = waiter != 0;
        }
        int status = NativeMethods.tb_waiter_all_check(waiter, out waitNs, out tb_refusal refusal);
        lock (_lock)
        {
            _checking = false;
            if (waiter == 0 || (status == NativeMethods.TB_PENDING && !_leaving))
            {
                return status;
            }
            _waiter = 0;
        }
        _refusal = refusal;
        NativeMethods.tb_waiter_all_leave(waiter);
        return status == NativeMethods.TB_PENDING ? NativeMethods.TB_INTERRUPTED : status;
    }

    public bool Leave()
    {
        nint waiter;
        lock (_lock)
        {
            _leaving = true;
            if (_checking)
            {
                return false;
            }
            waiter = _waiter;
            _waiter = 0;
        }
        NativeMethods.tb_waiter_all_leave(waiter);
        return waiter != 0;
    }

    public Exception? Failure(int status, long timeoutNs, long waitNs) => status switch
    {
        NativeMethods.TB_SUCCESS => null,
        NativeMethods.TB_TIMED_OUT when timeoutNs != NativeMethods.TB_FOREVER => null,
        _ => limit.Failure(status, _refusal, _tokens),
    };

    public CombinedDecision Result(int status) => limit.Decision(status, _refusal);
}
