using System;
using System.Collections.Generic;
using System.Diagnostics.Metrics;
using System.Globalization;
using System.Linq;
using TokenBucket;

namespace MinimalApi;

// Sums what the limiters' meter reports, and shows the sums as Prometheus reads them.
internal sealed class MetricsPage : IDisposable
{
    private readonly MeterListener _listener = new();
    private readonly SortedDictionary<string, long> _sums = new(StringComparer.Ordinal);

    public MetricsPage()
    {
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (instrument.Meter.Name == TokenBucketMetrics.MeterName && instrument is Instrument<long>)
            {
                listener.EnableMeasurementEvents(instrument);
            }
        };
        _listener.SetMeasurementEventCallback<long>(Add);
        _listener.Start();
    }

    public void Dispose() => _listener.Dispose();

    public string Text()
    {
        lock (_sums)
        {
            return string.Concat(_sums.Select(sum => string.Create(CultureInfo.InvariantCulture, $"{sum.Key} {sum.Value}\n")));
        }
    }

    internal long Sum(string instrument, string limiter)
    {
        lock (_sums)
        {
            return _sums.GetValueOrDefault(Key("tokenbucket." + instrument, limiter));
        }
    }

    private void Add(Instrument instrument, long value, ReadOnlySpan<KeyValuePair<string, object?>> tags, object? state)
    {
        string key = Key(instrument.Name, tags[0].Value);
        lock (_sums)
        {
            _sums[key] = _sums.GetValueOrDefault(key) + value;
        }
    }

    private static string Key(string instrument, object? limiter) =>
        $"{instrument.Replace('.', '_')}{{limiter=\"{limiter}\"}}";
}
