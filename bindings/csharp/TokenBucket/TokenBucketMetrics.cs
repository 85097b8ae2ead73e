using System;
using System.Collections.Generic;
using System.Diagnostics.Metrics;

namespace TokenBucket;

/// <summary>Counts what limiters decide, as instruments of a meter. One object serves any number of limiters, such as
/// the partitions of one policy, under one name; a client's key never becomes a tag. Costs next to nothing while nobody
/// listens.</summary>
/// <remarks>Instruments, all with the tag <c>tokenbucket.limiter</c>: the counters <c>tokenbucket.leases.granted</c>,
/// <c>tokenbucket.leases.denied</c> and <c>tokenbucket.leases.waited</c> (of those granted, the ones that queued), the
/// up-down counter <c>tokenbucket.queue.permits</c>, and the histogram <c>tokenbucket.queue.duration</c> in seconds, of
/// the granted ones. A request that was cancelled while it waited is neither granted nor denied. ASP.NET Core's middleware
/// asks AttemptAcquire and then AcquireAsync, so it has a request that it turns away denied twice.</remarks>
public sealed class TokenBucketMetrics : IDisposable
{
    /// <summary>The meter's name, to listen to.</summary>
    public const string MeterName = "TokenBucket";

    private readonly Meter _meter;
    private readonly KeyValuePair<string, object?> _tag;
    private readonly Counter<long> _granted, _denied, _waited;
    private readonly UpDownCounter<long> _queue;
    private readonly Histogram<double> _queueDuration;

    /// <summary>Creates the instruments.</summary>
    /// <param name="limiter">The value of the tag: what is limited, such as a policy's name.</param>
    /// <param name="meters">Makes and owns the meter; null is a meter of this object's own.</param>
    public TokenBucketMetrics(string limiter, IMeterFactory? meters = null)
    {
        ArgumentNullException.ThrowIfNull(limiter);
        _tag = new("tokenbucket.limiter", limiter);
        var options = new MeterOptions(MeterName) { Version = NativeLoader.Text(NativeLoader.NeededVersion) };
        _meter = meters?.Create(options) ?? new Meter(options);
        _granted = _meter.CreateCounter<long>("tokenbucket.leases.granted", "{lease}", "Leases granted.");
        _denied = _meter.CreateCounter<long>("tokenbucket.leases.denied", "{lease}", "Leases denied.");
        _waited = _meter.CreateCounter<long>("tokenbucket.leases.waited", "{lease}", "Leases granted after queueing.");
        _queue = _meter.CreateUpDownCounter<long>("tokenbucket.queue.permits", "{permit}", "Permits waited for.");
        _queueDuration = _meter.CreateHistogram<double>("tokenbucket.queue.duration", "s", "Time queued until granted.");
    }

    /// <summary>Ends the meter, unless a factory owns it.</summary>
    public void Dispose() => _meter.Dispose();

    internal void Granted() => _granted.Add(1, _tag);

    internal void Denied() => _denied.Add(1, _tag);

    internal void Queued(int permits) => _queue.Add(permits, _tag);

    internal void Unqueued(int permits) => _queue.Add(-permits, _tag);

    internal void GrantedAfter(TimeSpan wait)
    {
        _granted.Add(1, _tag);
        _waited.Add(1, _tag);
        _queueDuration.Record(wait.TotalSeconds, _tag);
    }
}
