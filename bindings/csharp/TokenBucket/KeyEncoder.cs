using System;
using System.Buffers.Binary;
using System.Net;
using System.Text;

namespace TokenBucket;

/// <summary>Gives the bytes by which a table knows a key: in the buffer, of 256 bytes, or elsewhere. Keys of the same bytes
/// are the same.</summary>
/// <param name="key">The key.</param>
/// <param name="buffer">Where the bytes may be written.</param>
public delegate ReadOnlySpan<byte> KeyEncoder<in TKey>(TKey key, Span<byte> buffer);

internal static class KeyEncoders
{
    internal static KeyEncoder<TKey> Default<TKey>() => (
        typeof(TKey) == typeof(string) ? (KeyEncoder<string>)Encode
        : typeof(TKey) == typeof(int) ? (KeyEncoder<int>)Encode
        : typeof(TKey) == typeof(long) ? (KeyEncoder<long>)Encode
        : typeof(TKey) == typeof(Guid) ? (KeyEncoder<Guid>)Encode
        : typeof(TKey) == typeof(IPAddress) ? (KeyEncoder<IPAddress>)Encode
        : (Delegate?)null) as KeyEncoder<TKey>
        ?? throw new ArgumentException($"A {typeof(TKey)} has no bytes of its own: an encoder is needed.", "encoder");

    private static ReadOnlySpan<byte> Encode(string key, Span<byte> buffer)
    {
        ArgumentNullException.ThrowIfNull(key);
        return Encoding.UTF8.TryGetBytes(key, buffer, out int size) ? buffer[..size] : Encoding.UTF8.GetBytes(key);
    }

    private static ReadOnlySpan<byte> Encode(int key, Span<byte> buffer)
    {
        BinaryPrimitives.WriteInt32LittleEndian(buffer, key);
        return buffer[..sizeof(int)];
    }

    private static ReadOnlySpan<byte> Encode(long key, Span<byte> buffer)
    {
        BinaryPrimitives.WriteInt64LittleEndian(buffer, key);
        return buffer[..sizeof(long)];
    }

    private static ReadOnlySpan<byte> Encode(Guid key, Span<byte> buffer)
    {
        key.TryWriteBytes(buffer, bigEndian: true, out int size);
        return buffer[..size];
    }

    private static ReadOnlySpan<byte> Encode(IPAddress key, Span<byte> buffer) => buffer[..AddressKey.Write(key, buffer, 64)];
}
