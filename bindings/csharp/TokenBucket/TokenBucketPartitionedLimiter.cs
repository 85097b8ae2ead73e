using System;
using System.Collections.Generic;
using System.Diagnostics.CodeAnalysis;
using System.Linq;
using System.Runtime.CompilerServices;
using System.Threading;
using System.Threading.RateLimiting;
using System.Threading.Tasks;
using Bytes = TokenBucket.TableKey.Bytes;

namespace TokenBucket;

/// <summary>
/// A <see cref="PartitionedRateLimiter{TResource}"/> in fixed memory: a bucket of a <see cref="KeyedTable"/> for each key
/// in place of a limiter object, with nothing to make, find idle or dispose.
/// </summary>
/// <remarks>
/// <para>Each key is limited, and waited for, as by a <see cref="TokenBucketLimiter"/> of its own. A key that has no room in
/// the table gets a failed lease with the metadata <see cref="MetadataName.ReasonPhrase"/> and without
/// <see cref="MetadataName.RetryAfter"/>.</para>
/// <para>Statistics are of the key, but the counts of leases, which are of all keys.</para>
/// <para>All members may be called from any number of threads at once.</para>
/// </remarks>
/// <typeparam name="TKey">What is limited: a string, int, long, <see cref="Guid"/> or
/// <see cref="System.Net.IPAddress"/>, of which all of an IPv6 network of 64 bits are one key; others need an encoder.
/// </typeparam>
[SkipLocalsInit]
public sealed class TokenBucketPartitionedLimiter<TKey> : PartitionedRateLimiter<TKey>
{
    private readonly KeyEncoder<TKey> _encode;
    private readonly KeyedTable _table;
    private readonly LimiterState _state;

    // Those of keys with an AcquireAsync under way.
    private readonly Dictionary<byte[], Use> _queues = new(BytesComparer.Instance);

    /// <summary>Creates a limiter that holds all permits of all keys.</summary>
    /// <param name="options">What it is made of.</param>
    /// <param name="encoder">The bytes of a key; null is that of the type, where it has one.</param>
    /// <exception cref="ArgumentOutOfRangeException">A limit outside its range.</exception>
    /// <exception cref="ArgumentException">No encoder, or no size of the table.</exception>
    public TokenBucketPartitionedLimiter(TokenBucketPartitionedLimiterOptions options, KeyEncoder<TKey>? encoder = null)
        : this(encoder ?? KeyEncoders.Default<TKey>(), TableOf(options), options)
    {
    }

    internal TokenBucketPartitionedLimiter(
        KeyEncoder<TKey> encoder, KeyedTable table, TokenBucketLimiterOptions options)
    {
        _encode = encoder;
        _table = table;
        _state = new LimiterState(this, options);
    }

    private static KeyedTable TableOf(TokenBucketPartitionedLimiterOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        return new KeyedTable(options.ToTableOptions());
    }

    /// <summary>The largest number of permits of a key.</summary>
    public int TokenLimit => _state.TokenLimit;

    // How many keys are waited for.
    internal int Queues
    {
        get
        {
            lock (_queues)
            {
                return _queues.Count;
            }
        }
    }

    /// <summary>Changes the rate of all keys at once, for those who wait too.</summary>
    public void SetRate(double tokensPerSecond)
    {
        _state.ThrowIfDisposed();
        _table.SetRate(tokensPerSecond);
    }

    /// <summary>Changes the token limit of all keys at once; who waits for more than it gets a failed lease.</summary>
    public void SetTokenLimit(int tokenLimit)
    {
        _state.ThrowIfDisposed();
        TokenBucketLimiterOptions.RequireTokenLimit(tokenLimit, nameof(tokenLimit));
        _table.SetCapacity(tokenLimit, tokenLimit, nameof(tokenLimit));
        _state.TokenLimit = tokenLimit;
    }

    /// <summary>The limit in force on each key.</summary>
    public override string ToString() => _table.ToString(nameof(TokenBucketPartitionedLimiter));

    /// <inheritdoc/>
    public override RateLimiterStatistics GetStatistics(TKey resource)
    {
        PermitQueue queue = Find(Encode(resource, stackalloc byte[Bytes.BufferSize]));
        return _state.Statistics(queue.WholePermits, queue.QueuedPermits);
    }

    /// <summary>How full the table is, as <see cref="KeyedTable.GetStatistics"/>.</summary>
    public KeyedTableStatistics GetTableStatistics()
    {
        _state.ThrowIfDisposed();
        return _table.GetStatistics();
    }

    /// <inheritdoc/>
    protected override RateLimitLease AttemptAcquireCore(TKey resource, int permitCount)
    {
        _state.ThrowIfDisposed();
        ReadOnlySpan<byte> key = Encode(resource, stackalloc byte[Bytes.BufferSize]);
        return TakesAtOnce(key, permitCount) ? _state.Grant() : Find(key).AttemptAcquire(permitCount);
    }

    /// <inheritdoc/>
    protected override ValueTask<RateLimitLease> AcquireAsyncCore(
        TKey resource, int permitCount, CancellationToken cancellationToken)
    {
        if (cancellationToken.IsCancellationRequested)
        {
            return ValueTask.FromCanceled<RateLimitLease>(cancellationToken);
        }
        _state.ThrowIfDisposed();
        ReadOnlySpan<byte> key = Encode(resource, stackalloc byte[Bytes.BufferSize]);
        if (TakesAtOnce(key, permitCount))
        {
            return new ValueTask<RateLimitLease>(_state.Grant());
        }
        return permitCount > _state.QueueLimit
            ? new ValueTask<RateLimitLease>(Find(key).AttemptAcquire(permitCount))
            : WaitAsync(Hold(key), permitCount, cancellationToken);
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing && _state.TryDispose())
        {
            _table.Dispose();
            PermitQueue[] queues;
            lock (_queues)
            {
                queues = [.. _queues.Values.Select(use => use.Queue)];
            }
            Array.ForEach(queues, queue => queue.DenyThoseForNoPermits());
        }
        base.Dispose(disposing);
    }

    /// <inheritdoc/>
    protected override ValueTask DisposeAsyncCore()
    {
        Dispose(true);
        return base.DisposeAsyncCore();
    }

    private ReadOnlySpan<byte> Encode(TKey resource, Span<byte> buffer)
    {
        ReadOnlySpan<byte> key = _encode(resource, buffer);
        TableKey.RequireSize(key.Length, nameof(resource));
        return key;
    }

    // Spares what is granted at once its queue.
    private bool TakesAtOnce(ReadOnlySpan<byte> key, int permits) =>
        permits > 0 && _table.AllowNative(key, permits) == NativeMethods.TB_SUCCESS;

    private async ValueTask<RateLimitLease> WaitAsync(Use use, int permits, CancellationToken cancellation)
    {
        try
        {
            return await use.Queue.AcquireAsync(permits, cancellation).ConfigureAwait(false);
        }
        finally
        {
            Release(use);
        }
    }

    // A key that nobody waits for has a queue of no one else's.
    private PermitQueue Find(ReadOnlySpan<byte> key)
    {
        lock (_queues)
        {
            if (_queues.GetAlternateLookup<ReadOnlySpan<byte>>().TryGetValue(key, out Use? use))
            {
                return use.Queue;
            }
        }
        return new PermitQueue(_state, new KeyBucket(_table, key));
    }

    private Use Hold(ReadOnlySpan<byte> key)
    {
        lock (_queues)
        {
            if (!_queues.GetAlternateLookup<ReadOnlySpan<byte>>().TryGetValue(key, out Use? use))
            {
                byte[] own = key.ToArray();
                use = new Use(own, new PermitQueue(_state, new KeyBucket(_table, own)));
                _queues.Add(own, use);
            }
            use.Count++;
            return use;
        }
    }

    private void Release(Use use)
    {
        lock (_queues)
        {
            if (--use.Count == 0)
            {
                _queues.Remove(use.Key);
            }
        }
    }

    private sealed class Use(byte[] key, PermitQueue queue)
    {
        internal readonly byte[] Key = key;
        internal readonly PermitQueue Queue = queue;
        internal int Count;
    }

    private sealed class BytesComparer : IEqualityComparer<byte[]>, IAlternateEqualityComparer<ReadOnlySpan<byte>, byte[]>
    {
        internal static readonly BytesComparer Instance = new();

        public bool Equals(byte[]? x, byte[]? y) => x.AsSpan().SequenceEqual(y);

        public bool Equals(ReadOnlySpan<byte> alternate, byte[] other) => alternate.SequenceEqual(other);

        public int GetHashCode([DisallowNull] byte[] obj) => GetHashCode(obj.AsSpan());

        public int GetHashCode(ReadOnlySpan<byte> alternate)
        {
            var hash = new HashCode();
            hash.AddBytes(alternate);
            return hash.ToHashCode();
        }

        public byte[] Create(ReadOnlySpan<byte> alternate) => alternate.ToArray();
    }
}

/// <summary>Partitioned limiters that are opened, not created.</summary>
public static class TokenBucketPartitionedLimiter
{
    /// <summary>Opens a limiter on the table of that name that processes share, as <see cref="KeyedTable.OpenShared"/>;
    /// the limit and the table there must be those of the options, or are adopted. The queues' length, their order and
    /// the statistics are of this process. A request for which the table has no place to wait gets a failed lease.
    /// Disposing it leaves the table open for others.</summary>
    /// <exception cref="TokenBucketException">As there.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A limit outside its range, or no such name.</exception>
    /// <exception cref="ArgumentException">No encoder, or no size of the table.</exception>
    public static TokenBucketPartitionedLimiter<TKey> OpenShared<TKey>(
        string name, TokenBucketPartitionedLimiterOptions options, KeyEncoder<TKey>? encoder = null, bool adopt = false)
    {
        ArgumentNullException.ThrowIfNull(options);
        encoder ??= KeyEncoders.Default<TKey>();
        KeyedTable table = KeyedTable.OpenShared(name, options.ToTableOptions(), adopt);
        return new TokenBucketPartitionedLimiter<TKey>(encoder, table, adopt ? options.Adopting(table.Limit) : options);
    }
}
