using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Linq;
using System.Reflection;
using System.Threading;
using System.Threading.RateLimiting;
using System.Threading.Tasks;
using Xunit;

namespace TokenBucket.Tests;

// The limiter against .NET's own token bucket: the same random calls, one token per period, seen at the ends of periods,
// where the two must agree in every answer. LimiterTests has what differs on purpose.
public class QueueDifferentialTests
{
    private const int Steps = 60;

    [Theory]
    [InlineData(QueueProcessingOrder.OldestFirst)]
    [InlineData(QueueProcessingOrder.NewestFirst)]
    public void The_queue_behaves_as_that_of_the_framework(QueueProcessingOrder order)
    {
        var seen = new SortedSet<string>();
        for (int seed = 0; seed < 400; seed++)
        {
            var random = new Random(seed);
            using var pair = new Pair(limit: random.Next(1, 6), queue: random.Next(0, 9), order, seen);
            for (int step = 0; step < Steps; step++)
            {
                string trace = pair.Step(random);
                pair.Compare($"seed {seed}, step {step}: {trace}");
            }
            pair.End();
        }
        // Nothing was left out.
        string[] all = ["attempt denied", "attempt granted", "async denied", "async granted", "async queued", "cancelled", "granted later", "turned away"];
        Assert.Equal(new SortedSet<string>(order == QueueProcessingOrder.NewestFirst ? all : all[..^1]), seen);
    }

    // What the limiter does otherwise (LimiterTests) is otherwise in the framework, too.
    [Fact]
    public async Task The_framework_differs_where_it_is_said_to()
    {
        using var theirs = new TokenBucketRateLimiter(new TokenBucketRateLimiterOptions
        {
            TokenLimit = 5, TokensPerPeriod = 5, ReplenishmentPeriod = TimeSpan.FromHours(1), QueueLimit = 20,
        });
        Action replenish = Pair.Replenisher(theirs);
        Assert.True(theirs.AttemptAcquire(2).IsAcquired);
        Task<RateLimitLease> all = theirs.AcquireAsync(5).AsTask();
        Assert.True(theirs.AttemptAcquire(1).TryGetMetadata(MetadataName.RetryAfter, out TimeSpan after));
        Assert.Equal(TimeSpan.FromHours(1), after);
        replenish();
        Assert.True((await all).IsAcquired);
        Assert.Equal(0, theirs.GetStatistics()!.CurrentAvailablePermits);

        replenish();
        using var source = new CancellationTokenSource();
        Assert.True(theirs.AttemptAcquire(3).IsAcquired);
        Task<RateLimitLease> large = theirs.AcquireAsync(5, source.Token).AsTask();
        Task<RateLimitLease> behind = theirs.AcquireAsync(2, CancellationToken.None).AsTask();
        await source.CancelAsync();
        Assert.True(large.IsCanceled);
        Assert.False(behind.IsCompleted);
        replenish();
        Assert.True((await behind).IsAcquired);
    }

    private sealed class Pair : IDisposable
    {
        private const long Period = 3_600_000_000_000;
        private readonly ManualClock _clock = new();
        private readonly TokenBucketLimiter _ours;
        private readonly TokenBucketRateLimiter _theirs;
        private readonly Action _replenish;
        private readonly SortedSet<string> _seen;
        private readonly List<Waiting> _waiting = [];
        private readonly int _limit;
        private readonly bool _newestFirst;

        internal Pair(int limit, int queue, QueueProcessingOrder order, SortedSet<string> seen)
        {
            _limit = limit;
            _newestFirst = order == QueueProcessingOrder.NewestFirst;
            _seen = seen;
            TimeSpan period = TimeSpan.FromHours(1);
            _ours = new TokenBucketLimiter(new TokenBucketLimiterOptions
            {
                TokenLimit = limit, TokensPerPeriod = 1, ReplenishmentPeriod = period, QueueLimit = queue, Clock = _clock,
                QueueProcessingOrder = order,
            });
            _theirs = new TokenBucketRateLimiter(new TokenBucketRateLimiterOptions
            {
                TokenLimit = limit, TokensPerPeriod = 1, ReplenishmentPeriod = period, QueueLimit = queue,
                QueueProcessingOrder = order,
            });
            _replenish = Replenisher(_theirs);
        }

        public void Dispose()
        {
            _ours.Dispose();
            _theirs.Dispose();
            _clock.Dispose();
        }

        internal string Step(Random random)
        {
            int permits = random.Next(0, _limit + 1);
            switch (random.Next(8))
            {
                case < 2:
                    return Attempt(permits);
                case < 5:
                    return AcquireLater(permits);
                case < 6 when _waiting.Count > 0:
                    return Cancel(_waiting[random.Next(_waiting.Count)]);
                default:
                    return Advance();
            }
        }

        private string Attempt(int permits)
        {
            using RateLimitLease ours = _ours.AttemptAcquire(permits), theirs = _theirs.AttemptAcquire(permits);
            Assert.Equal(theirs.IsAcquired, ours.IsAcquired);
            CompareMetadata(permits, theirs, ours);
            _seen.Add(ours.IsAcquired ? "attempt granted" : "attempt denied");
            return $"attempt {permits}";
        }

        private string AcquireLater(int permits)
        {
            var source = new CancellationTokenSource();
            Task<RateLimitLease> ours = _ours.AcquireAsync(permits, source.Token).AsTask();
            Task<RateLimitLease> theirs = _theirs.AcquireAsync(permits, source.Token).AsTask();
            Assert.Equal(theirs.IsCompleted, ours.IsCompleted);
            if (ours.IsCompleted)
            {
                Assert.Equal(theirs.Result.IsAcquired, ours.Result.IsAcquired);
                CompareMetadata(permits, theirs.Result, ours.Result);
                _seen.Add(ours.Result.IsAcquired ? "async granted" : "async denied");
            }
            else
            {
                _waiting.Add(new Waiting(ours, theirs, source, permits));
                _seen.Add("async queued");
            }
            return $"async {permits}";
        }

        // The framework serves who stood behind at the end of the period, ours at once; then they agree.
        private string Cancel(Waiting waiting)
        {
            waiting.Source.Cancel();
            Assert.True(waiting.Ours.IsCanceled && waiting.Theirs.IsCanceled);
            _seen.Add("cancelled");
            return $"cancel, then {Advance()}";
        }

        private string Advance()
        {
            _clock.Advance(Period);
            _replenish();
            return "advance";
        }

        internal void Compare(string context)
        {
            RateLimiterStatistics ours = _ours.GetStatistics()!, theirs = _theirs.GetStatistics()!;
            foreach (Waiting w in _waiting)
            {
                Assert.True(w.Theirs.Status == w.Ours.Status, context);
                if (w.Ours.IsCompletedSuccessfully)
                {
                    Assert.True(w.Ours.Result.IsAcquired == w.Theirs.Result.IsAcquired, context);
                    _seen.Add(w.Ours.Result.IsAcquired ? "granted later" : "turned away");
                }
            }
            _waiting.RemoveAll(w => w.Ours.IsCompleted);
            Assert.Equal(
                (context, theirs.CurrentAvailablePermits, theirs.CurrentQueuedCount, theirs.TotalSuccessfulLeases, theirs.TotalFailedLeases),
                (context, ours.CurrentAvailablePermits, ours.CurrentQueuedCount, ours.TotalSuccessfulLeases, ours.TotalFailedLeases));
            Assert.True(_theirs.IdleDuration is null == _ours.IdleDuration is null, context);
        }

        internal void End()
        {
            _ours.Dispose();
            _theirs.Dispose();
            Assert.All(_waiting, w => Assert.Equal((false, false), (w.Ours.Result.IsAcquired, w.Theirs.Result.IsAcquired)));
            Assert.Throws<ObjectDisposedException>(_theirs.GetStatistics);
            Assert.Throws<ObjectDisposedException>(_ours.GetStatistics);
        }

        // With one token per period whole periods are exact. For no permits the framework says at least one period; the
        // limiter says when the first permit is there. While the first in the queue waits for that, it counts one more.
        private void CompareMetadata(int permits, RateLimitLease theirs, RateLimitLease ours)
        {
            Assert.Equal(theirs.MetadataNames, ours.MetadataNames);
            bool told = theirs.TryGetMetadata(MetadataName.RetryAfter, out TimeSpan theirTime);
            Assert.Equal(told, ours.TryGetMetadata(MetadataName.RetryAfter, out TimeSpan ourTime));
            Waiting? first = _newestFirst ? _waiting.LastOrDefault() : _waiting.FirstOrDefault();
            TimeSpan watched = told && first?.Permits == 0 ? TimeSpan.FromHours(1) : TimeSpan.Zero;
            Assert.Equal(permits == 0 && told ? ourTime : theirTime + watched, ourTime);
        }

        // Ends a period now. The framework's clock cannot be moved from outside; its own tests do this.
        internal static Action Replenisher(TokenBucketRateLimiter limiter)
        {
            const BindingFlags Hidden = BindingFlags.Instance | BindingFlags.NonPublic;
            MethodInfo replenish = typeof(TokenBucketRateLimiter).GetMethod("ReplenishInternal", Hidden)!;
            FieldInfo last = typeof(TokenBucketRateLimiter).GetField("_lastReplenishmentTick", Hidden)!;
            Assert.True(replenish is not null && last is not null, "The framework's limiter has changed inside.");
            return () => replenish.Invoke(limiter, [(long)last.GetValue(limiter)! + 3600 * Stopwatch.Frequency]);
        }

        private sealed record Waiting(Task<RateLimitLease> Ours, Task<RateLimitLease> Theirs, CancellationTokenSource Source, int Permits);
    }
}
