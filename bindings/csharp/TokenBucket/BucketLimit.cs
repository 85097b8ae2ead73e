namespace TokenBucket;

/// <summary>The limit in force on a bucket, or on each key of a table.</summary>
/// <param name="Capacity">The largest number of tokens held.</param>
/// <param name="Tokens">Tokens gained in every period.</param>
/// <param name="PeriodNanoseconds">The period.</param>
/// <param name="Unit">It is counted in whole units of so many tokens, fixed at creation.</param>
public readonly record struct BucketLimit(double Capacity, double Tokens, long PeriodNanoseconds, double Unit);
