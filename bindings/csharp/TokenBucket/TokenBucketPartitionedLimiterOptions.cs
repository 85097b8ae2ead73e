namespace TokenBucket;

/// <summary>What a <see cref="TokenBucketPartitionedLimiter{TKey}"/> is made of: the limit of each key, and the size of the
/// table, by <see cref="MaxKeys"/> or by <see cref="MaxBytes"/>.</summary>
public sealed record TokenBucketPartitionedLimiterOptions : TokenBucketLimiterOptions
{
    /// <inheritdoc cref="KeyedTableOptions.MaxKeys"/>
    public long? MaxKeys { get; set; }

    /// <inheritdoc cref="KeyedTableOptions.MaxBytes"/>
    public long? MaxBytes { get; set; }

    /// <inheritdoc cref="KeyedTableOptions.WhenFull"/>
    public WhenTableFull WhenFull { get; set; }

    internal KeyedTableOptions ToTableOptions()
    {
        RequireRanges();
        return new KeyedTableOptions
        {
            Capacity = TokenLimit, Tokens = TokensPerPeriod, PeriodNanoseconds = PeriodNanoseconds, MaxLateness = MaxLateness,
            Clock = Clock, TimeProvider = TimeProvider, MaxKeys = MaxKeys, MaxBytes = MaxBytes, WhenFull = WhenFull,
            GivenAs = Given,
        };
    }
}
