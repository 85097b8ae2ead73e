using System;
using System.Diagnostics;
using System.Threading;
using System.Threading.Tasks;

namespace TokenBucket;

// Waiting: reserve, sleep in the host's own way until the tokens are due, give them back on the way out. The native
// waits would block a thread where the runtime cannot see it.
public sealed partial class Bucket
{
    /// <summary>Takes tokens, waiting until they are there. They are reserved at the call: later calls cannot delay it.
    /// Never ends early; the host's timers count whole milliseconds, so it may end one or two later than due.</summary>
    /// <exception cref="OperationCanceledException">Cancelled; what was reserved is given back.</exception>
    public Task WaitAsync(double tokens = 1, CancellationToken cancellationToken = default) =>
        WaitAsync(tokens, Timeout.InfiniteTimeSpan, cancellationToken);

    /// <summary>As the other <c>WaitAsync</c>, but false at once, with nothing taken, if the tokens cannot be had within
    /// the timeout. Zero is a poll.</summary>
    /// <exception cref="OperationCanceledException">Cancelled; what was reserved is given back.</exception>
    public Task<bool> WaitAsync(double tokens, TimeSpan timeout, CancellationToken cancellationToken = default)
    {
        if (cancellationToken.IsCancellationRequested)
        {
            return Task.FromCanceled<bool>(cancellationToken);
        }
        if (!ReserveForWait(tokens, timeout, out tb_reservation r))
        {
            return Task.FromResult(false);
        }
        return r.wait_ns == 0 ? Task.FromResult(true) : SleepAsync(r, DeadlineOf(r), cancellationToken);
    }

    /// <summary>As <c>WaitAsync</c>, blocking the calling thread.</summary>
    /// <exception cref="OperationCanceledException">Cancelled; what was reserved is given back.</exception>
    public void Wait(double tokens = 1, CancellationToken cancellationToken = default) =>
        Wait(tokens, Timeout.InfiniteTimeSpan, cancellationToken);

    /// <summary>As <c>WaitAsync</c> with a timeout, blocking the calling thread.</summary>
    /// <exception cref="OperationCanceledException">Cancelled; what was reserved is given back.</exception>
    public bool Wait(double tokens, TimeSpan timeout, CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        if (!ReserveForWait(tokens, timeout, out tb_reservation r))
        {
            return false;
        }
        if (r.wait_ns != 0)
        {
            Sleep(r, DeadlineOf(r), cancellationToken);
        }
        return true;
    }

    // When a reservation made just now is due, in the time of HasPassed and SleepUntilAsync.
    internal long DeadlineOf(in tb_reservation reserved) =>
        _clock is null ? HostSleep.Deadline(reserved.wait_ns) : reserved.ready_at_ns;

    internal bool HasPassed(long deadline) => deadline <= (_clock?.Now ?? Stopwatch.GetTimestamp());

    internal Task SleepUntilAsync(long deadline, CancellationToken cancellation) =>
        _clock?.SleepUntilAsync(deadline, cancellation) ?? HostSleep.UntilAsync(deadline, cancellation);

    // A wait without a limit that times out is one that no time can express: there is no "no" for it.
    private bool ReserveForWait(double tokens, TimeSpan timeout, out tb_reservation reservation)
    {
        long ns = Nanoseconds.From(timeout, nameof(timeout));
        bool reserved = TryReserve(tokens, ns, out reservation);
        return reserved || ns != NativeMethods.TB_FOREVER ? reserved : throw new TokenBucketException(Status.TimedOut);
    }

    private async Task<bool> SleepAsync(tb_reservation reserved, long deadline, CancellationToken cancellation)
    {
        try
        {
            using var leaving = CancellationTokenSource.CreateLinkedTokenSource(cancellation, _closing.Token);
            await SleepUntilAsync(deadline, leaving.Token).ConfigureAwait(false);
            return true;
        }
        catch (OperationCanceledException)
        {
            throw Leave(reserved, cancellation);
        }
    }

    private void Sleep(tb_reservation reserved, long deadline, CancellationToken cancellation)
    {
        try
        {
            using var leaving = CancellationTokenSource.CreateLinkedTokenSource(cancellation, _closing.Token);
            if (_clock is null)
            {
                HostSleep.Until(deadline, leaving.Token);
            }
            else
            {
                _clock.SleepUntilAsync(deadline, leaving.Token).GetAwaiter().GetResult();
            }
        }
        catch (OperationCanceledException)
        {
            throw Leave(reserved, cancellation);
        }
    }

    // Gives the reservation back and says why: the caller's wish, or the closing of the bucket. To the library, whose
    // clock is ahead of the host's, it may be due: settling gives that back too. Cancelling, which gives nothing back
    // after it, counts, and is what a closed bucket still does.
    private Exception Leave(tb_reservation reserved, CancellationToken cancellation)
    {
        tb_reservation settled = reserved;
        _ = NativeMethods.tb_settle(_handle, ref settled, 0);
        _ = NativeMethods.tb_cancel(_handle, ref reserved);
        return cancellation.IsCancellationRequested
            ? new OperationCanceledException(cancellation)
            : TokenBucketException.For(NativeMethods.TB_CLOSED, 0, "");
    }
}
