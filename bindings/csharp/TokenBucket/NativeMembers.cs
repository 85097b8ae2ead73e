using System;
using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace TokenBucket;

// Members as the library reads them, for one call. The keys stand one behind the other in the caller's buffer, or in a
// rented array if they do not fit. Both buffers must be on the stack.
internal unsafe ref struct NativeMembers
{
    internal const int KeysSize = 256;

    private readonly Member[] _members;
    private readonly byte[]? _rented;
    private GCHandle _pin;

    // tokens: the cost of each; none: the members' own. Each is multiplied.
    internal NativeMembers(
        Member[] members, ReadOnlySpan<double> tokens, double times, Span<tb_member> native, Span<byte> keys)
    {
        _members = members;
        Pointer = (tb_member*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(native));
        int size = 0;
        foreach (Member member in members)
        {
            size += member.Key.Length;
        }
        if (size > keys.Length)
        {
            _rented = ArrayPool<byte>.Shared.Rent(size);
            _pin = GCHandle.Alloc(_rented, GCHandleType.Pinned);
            keys = _rented;
        }
        byte* next = (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(keys));
        for (int i = 0; i < members.Length; i++)
        {
            Member member = members[i];
            ReadOnlySpan<byte> key = member.Key;
            key.CopyTo(new Span<byte>(next, key.Length));
            native[i] = new tb_member
            {
                bucket = member.Bucket?.Address ?? 0, table = member.Table?.Native.Address ?? 0,
                key = next, key_size = (nuint)key.Length, n = (tokens.IsEmpty ? member.Tokens : tokens[i]) * times,
            };
            next += key.Length;
        }
    }

    internal tb_member* Pointer { get; }

    internal readonly nuint Count => (nuint)_members.Length;

    // Until then the members are kept.
    public void Dispose()
    {
        GC.KeepAlive(_members);
        if (_rented is not null)
        {
            _pin.Free();
            ArrayPool<byte>.Shared.Return(_rented);
        }
    }
}
