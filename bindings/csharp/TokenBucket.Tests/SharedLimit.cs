using System;
using System.Threading;
using System.Threading.RateLimiting;
using System.Threading.Tasks;

namespace TokenBucket.Tests;

// A shared bucket, or a key of a shared table, of which the same holds.
internal sealed record SharedLimit(Bucket? Bucket, KeyedTable? Table) : IDisposable
{
    internal const string OfBucket = "bucket", OfKey = "key";
    internal const double Slow = 1e-6; // next to nothing accrues during a test

    private const string Key = "alice";

    internal static SharedLimit Open(string kind, string name, long? maxWaiters = null) => kind == OfKey
        ? new(null, KeyedTable.OpenShared(
            name, new KeyedTableOptions { Capacity = 10, Tokens = Slow, MaxKeys = 100, MaxWaiters = maxWaiters }))
        : new(Bucket.OpenShared(
            name, new BucketOptions { Capacity = 10, Tokens = Slow, MaxWaiters = maxWaiters }), null);

    internal Member Member => Bucket ?? new Member(Table!, Key);

    internal int MostPending => Bucket is null ? 128 : 1000;

    internal double Available => Math.Round(Bucket?.Available ?? Table!.Available(Key), 2);

    internal bool Allow(double tokens) => Bucket?.Allow(tokens) ?? Table!.Allow(Key, tokens);

    internal Reservation Reserve(double tokens = 1) => Bucket?.Reserve(tokens) ?? Table!.Reserve(Key, tokens);

    internal Reservation? Reserve(double tokens, TimeSpan most) =>
        Bucket is null ? Table!.Reserve(Key, tokens, most) : Bucket.Reserve(tokens, most);

    internal Task WaitAsync(double tokens, CancellationToken cancellation = default) =>
        Bucket?.WaitAsync(tokens, cancellation) ?? Table!.WaitAsync(Key, tokens, cancellation);

    internal Task<bool> WaitAsync(double tokens, TimeSpan timeout) =>
        Bucket?.WaitAsync(tokens, timeout) ?? Table!.WaitAsync(Key, tokens, timeout);

    internal bool Wait(double tokens, TimeSpan timeout, CancellationToken cancellation = default) =>
        Bucket?.Wait(tokens, timeout, cancellation) ?? Table!.Wait(Key, tokens, timeout, cancellation);

    internal void Refund(double tokens)
    {
        Bucket?.Refund(tokens);
        Table?.Refund(Key, tokens);
    }

    internal void Close()
    {
        Bucket?.Close();
        Table?.Close();
    }

    public void Dispose()
    {
        Bucket?.Dispose();
        Table?.Dispose();
    }

    // All that a disposed one refuses.
    internal Action[] Calls => Bucket is Bucket b
        ?
        [
            () => b.Allow(), () => b.Take(), () => b.TakeUpTo(1), () => b.Reserve(), () => b.Charge(1),
            () => b.Refund(1), () => b.Reset(), () => b.SetTokens(1), () => b.SetRate(1), () => b.SetCapacity(1),
            () => b.Wait(), () => b.Wait(1, TimeSpan.Zero), () => b.Close(), () => _ = b.Available,
            () => b.WaitAsync().GetAwaiter().GetResult(),
        ]
        :
        [
            () => Table!.Allow(Key), () => Table!.Take(Key), () => Table!.TakeUpTo(Key, 1), () => Table!.Reserve(Key),
            () => Table!.Charge(Key, 1), () => Table!.Refund(Key, 1), () => Table!.Remove(Key), () => Table!.SetRate(1),
            () => Table!.SetCapacity(1), () => Table!.Wait(Key), () => Table!.Wait(Key, 1, TimeSpan.Zero),
            () => Table!.Close(), () => Table!.Available(Key), () => Table!.TimeUntil(Key, 1), () => _ = Table!.Limit,
            () => Table!.GetStatistics(), () => Table!.AllowMany([Key], new Status[1]),
            () => Table!.WaitAsync(Key).GetAwaiter().GetResult(),
        ];

    // A limiter of 10 permits on that of a name.
    internal sealed record Limiter(
        Func<int, RateLimitLease> AttemptAcquire, Func<int, ValueTask<RateLimitLease>> AcquireAsync, Action Dispose)
    {
        internal static Limiter Open(string kind, string name, int queueLimit, QueueProcessingOrder order = default)
        {
            if (kind == OfKey)
            {
                var options = new TokenBucketPartitionedLimiterOptions
                {
                    TokenLimit = 10, TokensPerPeriod = Slow, MaxKeys = 100, QueueLimit = queueLimit,
                    QueueProcessingOrder = order,
                };
                var keys = TokenBucketPartitionedLimiter.OpenShared<string>(name, options);
                return new(n => keys.AttemptAcquire(Key, n), n => keys.AcquireAsync(Key, n), keys.Dispose);
            }
            var limiter = TokenBucketLimiter.OpenShared(name, new TokenBucketLimiterOptions
            {
                TokenLimit = 10, TokensPerPeriod = Slow, QueueLimit = queueLimit, QueueProcessingOrder = order,
            });
            return new(n => limiter.AttemptAcquire(n), n => limiter.AcquireAsync(n), limiter.Dispose);
        }
    }
}
