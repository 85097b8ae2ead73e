using System;
using System.Threading;

namespace TokenBucket;

/// <summary>Tokens promised for a later time. They stay taken unless <see cref="Cancel"/> gives them back.</summary>
public sealed class Reservation
{
    private readonly BucketHandle _bucket;
    private readonly tb_reservation _native;
    private int _cancelled;

    internal Reservation(BucketHandle bucket, in tb_reservation native)
    {
        _bucket = bucket;
        _native = native;
    }

    /// <summary>The tokens reserved; 0 once cancelled.</summary>
    public double Tokens => Volatile.Read(ref _cancelled) == 0 ? _native.tokens : 0;

    /// <summary>From the reservation until the tokens may be used; 0 is at once.</summary>
    public long WaitNanoseconds => _native.wait_ns;

    /// <summary><see cref="WaitNanoseconds"/> as a TimeSpan, rounded up.</summary>
    public TimeSpan Wait => Nanoseconds.ToTimeSpan(_native.wait_ns);

    /// <summary>When the tokens may be used, as a time of the bucket's clock.</summary>
    public long ReadyAtNanoseconds => _native.ready_at_ns;

    /// <summary>Gives back what can be given back without letting any window hold more than capacity + rate * window:
    /// all of it if this is the youngest reservation, nothing once it is due. Cancelling twice, or after the bucket was
    /// disposed, does nothing.</summary>
    public void Cancel()
    {
        if (Interlocked.Exchange(ref _cancelled, 1) != 0)
        {
            return;
        }
        tb_reservation native = _native;
        int status;
        try
        {
            status = NativeMethods.tb_cancel(_bucket, ref native);
        }
        catch (ObjectDisposedException)
        {
            return;
        }
        if (status != NativeMethods.TB_SUCCESS)
        {
            throw new TokenBucketException((Status)status);
        }
    }
}
