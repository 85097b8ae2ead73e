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
        if (status != NativeMethods.TB_PENDING)
        {
            return Task.FromResult(IsServed(status, tokens, timeoutNs, waitNs));
        }
        waiter.CancelBy(cancellationToken);
        return waiter.Source.Task;
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
        return status == NativeMethods.TB_PENDING
            ? throw new OperationCanceledException(cancellationToken)
            : IsServed(status, tokens, timeoutNs, waitNs);
    }

    // Spares a wait that need not wait its waiter. Where takes are counted or told of, a denied one would be seen.
    private bool TakesAtOnce(double tokens) => !_isObserved && AllowNative(tokens) == NativeMethods.TB_SUCCESS;

    // A wait without a limit that times out is one that no time can express: there is no "no" for it.
    private bool IsServed(int status, double tokens, long timeoutNs, long waitNs = NativeMethods.TB_FOREVER) => status switch
    {
        NativeMethods.TB_SUCCESS => true,
        NativeMethods.TB_TIMED_OUT when timeoutNs != NativeMethods.TB_FOREVER => false,
        NativeMethods.TB_TIMED_OUT => throw TokenBucketException.Refused(status, waitNs),
        NativeMethods.TB_QUEUE_FULL when TimeUntilNative(tokens, out long ns) == NativeMethods.TB_SUCCESS =>
            throw TokenBucketException.Refused(status, ns),
        _ => throw TokenBucketException.For(status, tokens, nameof(tokens)),
    };

    private sealed class BucketWaiter(Bucket bucket, double tokens, long timeoutNs) : TaskWaiter(bucket)
    {
        internal readonly TaskCompletionSource<bool> Source = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly Bucket _bucket = bucket;

        protected override void End(int status)
        {
            TryFinish();
            try
            {
                Source.SetResult(_bucket.IsServed(status, tokens, timeoutNs));
            }
            catch (Exception e) when (e is TokenBucketException or ObjectDisposedException or ArgumentException)
            {
                Source.SetException(e);
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
