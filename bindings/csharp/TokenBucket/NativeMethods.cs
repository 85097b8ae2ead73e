using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

[assembly: DisableRuntimeMarshalling]
[assembly: DefaultDllImportSearchPaths(DllImportSearchPath.AssemblyDirectory | DllImportSearchPath.SafeDirectories)]

namespace TokenBucket;

// Declarations.cs has the functions of the C header.
//
// SuppressGCTransition lets a call run without first telling the garbage collector, which then cannot stop the thread
// until the call returns. It is therefore only on the calls that never wait for anything. The taking calls decide on one
// atomic word too, but once in a great many calls they move the bucket's base under a short lock and would hold up the
// whole process while another thread holds it; sparing the transition saves them a few of some 35 ns, which is not worth
// it. A callback clock must never be one of managed code: these calls would run it, which the runtime forbids.
internal static unsafe partial class NativeMethods
{
    private const string Library = NativeLoader.Name;

    static NativeMethods() => NativeLoader.Install();
}
