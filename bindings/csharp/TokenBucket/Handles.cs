using System;
using System.Runtime.ConstrainedExecution;
using System.Runtime.InteropServices.Marshalling;

namespace TokenBucket;

// Owns a native object. A call passes its bare address and counts nothing, so only the finalizer frees it: each call
// keeps this object reachable until it has returned. The finalizer is critical, so it runs after the finalizers of the
// objects that use this one; what such a finalizer saved for later finds a null handle, which the library refuses.
internal abstract class NativeHandle(nint address) : CriticalFinalizerObject
{
    internal nint Address { get; private set; } = address;

    protected nint Release()
    {
        nint address = Address;
        Address = 0;
        return address;
    }
}

[NativeMarshalling(typeof(HandleMarshaller<BucketHandle>))]
internal sealed class BucketHandle(nint address) : NativeHandle(address)
{
    ~BucketHandle() => NativeMethods.tb_destroy(Release());
}

[NativeMarshalling(typeof(HandleMarshaller<ClockHandle>))]
internal sealed class ClockHandle(nint address) : NativeHandle(address)
{
    ~ClockHandle() => NativeMethods.tb_clock_destroy(Release());
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
