using System;
using System.Reflection;
using System.Runtime.InteropServices;

namespace TokenBucket;

// Finds the native library and refuses one of another version.
internal static unsafe class NativeLoader
{
    internal const string Name = "tokenbucket";
    internal const string PathSetting = "TokenBucket.NativeLibraryPath";
    internal const int NeededAbi = 1;
    internal const int NeededVersion =
        NativeMethods.TB_VERSION_MAJOR * 10000 + NativeMethods.TB_VERSION_MINOR * 100 + NativeMethods.TB_VERSION_PATCH;

    // The plain name comes with development packages only; the one with the ABI's number is on every machine.
    private static readonly string[] DefaultNames = ["libtokenbucket.so.1", Name];

    private static readonly string HowToFix =
        $"Install libtokenbucket {Text(NeededVersion)} or newer with ABI {NeededAbi}, put its folder on the loader's " +
        $"path (LD_LIBRARY_PATH, ldconfig), or name the file in the AppContext setting '{PathSetting}'.";

    internal static void Install() =>
        NativeLibrary.SetDllImportResolver(typeof(NativeLoader).Assembly, Resolve);

    private static nint Resolve(string name, Assembly assembly, DllImportSearchPath? searchPath) => name switch
    {
        Name => Load(AppContext.GetData(PathSetting) is string path ? [path] : DefaultNames, assembly, searchPath),
        _ => 0,
    };

    internal static nint Load(string[] names, Assembly assembly, DllImportSearchPath? searchPath)
    {
        foreach (string name in names)
        {
            if (NativeLibrary.TryLoad(name, assembly, searchPath, out nint library))
            {
                Check(library, name);
                return library;
            }
        }
        throw new DllNotFoundException(
            $"The native tokenbucket library for {RuntimeInformation.RuntimeIdentifier} was not found. Searched: {string.Join(", ", names)}. {HowToFix}");
    }

    private static void Check(nint library, string name)
    {
        int abi = Call(library, "tb_abi_version");
        int version = Call(library, "tb_library_version");
        if (abi == NeededAbi && version >= NeededVersion)
        {
            return;
        }
        NativeLibrary.Free(library);
        string found = abi < 0 ? "no tokenbucket library" : $"version {Text(version)} with ABI {abi}";
        throw new DllNotFoundException(
            $"'{name}' is {found}; this binding needs version {Text(NeededVersion)} or newer with ABI {NeededAbi}. {HowToFix}");
    }

    // -1 if the library has no such function.
    private static int Call(nint library, string function) =>
        NativeLibrary.TryGetExport(library, function, out nint address)
            ? ((delegate* unmanaged[Cdecl]<int>)address)()
            : -1;

    internal static string Text(int version) => $"{version / 10000}.{version / 100 % 100}.{version % 100}";
}
