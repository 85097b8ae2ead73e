using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Threading;

namespace TokenBucket;

// Who stands in a place. The library wakes it by a tag that is never used again, and that is listed before it enters; an
// unknown tag belongs to one that is gone. While it is listed it keeps its place, and that its buckets.
//
// No lock that Wake needs may be held across a call of the library: Wake runs inside of any call that moves waiters.
internal abstract unsafe class Waiter(IPlace place)
{
    // How often one looks that others do not wake.
    private const int LookEveryMs = 100;

    private static readonly ConcurrentDictionary<ulong, Waiter> Listed = new();
    private static ulong s_lastTag;

    private ulong _tag;

    protected TimeProvider? Timers => place.Timers;

    // Neither the system's nor a manual clock: it may have moved between the library's answer and the setting of a timer.
    protected bool IsOnProvider => Timers is not null && Timers != TimeProvider.System;

    // It must look soon. Must not throw.
    protected abstract void Wake();

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    internal static void OnWake(void* user, ulong tag)
    {
        if (Listed.TryGetValue(tag, out Waiter? waiter))
        {
            waiter.Wake();
        }
    }

    protected int Enter(long timeoutNs, int priority, out long waitNs)
    {
        _tag = Interlocked.Increment(ref s_lastTag);
        Listed[_tag] = this;
        int status = place.Enter(timeoutNs, priority, _tag, out waitNs);
        Unlist(status != NativeMethods.TB_PENDING);
        return status;
    }

    protected int Look(out long waitNs)
    {
        int status = place.Check(out waitNs);
        Unlist(status is not (NativeMethods.TB_PENDING or NativeMethods.TB_E_INVALID_ARGUMENT));
        return status;
    }

    internal bool Leave()
    {
        bool left = place.Leave();
        Unlist(left);
        return left;
    }

    // How long to sleep before the next look. Timers count whole milliseconds.
    protected int Milliseconds(long ns) =>
        (int)Math.Clamp(Nanoseconds.DivideUp(ns, 1_000_000), 0, place.IsShared ? LookEveryMs : int.MaxValue);

    protected TimeSpan Duration(long ns) => TimeSpan.FromMilliseconds(Milliseconds(ns));

    private void Unlist(bool over)
    {
        if (over)
        {
            Listed.TryRemove(_tag, out _);
        }
    }
}

// A thread that sleeps until its wait is over.
internal sealed class ThreadWaiter(IPlace place) : Waiter(place)
{
    private readonly object _bell = new();
    private bool _rung;

    // The outcome; pending if it was cancelled, and has left.
    internal int Wait(long timeoutNs, int priority, CancellationToken cancellation, out long waitNs)
    {
        int status = Enter(timeoutNs, priority, out waitNs);
        if (status != NativeMethods.TB_PENDING)
        {
            return status;
        }
        using CancellationTokenRegistration ringing = cancellation.UnsafeRegister(static w => ((ThreadWaiter)w!).Wake(), this);
        using ITimer? timer = IsOnProvider
            ? Timers!.CreateTimer(static w => ((ThreadWaiter)w!).Wake(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan)
            : null;
        try
        {
            do
            {
                if (timer is not null)
                {
                    status = SetTimer(timer, ref waitNs);
                    if (status != NativeMethods.TB_PENDING)
                    {
                        return status;
                    }
                }
                Sleep(Timers == TimeProvider.System ? Milliseconds(waitNs) : Timeout.Infinite);
                status = Look(out waitNs);
            }
            while (status == NativeMethods.TB_PENDING && !cancellation.IsCancellationRequested);
            return status;
        }
        finally
        {
            if (status == NativeMethods.TB_PENDING)
            {
                Leave();
            }
        }
    }

    protected override void Wake()
    {
        lock (_bell)
        {
            _rung = true;
            Monitor.Pulse(_bell);
        }
    }

    // What a look then says.
    private int SetTimer(ITimer timer, ref long waitNs)
    {
        int status;
        long set;
        do
        {
            set = waitNs;
            timer.Change(Duration(set), Timeout.InfiniteTimeSpan);
            status = Look(out waitNs);
        }
        while (status == NativeMethods.TB_PENDING && Milliseconds(waitNs) != Milliseconds(set));
        return status;
    }

    private void Sleep(int milliseconds)
    {
        lock (_bell)
        {
            if (!_rung)
            {
                Monitor.Wait(_bell, milliseconds);
            }
            _rung = false;
        }
    }
}

// A waiter that is no thread. Its timer and the library wake it; then it looks, on that thread.
internal abstract class TaskWaiter(IPlace place) : Waiter(place)
{
    // Those that this thread has woken: one that is woken while another looks comes after it, not inside of it, so that
    // calls do not nest without end.
    [ThreadStatic]
    private static Queue<TaskWaiter?>? t_woken;

    // Not yet answered by a look. Who raises it from 0 looks, again until it is 0; it stays above 0 when the wait is over.
    private int _wakes;
    private int _finished;
    private ITimer? _timer;
    private CancellationTokenRegistration _cancellation;

    internal bool IsFinished => Volatile.Read(ref _finished) != 0;

    // The library has told the outcome.
    protected abstract void End(int status);

    // For CancelBy.
    protected abstract void Cancel(CancellationToken cancellation);

    // The answer of the library. If it is not pending End is not called.
    internal int Start(long timeoutNs, int priority, out long waitNs)
    {
        // Wakes that come before the number is known are answered here.
        _wakes = 1;
        int status = Enter(timeoutNs, priority, out waitNs);
        if (status == NativeMethods.TB_PENDING)
        {
            SleepFor(waitNs);
            if (IsOnProvider)
            {
                Interlocked.Increment(ref _wakes);
            }
            if (Interlocked.Decrement(ref _wakes) != 0)
            {
                LookInTurn();
            }
        }
        return status;
    }

    internal void CancelBy(CancellationToken cancellation)
    {
        _cancellation = cancellation.UnsafeRegister(static (waiter, token) => ((TaskWaiter)waiter!).Cancel(token), this);
        if (IsFinished)
        {
            _cancellation.Unregister();
        }
    }

    // True for one caller, who then says how the wait has ended.
    internal bool TryFinish()
    {
        if (Interlocked.Exchange(ref _finished, 1) != 0)
        {
            return false;
        }
        _cancellation.Unregister();
        _timer?.Dispose();
        return true;
    }

    protected sealed override void Wake()
    {
        if (Interlocked.Increment(ref _wakes) == 1)
        {
            LookInTurn();
        }
    }

    // Until it is disposed none looks on this thread: for calls of the library under a lock that a look needs.
    internal static LooksHeld HoldLooks()
    {
        Queue<TaskWaiter?> woken = t_woken ??= new Queue<TaskWaiter?>();
        bool free = woken.Count == 0;
        if (free)
        {
            woken.Enqueue(null);
        }
        return new LooksHeld(free);
    }

    internal readonly ref struct LooksHeld(bool here)
    {
        public void Dispose()
        {
            if (here)
            {
                LookAll(t_woken!);
            }
        }
    }

    private void LookInTurn()
    {
        Queue<TaskWaiter?> woken = t_woken ??= new Queue<TaskWaiter?>();
        woken.Enqueue(this);
        if (woken.Count == 1)
        {
            LookAll(woken);
        }
    }

    // The first stays in the queue while it looks.
    private static void LookAll(Queue<TaskWaiter?> woken)
    {
        while (woken.TryPeek(out TaskWaiter? next))
        {
            next?.Look();
            woken.Dequeue();
        }
    }

    private void Look()
    {
        long waitNs = 0, set;
        int seen;
        do
        {
            set = waitNs;
            seen = Volatile.Read(ref _wakes);
            int status = Look(out waitNs);
            if (status != NativeMethods.TB_PENDING)
            {
                if (status != NativeMethods.TB_E_INVALID_ARGUMENT)
                {
                    End(status);
                }
                return;
            }
            SleepFor(waitNs);
        }
        while (IsOnProvider && Milliseconds(waitNs) != Milliseconds(set) || Interlocked.Add(ref _wakes, -seen) != 0);
    }

    private void SleepFor(long waitNs)
    {
        if (Timers is null)
        {
            return;
        }
        if (_timer is null)
        {
            Interlocked.Exchange(ref _timer, NewTimer(Timers));
        }
        _timer!.Change(Duration(waitNs), Timeout.InfiniteTimeSpan);
        if (IsFinished)
        {
            _timer.Dispose();
        }
    }

    // Not in the execution context of the caller.
    private ITimer NewTimer(TimeProvider timers)
    {
        if (ExecutionContext.IsFlowSuppressed())
        {
            return timers.CreateTimer(
                static waiter => ((TaskWaiter)waiter!).Wake(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        }
        using (ExecutionContext.SuppressFlow())
        {
            return NewTimer(timers);
        }
    }
}
