using System;
using System.Runtime.CompilerServices;
using System.Runtime.ConstrainedExecution;
using System.Runtime.InteropServices;
using System.Runtime.InteropServices.Marshalling;

namespace TokenBucket;

// Owns a native object. A call passes its bare address and counts nothing, so only the finalizer frees it: each call
// keeps this object reachable until it has returned. The finalizer is critical, so it runs after the finalizers of the
// objects that use this one; what such a finalizer saved for later finds a null handle, which the library refuses.
internal abstract class NativeHandle(nint address) : CriticalFinalizerObject
{
    private bool _isShared;

    internal nint Address { get; private protected set; } = address;

    protected nint Release()
    {
        nint address = Address;
        Address = 0;
        if (_isShared)
        {
            SharedMemory.Opened.Remove();
        }
        return address;
    }

    // Before it is opened: this may collect those that are left.
    protected void CountAsShared()
    {
        _isShared = true;
        SharedMemory.Opened.Add();
    }
}

[NativeMarshalling(typeof(HandleMarshaller<BucketHandle>))]
internal sealed unsafe class BucketHandle(nint address) : NativeHandle(address)
{
    // The native bucket refers to it weakly, for it may refer to this bucket.
    private Action<BucketEvent>? _onEvent;
    private GCHandle _weakOnEvent;
    private ProviderClock? _clock;

    // A take runs managed code.
    private bool _callsBack;

    ~BucketHandle()
    {
        NativeMethods.tb_destroy(Release());
        _clock?.Free();
        if (_weakOnEvent.IsAllocated)
        {
            _weakOnEvent.Free();
        }
    }

    internal static int Create(
        tb_config* config, Action<BucketEvent>? onEvent, ProviderClock? clock, out BucketHandle handle)
    {
        handle = Prepare(config, onEvent, clock);
        int status = NativeMethods.tb_create_with(config, out nint address);
        handle.Address = address;
        return status;
    }

    internal static int OpenShared(
        tb_config* config, Action<BucketEvent>? onEvent, ProviderClock? clock, byte* name, uint flags,
        out BucketHandle handle, out int fault)
    {
        handle = Prepare(config, onEvent, clock);
        handle.CountAsShared();
        int status = NativeMethods.tb_shared_open(config, name, flags, out nint address, out fault);
        handle.Address = address;
        return status;
    }

    internal int Allow(double n) => _callsBack ? NativeMethods.AllowCallingBack(this, n) : NativeMethods.tb_allow(this, n);

    internal int Take(double n, out tb_decision decision) => _callsBack
        ? NativeMethods.TakeCallingBack(this, n, out decision) : NativeMethods.tb_take(this, n, out decision);

    internal int TakeUpTo(double most, out double taken) => _callsBack
        ? NativeMethods.TakeUpToCallingBack(this, most, out taken) : NativeMethods.tb_take_up_to(this, most, out taken);

    internal int Available(out double tokens) => _callsBack
        ? NativeMethods.AvailableCallingBack(this, out tokens) : NativeMethods.tb_available(this, out tokens);

    internal int TimeUntil(double n, out long ns) => _callsBack
        ? NativeMethods.TimeUntilCallingBack(this, n, out ns) : NativeMethods.tb_time_until(this, n, out ns);

    private static BucketHandle Prepare(tb_config* config, Action<BucketEvent>? onEvent, ProviderClock? clock)
    {
        var handle = new BucketHandle(0) { _clock = clock, _callsBack = clock is not null || onEvent is not null };
        if (clock is not null)
        {
            config->clock = clock.Address;
        }
        if (onEvent is not null)
        {
            handle._onEvent = onEvent;
            handle._weakOnEvent = GCHandle.Alloc(onEvent, GCHandleType.Weak);
            config->on_event = &OnEvent;
            config->event_user = (void*)GCHandle.ToIntPtr(handle._weakOnEvent);
        }
        config->on_wake = &Waiter.OnWake;
        return handle;
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void OnEvent(void* user, tb_event* told) =>
        (GCHandle.FromIntPtr((nint)user).Target as Action<BucketEvent>)?.Invoke(
            new BucketEvent((Status)told->status, told->n, told->waited_ns));
}

[NativeMarshalling(typeof(HandleMarshaller<TableHandle>))]
internal sealed unsafe class TableHandle(nint address) : NativeHandle(address)
{
    private ProviderClock? _clock;

    ~TableHandle()
    {
        NativeMethods.tb_table_destroy(Release());
        _clock?.Free();
    }

    internal static int Create(tb_config* limit, tb_table_config* config, ProviderClock? clock, out TableHandle handle)
    {
        handle = Prepare(limit, clock);
        int status = NativeMethods.tb_table_create_with(limit, config, out nint address);
        handle.Address = address;
        return status;
    }

    internal static int OpenShared(
        tb_config* limit, tb_table_config* config, ProviderClock? clock, byte* name, uint flags, out TableHandle handle,
        out int fault)
    {
        handle = Prepare(limit, clock);
        handle.CountAsShared();
        int status = NativeMethods.tb_shared_table_open(limit, config, name, flags, out nint address, out fault);
        handle.Address = address;
        return status;
    }

    internal int Allow(ReadOnlySpan<byte> key, double n) => _clock is null
        ? NativeMethods.tb_table_allow(this, key, (nuint)key.Length, n)
        : NativeMethods.AllowCallingBack(this, key, (nuint)key.Length, n);

    internal int Take(ReadOnlySpan<byte> key, double n, out tb_decision decision) => _clock is null
        ? NativeMethods.tb_table_take(this, key, (nuint)key.Length, n, out decision)
        : NativeMethods.TakeCallingBack(this, key, (nuint)key.Length, n, out decision);

    internal int TakeUpTo(ReadOnlySpan<byte> key, double most, out double taken) => _clock is null
        ? NativeMethods.tb_table_take_up_to(this, key, (nuint)key.Length, most, out taken)
        : NativeMethods.TakeUpToCallingBack(this, key, (nuint)key.Length, most, out taken);

    internal int Available(ReadOnlySpan<byte> key, out double tokens) => _clock is null
        ? NativeMethods.tb_table_available(this, key, (nuint)key.Length, out tokens)
        : NativeMethods.AvailableCallingBack(this, key, (nuint)key.Length, out tokens);

    internal int TimeUntil(ReadOnlySpan<byte> key, double n, out long ns) => _clock is null
        ? NativeMethods.tb_table_time_until(this, key, (nuint)key.Length, n, out ns)
        : NativeMethods.TimeUntilCallingBack(this, key, (nuint)key.Length, n, out ns);

    private static TableHandle Prepare(tb_config* limit, ProviderClock? clock)
    {
        if (clock is not null)
        {
            limit->clock = clock.Address;
        }
        limit->on_wake = &Waiter.OnWake;
        return new TableHandle(0) { _clock = clock };
    }
}

[NativeMarshalling(typeof(HandleMarshaller<ClockHandle>))]
internal sealed class ClockHandle(nint address) : NativeHandle(address)
{
    ~ClockHandle() => NativeMethods.tb_clock_destroy(Release());
}

[NativeMarshalling(typeof(HandleMarshaller<RemoteHandle>))]
internal sealed class RemoteHandle(nint address) : NativeHandle(address)
{
    ~RemoteHandle() => NativeMethods.tb_remote_destroy(Release());
}

[CustomMarshaller(typeof(CustomMarshallerAttribute.GenericPlaceholder), MarshalMode.ManagedToUnmanagedIn, typeof(HandleMarshaller<>.Argument))]
internal static class HandleMarshaller<T> where T : NativeHandle
{
    internal ref struct Argument
    {
        private T _handle;

        public void FromManaged(T handle) => _handle = handle;

        public readonly nint ToUnmanaged() => _handle.Address;

        public readonly void OnInvoked() => GC.KeepAlive(_handle);

        public readonly void Free()
        {
        }
    }
}
