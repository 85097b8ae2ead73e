using System;
using System.Collections.Generic;
using System.Threading.RateLimiting;

namespace TokenBucket;

/// <summary>What a <see cref="TokenBucketLimiter"/> is made of.</summary>
public record TokenBucketLimiterOptions
{
    /// <summary>The largest number of permits held: the largest burst, and the most that one lease can have. At least 1.
    /// </summary>
    public required int TokenLimit { get; set; }

    /// <summary>Permits gained in every <see cref="ReplenishmentPeriod"/>, evenly; fractions too.</summary>
    public required double TokensPerPeriod { get; set; }

    /// <summary>The time in which <see cref="TokensPerPeriod"/> are gained; one second by default.</summary>
    public TimeSpan ReplenishmentPeriod { get; set; } = TimeSpan.FromSeconds(1);

    /// <summary>What <see cref="TokenBucketLimiter.IsAutoReplenishing"/> says; true by default. Permits come in evenly, by
    /// the clock, also if it is false: then <see cref="TokenBucketLimiter.TryReplenish"/> finds nothing left to do.
    /// </summary>
    public bool AutoReplenishment { get; set; } = true;

    /// <summary>The most permits that may be waited for at a time; 0 (the default) is no queue: AcquireAsync then
    /// answers at once.</summary>
    public int QueueLimit { get; set; }

    /// <summary>Whether the oldest request in the queue is served first (the default) or the newest, for which the oldest
    /// make room with failed leases where the queue is full.</summary>
    public QueueProcessingOrder QueueProcessingOrder { get; set; } = QueueProcessingOrder.OldestFirst;

    /// <summary>For how long permits that are due are kept for a request that comes late for them, as
    /// <see cref="LimitOptions.MaxLateness"/>.</summary>
    public TimeSpan? MaxLateness { get; set; }

    /// <summary>Where to count; null (the default) is nowhere. Many limiters may share one.</summary>
    public TokenBucketMetrics? Metrics { get; set; }

    /// <inheritdoc cref="LimitOptions.Clock"/>
    public ManualClock? Clock { get; set; }

    /// <inheritdoc cref="LimitOptions.TimeProvider"/>
    public TimeProvider? TimeProvider { get; set; }

    internal BucketOptions ToBucketOptions()
    {
        RequireRanges();
        return new BucketOptions
        {
            Capacity = TokenLimit, Tokens = TokensPerPeriod, PeriodNanoseconds = PeriodNanoseconds, MaxLateness = MaxLateness,
            Clock = Clock, TimeProvider = TimeProvider, GivenAs = Given,
        };
    }

    // With the limit of what was opened. Its capacity may be no whole number, or more than an int holds.
    internal TokenBucketLimiterOptions Adopting(in BucketLimit limit) => this with
    {
        TokenLimit = (int)double.Min(limit.Capacity, int.MaxValue), TokensPerPeriod = limit.Tokens,
        ReplenishmentPeriod = Nanoseconds.ToTimeSpan(limit.PeriodNanoseconds),
    };

    internal static void RequireTokenLimit(int tokenLimit, string argument) =>
        Refusal.Require(tokenLimit >= 1, tokenLimit, "1 or more", argument);

    private protected long PeriodNanoseconds => Nanoseconds.FromPositive(ReplenishmentPeriod, nameof(ReplenishmentPeriod));

    private protected Dictionary<string, Refusal.Given> Given => new()
    {
        ["capacity"] = new(nameof(TokenLimit), TokenLimit), ["rate_tokens"] = new(nameof(TokensPerPeriod), TokensPerPeriod),
    };

    private protected void RequireRanges()
    {
        RequireTokenLimit(TokenLimit, nameof(TokenLimit));
        Refusal.Require(QueueLimit >= 0, QueueLimit, "0 or more");
        Refusal.Require(Enum.IsDefined(QueueProcessingOrder), QueueProcessingOrder, "OldestFirst or NewestFirst");
    }
}
