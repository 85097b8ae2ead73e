using System;
using System.Diagnostics.CodeAnalysis;
using System.Threading;
using System.Threading.Tasks;

namespace TokenBucket.Redis;

// What is answered in place of a server that is unavailable. Keys are those of the server.
[SuppressMessage("Design", "CA1001", Justification = "The garbage collector frees a table that is not disposed.")]
internal sealed class Substitute
{
    private const long LocalKeys = 65_536;

    private static readonly Decision Denied =
        new(Status.Denied, 0, NativeMethods.TB_FOREVER, NativeMethods.TB_FOREVER);

    private static readonly Decision Granted = new(Status.Success, 0, 0, NativeMethods.TB_FOREVER);

    private readonly OnUnavailable _policy;
    private readonly double _capacity;
    private readonly TimeSpan _maxWait;
    private readonly KeyedTable? _local;

    internal Substitute(RedisLimitOptions options)
    {
        _policy = options.OnUnavailable;
        _maxWait = options.MaxWait;
        _capacity = options.Capacity;
        if (_policy.IsLocal)
        {
            _capacity *= _policy.Share;
            _local = new KeyedTable(new KeyedTableOptions
            {
                Capacity = _capacity, Tokens = options.Tokens * _policy.Share,
                PeriodNanoseconds = options.PeriodNanoseconds, MaxKeys = LocalKeys,
            });
        }
    }

    // Null: it has none.
    internal KeyedTable? Local => _local;

    internal bool IsFor(TokenBucketException e) => e.Status == Status.Unavailable && !_policy.IsError;

    internal Decision Take(byte[] key, double tokens)
    {
        if (_local is null)
        {
            return _policy.IsOpen ? Granted : Denied;
        }
        Decision decision = _local.Take(key, tokens);
        return decision.IsGranted ? decision : decision with { Status = Status.Denied };
    }

    internal Decision Peek(byte[] key, double tokens)
    {
        if (_local is null)
        {
            return _policy.IsOpen ? Granted : Denied;
        }
        if (tokens > _capacity)
        {
            return Denied;
        }
        double available = Math.Max(_local.Available(key), 0);
        TimeSpan wait = _local.TimeUntil(key, tokens), full = _local.TimeUntil(key, _capacity);
        return new Decision(
            wait == TimeSpan.Zero ? Status.Success : Status.Denied, available,
            Nanoseconds.From(wait, nameof(wait)), Nanoseconds.From(full, nameof(full)));
    }

    internal double TakeUpTo(byte[] key, double most) =>
        _local?.TakeUpTo(key, most) ?? (_policy.IsOpen ? Math.Floor(Math.Min(most, _capacity)) : 0);

    internal async Task<Decision> WaitAsync(byte[] key, double tokens, long timeoutNs, CancellationToken cancellation)
    {
        if (_local is null || tokens > _capacity)
        {
            return _policy.IsOpen ? Granted : Denied;
        }
        TimeSpan timeout = Nanoseconds.ToTimeSpan(timeoutNs), most = timeout > _maxWait ? _maxWait : timeout;
        return await _local.WaitAsync(key, tokens, most, cancellation).ConfigureAwait(false) ? Granted : Peek(key, tokens);
    }
}
