using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Threading;
using System.Threading.RateLimiting;
using System.Threading.Tasks;

namespace TokenBucket;

// Who waits. Under the lock, every request in the queue holds a reservation of its permits, and these stand in the
// queue's order; so the bucket is in debt while anybody waits, and a take that reads the bucket alone overtakes nobody.
// A request that leaves early has the ones behind it planned anew, which is linear in their number: settled for
// nothing, each returns all it held, even if it falls due meanwhile, and nobody takes before they stand again. One task
// sleeps until the oldest is due.
public sealed partial class TokenBucketLimiter
{
    private readonly Lock _lock = new();
    private readonly LinkedList<Request> _queue = [];
    private readonly int _queueLimit;
    private int _queuedPermits;
    private bool _pumping;
    private CancellationTokenSource _plansChanged = new();

    // Who finds nobody waiting takes without the lock; a request that queues at the same time counts as the later one.
    private bool IsQueueEmpty => Volatile.Read(ref _queuedPermits) == 0;

    /// <inheritdoc/>
    protected override ValueTask<RateLimitLease> AcquireAsyncCore(int permitCount, CancellationToken cancellationToken)
    {
        if (cancellationToken.IsCancellationRequested)
        {
            return ValueTask.FromCanceled<RateLimitLease>(cancellationToken);
        }
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (permitCount > 0 && IsQueueEmpty && _bucket.AllowNative(permitCount) == NativeMethods.TB_SUCCESS)
        {
            return new ValueTask<RateLimitLease>(Grant());
        }
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            CompleteDue();
            if (TryAcquireNow(permitCount) is LimiterLease granted)
            {
                return new ValueTask<RateLimitLease>(granted);
            }
            var request = new Request(this, permitCount);
            if (_queueLimit - _queuedPermits < permitCount || !TryPlan(request, _queue.Last?.Value))
            {
                return new ValueTask<RateLimitLease>(Deny(permitCount));
            }
            Enqueue(request, cancellationToken);
            return new ValueTask<RateLimitLease>(request.Task);
        }
    }

    private LimiterLease TakeBehindQueue(int permits)
    {
        lock (_lock)
        {
            return TryTake(permits) ?? Deny(permits);
        }
    }

    private LimiterLease? TryTake(int permits) => _bucket.AllowNative(permits) switch
    {
        NativeMethods.TB_SUCCESS => Grant(),
        NativeMethods.TB_DENIED => null,
        int status => throw Unanswered(status, permits),
    };

    private LimiterLease? TryAcquireNow(int permits) =>
        permits > 0 ? TryTake(permits) : WholePermits() > 0 ? Grant() : null;

    // What nobody was granted yet, in whole permits: what waiting requests reserved is still there.
    private int WholePermits()
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            CompleteDue();
            return (int)Math.Clamp(Math.Floor(_bucket.Available + _queuedPermits), 0, int.MaxValue);
        }
    }

    // Under the lock, so that what waits is reserved. Null: never, or the limiter was disposed.
    internal long? TimeUntil(int permits)
    {
        lock (_lock)
        {
            return !_disposed && _bucket.TimeUntilNative(permits, out long ns) == NativeMethods.TB_SUCCESS ? ns : null;
        }
    }

    // Reserves what a request waits for. One for no permits is served together with the one ahead of it; with nobody
    // ahead it waits for the first permit, and takes none.
    private bool TryPlan(Request request, Request? ahead)
    {
        if (request.Permits == 0 && ahead is not null)
        {
            request.Deadline = ahead.Deadline;
            return true;
        }
        int status = _bucket.ReserveNative(Math.Max(request.Permits, 1), NativeMethods.TB_FOREVER, out request.Reserved);
        if (status != NativeMethods.TB_SUCCESS)
        {
            return false;
        }
        request.Deadline = _bucket.DeadlineOf(request.Reserved);
        if (request.Permits == 0)
        {
            _bucket.SettleForNothing(request.Reserved);
        }
        return true;
    }

    private void Unplan(Request request)
    {
        if (request.Permits > 0)
        {
            _bucket.SettleForNothing(request.Reserved);
        }
    }

    private void Enqueue(Request request, CancellationToken cancellation)
    {
        request.Node = _queue.AddLast(request);
        Volatile.Write(ref _queuedPermits, _queuedPermits + request.Permits);
        _metrics?.Queued(request.Permits);
        request.Cancellation = cancellation.UnsafeRegister(
            static (state, token) => ((Request)state!).Limiter.Cancel((Request)state, token), request);
        if (!_pumping)
        {
            _pumping = true;
            // Not in the caller's execution context, which would live as long as the queue is not empty.
            ThreadPool.UnsafeQueueUserWorkItem(static limiter => _ = limiter.PumpAsync(), this, preferLocal: false);
        }
    }

    private void Dequeue(Request request)
    {
        _queue.Remove(request.Node!);
        Volatile.Write(ref _queuedPermits, _queuedPermits - request.Permits);
        _metrics?.Unqueued(request.Permits);
        request.Cancellation.Unregister();
    }

    private void CompleteDue()
    {
        while (_queue.First?.Value is Request oldest && _bucket.HasPassed(oldest.Deadline))
        {
            Dequeue(oldest);
            _granted.Increment();
            _metrics?.GrantedAfter(Stopwatch.GetElapsedTime(oldest.Since));
            oldest.SetResult(LimiterLease.Granted);
        }
    }

    private void Cancel(Request request, CancellationToken cancellation)
    {
        lock (_lock)
        {
            CompleteDue();
            if (request.Task.IsCompleted)
            {
                return;
            }
            LinkedListNode<Request>? next = request.Node!.Next;
            UnplanFrom(request.Node);
            Dequeue(request);
            PlanFrom(next);
            request.SetCanceled(cancellation);
        }
    }

    private void Replan(Action change)
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            CompleteDue();
            UnplanFrom(_queue.First);
            try
            {
                change();
            }
            finally
            {
                PlanFrom(_queue.First);
                _fullAtGranted = -1;
            }
        }
    }

    private void UnplanFrom(LinkedListNode<Request>? oldest)
    {
        for (LinkedListNode<Request>? node = oldest; node is not null; node = node.Next)
        {
            Unplan(node.Value);
        }
    }

    private void PlanFrom(LinkedListNode<Request>? oldest)
    {
        for (LinkedListNode<Request>? next, node = oldest; node is not null; node = next)
        {
            next = node.Next;
            if (!TryPlan(node.Value, node.Previous?.Value))
            {
                Dequeue(node.Value);
                node.Value.SetResult(Deny(node.Value.Permits));
            }
        }
        _ = _plansChanged.CancelAsync();
    }

    private void CloseQueue()
    {
        lock (_lock)
        {
            _disposed = true;
            while (_queue.First?.Value is Request oldest)
            {
                Dequeue(oldest);
                Interlocked.Increment(ref _denied);
                _metrics?.Denied();
                oldest.SetResult(LimiterLease.DeniedForEver);
            }
            _ = _plansChanged.CancelAsync();
        }
    }

    private async Task PumpAsync()
    {
        while (TryNextSleep(out long deadline, out CancellationToken plansChanged))
        {
            await _bucket.SleepUntilAsync(deadline, plansChanged).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private bool TryNextSleep(out long deadline, out CancellationToken plansChanged)
    {
        lock (_lock)
        {
            if (_plansChanged.IsCancellationRequested)
            {
                _plansChanged = new CancellationTokenSource();
            }
            CompleteDue();
            deadline = _queue.First?.Value.Deadline ?? 0;
            plansChanged = _plansChanged.Token;
            _pumping = _queue.Count > 0;
            return _pumping;
        }
    }

    private sealed class Request(TokenBucketLimiter limiter, int permits)
        : TaskCompletionSource<RateLimitLease>(TaskCreationOptions.RunContinuationsAsynchronously)
    {
        internal readonly TokenBucketLimiter Limiter = limiter;
        internal readonly int Permits = permits;
        internal readonly long Since = Stopwatch.GetTimestamp();
        internal tb_reservation Reserved;
        internal long Deadline;
        internal LinkedListNode<Request>? Node;
        internal CancellationTokenRegistration Cancellation;
    }
}
