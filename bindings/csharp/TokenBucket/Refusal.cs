using System;
using System.Collections.Generic;
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace TokenBucket;

// Errors of arguments: each says which argument is refused, what it must be, and what it was.
internal static class Refusal
{
    internal const string Amount = "finite and more than 0";
    internal const string AmountOrNone = "finite and 0 or more";
    internal const string WithinDebt = "so few that at most 2^59 units are owed";

    // What a field of a configuration is called where the caller has set it, and what it was set to.
    internal readonly record struct Given(string Name, object? Value);

    internal static string Text(string argument, object? value, string allowed) =>
        string.Create(CultureInfo.InvariantCulture, $"{argument} must be {allowed}, got {value}");

    // The part of an argument that is refused, such as "[1]".
    internal static ArgumentOutOfRangeException OutOfRange(
        string argument, object? value, string allowed, string part = "") =>
        new(argument, value, Text(argument + part, value, allowed));

    internal static string UpToCapacity(double capacity) =>
        string.Create(CultureInfo.InvariantCulture, $"from 0 to the capacity of {capacity}");

    // For calls that need not be fast.
    internal static void Require(
        bool holds, object? value, string allowed, [CallerArgumentExpression(nameof(value))] string argument = "")
    {
        if (!holds)
        {
            throw OutOfRange(argument[(argument.LastIndexOf('.') + 1)..], value, allowed);
        }
    }

    internal static bool IsAmount(double value) => value > 0 && double.IsFinite(value);

    internal static void RequireAmount(double value, [CallerArgumentExpression(nameof(value))] string argument = "") =>
        Require(IsAmount(value), value, Amount, argument);

    // For what could not be made of a configuration; the fault is what a check of it has found.
    internal static Exception OfConfig(int status, in tb_config_fault fault, IReadOnlyDictionary<string, Given> given) =>
        Read(fault) is (string field, string allowed) && given.TryGetValue(field, out Given set)
            ? status == NativeMethods.TB_E_UNSUPPORTED
                ? new TokenBucketException(Status.Unsupported, Text(set.Name, set.Value, allowed), null)
                : OutOfRange(set.Name, set.Value, allowed)
            : new TokenBucketException((Status)status);

    // What the capacity or the rate must be; null where the library can represent it.
    internal static unsafe string? OfLimit(double capacity, double tokensPerSecond)
    {
        tb_config config = LimitOptions.NewConfig(capacity, tokensPerSecond);
        _ = NativeMethods.tb_config_check(&config, out tb_config_fault fault);
        return Read(fault)?.Allowed;
    }

    private static unsafe (string Field, string Allowed)? Read(in tb_config_fault fault) => fault.field is null
        ? null
        : (Marshal.PtrToStringUTF8((nint)fault.field)!, InitialOf(Marshal.PtrToStringUTF8((nint)fault.allowed)!));

    // Here null is full.
    private static string InitialOf(string allowed) => allowed.Replace(", or TB_INITIALLY_FULL", ", or null", StringComparison.Ordinal);
}
