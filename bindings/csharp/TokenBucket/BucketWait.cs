using System;
using System.Threading;
using System.Threading.Tasks;

namespace TokenBucket;

// Waiting: in the library's queue, sleeping in the host's own way. The native waits would block a thread where the
// runtime cannot see it.
public sealed partial class Bucket
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
        if (TakesAtOnce(tokens))
        {
            return Task.FromResult(true);
        }
        var waiter = new BucketWaiter(this, tokens, timeoutNs);
        int status = waiter.Start(tokens, timeoutNs, priority, out long waitNs);
        if (status == NativeMethods.TB_PENDING)
        {
            waiter.CancelBy(cancellationToken);
            return waiter.Source.Task;
        }
        return Failure(status, tokens, timeoutNs, waitNs) is Exception failure
            ? throw failure
            : Task.FromResult(status == NativeMethods.TB_SUCCESS);
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
        if (TakesAtOnce(tokens))
        {
            return true;
        }
        int status = new ThreadWaiter(this).Wait(tokens, timeoutNs, priority, cancellationToken, out long waitNs);
        Exception? failure = status == NativeMethods.TB_PENDING
            ? new OperationCanceledException(cancellationToken)
            : Failure(status, tokens, timeoutNs, waitNs);
        return failure is null ? status == NativeMethods.TB_SUCCESS : throw failure;
    }

    // Spares a wait that need not wait its waiter. Where takes are counted or told of, a denied one would be seen.
    private bool TakesAtOnce(double tokens) => !_isObserved && AllowNative(tokens) == NativeMethods.TB_SUCCESS;

    // Null: served, or timed out. A wait without a limit that times out is one that no time can express: there is no
    // "no" for it.
    private Exception? Failure(int status, double tokens, long timeoutNs, long waitNs) => status switch
    {
        NativeMethods.TB_SUCCESS => null,
        NativeMethods.TB_TIMED_OUT when timeoutNs != NativeMethods.TB_FOREVER => null,
        NativeMethods.TB_TIMED_OUT => TokenBucketException.Refused(status, waitNs),
        NativeMethods.TB_QUEUE_FULL when TimeUntilNative(tokens, out long ns) == NativeMethods.TB_SUCCESS =>
            TokenBucketException.Refused(status, ns),
        _ => TokenBucketException.For(status, tokens, nameof(tokens)),
    };

    private sealed class BucketWaiter(Bucket bucket, double tokens, long timeoutNs) : TaskWaiter(bucket)
    {
        internal readonly TaskCompletionSource<bool> Source = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly Bucket _bucket = bucket;

        protected override void End(int status)
        {
            TryFinish();
            if (_bucket.Failure(status, tokens, timeoutNs, NativeMethods.TB_FOREVER) is Exception failure)
            {
                Source.SetException(failure);
            }
            else
            {
                Source.SetResult(status == NativeMethods.TB_SUCCESS);
            }
        }

        protected override void Cancel(CancellationToken cancellation)
        {
            if (Leave())
            {
                TryFinish();
                Source.SetCanceled(cancellation);
            }
        }
    }
}
