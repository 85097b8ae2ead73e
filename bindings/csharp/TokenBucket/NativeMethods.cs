using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

[assembly: DisableRuntimeMarshalling]
[assembly: DefaultDllImportSearchPaths(DllImportSearchPath.AssemblyDirectory | DllImportSearchPath.SafeDirectories)]

namespace TokenBucket;

// Declarations.cs has the functions of the C header.
//
// SuppressGCTransition lets a call run without first telling the garbage collector, which then cannot stop the thread
// until the call returns. It is therefore only on the calls that never wait for anything, not even for a short lock; those
// of a table do for a few instructions where the library lacks the feature "lock_free_table". The runtime forbids that
// such a call runs managed code: these calls never wake a waiter, nothing of this binding has a callback clock, and a
// bucket that has an on_event is asked by the functions below.
internal static unsafe partial class NativeMethods
{
    private const string Library = NativeLoader.Name;

    static NativeMethods() => NativeLoader.Install();

    [LibraryImport(Library, EntryPoint = nameof(tb_allow))] internal static partial int AllowWithEvents(BucketHandle bucket, double n);
    [LibraryImport(Library, EntryPoint = nameof(tb_take))] internal static partial int TakeWithEvents(BucketHandle bucket, double n, out tb_decision out_decision);
}
