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

    /// <summary>How many may wait at a time; the next gets a <see cref="TokenBucketException"/> with
    /// <see cref="Status.QueueFull"/>. Null (the default) is no limit.</summary>
    public long? MaxWaiters { get; init; }

    /// <summary>For how long tokens that are due are kept for the one that waits for them, if it comes late because the
    /// process was stopped or busy; then it is planned anew with all behind it, so late ones do not act all at once. Null
    /// (the default) is 10 ms, and no limit on a <see cref="ManualClock"/>.</summary>
    public TimeSpan? MaxLateness
    {
        get => MaxLatenessNanoseconds is long ns ? Nanoseconds.ToTimeSpan(ns) : null;
        init => MaxLatenessNanoseconds = value is TimeSpan time ? Nanoseconds.From(time, nameof(MaxLateness)) : null;
    }

    internal long? MaxLatenessNanoseconds { get; private init; }

    /// <summary>Told of each <see cref="Status.Denied"/> of <see cref="Bucket.Allow"/> and <see cref="Bucket.Take"/>, of
    /// the end of each wait in the queue whatever its status, and of each wait or reservation refused at once with
    /// <see cref="Status.TimedOut"/> or <see cref="Status.QueueFull"/>. It runs on the calling thread, after the decision
    /// and under no lock; it may use the same bucket, and must not throw: an exception ends the process.</summary>
    public Action<BucketEvent>? OnEvent { get; init; }

    /// <summary>The clock to live by; null (the default) is the system's.</summary>
    public ManualClock? Clock { get; init; }
}
