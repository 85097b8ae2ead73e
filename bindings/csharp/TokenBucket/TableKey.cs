using System;
using System.Buffers;
using System.Text;

namespace TokenBucket;

/// <summary>A key of a <see cref="KeyedTable"/>: any bytes, 0 .. <see cref="MaxSize"/> of them. A string is the key of its
/// UTF-8.</summary>
public readonly ref struct TableKey
{
    /// <summary>The most bytes of a key.</summary>
    public const int MaxSize = NativeMethods.TB_MAX_KEY_SIZE;

    private readonly string? _text;
    private readonly ReadOnlySpan<byte> _bytes;

    /// <summary>The key of these bytes.</summary>
    public TableKey(ReadOnlySpan<byte> bytes) => _bytes = bytes;

    /// <summary>The key of a string's UTF-8.</summary>
    public TableKey(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        _text = text;
    }

    /// <summary>The key of a string's UTF-8.</summary>
    public static implicit operator TableKey(string key)
    {
        ArgumentNullException.ThrowIfNull(key);
        return new(key);
    }

    /// <summary>The key of these bytes.</summary>
    public static implicit operator TableKey(ReadOnlySpan<byte> key) => new(key);

    /// <summary>The key of these bytes.</summary>
    public static implicit operator TableKey(Span<byte> key) => new(key);

    /// <summary>The key of these bytes.</summary>
    public static implicit operator TableKey(byte[] key)
    {
        ArgumentNullException.ThrowIfNull(key);
        return new(key);
    }

    internal int Size => _text is null ? _bytes.Length : Encoding.UTF8.GetByteCount(_text);

    internal void CopyTo(Span<byte> destination)
    {
        if (_text is null)
        {
            _bytes.CopyTo(destination);
        }
        else
        {
            Encoding.UTF8.GetBytes(_text, destination);
        }
    }

    internal static void RequireSize(int size, string argument = "key")
    {
        if (size > MaxSize)
        {
            throw new ArgumentException(Refusal.Text(argument, size, $"at most {MaxSize} bytes"), argument);
        }
    }

    // A key's bytes for a call: its own, or in a buffer of the caller's, or in a rented one if it does not fit.
    internal ref struct Bytes
    {
        internal const int BufferSize = 256;

        private readonly byte[]? _rented;

        internal Bytes(TableKey key, Span<byte> buffer)
        {
            int size;
            if (key._text is null)
            {
                Span = key._bytes;
                RequireSize(Span.Length);
            }
            else if (Encoding.UTF8.TryGetBytes(key._text, buffer, out size))
            {
                Span = buffer[..size];
            }
            else
            {
                size = key.Size;
                RequireSize(size);
                _rented = ArrayPool<byte>.Shared.Rent(size);
                Encoding.UTF8.GetBytes(key._text, _rented);
                Span = _rented.AsSpan(0, size);
            }
        }

        internal readonly ReadOnlySpan<byte> Span { get; }

        internal readonly nuint Size => (nuint)Span.Length;

        public readonly void Dispose()
        {
            if (_rented is not null)
            {
                ArrayPool<byte>.Shared.Return(_rented);
            }
        }
    }

    // Keys that stand one behind the other in rented arrays, for one call.
    internal ref struct Batch
    {
        private readonly nuint[] _sizes;
        private byte[] _bytes = ArrayPool<byte>.Shared.Rent(1024);
        private int _count, _used;

        internal Batch(ReadOnlySpan<string> keys)
        {
            _sizes = ArrayPool<nuint>.Shared.Rent(keys.Length);
            foreach (string key in keys)
            {
                Add(key);
            }
        }

        internal Batch(ReadOnlySpan<ReadOnlyMemory<byte>> keys)
        {
            _sizes = ArrayPool<nuint>.Shared.Rent(keys.Length);
            foreach (ReadOnlyMemory<byte> key in keys)
            {
                Add(key.Span);
            }
        }

        internal readonly ReadOnlySpan<byte> Bytes => _bytes.AsSpan(0, _used);

        internal readonly ReadOnlySpan<nuint> Sizes => _sizes.AsSpan(0, _count);

        public readonly void Dispose()
        {
            ArrayPool<byte>.Shared.Return(_bytes);
            ArrayPool<nuint>.Shared.Return(_sizes);
        }

        private void Add(TableKey key)
        {
            int size = key.Size;
            RequireSize(size);
            int needed = checked(_used + size);
            if (needed > _bytes.Length)
            {
                byte[] larger = ArrayPool<byte>.Shared.Rent((int)long.Clamp(2L * _bytes.Length, needed, Array.MaxLength));
                Bytes.CopyTo(larger);
                ArrayPool<byte>.Shared.Return(_bytes);
                _bytes = larger;
            }
            key.CopyTo(_bytes.AsSpan(_used, size));
            _sizes[_count++] = (nuint)size;
            _used = needed;
        }
    }
}
