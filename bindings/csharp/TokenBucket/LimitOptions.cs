using System;
using System.Collections.Generic;
using System.Threading;

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
        init => PeriodNanoseconds = Nanoseconds.FromPositive(value, nameof(Period));
    }

    /// <summary>How many may wait at a time, for each key; the next gets a <see cref="TokenBucketException"/> with
    /// <see cref="Status.QueueFull"/>. Null (the default) is no limit.</summary>
    public long? MaxWaiters { get; init; }

    /// <summary>For how long tokens that are due are kept for the one that waits for them, if it comes late because the
    /// process was stopped or busy; then it is planned anew with all behind it, so late ones do not act all at once. Null
    /// (the default) is 10 ms, and no limit where <see cref="Clock"/> or <see cref="TimeProvider"/> is set.</summary>
    public TimeSpan? MaxLateness
    {
        get => MaxLatenessNanoseconds is long ns ? Nanoseconds.ToTimeSpan(ns) : null;
        init => MaxLatenessNanoseconds = LatenessOf(value);
    }

    internal long? MaxLatenessNanoseconds { get; private init; }

    /// <summary>A clock of the library's own, for tests; null (the default) is that of <see cref="TimeProvider"/>.</summary>
    public ManualClock? Clock { get; init; }

    /// <summary>Tells the time, and wakes those who wait, such as a FakeTimeProvider in tests; null (the default) is the
    /// system's clock. It must not throw. A take takes longer with it. Not together with <see cref="Clock"/>.</summary>
    public TimeProvider? TimeProvider { get; init; }

    // What wakes those who wait; null: a manual clock, which does so by itself.
    internal TimeProvider? Timers => Clock is null ? TimeProvider ?? TimeProvider.System : null;

    // What a limiter that has options of its own calls the fields.
    internal Dictionary<string, Refusal.Given>? GivenAs { get; init; }

    internal virtual Dictionary<string, Refusal.Given> Given => GivenAs ?? new()
    {
        ["capacity"] = new(nameof(Capacity), Capacity), ["rate_tokens"] = new(nameof(Tokens), Tokens),
        ["rate_period_ns"] = new(nameof(PeriodNanoseconds), PeriodNanoseconds),
    };

    // Keep the clock until the config has been used. A provider's is set by the handle.
    internal tb_config ToConfig()
    {
        if (Clock is not null && TimeProvider is not null)
        {
            throw new ArgumentException("One of Clock and TimeProvider may be set, not both.", "options");
        }
        Refusal.Require(MaxWaiters is null or > 0, MaxWaiters, "1 or more, or null");
        tb_config config = NewConfig(Capacity, Tokens);
        config.rate_period_ns = PeriodNanoseconds;
        config.max_waiters = MaxWaiters ?? 0;
        config.max_lateness_ns = MaxLatenessNanoseconds
            ?? (TimeProvider is null || TimeProvider == TimeProvider.System ? 0 : NativeMethods.TB_FOREVER);
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

    private static long? LatenessOf(TimeSpan? time) =>
        time == Timeout.InfiniteTimeSpan ? NativeMethods.TB_FOREVER
        : time is TimeSpan set ? Nanoseconds.FromPositive(set, nameof(MaxLateness)) : null;
}
