using System;
using System.Threading;
using System.Threading.Tasks;

namespace TokenBucket;

// Waiting: in the library's queues, sleeping in the host's own way. The native waits would block a thread where the
// runtime cannot see it.
internal static class Waits
{
    internal static Task<TResult> Start<TResult>(
        IPlace<TResult> place, long timeoutNs, int priority, CancellationToken cancellation)
    {
        var waiter = new Waiting<TResult>(place, timeoutNs);
        int status = waiter.Start(timeoutNs, priority, out long waitNs);
        if (status == NativeMethods.TB_PENDING)
        {
            waiter.CancelBy(cancellation);
            return waiter.Source.Task;
        }
        return place.Failure(status, timeoutNs, waitNs) is Exception failure
            ? throw failure
            : Task.FromResult(place.Result(status));
    }

    internal static TResult Block<TResult>(
        IPlace<TResult> place, long timeoutNs, int priority, CancellationToken cancellation)
    {
        int status = new ThreadWaiter(place).Wait(timeoutNs, priority, cancellation, out long waitNs);
        Exception? failure = status == NativeMethods.TB_PENDING
            ? new OperationCanceledException(cancellation)
            : place.Failure(status, timeoutNs, waitNs);
        return failure is null ? place.Result(status) : throw failure;
    }

    private sealed class Waiting<TResult>(IPlace<TResult> place, long timeoutNs) : TaskWaiter(place)
    {
        internal readonly TaskCompletionSource<TResult> Source = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly IPlace<TResult> _place = place;
        private CancellationToken _cancelledBy;

        protected override void End(int status)
        {
            TryFinish();
            if (status == NativeMethods.TB_INTERRUPTED)
            {
                Source.SetCanceled(_cancelledBy);
            }
            else if (_place.Failure(status, timeoutNs, NativeMethods.TB_FOREVER) is Exception failure)
            {
                Source.SetException(failure);
            }
            else
            {
                Source.SetResult(_place.Result(status));
            }
        }

        protected override void Cancel(CancellationToken cancellation)
        {
            _cancelledBy = cancellation;
            if (Leave())
            {
                End(NativeMethods.TB_INTERRUPTED);
            }
        }
    }
}
