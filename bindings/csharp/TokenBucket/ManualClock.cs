using System;
using System.Collections.Generic;
using System.Threading;
using System.Threading.Tasks;

namespace TokenBucket;

/// <summary>A clock that stands still until it is moved: for tests and simulations. Waits on its buckets end when it is
/// moved to their time. Thread-safe; buckets keep it alive after it is disposed, but nobody can move it then.</summary>
public sealed class ManualClock : IDisposable
{
    private readonly Lock _lock = new();
    private readonly LinkedList<Sleeper> _sleepers = [];
    private readonly ClockHandle _handle;
    private long _now;
    private volatile bool _disposed;

    /// <summary>Creates a clock that stands at a time, in nanoseconds.</summary>
    public ManualClock(long startNanoseconds = 0)
    {
        int status = NativeMethods.tb_manual_clock_create(startNanoseconds, out nint address);
        Require(status, startNanoseconds, nameof(startNanoseconds));
        _handle = new ClockHandle(address);
        _now = startNanoseconds;
    }

    internal ClockHandle Handle
    {
        get
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            return _handle;
        }
    }

    internal long Now
    {
        get
        {
            lock (_lock)
            {
                return _now;
            }
        }
    }

    internal int Sleepers
    {
        get
        {
            lock (_lock)
            {
                return _sleepers.Count;
            }
        }
    }

    /// <summary>Moves the clock to a time; one before the present leaves it where it is.</summary>
    public void Set(long nanoseconds)
    {
        lock (_lock)
        {
            Require(NativeMethods.tb_manual_clock_set(Handle, nanoseconds), nanoseconds, nameof(nanoseconds));
            _now = Math.Max(_now, nanoseconds);
            WakeWhoIsDue();
        }
    }

    /// <summary>Moves the clock on.</summary>
    public void Advance(long nanoseconds)
    {
        lock (_lock)
        {
            Require(NativeMethods.tb_manual_clock_advance(Handle, nanoseconds), nanoseconds, nameof(nanoseconds));
            _now += nanoseconds;
            WakeWhoIsDue();
        }
    }

    /// <summary>Moves the clock on.</summary>
    public void Advance(TimeSpan time) => Advance(Nanoseconds.From(time, nameof(time)));

    /// <inheritdoc/>
    public void Dispose() => _disposed = true;

    internal async Task SleepUntilAsync(long readyAt, CancellationToken cancellation)
    {
        // Continuations must not run inside the lock.
        var ready = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        LinkedListNode<Sleeper> entry;
        lock (_lock)
        {
            if (_now >= readyAt)
            {
                return;
            }
            entry = _sleepers.AddLast(new Sleeper(readyAt, ready));
        }
        try
        {
            await ready.Task.WaitAsync(cancellation).ConfigureAwait(false);
        }
        finally
        {
            lock (_lock)
            {
                if (entry.List is not null)
                {
                    _sleepers.Remove(entry);
                }
            }
        }
    }

    private void WakeWhoIsDue()
    {
        for (LinkedListNode<Sleeper>? next, entry = _sleepers.First; entry is not null; entry = next)
        {
            next = entry.Next;
            if (entry.Value.ReadyAt <= _now)
            {
                _sleepers.Remove(entry);
                entry.Value.Ready.TrySetResult();
            }
        }
    }

    private readonly record struct Sleeper(long ReadyAt, TaskCompletionSource Ready);

    private static void Require(int status, long value, string parameter)
    {
        if (status != NativeMethods.TB_SUCCESS)
        {
            throw TokenBucketException.For(status, value, parameter);
        }
    }
}
