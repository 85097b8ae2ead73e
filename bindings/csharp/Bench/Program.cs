// What a call costs, against the bare native call and against .NET's own token bucket: all in turns, in one process, the
// medians of many rounds. With the argument "table" it is about limits by key.
using System;
using System.Diagnostics;
using System.Globalization;
using System.Linq;
using System.Runtime.InteropServices;
using System.Threading;
using System.Threading.RateLimiting;
using System.Threading.Tasks;
using TokenBucket;

const int Rounds = 31, WarmUps = 5, Calls = 200_000, Queued = 100_000;

if (args is ["table"])
{
    TableBench.Run();
    return;
}

using var plenty = new TokenBucketLimiter(new TokenBucketLimiterOptions { TokenLimit = int.MaxValue, TokensPerPeriod = 1e9 });
using var none = new TokenBucketLimiter(new TokenBucketLimiterOptions { TokenLimit = 1, TokensPerPeriod = 1e-6 });
using var plentyBucket = new Bucket(1e9, 1e9);
using var noBucket = new Bucket(1, 1e-6);
using TokenBucketRateLimiter theirPlenty = Theirs(int.MaxValue), theirNone = Theirs(1);
_ = Native.tb_create(1e9, 1e9, out nint rawPlenty);
_ = Native.tb_create(1, 1e-6, out nint rawNone);
none.AttemptAcquire().Dispose();
noBucket.Allow();
theirNone.AttemptAcquire().Dispose();
_ = Native.tb_allow(rawNone, 1);

foreach (int threads in (int[])[1, 2])
{
    Compare("AttemptAcquire, granted", threads, () => Attempt(plenty), () => Attempt(theirPlenty));
    Compare("AttemptAcquire, denied", threads, () => Attempt(none), () => Attempt(theirNone));
    Compare("AttemptAcquire, denied, RetryAfter read", threads, () => AttemptAndRead(none), () => AttemptAndRead(theirNone));
    Compare("AcquireAsync, granted at once", threads, () => Acquire(plenty), () => Acquire(theirPlenty));
    Compare("Bucket.Allow, granted", threads, () => Allow(plentyBucket), () => Attempt(theirPlenty), () => Raw(rawPlenty));
    Compare("Bucket.Allow, denied", threads, () => Allow(noBucket), () => Attempt(theirNone), () => Raw(rawNone));
}

foreach (string order in (string[])["the oldest first", "the newest first", "in any order"])
{
    (double ours, double theirs) = (CancelAll(order, ours: true), CancelAll(order, ours: false));
    Print($"AcquireAsync, {Queued} queued and cancelled, {order}", ours, "TokenBucketRateLimiter", theirs);
}

static TokenBucketRateLimiter Theirs(int limit) => new(new TokenBucketRateLimiterOptions
{
    TokenLimit = limit, TokensPerPeriod = 1, ReplenishmentPeriod = TimeSpan.FromHours(1), AutoReplenishment = false,
});

static void Attempt(RateLimiter limiter)
{
    for (int i = 0; i < Calls; i++)
    {
        limiter.AttemptAcquire().Dispose();
    }
}

static void AttemptAndRead(RateLimiter limiter)
{
    for (int i = 0; i < Calls; i++)
    {
        using RateLimitLease lease = limiter.AttemptAcquire();
        lease.TryGetMetadata(MetadataName.RetryAfter, out _);
    }
}

static void Acquire(RateLimiter limiter)
{
    for (int i = 0; i < Calls; i++)
    {
        ValueTask<RateLimitLease> lease = limiter.AcquireAsync();
        lease.GetAwaiter().GetResult().Dispose();
    }
}

static void Allow(Bucket bucket)
{
    for (int i = 0; i < Calls; i++)
    {
        bucket.Allow();
    }
}

static void Raw(nint bucket)
{
    for (int i = 0; i < Calls; i++)
    {
        _ = Native.tb_allow(bucket, 1);
    }
}

// A line for each peer.
static void Compare(string call, int threads, Action ours, Action theirs, Action? raw = null)
{
    Action[] works = raw is null ? [ours, theirs] : [ours, theirs, raw];
    double[] ns = Medians(threads, works);
    string name = threads == 1 ? call : $"{call}, {threads} threads";
    foreach ((double peer, string peerName) in ns.Skip(1).Zip(["TokenBucketRateLimiter", "the bare native call"]))
    {
        Print(name, ns[0], peerName, peer);
    }
}

static void Print(string call, double ns, string peer, double peerNs) => Console.WriteLine(string.Create(
    CultureInfo.InvariantCulture, $"C# | {call} | {ns:F1} | {peer} | {peerNs:F1} | {ns / peerNs:F2}"));

// Nanoseconds per cancel; the median of a few rounds.
static double CancelAll(string order, bool ours) => Enumerable.Range(0, 5).Select(_ =>
{
    using RateLimiter limiter = ours
        ? new TokenBucketLimiter(new TokenBucketLimiterOptions { TokenLimit = 1, TokensPerPeriod = 1e-3, QueueLimit = Queued })
        : new TokenBucketRateLimiter(new TokenBucketRateLimiterOptions
        {
            TokenLimit = 1, TokensPerPeriod = 1, ReplenishmentPeriod = TimeSpan.FromHours(1), QueueLimit = Queued,
        });
    limiter.AttemptAcquire().Dispose();
    CancellationTokenSource[] sources = [.. Enumerable.Range(0, Queued).Select(_ => new CancellationTokenSource())];
    Task<RateLimitLease>[] waiting = [.. sources.Select(s => limiter.AcquireAsync(1, s.Token).AsTask())];
    switch (order)
    {
        case "the newest first":
            Array.Reverse(sources);
            break;
        case "in any order":
            new Random(1).Shuffle(sources);
            break;
    }
    long start = Stopwatch.GetTimestamp();
    Array.ForEach(sources, s => s.Cancel());
    double ns = Stopwatch.GetElapsedTime(start).TotalNanoseconds / Queued;
    return waiting.All(w => w.IsCanceled) ? ns : throw new InvalidOperationException("not all were cancelled");
}).Order().ElementAt(2);

// Nanoseconds per call of one thread, of each work. The threads stay, and wait for each other without sleeping, so that
// they have come to run on processors of their own.
static double[] Medians(int threads, Action[] works)
{
    double[][] times = [.. works.Select(_ => new double[WarmUps + Rounds])];
    int arrived = 0;
    Thread[] running = [.. Enumerable.Range(0, threads).Select(_ => new Thread(() =>
    {
        for (int step = 0; step < works.Length * (WarmUps + Rounds); step++)
        {
            Interlocked.Increment(ref arrived);
            while (Volatile.Read(ref arrived) < (step + 1) * threads)
            {
            }
            long start = Stopwatch.GetTimestamp();
            works[step % works.Length]();
            double ns = Stopwatch.GetElapsedTime(start).TotalNanoseconds / Calls / threads;
            lock (times)
            {
                times[step % works.Length][step / works.Length] += ns;
            }
        }
    }))];
    Array.ForEach(running, t => t.Start());
    Array.ForEach(running, t => t.Join());
    return [.. times.Select(t => t.Skip(WarmUps).Order().ElementAt(Rounds / 2))];
}

internal static partial class Native
{
    [LibraryImport("libtokenbucket.so.1")] internal static partial int tb_create(double capacity, double tokens_per_second, out nint out_bucket);
    [LibraryImport("libtokenbucket.so.1"), SuppressGCTransition] internal static partial int tb_allow(nint bucket, double n);
    [LibraryImport("libc")] internal static partial int getrusage(int who, ref long usage);
}
