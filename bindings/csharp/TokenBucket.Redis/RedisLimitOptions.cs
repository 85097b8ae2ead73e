using System;
using System.Collections.Generic;

namespace TokenBucket.Redis;

/// <summary>What a <see cref="RedisLimit"/> is made of. All processes that use the same keys must use the same.</summary>
public sealed class RedisLimitOptions
{
    /// <inheritdoc cref="LimitOptions.Capacity"/>
    public required double Capacity { get; init; }

    /// <inheritdoc cref="LimitOptions.Tokens"/>
    public required double Tokens { get; init; }

    /// <inheritdoc cref="LimitOptions.PeriodNanoseconds"/>
    public long PeriodNanoseconds { get; init; } = 1_000_000_000;

    /// <inheritdoc cref="LimitOptions.Period"/>
    public TimeSpan Period
    {
        get => Nanoseconds.ToTimeSpan(PeriodNanoseconds);
        init => PeriodNanoseconds = Nanoseconds.FromPositive(value, nameof(Period));
    }

    /// <summary>The longest that a wait or a reservation may take, and so the most that a key may owe: what is gained in
    /// that time. One minute by default; zero is no debt, so that nothing can be waited for. Whole microseconds count.
    /// </summary>
    public TimeSpan MaxWait { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>What stands before each key in the server; "tb:" by default. Limits must not share keys: put a name for the
    /// limit here, such as "tb:login:", or into the keys.</summary>
    public string Prefix { get; init; } = "tb:";

    /// <summary>What is answered where the server cannot be asked; <see cref="OnUnavailable.Error"/> by default.</summary>
    public OnUnavailable OnUnavailable { get; init; }

    internal Dictionary<string, Refusal.Given> Given => new()
    {
        ["capacity"] = new(nameof(Capacity), Capacity), ["rate_tokens"] = new(nameof(Tokens), Tokens),
        ["rate_period_ns"] = new(nameof(PeriodNanoseconds), PeriodNanoseconds), ["max_wait_ns"] = new(nameof(MaxWait), MaxWait),
    };
}
