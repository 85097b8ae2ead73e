using System;
using System.Threading;

namespace TokenBucket;

/// <summary>Tokens promised for a later time. They stay taken unless <see cref="Cancel()"/> or <see cref="Settle"/>
/// gives them back. Thread-safe.</summary>
public sealed class Reservation
{
    private readonly Lock _lock = new();
    private readonly IBucket _bucket;
    private tb_reservation _native;

    internal Reservation(IBucket bucket, in tb_reservation native)
    {
        _bucket = bucket;
        _native = native;
        WaitNanoseconds = native.wait_ns;
        ReadyAtNanoseconds = native.ready_at_ns;
    }

    /// <summary>The tokens reserved; 0 once cancelled or settled.</summary>
    public double Tokens
    {
        get
        {
            lock (_lock)
            {
                return _native.tokens;
            }
        }
    }

    /// <summary>From the reservation until the tokens may be used; 0 is at once.</summary>
    public long WaitNanoseconds { get; }

    /// <summary><see cref="WaitNanoseconds"/> as a TimeSpan, rounded up.</summary>
    public TimeSpan Wait => Nanoseconds.ToTimeSpan(WaitNanoseconds);

    /// <summary>When the tokens may be used, as a time of the bucket's clock.</summary>
    public long ReadyAtNanoseconds { get; }

    /// <summary>Gives all tokens back while they are not due, as if the reservation had never been; later reservations
    /// keep their times. Once due they count as used, and nothing comes back: <see cref="Settle"/> with 0 gives back
    /// what is due and unused. Cancelling twice, or after the bucket or table was disposed, does nothing.</summary>
    public void Cancel()
    {
        lock (_lock)
        {
            // It fails only for what is no reservation.
            _ = _bucket.Cancel(ref _native);
        }
    }

    /// <summary>Ends a reservation whose work turned out to cost another amount, 0 or more: what is left over comes
    /// back, as by <see cref="Bucket.Refund"/> once it is due and as by <see cref="Cancel()"/> before; what is missing is
    /// charged.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Negative, NaN or infinite; nothing has changed.</exception>
    /// <exception cref="InvalidOperationException">Cancelled or settled already.</exception>
    /// <exception cref="ObjectDisposedException">The bucket or table was closed or disposed.</exception>
    public void Settle(double actualTokens)
    {
        lock (_lock)
        {
            if (_native.tokens == 0)
            {
                throw new InvalidOperationException("The reservation was cancelled or settled already.");
            }
            int status = _bucket.IsLeft ? NativeMethods.TB_CLOSED : _bucket.Settle(ref _native, actualTokens);
            if (status != NativeMethods.TB_SUCCESS)
            {
                throw _bucket.Failure(
                    status, actualTokens, nameof(actualTokens),
                    status == NativeMethods.TB_E_INVALID_ARGUMENT ? Refusal.AmountOrNone : null);
            }
        }
    }
}
