using System;
using System.Net;
using System.Text;

namespace TokenBucket;

/// <summary>Keys of network addresses: the same for all ways to write an IPv4 address, and for all addresses of an IPv6
/// network; one customer usually has a whole network of 64 bits.</summary>
public static unsafe class AddressKey
{
    /// <summary>The most bytes of such a key: 4 for IPv4, 16 for IPv6.</summary>
    public const int MaxSize = NativeMethods.TB_ADDRESS_KEY_SIZE;

    // An address with a zone and a port is shorter; what is longer is none.
    private const int LongestText = 256;
    private const string Address = "an IPv4 or IPv6 address";

    /// <summary>The key of an address.</summary>
    /// <param name="address">The address.</param>
    /// <param name="ipv6Prefix">The bits of the IPv6 network, 0 .. 128.</param>
    public static byte[] Of(IPAddress address, int ipv6Prefix = 64)
    {
        Span<byte> key = stackalloc byte[MaxSize];
        return key[..Write(address, key, ipv6Prefix)].ToArray();
    }

    /// <summary>The key of an address in text, such as 192.0.2.1, 192.0.2.1:80, 2001:db8::1, [2001:db8::1]:80, fe80::1%eth0,
    /// whose zone is dropped, and ::ffff:192.0.2.1, which is 192.0.2.1.</summary>
    /// <param name="address">The address.</param>
    /// <param name="ipv6Prefix">The bits of the IPv6 network, 0 .. 128.</param>
    /// <exception cref="FormatException">Not an address.</exception>
    public static byte[] Of(string address, int ipv6Prefix = 64)
    {
        ArgumentNullException.ThrowIfNull(address);
        Span<byte> key = stackalloc byte[MaxSize];
        return TryWrite(address, key, out int size, ipv6Prefix)
            ? key[..size].ToArray()
            : throw new FormatException(Refusal.Text(nameof(address), address, Address));
    }

    /// <summary>As <see cref="Of(string, int)"/>, into a span of <see cref="MaxSize"/> bytes; false if it is not an
    /// address.</summary>
    public static bool TryWrite(ReadOnlySpan<char> address, Span<byte> key, out int size, int ipv6Prefix = 64)
    {
        Span<byte> text = stackalloc byte[LongestText];
        size = 0;
        return Encoding.UTF8.TryGetBytes(address, text, out int length) && TryWriteUtf8(text[..length], key, out size, ipv6Prefix);
    }

    internal static int Write(IPAddress address, Span<byte> key, int ipv6Prefix)
    {
        ArgumentNullException.ThrowIfNull(address);
        Span<byte> text = stackalloc byte[LongestText];
        return address.TryFormat(text, out int length) && TryWriteUtf8(text[..length], key, out int size, ipv6Prefix)
            ? size
            : throw new FormatException(Refusal.Text(nameof(address), address, Address));
    }

    private static bool TryWriteUtf8(ReadOnlySpan<byte> text, Span<byte> key, out int size, int ipv6Prefix)
    {
        Refusal.Require(ipv6Prefix is >= 0 and <= 128, ipv6Prefix, "from 0 to 128");
        if (key.Length < MaxSize)
        {
            throw new ArgumentException(Refusal.Text(nameof(key), key.Length, $"at least {MaxSize} bytes"), nameof(key));
        }
        fixed (byte* from = text, to = key)
        {
            int status = NativeMethods.tb_address_key(from, (nuint)text.Length, ipv6Prefix, to, out nuint written);
            size = (int)written;
            return status == NativeMethods.TB_SUCCESS;
        }
    }
}
