using System.Collections.Generic;

namespace TokenBucket;

/// <summary>What becomes of a new key when its 16 places in a <see cref="KeyedTable"/> are taken.</summary>
public enum WhenTableFull
{
    /// <summary>The key among them that holds most tokens, and is not in debt, is forgotten, as if it were full; if all
    /// are in debt, as <see cref="Deny"/>.</summary>
    EvictFullest = NativeMethods.TB_TABLE_EVICT_FULLEST,

    /// <summary>It is told <see cref="Status.TableFull"/>.</summary>
    Deny = NativeMethods.TB_TABLE_DENY,

    /// <summary>It is granted what a full bucket holds, and that is not remembered.</summary>
    Admit = NativeMethods.TB_TABLE_ADMIT,
}

/// <summary>What a <see cref="KeyedTable"/> is made of: the limit of each key, and the table's size, by
/// <see cref="MaxKeys"/> or by <see cref="MaxBytes"/>.</summary>
public sealed class KeyedTableOptions : LimitOptions
{
    /// <summary>How many keys may be short of tokens at a time; 24.6 bytes each. At least 1.</summary>
    public long? MaxKeys { get; init; }

    /// <summary>The table's memory. At least 64.</summary>
    public long? MaxBytes { get; init; }

    /// <summary>What becomes of a new key when there is no room.</summary>
    public WhenTableFull WhenFull { get; init; }

    internal override Dictionary<string, Refusal.Given> Given => new(base.Given)
    {
        ["max_keys"] = new(nameof(MaxKeys), MaxKeys), ["max_bytes"] = new(nameof(MaxBytes), MaxBytes),
        ["when_full"] = new(nameof(WhenFull), WhenFull),
    };
}
