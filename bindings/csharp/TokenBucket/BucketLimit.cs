using static System.FormattableString;

namespace TokenBucket;

/// <summary>The limit in force on a bucket, or on each key of a table.</summary>
/// <param name="Capacity">The largest number of tokens held.</param>
/// <param name="Tokens">Tokens gained in every period.</param>
/// <param name="PeriodNanoseconds">The period.</param>
/// <param name="Unit">It is counted in whole units of so many tokens, fixed at creation.</param>
public readonly record struct BucketLimit(double Capacity, double Tokens, long PeriodNanoseconds, double Unit)
{
    /// <summary>Such as "capacity 10 tokens, 5 tokens/s".</summary>
    public override string ToString() => Invariant($"capacity {Capacity} tokens, {Rate}");

    // Such as "5 tokens/s".
    internal string Rate => Invariant($"{Tokens} tokens{Per}");

    internal static BucketLimit Of(in tb_config c) => new(c.capacity, c.rate_tokens, c.rate_period_ns, c.unit);

    private string Per => PeriodNanoseconds == 1_000_000_000 ? "/s" : Invariant($" per {PeriodNanoseconds / 1e9} s");
}
