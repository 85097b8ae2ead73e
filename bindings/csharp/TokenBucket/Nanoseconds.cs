using System;
using System.Threading;

namespace TokenBucket;

// TimeSpan counts 100 ns; the library counts 1 ns.
internal static class Nanoseconds
{
    // The longest wait that a caller allows; Timeout.InfiniteTimeSpan is no limit.
    internal static long From(TimeSpan time, string argument) =>
        time == Timeout.InfiniteTimeSpan ? NativeMethods.TB_FOREVER
        : time < TimeSpan.Zero ? throw Refusal.OutOfRange(argument, time, "0 or more, or Timeout.InfiniteTimeSpan")
        : Count(time);

    internal static long FromNonNegative(TimeSpan time, string argument) =>
        time < TimeSpan.Zero ? throw Refusal.OutOfRange(argument, time, "0 or more") : Count(time);

    internal static long FromPositive(TimeSpan time, string argument) =>
        time <= TimeSpan.Zero ? throw Refusal.OutOfRange(argument, time, "more than 0") : Count(time);

    // Rounded up, so that who waits that long never comes too early.
    internal static TimeSpan ToTimeSpan(long ns) =>
        ns == NativeMethods.TB_FOREVER ? TimeSpan.MaxValue : new TimeSpan(DivideUp(ns, TimeSpan.NanosecondsPerTick));

    internal static string ToText(long ns) => ns == NativeMethods.TB_FOREVER ? "never" : ToTimeSpan(ns).ToString();

    internal static long DivideUp(long ns, long unit) => ns / unit + (ns % unit > 0 ? 1 : 0);

    private static long Count(TimeSpan time) => time.Ticks > NativeMethods.TB_FOREVER / TimeSpan.NanosecondsPerTick
        ? NativeMethods.TB_FOREVER
        : time.Ticks * TimeSpan.NanosecondsPerTick;
}
