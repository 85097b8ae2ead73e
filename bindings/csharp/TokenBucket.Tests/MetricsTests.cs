using System;
using System.Collections.Generic;
using System.Diagnostics.Metrics;
using System.Linq;
using System.Threading;
using System.Threading.RateLimiting;
using System.Threading.Tasks;
using Microsoft.Extensions.DependencyInjection;
using Xunit;

namespace TokenBucket.Tests;

public class MetricsTests
{
    // Sums what one limiter's name is told.
    internal sealed class Sums : IDisposable
    {
        private readonly MeterListener _listener = new();
        private readonly SortedDictionary<string, double> _sums = [];
        private readonly string _name;

        internal Sums(string name)
        {
            _name = name;
            _listener.InstrumentPublished = (instrument, listener) =>
            {
                if (instrument.Meter.Name == TokenBucketMetrics.MeterName)
                {
                    listener.EnableMeasurementEvents(instrument);
                }
            };
            _listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) => Add(instrument.Name, value, tags));
            _listener.SetMeasurementEventCallback<double>((instrument, _, tags, _) => Add(instrument.Name, 1, tags));
            _listener.Start();
        }

        public void Dispose() => _listener.Dispose();

        internal double this[string instrument]
        {
            get
            {
                lock (_sums)
                {
                    return _sums.GetValueOrDefault("tokenbucket." + instrument);
                }
            }
        }

        private void Add(string instrument, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
        {
            Assert.Equal(1, tags.Length);
            Assert.Equal("tokenbucket.limiter", tags[0].Key);
            if (_name.Equals(tags[0].Value))
            {
                lock (_sums)
                {
                    _sums[instrument] = _sums.GetValueOrDefault(instrument) + value;
                }
            }
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Every_answer_is_counted(bool combined)
    {
        using var sums = new Sums($"counted {combined}");
        using var metrics = new TokenBucketMetrics($"counted {combined}");
        using var clock = new ManualClock();
        var options = new TokenBucketLimiterOptions { TokenLimit = 2, TokensPerPeriod = 1, QueueLimit = 3, Metrics = metrics, Clock = clock };
        RateLimiter Limiter() => combined
            ? new TokenBucketCombinedLimiter(new CombinedLimit(Buckets.On(clock, 2, 1)), options.QueueLimit, metrics)
            : new TokenBucketLimiter(options);
        using RateLimiter limiter = Limiter(), other = Limiter();
        using var source = new CancellationTokenSource();
        _ = limiter.AttemptAcquire(2);
        _ = other.AttemptAcquire(2);
        _ = limiter.AttemptAcquire(1);
        Task<RateLimitLease> waiting = limiter.AcquireAsync(2, CancellationToken.None).AsTask();
        Task<RateLimitLease> cancelled = limiter.AcquireAsync(1, source.Token).AsTask();
        Assert.False((await limiter.AcquireAsync(1)).IsAcquired);
        Assert.Equal((2, 2, 0, 3), (sums["leases.granted"], sums["leases.denied"], sums["leases.waited"], sums["queue.permits"]));
        await source.CancelAsync();
        Assert.True(cancelled.IsCanceled);
        Assert.Equal(2, sums["queue.permits"]);
        clock.Advance(2 * Buckets.Second);
        Assert.True((await waiting.WaitAsync(Buckets.Patience)).IsAcquired);
        Task<RateLimitLease> abandoned = limiter.AcquireAsync(1, CancellationToken.None).AsTask();
        limiter.Dispose();
        Assert.False((await abandoned).IsAcquired);
        Assert.Equal((3, 3, 1, 0), (sums["leases.granted"], sums["leases.denied"], sums["leases.waited"], sums["queue.permits"]));
        Assert.Equal(1, sums["queue.duration"]);
    }

    [Fact]
    public void A_container_holds_limiters_by_name()
    {
        using var sums = new Sums("mail");
        var services = new ServiceCollection();
        services.AddMetrics();
        services.AddTokenBucketLimiter("mail", new TokenBucketLimiterOptions { TokenLimit = 1, TokensPerPeriod = 1 });
        TokenBucketLimiter limiter;
        using (ServiceProvider provider = services.BuildServiceProvider())
        {
            limiter = provider.GetRequiredKeyedService<TokenBucketLimiter>("mail");
            Assert.Same(limiter, provider.GetRequiredKeyedService<RateLimiter>("mail"));
            Assert.Null(provider.GetKeyedService<RateLimiter>("other"));
            Assert.True(limiter.AttemptAcquire().IsAcquired);
            Assert.Equal(1, sums["leases.granted"]);
        }
        Assert.Throws<ObjectDisposedException>(() => limiter.AttemptAcquire());
        Assert.Throws<ArgumentNullException>(() => services.AddTokenBucketLimiter("mail", null!));
        Assert.Throws<ArgumentNullException>(() => services.AddTokenBucketMetrics(null!));
    }
}
