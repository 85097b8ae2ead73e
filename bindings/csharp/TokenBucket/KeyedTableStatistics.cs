namespace TokenBucket;

/// <summary>How full a table is, and what it has forgotten so far.</summary>
/// <param name="Places">For keys, free ones included.</param>
/// <param name="Occupied">By keys that are not full now.</param>
/// <param name="Evicted">Keys so far.</param>
/// <param name="TokensForgiven">What evicted keys had spent, and what <see cref="WhenTableFull.Admit"/> granted.</param>
public readonly record struct KeyedTableStatistics(long Places, long Occupied, long Evicted, double TokensForgiven);
