using System.Runtime.InteropServices;

namespace TokenBucket;

// A SafeHandle is released only after the last running call on it has returned: destroy is the last call by itself.
internal sealed class BucketHandle : SafeHandle
{
    public BucketHandle() : base(0, ownsHandle: true)
    {
    }

    public override bool IsInvalid => handle == 0;

    protected override bool ReleaseHandle()
    {
        NativeMethods.tb_destroy(handle);
        return true;
    }
}

internal sealed class ClockHandle : SafeHandle
{
    public ClockHandle() : base(0, ownsHandle: true)
    {
    }

    public override bool IsInvalid => handle == 0;

    protected override bool ReleaseHandle()
    {
        NativeMethods.tb_clock_destroy(handle);
        return true;
    }
}
