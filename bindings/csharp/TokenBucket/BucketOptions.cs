using System;
using System.Collections.Generic;

namespace TokenBucket;

/// <summary>What a <see cref="Bucket"/> is made of.</summary>
public sealed class BucketOptions : LimitOptions
{
    /// <summary>Tokens in the new bucket; null (the default) is full.</summary>
    public double? InitialTokens { get; init; }

    /// <summary>Whether <see cref="Bucket.Statistics"/> counts; a take then costs some 15 ns more. False by default.</summary>
    public bool Statistics { get; init; }

    /// <summary>Told of each <see cref="Status.Denied"/> of <see cref="Bucket.Allow"/> and <see cref="Bucket.Take"/>, of
    /// the end of each wait in the queue whatever its status, and of each wait or reservation refused at once with
    /// <see cref="Status.TimedOut"/> or <see cref="Status.QueueFull"/>. It runs on the calling thread, after the decision
    /// and under no lock; it may use the same bucket, and must not throw: an exception ends the process.</summary>
    public Action<BucketEvent>? OnEvent { get; init; }

    internal bool IsObserved => OnEvent is not null || Statistics;

    // As ToConfig; without OnEvent.
    internal tb_config ToBucketConfig()
    {
        // -1 has a meaning of its own in the native struct.
        Refusal.Require(!(InitialTokens < 0), InitialTokens, "from 0 to the capacity, or null");
        tb_config config = ToConfig();
        config.flags = Statistics ? NativeMethods.TB_STATISTICS : 0;
        config.initial_tokens = InitialTokens ?? NativeMethods.TB_INITIALLY_FULL;
        return config;
    }

    internal override Dictionary<string, Refusal.Given> Given =>
        new(base.Given) { ["initial_tokens"] = new(nameof(InitialTokens), InitialTokens) };
}
