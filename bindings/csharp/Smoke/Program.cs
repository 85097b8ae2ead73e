// Uses every part of the binding once, and says which native library it found.
using System;
using System.IO;
using System.Linq;
using System.Threading.RateLimiting;
using System.Threading.Tasks;
using Microsoft.Extensions.DependencyInjection;
using TokenBucket;

using var clock = new ManualClock();
using var bucket = new Bucket(new BucketOptions { Capacity = 3, Tokens = 60, Period = TimeSpan.FromMinutes(1), Clock = clock });
bool granted = bucket.Allow(3) && !bucket.Allow();
Task waiting = bucket.WaitAsync(2);
clock.Advance(TimeSpan.FromSeconds(2));
await waiting;

using var users = new KeyedTable(new KeyedTableOptions { Capacity = 1, Tokens = 1, MaxKeys = 100, Clock = clock });
var both = new CombinedLimit(bucket, new Member(users, "alice"));
Task<CombinedDecision> combined = both.WaitAsync(TimeSpan.FromSeconds(5));
clock.Advance(TimeSpan.FromSeconds(1));
granted &= (await combined).IsGranted && !both.Allow();
both.Reserve().Cancel();
using var all = new TokenBucketCombinedLimiter(both);
granted &= all.AttemptAcquire().TryGetMetadata(TokenBucketCombinedLimiter.RefusedBy, out Member? refused) && refused == both.Members[0];

var services = new ServiceCollection();
services.AddTokenBucketLimiter("mail", new TokenBucketLimiterOptions { TokenLimit = 1, TokensPerPeriod = 1, QueueLimit = 1, Clock = clock });
await using ServiceProvider provider = services.BuildServiceProvider();
RateLimiter limiter = provider.GetRequiredKeyedService<RateLimiter>("mail");
bool leased = limiter.AttemptAcquire().IsAcquired;
Task<RateLimitLease> queued = limiter.AcquireAsync().AsTask();
clock.Advance(TimeSpan.FromSeconds(1));
leased &= (await queued).IsAcquired;
limiter.AttemptAcquire().TryGetMetadata(MetadataName.RetryAfter, out TimeSpan retryAfter);

string message = "";
try
{
    bucket.Reserve(4);
}
catch (TokenBucketException e)
{
    message = e.Status.ToString();
}

string library = File.ReadLines("/proc/self/maps").First(line => line.Contains("libtokenbucket", StringComparison.Ordinal));
Console.WriteLine($"granted={granted} leased={leased} retry={retryAfter.TotalSeconds} message={message}");
Console.WriteLine(library[library.IndexOf('/', StringComparison.Ordinal)..]);
