using System;
using System.Diagnostics;
using System.Threading;
using System.Threading.Tasks;

namespace TokenBucket;

// Sleeping in the host's own way, never shorter than asked. The host's timers count whole milliseconds and may fire
// early, so every sleep is rounded up and checked against the monotonic clock.
internal static class HostSleep
{
    // The bucket's clock keeps within a microsecond of the monotonic one, at either end of a wait.
    private const long ClockTolerance = 2_000;
    private const long NanosecondsPerMillisecond = 1_000_000;

    // The end of a wait of wait_ns that was answered just now, in the units of Stopwatch; saturated.
    internal static long Deadline(long waitNs)
    {
        Int128 ticks = (Int128)waitNs + ClockTolerance;
        ticks = (ticks * Stopwatch.Frequency + 999_999_999) / 1_000_000_000 + Stopwatch.GetTimestamp();
        return ticks > long.MaxValue ? long.MaxValue : (long)ticks;
    }

    internal static async Task UntilAsync(long deadline, CancellationToken cancellation)
    {
        for (int ms = MillisecondsLeft(deadline); ms > 0; ms = MillisecondsLeft(deadline))
        {
            await Task.Delay(ms, cancellation).ConfigureAwait(false);
        }
    }

    internal static void Until(long deadline, CancellationToken cancellation)
    {
        for (int ms = MillisecondsLeft(deadline); ms > 0; ms = MillisecondsLeft(deadline))
        {
            cancellation.WaitHandle.WaitOne(ms);
            cancellation.ThrowIfCancellationRequested();
        }
    }

    // At most what one sleep can be asked for; the loops above sleep again.
    private static int MillisecondsLeft(long deadline)
    {
        Int128 ns = ((Int128)deadline - Stopwatch.GetTimestamp()) * 1_000_000_000 / Stopwatch.Frequency;
        Int128 ms = (ns + NanosecondsPerMillisecond - 1) / NanosecondsPerMillisecond;
        return ns <= 0 ? 0 : ms > int.MaxValue ? int.MaxValue : (int)ms;
    }
}
