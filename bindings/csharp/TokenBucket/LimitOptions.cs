using System;

namespace TokenBucket;

/// <summary>The limit of a <see cref="Bucket"/>, or of each key of a <see cref="KeyedTable"/>.</summary>
public abstract class LimitOptions
{
    private protected LimitOptions()
    {
    }

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

    /// <summary>How many may wait at a time, for each key; the next gets a <see cref="TokenBucketException"/> with
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

    /// <summary>The clock to live by; null (the default) is the system's.</summary>
    public ManualClock? Clock { get; init; }

    // Keep the clock until the config has been used.
    internal tb_config ToConfig()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(MaxWaiters ?? 1, 1, nameof(MaxWaiters));
        ArgumentOutOfRangeException.ThrowIfLessThan(MaxLatenessNanoseconds ?? 1, 1, nameof(MaxLateness));
        tb_config config = NewConfig(Capacity, Tokens);
        config.rate_period_ns = PeriodNanoseconds;
        config.max_waiters = MaxWaiters ?? 0;
        config.max_lateness_ns = MaxLatenessNanoseconds ?? 0;
        config.clock = Clock?.Handle.Address ?? 0;
        return config;
    }

    internal static unsafe tb_config NewConfig(double capacity, double tokens)
    {
        tb_config config;
        _ = NativeMethods.tb_config_init(&config, (nuint)sizeof(tb_config));
        config.capacity = capacity;
        config.rate_tokens = tokens;
        return config;
    }

    internal string Describe() => $"{Tokens} tokens per {PeriodNanoseconds} ns, capacity {Capacity}";
}
