using System;

namespace TokenBucket;

/// <summary>One of the limits of a <see cref="CombinedLimit"/>: a bucket, or a key of a table, and what a decision costs
/// there. It keeps the bucket or table, and closes neither.</summary>
public sealed class Member
{
    private readonly KeyBucket? _key;

    /// <summary>A bucket.</summary>
    /// <param name="bucket">The bucket.</param>
    /// <param name="tokens">What a decision costs there, unless its call says otherwise. Above 0 and finite.</param>
    public Member(Bucket bucket, double tokens = 1)
    {
        ArgumentNullException.ThrowIfNull(bucket);
        Refusal.RequireAmount(tokens);
        Bucket = bucket;
        Tokens = tokens;
    }

    /// <summary>A key of a table.</summary>
    /// <param name="table">The table.</param>
    /// <param name="key">The key, of which the bytes are copied.</param>
    /// <param name="tokens">What a decision costs there, unless its call says otherwise. Above 0 and finite.</param>
    /// <exception cref="ArgumentException">The key has more than <see cref="TableKey.MaxSize"/> bytes.</exception>
    public Member(KeyedTable table, TableKey key, double tokens = 1)
    {
        ArgumentNullException.ThrowIfNull(table);
        Refusal.RequireAmount(tokens);
        using var bytes = new TableKey.Bytes(key, stackalloc byte[TableKey.Bytes.BufferSize]);
        _key = new KeyBucket(table, bytes.Span);
        Table = table;
        Tokens = tokens;
    }

    /// <summary>A bucket that costs one token.</summary>
    public static implicit operator Member(Bucket bucket) => new(bucket);

    /// <summary>The bucket; null: a key of <see cref="Table"/>.</summary>
    public Bucket? Bucket { get; }

    /// <summary>The table; null: <see cref="Bucket"/>.</summary>
    public KeyedTable? Table { get; }

    /// <summary>The bytes of the key; none for a bucket.</summary>
    public ReadOnlySpan<byte> Key => _key is null ? [] : _key.Key;

    /// <summary>What a decision costs there.</summary>
    public double Tokens { get; }

    /// <summary>The bucket, or the table of the key, with its limit.</summary>
    public override string ToString() => Bucket?.ToString() ?? $"a key of {Table}";

    internal bool IsShared => Bucket?.IsShared ?? Table!.IsShared;

    internal IBucket Limit => Bucket ?? (IBucket)_key!;

    internal bool IsSameLimit(Member other) =>
        Bucket == other.Bucket && Table == other.Table && Key.SequenceEqual(other.Key);

    internal void ThrowIfLeft(int index)
    {
        if (Bucket?.IsLeft ?? Table!.IsLeft)
        {
            throw new ObjectDisposedException(Owner.FullName, $"Cannot access a disposed object (member {index}).");
        }
    }

    internal ObjectDisposedException Closed(int index) => TokenBucketException.Closed(Owner, $" (member {index})");

    internal double Capacity => Bucket?.Limit.Capacity ?? Table!.Limit.Capacity;

    private Type Owner => Bucket is null ? typeof(KeyedTable) : typeof(Bucket);
}
