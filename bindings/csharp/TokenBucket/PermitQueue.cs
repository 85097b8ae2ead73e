using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Linq;
using System.Threading;
using System.Threading.RateLimiting;
using System.Threading.Tasks;

namespace TokenBucket;

// Who takes permits of one bucket, and who waits for them. The bucket's own queue says when each is served. The list
// holds the same requests in the order in which they are served, to count their permits, to turn away the oldest, and
// for those that want no permits: one of these is served together with the one ahead of it. If it is the first, a watch
// stands in the bucket's queue for it, which is served the first permit and gives it back.
//
// The lock is held while a request enters the bucket's queue, so that what is counted is also there; none of this thread
// looks meanwhile. It is held across no other call of the library, for these wake requests, which need it.
internal sealed class PermitQueue(LimiterState limiter, IBucket bucket)
{
    private readonly LimiterState _limiter = limiter;
    private readonly IBucket _bucket = bucket;
    private readonly Lock _lock = new();
    private readonly LinkedList<Request> _requests = [];
    private int _queuedPermits;
    private LimiterLease? _deniedOne;
    private Watch? _watch;

    internal int QueuedPermits => Volatile.Read(ref _queuedPermits);

    // What nobody was granted yet, in whole permits: what is promised to requests that wait is still there.
    internal int WholePermits
    {
        get
        {
            lock (_lock)
            {
                _limiter.ThrowIfDisposed();
                _ = _bucket.Available(out double available);
                return (int)Math.Clamp(
                    Math.Floor(available + _queuedPermits + (_watch is null ? 0 : 1)), 0, _limiter.TokenLimit);
            }
        }
    }

    internal LimiterLease AttemptAcquire(int permitCount)
    {
        _limiter.ThrowIfDisposed();
        int status = Take(permitCount);
        return status == NativeMethods.TB_SUCCESS ? _limiter.Grant() : Deny(permitCount, status);
    }

    internal ValueTask<RateLimitLease> AcquireAsync(int permitCount, CancellationToken cancellationToken)
    {
        if (cancellationToken.IsCancellationRequested)
        {
            return ValueTask.FromCanceled<RateLimitLease>(cancellationToken);
        }
        _limiter.ThrowIfDisposed();
        int status = Take(permitCount);
        if (status == NativeMethods.TB_SUCCESS)
        {
            return new ValueTask<RateLimitLease>(_limiter.Grant());
        }
        var request = new Request(this, permitCount);
        if (status == NativeMethods.TB_TABLE_FULL || !TryEnqueue(request))
        {
            return new ValueTask<RateLimitLease>(Deny(permitCount, status));
        }
        request.CancelBy(cancellationToken);
        return new ValueTask<RateLimitLease>(request.Source.Task);
    }

    // The bucket is closed, which has ended all others.
    internal void DenyThoseForNoPermits()
    {
        Request[] left;
        lock (_lock)
        {
            left = [.. _requests.Where(r => r.Permits == 0)];
        }
        Array.ForEach(left, request => Conclude(request, NativeMethods.TB_CLOSED));
    }

    private int Take(int permitCount)
    {
        if (permitCount == 0)
        {
            return WholePermits > 0 ? NativeMethods.TB_SUCCESS : NativeMethods.TB_DENIED;
        }
        int status = _bucket.Allow(permitCount);
        if (status == NativeMethods.TB_DENIED && _limiter.NewestFirst && QueuedPermits > 0)
        {
            // The newest goes before those who wait.
            status = _bucket.Enqueue(permitCount, 0, int.MaxValue, 0, out _, out _);
        }
        return _limiter.Answer(status, permitCount);
    }

    private LimiterLease Deny(int permits, int status) => _limiter.Deny(status, permits > 1
        ? new LimiterLease(false, _limiter, _bucket, permits)
        : _deniedOne ??= new LimiterLease(false, _limiter, _bucket, 1));

    private bool TryEnqueue(Request request)
    {
        List<Request> oldest = [];
        Watch? before, now;
        int status = NativeMethods.TB_PENDING;
        using (TaskWaiter.HoldLooks())
        lock (_lock)
        {
            _limiter.ThrowIfDisposed();
            if (request.Permits > (_limiter.NewestFirst ? _limiter.QueueLimit : _limiter.QueueLimit - _queuedPermits))
            {
                return false;
            }
            while (request.Permits > _limiter.QueueLimit - _queuedPermits || _requests.First?.Value.Priority == Request.HighestPriority)
            {
                oldest.Add(_requests.Last!.Value);
                Remove(oldest[^1]);
            }
            if (_limiter.NewestFirst)
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
                status = request.Start(NativeMethods.TB_FOREVER, request.Priority, out _);
            }
        }
        _limiter.Metrics?.Queued(request.Permits);
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
        Request? first = !_limiter.IsDisposed && _requests.First?.Value is { Permits: 0 } asking ? asking : null;
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
        _limiter.Metrics?.Unqueued(request.Permits);
        switch (status)
        {
            case NativeMethods.TB_SUCCESS:
                request.Source.SetResult(_limiter.GrantAfter(Stopwatch.GetElapsedTime(request.Since)));
                break;
            case NativeMethods.TB_INTERRUPTED:
                request.Source.SetCanceled(cancellation);
                break;
            default:
                request.Source.SetResult(Deny(request.Permits, status));
                break;
        }
    }

    private sealed class Request : TaskWaiter
    {
        internal const int HighestPriority = int.MaxValue - 1;
        internal readonly TaskCompletionSource<RateLimitLease> Source = new(TaskCreationOptions.RunContinuationsAsynchronously);
        internal readonly LinkedListNode<Request> Node;
        internal readonly int Permits;
        internal readonly long Since = Stopwatch.GetTimestamp();
        internal int Priority;
        private readonly PermitQueue _queue;

        internal Request(PermitQueue queue, int permits) : base(new BucketPlace(queue._bucket, permits))
        {
            Node = new LinkedListNode<Request>(this);
            Permits = permits;
            _queue = queue;
        }

        protected override void End(int status) => _queue.Conclude(this, status);

        protected override void Cancel(CancellationToken cancellation)
        {
            if (Permits == 0 || Leave())
            {
                _queue.Conclude(this, NativeMethods.TB_INTERRUPTED, cancellation);
            }
        }
    }

    private sealed class Watch(PermitQueue queue, Request request) : TaskWaiter(new BucketPlace(queue._bucket, 1))
    {
        private readonly PermitQueue _queue = queue;

        internal Request Request => request;

        // Before all others.
        internal void Begin()
        {
            int status = Start(NativeMethods.TB_FOREVER, request.Priority + (_queue._limiter.NewestFirst ? 0 : 1), out _);
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
                _ = _queue._bucket.Refund(1);
            }
            _queue.Conclude(request, status);
        }

        protected override void Cancel(CancellationToken cancellation) => throw new UnreachableException();
    }
}
