using System;
using System.Diagnostics;
using System.Threading;
using System.Threading.RateLimiting;
using System.Threading.Tasks;
using StackExchange.Redis;

namespace TokenBucket.Redis;

// Who takes permits of a limit by leases, and who waits for them, in this process; the server knows the order of all.
internal sealed class RedisQueue : IDisposable
{
    private readonly LimiterState _limiter;
    private readonly RedisLimit _limit;
    private readonly bool _neverBlock;

    // Ends the waits. It has no timer, so it needs no disposing.
    private readonly CancellationTokenSource _closing = new();
    private int _queuedPermits, _inProgress;
    private long _lastAsked = Environment.TickCount64;

    internal RedisQueue(object limiter, RedisLimit limit, int queueLimit, TokenBucketMetrics? metrics, bool neverBlock)
    {
        ArgumentNullException.ThrowIfNull(limit);
        Refusal.Require(queueLimit >= 0, queueLimit, "0 or more");
        if (queueLimit > 0 && limit.MaxWait == TimeSpan.Zero)
        {
            throw new ArgumentException(
                Refusal.Text(nameof(queueLimit), queueLimit, "0 where the limit's MaxWait is 0"), nameof(queueLimit));
        }
        _limit = limit;
        _neverBlock = neverBlock;
        _limiter = new LimiterState(limiter, queueLimit, metrics)
        {
            TokenLimit = (int)Math.Min(limit.Limit.Capacity, int.MaxValue),
        };
    }

    // Since when nobody asks; null while somebody does. What is taken is known to the server.
    internal TimeSpan? IdleDuration => Volatile.Read(ref _inProgress) > 0 || _limiter.IsDisposed
        ? null : TimeSpan.FromMilliseconds(Environment.TickCount64 - Volatile.Read(ref _lastAsked));

    internal RateLimiterStatistics Statistics(RedisKey key)
    {
        _limiter.ThrowIfDisposed();
        double available = _limit.DecideByServer(RedisLimit.Asking.Peek, key, 1).Remaining;
        return _limiter.Statistics((int)Math.Min(available, _limiter.TokenLimit), Volatile.Read(ref _queuedPermits));
    }

    internal RateLimitLease AttemptAcquire(RedisKey key, int permits)
    {
        _limiter.ThrowIfDisposed();
        if (_neverBlock)
        {
            return LimiterLease.DeniedForEver;
        }
        Interlocked.Increment(ref _inProgress);
        try
        {
            Decision decision = _limit.Decide(AskingFor(permits), key, Math.Max(permits, 1));
            return _limiter.Answer((int)decision.Status, permits) == NativeMethods.TB_SUCCESS ? _limiter.Grant() : Deny(decision);
        }
        finally
        {
            Asked();
        }
    }

    internal async ValueTask<RateLimitLease> AcquireAsync(RedisKey key, int permits, CancellationToken cancellation)
    {
        _limiter.ThrowIfDisposed();
        Interlocked.Increment(ref _inProgress);
        try
        {
            (Decision decision, bool isInstead) = await _limit.DecideAsync(
                AskingFor(permits), key, Math.Max(permits, 1), cancellation).ConfigureAwait(false);
            if (_limiter.Answer((int)decision.Status, permits) == NativeMethods.TB_SUCCESS)
            {
                return _limiter.Grant();
            }
            return permits > 0 && TryQueue(permits)
                ? await WaitAsync(key, permits, isInstead, cancellation).ConfigureAwait(false)
                : Deny(decision);
        }
        finally
        {
            Asked();
        }
    }

    public void Dispose()
    {
        if (_limiter.TryDispose())
        {
            _closing.Cancel();
        }
    }

    // Its permits are counted as queued.
    private async Task<RateLimitLease> WaitAsync(RedisKey key, int permits, bool isInstead, CancellationToken cancellation)
    {
        long since = Stopwatch.GetTimestamp();
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancellation, _closing.Token);
        _limiter.Metrics?.Queued(permits);
        try
        {
            Decision decision = await _limit.WaitAsync(
                key, permits, Nanoseconds.From(_limit.MaxWait, nameof(_limit.MaxWait)), isInstead, ended.Token).ConfigureAwait(false);
            return decision.IsGranted ? _limiter.GrantAfter(Stopwatch.GetElapsedTime(since)) : Deny(decision);
        }
        catch (OperationCanceledException) when (ended.IsCancellationRequested)
        {
            cancellation.ThrowIfCancellationRequested();
            return _limiter.Deny(NativeMethods.TB_CLOSED, LimiterLease.DeniedForEver);
        }
        finally
        {
            Interlocked.Add(ref _queuedPermits, -permits);
            _limiter.Metrics?.Unqueued(permits);
        }
    }

    private bool TryQueue(int permits)
    {
        for (int queued = Volatile.Read(ref _queuedPermits), seen; permits <= _limiter.QueueLimit - queued; queued = seen)
        {
            seen = Interlocked.CompareExchange(ref _queuedPermits, queued + permits, queued);
            if (seen == queued)
            {
                return true;
            }
        }
        return false;
    }

    private CombinedLease Deny(in Decision decision)
    {
        _limiter.Deny();
        return new CombinedLease(new CombinedDecision(decision.Status, null, decision.RetryAfterNanoseconds));
    }

    private void Asked()
    {
        Volatile.Write(ref _lastAsked, Environment.TickCount64);
        Interlocked.Decrement(ref _inProgress);
    }

    private static RedisLimit.Asking AskingFor(int permits) => permits == 0 ? RedisLimit.Asking.Peek : RedisLimit.Asking.Take;
}
