using System;
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
// such a call runs managed code: these calls never wake a waiter, and what asks a TimeProvider for the time or tells of
// events is asked by the functions below.
internal static unsafe partial class NativeMethods
{
    private const string Library = NativeLoader.Name;

    static NativeMethods() => NativeLoader.Install();

    [LibraryImport(Library, EntryPoint = nameof(tb_allow))] internal static partial int AllowCallingBack(BucketHandle bucket, double n);
    [LibraryImport(Library, EntryPoint = nameof(tb_take))] internal static partial int TakeCallingBack(BucketHandle bucket, double n, out tb_decision out_decision);
    [LibraryImport(Library, EntryPoint = nameof(tb_take_up_to))] internal static partial int TakeUpToCallingBack(BucketHandle bucket, double most, out double out_taken);
    [LibraryImport(Library, EntryPoint = nameof(tb_available))] internal static partial int AvailableCallingBack(BucketHandle bucket, out double out_tokens);
    [LibraryImport(Library, EntryPoint = nameof(tb_time_until))] internal static partial int TimeUntilCallingBack(BucketHandle bucket, double n, out long out_ns);
    [LibraryImport(Library, EntryPoint = nameof(tb_table_allow))] internal static partial int AllowCallingBack(TableHandle table, ReadOnlySpan<byte> key, nuint key_size, double n);
    [LibraryImport(Library, EntryPoint = nameof(tb_table_take))] internal static partial int TakeCallingBack(TableHandle table, ReadOnlySpan<byte> key, nuint key_size, double n, out tb_decision out_decision);
    [LibraryImport(Library, EntryPoint = nameof(tb_table_take_up_to))] internal static partial int TakeUpToCallingBack(TableHandle table, ReadOnlySpan<byte> key, nuint key_size, double most, out double out_taken);
    [LibraryImport(Library, EntryPoint = nameof(tb_table_available))] internal static partial int AvailableCallingBack(TableHandle table, ReadOnlySpan<byte> key, nuint key_size, out double out_tokens);
    [LibraryImport(Library, EntryPoint = nameof(tb_table_time_until))] internal static partial int TimeUntilCallingBack(TableHandle table, ReadOnlySpan<byte> key, nuint key_size, double n, out long out_ns);
}
