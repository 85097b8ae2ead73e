using System;
using System.Threading;

namespace TokenBucket;

// A place in the queue of a bucket or of a key.
internal sealed class BucketPlace(IBucket bucket, double tokens) : IPlace<bool>
{
    private ulong _number;

    public TimeProvider? Timers => bucket.Timers;

    public bool IsShared => bucket.IsShared;

    public int Enter(long timeoutNs, int priority, ulong tag, out long waitNs)
    {
        (ulong number, waitNs) = (0, 0);
        int status = bucket.IsLeft
            ? NativeMethods.TB_CLOSED
            : bucket.Enqueue(tokens, timeoutNs, priority, tag, out number, out waitNs);
        Volatile.Write(ref _number, number);
        return status;
    }

    // Waits for what is shared look often, and so learn that it was disposed.
    public int Check(out long waitNs)
    {
        waitNs = 0;
        return bucket.IsLeft && Leave() ? NativeMethods.TB_CLOSED : bucket.Check(_number, out waitNs);
    }

    public bool Leave()
    {
        ulong number = Volatile.Read(ref _number);
        return number != 0 && bucket.Leave(number) == NativeMethods.TB_SUCCESS;
    }

    public Exception? Failure(int status, long timeoutNs, long waitNs) => status switch
    {
        NativeMethods.TB_SUCCESS => null,
        NativeMethods.TB_TIMED_OUT when timeoutNs != NativeMethods.TB_FOREVER => null,
        NativeMethods.TB_TIMED_OUT => TokenBucketException.Refused(status, waitNs),
        NativeMethods.TB_QUEUE_FULL when bucket.TimeUntil(tokens, out long ns) == NativeMethods.TB_SUCCESS =>
            TokenBucketException.Refused(status, ns),
        _ => bucket.Failure(status, tokens, nameof(tokens)),
    };

    public bool Result(int status) => status == NativeMethods.TB_SUCCESS;
}
