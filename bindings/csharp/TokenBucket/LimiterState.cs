using System;
using System.Threading;
using System.Threading.RateLimiting;

namespace TokenBucket;

// What all queues of a limiter share: what it was made of, what it counts, and the leases that it gives.
internal sealed class LimiterState(object limiter, int queueLimit, TokenBucketMetrics? metrics)
{
    private readonly StripedCounter _granted = new();
    private volatile int _tokenLimit;
    private volatile bool _isDisposed;
    private long _denied;

    internal LimiterState(object limiter, TokenBucketLimiterOptions options)
        : this(limiter, options.QueueLimit, options.Metrics)
    {
        TokenLimit = options.TokenLimit;
        NewestFirst = options.QueueProcessingOrder == QueueProcessingOrder.NewestFirst;
    }

    internal int QueueLimit { get; } = queueLimit;

    internal bool NewestFirst { get; }

    internal TokenBucketMetrics? Metrics { get; } = metrics;

    internal int TokenLimit
    {
        get => _tokenLimit;
        set => _tokenLimit = value;
    }

    internal bool IsDisposed => _isDisposed;

    internal long Granted => _granted.Sum;

    // True for the first.
    internal bool TryDispose() => !Interlocked.Exchange(ref _isDisposed, true);

    internal void ThrowIfDisposed() => ObjectDisposedException.ThrowIf(_isDisposed, limiter);

    internal RateLimiterStatistics Statistics(int available, int queued) => new()
    {
        CurrentAvailablePermits = available,
        CurrentQueuedCount = queued,
        TotalSuccessfulLeases = Granted,
        TotalFailedLeases = Volatile.Read(ref _denied),
    };

    // The library's answer to a take, where there is an answer.
    internal int Answer(int status, int permitCount) => status switch
    {
        NativeMethods.TB_SUCCESS or NativeMethods.TB_DENIED or NativeMethods.TB_TABLE_FULL => status,
        NativeMethods.TB_TIMED_OUT => NativeMethods.TB_DENIED,
        NativeMethods.TB_EXCEEDS_CAPACITY => throw Refusal.OutOfRange(
            nameof(permitCount), permitCount, $"at most the token limit of {_tokenLimit}"),
        _ => throw TokenBucketException.For(status, permitCount, nameof(permitCount), limiter.GetType(), _tokenLimit),
    };

    internal LimiterLease Grant()
    {
        _granted.Increment();
        Metrics?.Granted();
        return LimiterLease.Granted;
    }

    internal LimiterLease GrantAfter(TimeSpan wait)
    {
        _granted.Increment();
        Metrics?.GrantedAfter(wait);
        return LimiterLease.Granted;
    }

    internal void Deny()
    {
        Interlocked.Increment(ref _denied);
        Metrics?.Denied();
    }

    // The lease is that of a denial for now.
    internal LimiterLease Deny(int status, LimiterLease lease)
    {
        Deny();
        return status switch
        {
            NativeMethods.TB_TABLE_FULL => LimiterLease.NoRoom,
            NativeMethods.TB_CLOSED or NativeMethods.TB_QUEUE_FULL => LimiterLease.DeniedForEver,
            _ => lease,
        };
    }
}
