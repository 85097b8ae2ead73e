using System;
using System.Threading;

namespace TokenBucket;

// TimeSpan counts 100 ns; the library counts 1 ns.
internal static class Nanoseconds
{
    // A length of time given by a caller; Timeout.InfiniteTimeSpan is no limit.
    internal static long From(TimeSpan time, string parameter)
    {
        if (time == Timeout.InfiniteTimeSpan)
        {
            return NativeMethods.TB_FOREVER;
        }
        ArgumentOutOfRangeException.ThrowIfLessThan(time, TimeSpan.Zero, parameter);
        long ticks = time.Ticks;
        return ticks > NativeMethods.TB_FOREVER / TimeSpan.NanosecondsPerTick
            ? NativeMethods.TB_FOREVER
            : ticks * TimeSpan.NanosecondsPerTick;
    }

    // Rounded up, so that who waits that long never comes too early.
    internal static TimeSpan ToTimeSpan(long ns) =>
        ns == NativeMethods.TB_FOREVER ? TimeSpan.MaxValue : new TimeSpan(DivideUp(ns, TimeSpan.NanosecondsPerTick));

    internal static long DivideUp(long ns, long unit) => ns / unit + (ns % unit > 0 ? 1 : 0);
}
