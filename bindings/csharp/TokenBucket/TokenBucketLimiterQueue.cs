using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Linq;
using System.Threading;
using System.Threading.RateLimiting;
using System.Threading.Tasks;

namespace TokenBucket;

// Who waits. The bucket's own queue says when each is served. The list holds the same requests in the order in which
// they are served, to count their permits, to turn away the oldest, and for those that want no permits: one of these is
// served together with the one ahead of it. If it is the first, a watch stands in the bucket's queue for it, which is
// served the first permit and gives it back.
//
// The lock is held while a request enters the bucket's queue, so that what is counted is also there; none of this thread
// looks meanwhile. It is held across no other call of the library, for these wake requests, which need it.
public sealed partial class TokenBucketLimiter
{
    private readonly Lock _lock = new();
    private readonly LinkedList<Request> _requests = [];
    private int _queuedPermits;
    private Watch? _watch;

    private int QueuedPermits => Volatile.Read(ref _queuedPermits);

    /// <inheritdoc/>
    protected override ValueTask<RateLimitLease> AcquireAsyncCore(int permitCount, CancellationToken cancellationToken)
    {
        if (cancellationToken.IsCancellationRequested)
        {
            return ValueTask.FromCanceled<RateLimitLease>(cancellationToken);
        }
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (TryTake(permitCount))
        {
            return new ValueTask<RateLimitLease>(Grant());
        }
        var request = new Request(this, permitCount);
        if (!TryEnqueue(request))
        {
            return new ValueTask<RateLimitLease>(Deny(permitCount));
        }
        request.CancelBy(cancellationToken);
        return new ValueTask<RateLimitLease>(request.Source.Task);
    }

    private bool TryEnqueue(Request request)
    {
        List<Request> oldest = [];
        Watch? before, now;
        int status = NativeMethods.TB_PENDING;
        using (TaskWaiter.HoldLooks())
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (request.Permits > (_newestFirst ? _queueLimit : _queueLimit - _queuedPermits))
            {
                return false;
            }
            while (request.Permits > _queueLimit - _queuedPermits || _requests.First?.Value.Priority == Request.HighestPriority)
            {
                oldest.Add(_requests.Last!.Value);
                Remove(oldest[^1]);
            }
            if (_newestFirst)
            {
                request.Priority = (_requests.First?.Value.Priority ?? int.MinValue) + 1;
                _requests.AddFirst(request.Node);
            }
            else
            {
                _requests.AddLast(request.Node);
            }
            Volatile.Write(ref _queuedPermits, _queuedPermits + request.Permits);
            (before, now) = ChangeWatch();
            if (request.Permits > 0)
            {
                status = request.Start(request.Permits, NativeMethods.TB_FOREVER, request.Priority, out _);
            }
        }
        _metrics?.Queued(request.Permits);
        if (status != NativeMethods.TB_PENDING)
        {
            Conclude(request, status);
        }
        foreach (Request evicted in oldest)
        {
            // One that is served at this moment is not turned away.
            if (evicted.Permits == 0 || evicted.Leave())
            {
                Conclude(evicted, NativeMethods.TB_QUEUE_FULL);
            }
        }
        before?.End();
        now?.Begin();
        return true;
    }

    // Under the lock.
    private (Watch? Before, Watch? Now) ChangeWatch()
    {
        Request? first = !_disposed && _requests.First?.Value is { Permits: 0 } asking ? asking : null;
        Watch? before = _watch;
        if (before?.Request == first)
        {
            return default;
        }
        _watch = first is null ? null : new Watch(this, first);
        return (before, _watch);
    }

    private void Conclude(Request request, int status, CancellationToken cancellation = default)
    {
        if (!request.TryFinish())
        {
            return;
        }
        List<Request> served = [];
        Watch? before, now;
        lock (_lock)
        {
            LinkedListNode<Request>? next = status == NativeMethods.TB_SUCCESS ? request.Node.Next : null;
            Remove(request);
            for (; next?.Value is { Permits: 0 } behind; next = behind.Node.Next)
            {
                served.Add(behind);
            }
            served.ForEach(Remove);
            (before, now) = ChangeWatch();
        }
        Answer(request, status, cancellation);
        foreach (Request behind in served)
        {
            if (behind.TryFinish())
            {
                Answer(behind, status, cancellation);
            }
        }
        before?.End();
        now?.Begin();
    }

    // Under the lock.
    private void Remove(Request request)
    {
        if (request.Node.List is not null)
        {
            _requests.Remove(request.Node);
            Volatile.Write(ref _queuedPermits, _queuedPermits - request.Permits);
        }
    }

    private void Answer(Request request, int status, CancellationToken cancellation)
    {
        _metrics?.Unqueued(request.Permits);
        switch (status)
        {
            case NativeMethods.TB_SUCCESS:
                _granted.Increment();
                _metrics?.GrantedAfter(Stopwatch.GetElapsedTime(request.Since));
                request.Source.SetResult(LimiterLease.Granted);
                break;
            case NativeMethods.TB_INTERRUPTED:
                request.Source.SetCanceled(cancellation);
                break;
            default:
                bool forEver = status is NativeMethods.TB_CLOSED or NativeMethods.TB_QUEUE_FULL;
                request.Source.SetResult(Deny(request.Permits, forEver));
                break;
        }
    }

    // The bucket is closed, which has ended all others.
    private void DenyThoseForNoPermits()
    {
        Request[] left;
        lock (_lock)
        {
            left = [.. _requests.Where(r => r.Permits == 0)];
        }
        Array.ForEach(left, request => Conclude(request, NativeMethods.TB_CLOSED));
    }

    private sealed class Request : TaskWaiter
    {
        internal const int HighestPriority = int.MaxValue - 1;
        internal readonly TaskCompletionSource<RateLimitLease> Source = new(TaskCreationOptions.RunContinuationsAsynchronously);
        internal readonly LinkedListNode<Request> Node;
        internal readonly int Permits;
        internal readonly long Since = Stopwatch.GetTimestamp();
        internal int Priority;
        private readonly TokenBucketLimiter _limiter;

        internal Request(TokenBucketLimiter limiter, int permits) : base(limiter._bucket)
        {
            Node = new LinkedListNode<Request>(this);
            Permits = permits;
            _limiter = limiter;
        }

        protected override void End(int status) => _limiter.Conclude(this, status);

        protected override void Cancel(CancellationToken cancellation)
        {
            if (Permits == 0 || Leave())
            {
                _limiter.Conclude(this, NativeMethods.TB_INTERRUPTED, cancellation);
            }
        }
    }

    private sealed class Watch(TokenBucketLimiter limiter, Request request) : TaskWaiter(limiter._bucket)
    {
        private readonly TokenBucketLimiter _limiter = limiter;

        internal Request Request => request;

        // Before all others.
        internal void Begin()
        {
            int status = Start(1, NativeMethods.TB_FOREVER, request.Priority + (_limiter._newestFirst ? 0 : 1), out _);
            if (status != NativeMethods.TB_PENDING)
            {
                End(status);
            }
            else if (IsFinished)
            {
                Leave();
            }
        }

        // Another is the first, or none.
        internal void End()
        {
            TryFinish();
            Leave();
        }

        protected override void End(int status)
        {
            TryFinish();
            if (status == NativeMethods.TB_SUCCESS)
            {
                _ = NativeMethods.tb_refund(_limiter._bucket.Handle, 1);
            }
            _limiter.Conclude(request, status);
        }

        protected override void Cancel(CancellationToken cancellation) => throw new UnreachableException();
    }
}
