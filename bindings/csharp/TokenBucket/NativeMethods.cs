using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

[assembly: DisableRuntimeMarshalling]
[assembly: DefaultDllImportSearchPaths(DllImportSearchPath.AssemblyDirectory | DllImportSearchPath.SafeDirectories)]

namespace TokenBucket;

// Declarations.cs has the functions of the C header.
//
// SuppressGCTransition lets a call run without first telling the garbage collector, which then cannot stop the thread
// until the call returns. It is therefore only on the calls that never wait for anything, not even for a short lock. The
// runtime forbids that such a call runs managed code: so no bucket of this binding has an on_event or a callback clock.
internal static unsafe partial class NativeMethods
{
    private const string Library = NativeLoader.Name;

    static NativeMethods() => NativeLoader.Install();
}
