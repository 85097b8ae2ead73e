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
    internal nint Address { get; private protected set; } = address;

    protected nint Release()
    {
        nint address = Address;
        Address = 0;
        return address;
    }
}

[NativeMarshalling(typeof(HandleMarshaller<BucketHandle>))]
internal sealed unsafe class BucketHandle(nint address) : NativeHandle(address)
{
    // The native bucket refers to it weakly, for it may refer to this bucket.
    private Action<BucketEvent>? _onEvent;
    private GCHandle _weakOnEvent;

    ~BucketHandle()
    {
        NativeMethods.tb_destroy(Release());
        if (_weakOnEvent.IsAllocated)
        {
            _weakOnEvent.Free();
        }
    }

    internal static int Create(tb_config* config, Action<BucketEvent>? onEvent, out BucketHandle handle)
    {
        handle = Prepare(config, onEvent);
        int status = NativeMethods.tb_create_with(config, out nint address);
        handle.Address = address;
        return status;
    }

    internal static int OpenShared(
        tb_config* config, Action<BucketEvent>? onEvent, byte* name, uint flags, out BucketHandle handle, out int fault)
    {
        handle = Prepare(config, onEvent);
        int status = NativeMethods.tb_shared_open(config, name, flags, out nint address, out fault);
        handle.Address = address;
        return status;
    }

    private static BucketHandle Prepare(tb_config* config, Action<BucketEvent>? onEvent)
    {
        var handle = new BucketHandle(0);
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
    ~TableHandle() => NativeMethods.tb_table_destroy(Release());

    internal static int Create(tb_config* limit, tb_table_config* config, out TableHandle handle)
    {
        limit->on_wake = &Waiter.OnWake;
        int status = NativeMethods.tb_table_create_with(limit, config, out nint address);
        handle = new TableHandle(address);
        return status;
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
