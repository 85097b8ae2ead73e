using System;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace TokenBucket;

// The clock of one bucket or table that goes by a TimeProvider, in nanoseconds since it was made. The native clock refers
// to it weakly: the owner keeps it, and frees it after the native object that uses it.
internal sealed unsafe class ProviderClock
{
    private const long Second = 1_000_000_000;

    private readonly TimeProvider _provider;
    private readonly long _start, _frequency;
    private GCHandle _weak;

    private ProviderClock(TimeProvider provider)
    {
        _provider = provider;
        _start = provider.GetTimestamp();
        _frequency = provider.TimestampFrequency;
        _weak = GCHandle.Alloc(this, GCHandleType.Weak);
        int status = NativeMethods.tb_callback_clock_create(&Now, (void*)GCHandle.ToIntPtr(_weak), out nint address);
        Address = address;
        if (status != NativeMethods.TB_SUCCESS)
        {
            Free();
            throw new TokenBucketException((Status)status);
        }
    }

    internal nint Address { get; }

    // Null: the system's clock, which the library reads by itself.
    internal static ProviderClock? Of(TimeProvider? provider) =>
        provider is null || provider == TimeProvider.System ? null : new ProviderClock(provider);

    internal void Free()
    {
        NativeMethods.tb_clock_destroy(Address);
        _weak.Free();
    }

    private long Nanoseconds
    {
        get
        {
            long passed = _provider.GetTimestamp() - _start;
            return _frequency == Second
                ? passed
                : (long)Int128.Clamp((Int128)passed * Second / _frequency, 0, NativeMethods.TB_FOREVER - 1);
        }
    }

    // What is being finalized has no time any more.
    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static long Now(void* user) => (GCHandle.FromIntPtr((nint)user).Target as ProviderClock)?.Nanoseconds ?? 0;
}
