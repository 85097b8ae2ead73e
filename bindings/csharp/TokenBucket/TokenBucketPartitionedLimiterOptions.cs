namespace TokenBucket;

/// <summary>What a <see cref="TokenBucketPartitionedLimiter{TKey}"/> is made of: the limit of each key, and the size of the
/// table, by <see cref="MaxKeys"/> or by <see cref="MaxBytes"/>.</summary>
public sealed record TokenBucketPartitionedLimiterOptions : TokenBucketLimiterOptions
{
    /// <inheritdoc cref="KeyedTableOptions.MaxKeys"/>
    public long? MaxKeys { get; init; }

    /// <inheritdoc cref="KeyedTableOptions.MaxBytes"/>
    public long? MaxBytes { get; init; }

    /// <inheritdoc cref="KeyedTableOptions.WhenFull"/>
    public WhenTableFull WhenFull { get; init; }

    internal KeyedTable CreateTable()
    {
        RequireRanges();
        return new KeyedTable(new KeyedTableOptions
        {
            Capacity = TokenLimit, Tokens = TokensPerPeriod, Period = Period, MaxLateness = MaxLateness, Clock = Clock,
            MaxKeys = MaxKeys, MaxBytes = MaxBytes, WhenFull = WhenFull,
        });
    }
}
