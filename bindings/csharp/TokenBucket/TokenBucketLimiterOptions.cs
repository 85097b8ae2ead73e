using System;
using System.Threading.RateLimiting;

namespace TokenBucket;

/// <summary>What a <see cref="TokenBucketLimiter"/> is made of.</summary>
public record TokenBucketLimiterOptions
{
    /// <summary>The largest number of permits held: the largest burst, and the most that one lease can have. At least 1.
    /// </summary>
    public required int TokenLimit { get; init; }

    /// <summary>Permits gained in every <see cref="Period"/>, evenly; fractions too.</summary>
    public required double TokensPerPeriod { get; init; }

    /// <summary>The time in which <see cref="TokensPerPeriod"/> are gained; one second by default.</summary>
    public TimeSpan Period { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>The most permits that may be waited for at a time; 0 (the default) is no queue: AcquireAsync then
    /// answers at once.</summary>
    public int QueueLimit { get; init; }

    /// <summary>Whether the oldest request in the queue is served first (the default) or the newest, for which the oldest
    /// make room with failed leases where the queue is full.</summary>
    public QueueProcessingOrder QueueProcessingOrder { get; init; } = QueueProcessingOrder.OldestFirst;

    /// <summary>For how long permits that are due are kept for a request that comes late for them, as
    /// <see cref="LimitOptions.MaxLateness"/>.</summary>
    public TimeSpan? MaxLateness { get; init; }

    /// <summary>Where to count; null (the default) is nowhere. Many limiters may share one.</summary>
    public TokenBucketMetrics? Metrics { get; init; }

    /// <summary>The clock to live by; null (the default) is the system's.</summary>
    public ManualClock? Clock { get; init; }

    internal BucketOptions ToBucketOptions()
    {
        RequireRanges();
        return new BucketOptions
        {
            Capacity = TokenLimit, Tokens = TokensPerPeriod, Period = Period, MaxLateness = MaxLateness, Clock = Clock,
        };
    }

    private protected void RequireRanges()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(TokenLimit, 1, nameof(TokenLimit));
        ArgumentOutOfRangeException.ThrowIfLessThan(QueueLimit, 0, nameof(QueueLimit));
    }
}
