using System;
using System.Threading;
using System.Threading.Tasks;

namespace TokenBucket;

public sealed partial class Bucket : IBucket
{
    /// <summary>Takes tokens, waiting until they are there. All that wait on a bucket, threads and tasks, stand in one
    /// queue and are served in the order in which they came. Never ends early; the host's timers count whole
    /// milliseconds, so it may end one or two later than due.</summary>
    /// <exception cref="OperationCanceledException">Cancelled; nothing was taken, and those behind move up.</exception>
    /// <exception cref="TokenBucketException">QueueFull, or more than the capacity.</exception>
    public Task WaitAsync(double tokens = 1, CancellationToken cancellationToken = default) =>
        WaitAsync(tokens, Timeout.InfiniteTimeSpan, 0, cancellationToken);

    /// <summary>As the other <c>WaitAsync</c>, but false at once, with nothing taken, if the tokens cannot be had within
    /// the timeout. Zero is a poll. False later, if a change of the bucket or a wait of a higher priority delays it beyond
    /// the timeout.</summary>
    /// <exception cref="OperationCanceledException">Cancelled; nothing was taken, and those behind move up.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A negative timeout that is not
    /// <see cref="Timeout.InfiniteTimeSpan"/>.</exception>
    public Task<bool> WaitAsync(double tokens, TimeSpan timeout, CancellationToken cancellationToken = default) =>
        WaitAsync(tokens, timeout, 0, cancellationToken);

    /// <summary>As the other <c>WaitAsync</c>, with a priority: those of a higher one are served first, and that of the
    /// others is 0. The timeout may be <see cref="Timeout.InfiniteTimeSpan"/>.</summary>
    /// <exception cref="OperationCanceledException">Cancelled; nothing was taken, and those behind move up.</exception>
    public Task<bool> WaitAsync(double tokens, TimeSpan timeout, int priority, CancellationToken cancellationToken = default)
    {
        long timeoutNs = Nanoseconds.From(timeout, nameof(timeout));
        if (cancellationToken.IsCancellationRequested)
        {
            return Task.FromCanceled<bool>(cancellationToken);
        }
        return TakesAtOnce(tokens)
            ? Task.FromResult(true)
            : Waits.Start(new BucketPlace(this, tokens), timeoutNs, priority, cancellationToken);
    }

    /// <summary>As <c>WaitAsync</c>, blocking the calling thread.</summary>
    /// <exception cref="OperationCanceledException">Cancelled; nothing was taken, and those behind move up.</exception>
    public void Wait(double tokens = 1, CancellationToken cancellationToken = default) =>
        Wait(tokens, Timeout.InfiniteTimeSpan, 0, cancellationToken);

    /// <summary>As <c>WaitAsync</c> with a timeout, blocking the calling thread.</summary>
    /// <exception cref="OperationCanceledException">Cancelled; nothing was taken, and those behind move up.</exception>
    public bool Wait(double tokens, TimeSpan timeout, CancellationToken cancellationToken = default) =>
        Wait(tokens, timeout, 0, cancellationToken);

    /// <summary>As <c>WaitAsync</c> with a timeout and a priority, blocking the calling thread.</summary>
    /// <exception cref="OperationCanceledException">Cancelled; nothing was taken, and those behind move up.</exception>
    public bool Wait(double tokens, TimeSpan timeout, int priority, CancellationToken cancellationToken = default)
    {
        long timeoutNs = Nanoseconds.From(timeout, nameof(timeout));
        cancellationToken.ThrowIfCancellationRequested();
        return TakesAtOnce(tokens) || Waits.Block(new BucketPlace(this, tokens), timeoutNs, priority, cancellationToken);
    }

    // Spares a wait that need not wait its waiter; but a denied take would be seen.
    private bool TakesAtOnce(double tokens) => !IsObserved && AllowNative(tokens) == NativeMethods.TB_SUCCESS;

    TimeProvider? IBucket.Timers => Timers;

    bool IBucket.IsShared => IsShared;

    bool IBucket.IsLeft => IsLeft;

    int IBucket.Allow(double tokens) => AllowNative(tokens);

    int IBucket.Available(out double tokens) => _handle.Available(out tokens);

    int IBucket.TimeUntil(double tokens, out long ns) => TimeUntilNative(tokens, out ns);

    int IBucket.Refund(double tokens) => NativeMethods.tb_refund(_handle, tokens);

    int IBucket.Enqueue(double tokens, long timeoutNs, int priority, ulong tag, out ulong waiter, out long waitNs) =>
        NativeMethods.tb_enqueue(_handle, tokens, timeoutNs, priority, tag, out waiter, out waitNs);

    int IBucket.Check(ulong waiter, out long waitNs) => NativeMethods.tb_waiter_check(_handle, waiter, out waitNs);

    int IBucket.Leave(ulong waiter) => NativeMethods.tb_waiter_leave(_handle, waiter);

    int IBucket.Cancel(ref tb_reservation reservation) => NativeMethods.tb_cancel(_handle, ref reservation);

    int IBucket.Settle(ref tb_reservation reservation, double actual) =>
        NativeMethods.tb_settle(_handle, ref reservation, actual);

    Exception IBucket.Failure(int status, object? value, string argument, string? allowed) =>
        Failure(status, value, argument, allowed);
}
