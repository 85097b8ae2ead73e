using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Threading;
using System.Threading.RateLimiting;
using System.Threading.Tasks;

namespace TokenBucket;

// Who takes permits of combined limits, and who waits for them: the members' own queues say when each is served. One for
// no permits waits for what one costs, and gives that back.
//
// The lock is held across no call of the library.
internal sealed class CombinedQueue(LimiterState limiter)
{
    private readonly LimiterState _limiter = limiter;
    private readonly Lock _lock = new();
    private readonly HashSet<Request> _requests = [];
    private int _queuedPermits;

    internal int QueuedPermits => Volatile.Read(ref _queuedPermits);

    internal RateLimiterStatistics Statistics(CombinedLimit limit)
    {
        _limiter.ThrowIfDisposed();
        int queued = QueuedPermits;
        return _limiter.Statistics(limit.Permits(queued), queued);
    }

    internal RateLimitLease AttemptAcquire(CombinedLimit limit, int permits)
    {
        _limiter.ThrowIfDisposed();
        int status = Take(limit, permits, out tb_refusal refusal);
        return status == NativeMethods.TB_SUCCESS ? _limiter.Grant() : Deny(limit, status, refusal);
    }

    internal ValueTask<RateLimitLease> AcquireAsync(CombinedLimit limit, int permits, CancellationToken cancellation)
    {
        if (cancellation.IsCancellationRequested)
        {
            return ValueTask.FromCanceled<RateLimitLease>(cancellation);
        }
        _limiter.ThrowIfDisposed();
        int status = Take(limit, permits, out tb_refusal refusal);
        if (status == NativeMethods.TB_SUCCESS)
        {
            return new ValueTask<RateLimitLease>(_limiter.Grant());
        }
        if (status != NativeMethods.TB_DENIED || !TryQueue(permits))
        {
            return new ValueTask<RateLimitLease>(Deny(limit, status, refusal));
        }
        return new ValueTask<RateLimitLease>(Enqueue(limit, permits, cancellation));
    }

    // The limiter is disposed: no more are added.
    internal void DenyAll()
    {
        Request[] left;
        lock (_lock)
        {
            left = [.. _requests];
        }
        Array.ForEach(left, request => request.Deny());
    }

    private Task<RateLimitLease> Enqueue(CombinedLimit limit, int permits, CancellationToken cancellation)
    {
        var request = new Request(this, limit, permits);
        _limiter.Metrics?.Queued(permits);
        int status = request.Start(NativeMethods.TB_FOREVER, 0, out _);
        if (status != NativeMethods.TB_PENDING)
        {
            request.Conclude(status);
            return request.Source.Task;
        }
        lock (_lock)
        {
            if (!request.IsFinished)
            {
                _requests.Add(request);
            }
        }
        request.CancelBy(cancellation);
        if (_limiter.IsDisposed)
        {
            request.Deny();
        }
        return request.Source.Task;
    }

    private static int Take(CombinedLimit limit, int permitCount, out tb_refusal refusal)
    {
        int status = permitCount == 0 ? limit.Look(out refusal) : limit.TakeNative(default, permitCount, out refusal);
        return status switch
        {
            NativeMethods.TB_SUCCESS or NativeMethods.TB_DENIED or NativeMethods.TB_TABLE_FULL => status,
            NativeMethods.TB_EXCEEDS_CAPACITY => throw Refusal.OutOfRange(
                nameof(permitCount), permitCount, $"so few that member {refusal.member} can grant them at once"),
            _ => throw limit.Failure(status, refusal, [permitCount]),
        };
    }

    private bool TryQueue(int permits)
    {
        for (int queued = QueuedPermits, seen; permits <= _limiter.QueueLimit - queued; queued = seen)
        {
            seen = Interlocked.CompareExchange(ref _queuedPermits, queued + permits, queued);
            if (seen == queued)
            {
                return true;
            }
        }
        return false;
    }

    private CombinedLease Deny(CombinedLimit limit, int status, in tb_refusal refusal)
    {
        _limiter.Deny();
        return new CombinedLease(limit.Decision(status, refusal));
    }

    private sealed class Request : TaskWaiter
    {
        internal readonly TaskCompletionSource<RateLimitLease> Source = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly CombinedQueue _queue;
        private readonly CombinedLimit _limit;
        private readonly CombinedPlace _place;
        private readonly int _permits;
        private readonly long _since = Stopwatch.GetTimestamp();
        private CancellationToken _cancelledBy;

        internal Request(CombinedQueue queue, CombinedLimit limit, int permits)
            : this(queue, limit, permits, new CombinedPlace(limit, default, Math.Max(permits, 1)))
        {
        }

        private Request(CombinedQueue queue, CombinedLimit limit, int permits, CombinedPlace place) : base(place)
        {
            _queue = queue;
            _limit = limit;
            _permits = permits;
            _place = place;
        }

        // Dispose turns it away, unless it is served at this moment.
        internal void Deny()
        {
            if (Leave())
            {
                Conclude(NativeMethods.TB_INTERRUPTED);
            }
        }

        internal void Conclude(int status)
        {
            TryFinish();
            lock (_queue._lock)
            {
                _queue._requests.Remove(this);
            }
            Interlocked.Add(ref _queue._queuedPermits, -_permits);
            _queue._limiter.Metrics?.Unqueued(_permits);
            if (status == NativeMethods.TB_SUCCESS)
            {
                if (_permits == 0)
                {
                    _limit.Refund();
                }
                Source.SetResult(_queue._limiter.GrantAfter(Stopwatch.GetElapsedTime(_since)));
            }
            else if (status == NativeMethods.TB_INTERRUPTED && _cancelledBy.IsCancellationRequested)
            {
                Source.SetCanceled(_cancelledBy);
            }
            else if (status < 0)
            {
                Source.SetException(_place.Failure(status, NativeMethods.TB_FOREVER, 0)!);
            }
            else
            {
                _queue._limiter.Deny();
                Source.SetResult(new CombinedLease(status == NativeMethods.TB_INTERRUPTED
                    ? new CombinedDecision(Status.Closed, null, NativeMethods.TB_FOREVER)
                    : _place.Result(status)));
            }
        }

        protected override void End(int status) => Conclude(status);

        protected override void Cancel(CancellationToken cancellation)
        {
            _cancelledBy = cancellation;
            if (Leave())
            {
                Conclude(NativeMethods.TB_INTERRUPTED);
            }
        }
    }
}
