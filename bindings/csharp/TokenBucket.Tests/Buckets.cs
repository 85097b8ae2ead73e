using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Xunit;

namespace TokenBucket.Tests;

// Buckets on manual clocks, and threads that report what went wrong.
internal static class Buckets
{
    public const long Second = 1_000_000_000;

    // How long another thread is given before the test fails.
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    public static Bucket On(ManualClock clock, double capacity, double perSecond, double? initial = null) =>
        new(new BucketOptions { Capacity = capacity, Tokens = perSecond, InitialTokens = initial, Clock = clock });

    public static KeyedTable TableOn(
        ManualClock clock, double capacity, double perSecond, long keys = 1000, long? maxWaiters = null) =>
        new(new KeyedTableOptions
        {
            Capacity = capacity, Tokens = perSecond, MaxKeys = keys, MaxWaiters = maxWaiters, Clock = clock,
        });

    // Of one line: 4 keys.
    public static KeyedTable TinyTable(ManualClock clock, WhenTableFull whenFull) => new(new KeyedTableOptions
    {
        Capacity = 10, Tokens = 1, MaxBytes = 64, WhenFull = whenFull, Clock = clock,
    });

    public static void Collect()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
    }

    public static void InParallel(int threads, Action work)
    {
        var failures = new List<Exception>();
        Thread[] running = [.. Enumerable.Range(0, threads).Select(_ => new Thread(() =>
        {
            try
            {
                work();
            }
            catch (Exception e)
            {
                lock (failures)
                {
                    failures.Add(e);
                }
            }
        }) { IsBackground = true })];
        Array.ForEach(running, t => t.Start());
        Assert.All(running, t => Assert.True(t.Join(Patience)));
        Assert.Empty(failures);
    }
}
