using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.RateLimiting;
using TokenBucket;

// What a key costs in a table and in .NET's own partitioned limiter, in turns, in one process; and what each holds in
// memory and uses while nobody asks.
internal sealed class TableBench : IDisposable
{
    private const int Keys = 1_000_000, Batch = 16, KeysPerRound = 50 * Batch, Rounds = 301, Draws = 200 * KeysPerRound;

    // So that keys are neither empty nor full in the time this program runs.
    private const int Capacity = 100_000_000;

    // What a thread asks for, one behind the other, over and over again. No string is one that a limiter holds.
    private readonly string[][] _streams = [.. Enumerable.Range(1, 2).Select(NewStream)];
    private readonly KeyedTable _table;
    private readonly TokenBucketPartitionedLimiter<string> _limiter;
    private readonly PartitionedRateLimiter<string> _theirs;
    private readonly Memory _ofTable, _ofLimiter, _ofTheirs;
    private readonly double _idleShare;

    private TableBench()
    {
        Memory before = Memory.Now;
        _table = new KeyedTable(Capacity, 1, Keys);
        Fill(key => _table.Allow(key, Capacity / 2));
        _ofTable = Memory.Now - before;
        before = Memory.Now;
        _limiter = new TokenBucketPartitionedLimiter<string>(
            new TokenBucketPartitionedLimiterOptions { TokenLimit = Capacity, TokensPerPeriod = 1, MaxKeys = Keys });
        Fill(key => IsAcquired(_limiter, key, Capacity / 2));
        _ofLimiter = Memory.Now - before;
        double idle = ProcessorShare();
        before = Memory.Now;
        _theirs = PartitionedRateLimiter.Create<string, string>(key => RateLimitPartition.GetTokenBucketLimiter(
            key, _ => new TokenBucketRateLimiterOptions
            {
                TokenLimit = Capacity, TokensPerPeriod = 1, ReplenishmentPeriod = TimeSpan.FromSeconds(1),
            }));
        Fill(key => IsAcquired(_theirs, key, Capacity / 2));
        _ofTheirs = Memory.Now - before;
        _idleShare = ProcessorShare() - idle;
    }

    internal static void Run()
    {
        CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
        using var bench = new TableBench();
        Console.WriteLine(
            $"C#, {Keys} keys of 20 characters, uniform; theirs: PartitionedRateLimiter of TokenBucketRateLimiter");
        Console.WriteLine($"{"",-60} {"ns",8} {"theirs",8}  {"x theirs",-20} {"n",3}");
        for (int threads = 1; threads <= Math.Min(2, Environment.ProcessorCount); threads++)
        {
            bench.Compare("KeyedTable.Allow", threads, bench.AllowEach, bench.TheirsEach, 1.5);
            bench.Compare("TokenBucketPartitionedLimiter.AttemptAcquire", threads, bench.OursEach, bench.TheirsEach, 1.5);
            bench.Compare("KeyedTable.AllowMany, 16; theirs: one by one", threads, bench.AllowMany, bench.TheirsEach, 3);
        }
        bench.PrintMemory("KeyedTable", bench._ofTable);
        bench.PrintMemory("TokenBucketPartitionedLimiter", bench._ofLimiter);
        Console.WriteLine(
            $"theirs uses {bench._idleShare:P0} of a processor while nobody asks, and did all the time; a table nothing");
    }

    public void Dispose()
    {
        _table.Dispose();
        _limiter.Dispose();
        _theirs.Dispose();
    }

    private static string KeyOf(int number) => string.Create(CultureInfo.InvariantCulture, $"user:{number:D15}");

    private static string[] NewStream(int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, Draws).Select(_ => KeyOf(random.Next(Keys)))];
    }

    private static void Fill(Func<string, bool> take) => Require(Enumerable.Range(0, Keys).All(i => take(KeyOf(i))));

    private static void Require(bool asExpected)
    {
        if (!asExpected)
        {
            throw new InvalidOperationException("a key was denied, or the system does not tell");
        }
    }

    // Of one processor, in two seconds in which nobody asks.
    private static double ProcessorShare()
    {
        TimeSpan before = Environment.CpuUsage.TotalTime;
        var seconds = TimeSpan.FromSeconds(2);
        Thread.Sleep(seconds);
        return (Environment.CpuUsage.TotalTime - before) / seconds;
    }

    private static bool IsAcquired(PartitionedRateLimiter<string> limiter, string key, int permits = 1)
    {
        using RateLimitLease lease = limiter.AttemptAcquire(key, permits);
        return lease.IsAcquired;
    }

    private bool AllowEach(ReadOnlySpan<string> keys)
    {
        bool all = true;
        foreach (string key in keys)
        {
            all &= _table.Allow(key);
        }
        return all;
    }

    private bool OursEach(ReadOnlySpan<string> keys) => AcquireEach(_limiter, keys);

    private bool TheirsEach(ReadOnlySpan<string> keys) => AcquireEach(_theirs, keys);

    private static bool AcquireEach(PartitionedRateLimiter<string> limiter, ReadOnlySpan<string> keys)
    {
        bool all = true;
        foreach (string key in keys)
        {
            all &= IsAcquired(limiter, key);
        }
        return all;
    }

    private bool AllowMany(ReadOnlySpan<string> keys)
    {
        Span<Status> answers = stackalloc Status[Batch];
        bool all = true;
        for (; keys.Length > 0; keys = keys[Batch..])
        {
            _table.AllowMany(keys[..Batch], answers);
            all &= !answers.ContainsAnyExcept(Status.Success);
        }
        return all;
    }

    private delegate bool Asking(ReadOnlySpan<string> keys);

    private void Compare(string name, int threads, Asking ours, Asking theirs, double goal)
    {
        double[][] times = Samples(threads, [ours, theirs]);
        (double Ours, double Theirs)[] clean = [.. times[0].Zip(times[1]).Where(t => !double.IsNaN(t.First + t.Second))];
        string threaded = threads == 1 ? name : $"{name}, {threads} threads";
        if (clean.Length == 0)
        {
            Console.WriteLine($"{threaded,-60} not measured: the machine had other things to do");
            return;
        }
        double[] ratios = [.. clean.Select(t => t.Theirs / t.Ours).Order()];
        (double p10, double p90) = (ratios[ratios.Length / 10], ratios[ratios.Length * 9 / 10]);
        double ratio = Median(ratios);
        Console.WriteLine(
            $"{threaded,-60} {Median(clean.Select(t => t.Ours)),8:F1} {Median(clean.Select(t => t.Theirs)),8:F1}"
            + $"  {ratio,5:F2} ({p10,5:F2}..{p90,5:F2}) {clean.Length,3}  >= {goal:F1}: {Verdict(ratio >= goal)}");
    }

    // Nanoseconds of wall time per key of all threads together, of each way to ask, round by round; NaN for a sample in
    // which a thread lost its processor to another, which would count against the slower way. The threads stay, and wait
    // for each other without sleeping, so that they have come to run side by side. As many keys come before each sample,
    // so that none has to fetch first what the other way has displaced.
    private double[][] Samples(int threads, Asking[] ways)
    {
        double[][] times = [.. ways.Select(_ => new double[Rounds])];
        int arrived = 0;
        Thread[] running = [.. _streams.Take(threads).Select(stream => new Thread(() =>
        {
            int at = 0;
            ReadOnlySpan<string> Next()
            {
                at = (at + KeysPerRound) % Draws;
                return stream.AsSpan(at, KeysPerRound);
            }
            for (int step = 0; step < ways.Length * Rounds; step++)
            {
                Asking ask = ways[step % ways.Length];
                Require(ask(Next()));
                Interlocked.Increment(ref arrived);
                while (Volatile.Read(ref arrived) < (step + 1) * threads)
                {
                }
                long preempted = Preemptions();
                long start = Stopwatch.GetTimestamp();
                bool all = ask(Next());
                double ns = Stopwatch.GetElapsedTime(start).TotalNanoseconds;
                Require(all);
                bool disturbed = Preemptions() != preempted;
                lock (times)
                {
                    times[step % ways.Length][step / ways.Length] +=
                        disturbed ? double.NaN : ns / KeysPerRound / threads / threads;
                }
            }
        }))];
        Array.ForEach(running, t => t.Start());
        Array.ForEach(running, t => t.Join());
        return times;
    }

    // How often this thread has lost its processor so far.
    private static long Preemptions()
    {
        const int OfThisThread = 1;
        Span<long> usage = stackalloc long[18]; // struct rusage, whose last member this is
        Require(Native.getrusage(OfThisThread, ref usage[0]) == 0);
        return usage[^1];
    }

    private void PrintMemory(string name, Memory ours)
    {
        double perKey = (double)ours.Resident / Keys;
        (double heap, double resident) = ((double)_ofTheirs.Heap / Keys, (double)_ofTheirs.Resident / Keys);
        double share = perKey / Math.Min(heap, resident);
        Console.WriteLine($"bytes a key: {name} {perKey:F1}, theirs {heap:F1} of heap, {resident:F1} resident;"
            + $" ours / theirs {share:F2}  <= 0.20: {Verdict(share <= 0.2)}");
    }

    private static double Median(IEnumerable<double> values) => values.Order().ElementAt(values.Count() / 2);

    private static string Verdict(bool reached) => reached ? "reached" : "MISSED";

    // What is left after a collection that gives back what it can.
    private readonly record struct Memory(long Resident, long Heap)
    {
        internal static Memory Now
        {
            get
            {
                GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive);
                long pages = long.Parse(File.ReadAllText("/proc/self/statm").Split(' ')[1], CultureInfo.InvariantCulture);
                return new Memory(pages * Environment.SystemPageSize, GC.GetTotalMemory(forceFullCollection: true));
            }
        }

        public static Memory operator -(Memory after, Memory before) =>
            new(after.Resident - before.Resident, after.Heap - before.Heap);
    }
}
