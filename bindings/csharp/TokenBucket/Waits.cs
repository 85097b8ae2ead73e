using System;
using System.Threading;
using System.Threading.Tasks;

namespace TokenBucket;

// Waiting: in the library's queue, sleeping in the host's own way. The native waits would block a thread where the
// runtime cannot see it.
internal static class Waits
{
    internal static Task<bool> Start(
        IBucket bucket, double tokens, long timeoutNs, int priority, CancellationToken cancellation)
    {
        var waiter = new Waiting(bucket, tokens, timeoutNs);
        int status = waiter.Start(tokens, timeoutNs, priority, out long waitNs);
        if (status == NativeMethods.TB_PENDING)
        {
            waiter.CancelBy(cancellation);
            return waiter.Source.Task;
        }
        return Failure(bucket, status, tokens, timeoutNs, waitNs) is Exception failure
            ? throw failure
            : Task.FromResult(status == NativeMethods.TB_SUCCESS);
    }

    internal static bool Block(
        IBucket bucket, double tokens, long timeoutNs, int priority, CancellationToken cancellation)
    {
        int status = new ThreadWaiter(bucket).Wait(tokens, timeoutNs, priority, cancellation, out long waitNs);
        Exception? failure = status == NativeMethods.TB_PENDING
            ? new OperationCanceledException(cancellation)
            : Failure(bucket, status, tokens, timeoutNs, waitNs);
        return failure is null ? status == NativeMethods.TB_SUCCESS : throw failure;
    }

    // Null: served, or timed out. A wait without a limit that times out is one that no time can express: there is no
    // "no" for it.
    private static Exception? Failure(IBucket bucket, int status, double tokens, long timeoutNs, long waitNs) => status switch
    {
        NativeMethods.TB_SUCCESS => null,
        NativeMethods.TB_TIMED_OUT when timeoutNs != NativeMethods.TB_FOREVER => null,
        NativeMethods.TB_TIMED_OUT => TokenBucketException.Refused(status, waitNs),
        NativeMethods.TB_QUEUE_FULL when bucket.TimeUntil(tokens, out long ns) == NativeMethods.TB_SUCCESS =>
            TokenBucketException.Refused(status, ns),
        _ => bucket.Failure(status, tokens, nameof(tokens)),
    };

    private sealed class Waiting(IBucket bucket, double tokens, long timeoutNs) : TaskWaiter(bucket)
    {
        internal readonly TaskCompletionSource<bool> Source = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly IBucket _bucket = bucket;

        protected override void End(int status)
        {
            TryFinish();
            if (Failure(_bucket, status, tokens, timeoutNs, NativeMethods.TB_FOREVER) is Exception failure)
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
