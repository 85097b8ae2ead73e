using System;

namespace TokenBucket;

/// <summary>What a bucket is made of.</summary>
public sealed class BucketOptions
{
    /// <summary>The largest number of tokens held: the largest burst. 1e-6 .. 1e15.</summary>
    public required double Capacity { get; init; }

    /// <summary>Tokens gained in every <see cref="PeriodNanoseconds"/>.</summary>
    public required double Tokens { get; init; }

    /// <summary>The time in which <see cref="Tokens"/> are gained, exact to the nanosecond; by default one second.</summary>
    public long PeriodNanoseconds { get; init; } = 1_000_000_000;

    /// <summary><see cref="PeriodNanoseconds"/> as a TimeSpan.</summary>
    public TimeSpan Period
    {
        get => Nanoseconds.ToTimeSpan(PeriodNanoseconds);
        init => PeriodNanoseconds = Nanoseconds.From(value, nameof(Period));
    }

    /// <summary>Tokens in the new bucket; null (the default) is full.</summary>
    public double? InitialTokens { get; init; }

    /// <summary>Whether <see cref="Bucket.Statistics"/> counts; a take then costs some 15 ns more. False by default.</summary>
    public bool Statistics { get; init; }

    /// <summary>The clock to live by; null (the default) is the system's.</summary>
    public ManualClock? Clock { get; init; }
}
