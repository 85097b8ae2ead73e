using System;
using System.IO;
using System.Reflection;
using System.Runtime.InteropServices;
using Xunit;

namespace TokenBucket.Tests;

// The stubs are built by test.sh, which names their folder.
public class LoaderTests
{
    private static readonly Assembly Binding = typeof(Bucket).Assembly;

    private static string Failure(params string[] names) =>
        Assert.Throws<DllNotFoundException>(() => NativeLoader.Load(names, Binding, null)).Message;

    private static string Stub(string name)
    {
        string? folder = Environment.GetEnvironmentVariable("TB_STUBS");
        Assert.NotNull(folder);
        string path = Path.Combine(folder, name);
        Assert.True(File.Exists(path));
        return path;
    }

    [Fact]
    public void A_missing_library_is_told_with_the_names_and_the_remedy()
    {
        string message = Failure("libnowhere.so.1", "nowhere");
        Assert.StartsWith($"The native tokenbucket library for {RuntimeInformation.RuntimeIdentifier} was not found. ", message, StringComparison.Ordinal);
        Assert.Contains("Searched: libnowhere.so.1, nowhere.", message, StringComparison.Ordinal);
        Assert.Contains("Install libtokenbucket 1.0.0 or newer with ABI 1", message, StringComparison.Ordinal);
        Assert.Contains(NativeLoader.PathSetting, message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("libother_abi.so", "version 2.3.4 with ABI 2")]
    [InlineData("libtoo_old.so", "version 0.9.1 with ABI 1")]
    [InlineData("libforeign.so", "no tokenbucket library")]
    public void A_library_of_another_version_is_refused_with_both_numbers(string file, string found)
    {
        string message = Failure(Stub(file));
        Assert.Contains($"{file}' is {found}; this binding needs version 1.0.0 or newer with ABI 1.", message, StringComparison.Ordinal);
        Assert.Contains("Install libtokenbucket", message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_library_that_fits_is_loaded() => Assert.NotEqual(0, NativeLoader.Load([Stub("libfits.so")], Binding, null));
}
