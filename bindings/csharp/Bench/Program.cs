// What a call costs, against .NET's own token bucket: both in turn, in one process, the median of many rounds.
using System;
using System.Diagnostics;
using System.Globalization;
using System.Linq;
using System.Threading;
using System.Threading.RateLimiting;
using System.Threading.Tasks;
using TokenBucket;

const int Rounds = 41, Calls = 100_000;

using var plenty = new TokenBucketLimiter(new TokenBucketLimiterOptions { TokenLimit = int.MaxValue, TokensPerPeriod = 1e9 });
using var none = new TokenBucketLimiter(new TokenBucketLimiterOptions { TokenLimit = 1, TokensPerPeriod = 1e-6 });
using var plentyBucket = new Bucket(1e9, 1e9);
using var noBucket = new Bucket(1, 1e-6);
using TokenBucketRateLimiter theirPlenty = Theirs(int.MaxValue), theirNone = Theirs(1);
none.AttemptAcquire().Dispose();
noBucket.Allow();
theirNone.AttemptAcquire().Dispose();

foreach (int threads in (int[])[1, 2])
{
    Compare("AttemptAcquire, granted", threads, () => Attempt(plenty), () => Attempt(theirPlenty));
    Compare("AttemptAcquire, denied", threads, () => Attempt(none), () => Attempt(theirNone));
    Compare("AcquireAsync, granted at once", threads, () => Acquire(plenty), () => Acquire(theirPlenty));
    Compare("Bucket.Allow, granted", threads, () => Allow(plentyBucket), () => Attempt(theirPlenty));
    Compare("Bucket.Allow, denied", threads, () => Allow(noBucket), () => Attempt(theirNone));
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

static void Compare(string call, int threads, Action ours, Action theirs)
{
    double[] our = new double[Rounds], their = new double[Rounds];
    for (int round = -5; round < Rounds; round++)
    {
        double a = Time(threads, ours), b = Time(threads, theirs);
        if (round >= 0)
        {
            (our[round], their[round]) = (a, b);
        }
    }
    (double ns, double peer) = (our.Order().ElementAt(Rounds / 2), their.Order().ElementAt(Rounds / 2));
    string name = threads == 1 ? call : $"{call}, {threads} threads";
    Console.WriteLine(string.Create(
        CultureInfo.InvariantCulture, $"C# | {name} | {ns:F1} | TokenBucketRateLimiter | {peer:F1} | {ns / peer:F2}"));
}

// Nanoseconds per call of one thread.
static double Time(int threads, Action work)
{
    if (threads == 1)
    {
        long start = Stopwatch.GetTimestamp();
        work();
        return Stopwatch.GetElapsedTime(start).TotalNanoseconds / Calls;
    }
    using var ready = new Barrier(threads);
    double[] times = new double[threads];
    Thread[] running = [.. Enumerable.Range(0, threads).Select(i => new Thread(() =>
    {
        ready.SignalAndWait();
        times[i] = Time(1, work);
    }))];
    Array.ForEach(running, t => t.Start());
    Array.ForEach(running, t => t.Join());
    return times.Average();
}
