using System;
using System.Diagnostics;
using System.Threading;
using System.Threading.Tasks;
using StackExchange.Redis;

namespace TokenBucket.Redis;

/// <summary>Tokens promised by the server for a later time. They stay taken unless <see cref="CancelAsync"/> or
/// <see cref="SettleAsync"/> gives them back. Thread-safe.</summary>
public sealed class RedisReservation
{
    private readonly RedisLimit _limit;
    private readonly RedisKey[] _keys;
    private readonly tb_reservation _native;
    private readonly long _arrived = Stopwatch.GetTimestamp();
    private volatile bool _isOver;

    internal RedisReservation(RedisLimit limit, RedisKey[] keys, in tb_reservation native)
    {
        _limit = limit;
        _keys = keys;
        _native = native;
    }

    /// <summary>The tokens reserved; 0 once cancelled or settled.</summary>
    public double Tokens => _isOver ? 0 : _native.tokens;

    /// <summary>From the server's decision until the tokens may be used; 0 is at once.</summary>
    public long WaitNanoseconds => _native.wait_ns;

    /// <summary><see cref="WaitNanoseconds"/> as a TimeSpan, rounded up.</summary>
    public TimeSpan Wait => Nanoseconds.ToTimeSpan(WaitNanoseconds);

    /// <summary>When the tokens may be used, as a time of the server's clock.</summary>
    public long ReadyAtNanoseconds => _native.ready_at_ns;

    /// <summary>Gives all tokens back while they are not due, as if the reservation had never been; later reservations keep
    /// their times, and who asks next may have them. Once due they count as used, as do those of a key that stand before
    /// its last 64 pending ones. Cancelling twice does nothing, also if the first failed.</summary>
    /// <exception cref="TokenBucketException">Unavailable: whether it was cancelled is not known.</exception>
    public async Task CancelAsync()
    {
        if (!Interlocked.Exchange(ref _isOver, true))
        {
            _ = _limit.Remote.Cancel(_native, out long[] arguments);
            await _limit.Call(_keys, arguments).AskAsync().ConfigureAwait(false);
        }
    }

    /// <summary>Ends a reservation whose work turned out to cost another amount, 0 or more: what is left over comes back,
    /// also once it is due; what is missing is charged.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Negative, NaN or infinite, or more debt than
    /// <see cref="RedisLimitOptions.MaxWait"/> allows; nothing has changed.</exception>
    /// <exception cref="InvalidOperationException">Cancelled or settled already, also where that failed.</exception>
    /// <exception cref="TokenBucketException">Unavailable: whether it was settled is not known.</exception>
    public async Task SettleAsync(double actualTokens)
    {
        int status = _limit.Remote.Settle(_native, actualTokens, out long[] arguments);
        if (status != NativeMethods.TB_SUCCESS)
        {
            throw _limit.Failure(status, actualTokens, nameof(actualTokens), Refusal.AmountOrNone);
        }
        if (Interlocked.Exchange(ref _isOver, true))
        {
            throw new InvalidOperationException("The reservation was cancelled or settled already.");
        }
        long[] reply = await _limit.Call(_keys, arguments).AskAsync().ConfigureAwait(false);
        status = _limit.Read(arguments, reply, out _);
        _isOver = status == NativeMethods.TB_SUCCESS;
        _limit.Require(status, actualTokens);
    }

    // Until the tokens are due, from when the reply came. Cancelled, all of them go back.
    internal async Task WaitUntilDueAsync(CancellationToken cancellation)
    {
        try
        {
            for (; ; )
            {
                // Timers count whole milliseconds, and may be that much early.
                long left = WaitNanoseconds - (long)Stopwatch.GetElapsedTime(_arrived).TotalNanoseconds;
                if (left <= 0)
                {
                    return;
                }
                long milliseconds = Math.Min(Nanoseconds.DivideUp(left, 1_000_000), int.MaxValue);
                await Task.Delay(TimeSpan.FromMilliseconds(milliseconds), cancellation).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException)
        {
            GiveBack();
            throw;
        }
    }

    // Sent now, and before what this connection is asked next; if the server cannot be reached they stay taken. Settling
    // gives back also what has become due on the way.
    internal void GiveBack() => RedisLimit.Forget(SettleAsync(0));
}
