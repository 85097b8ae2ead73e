using System;

namespace TokenBucket;

// Where one wait stands: in the queue of a bucket, or in those of several. Checked by one thread at a time. The answers
// are the library's.
internal interface IPlace
{
    // What wakes who waits; null: a manual clock, which does so by itself.
    TimeProvider? Timers { get; }

    // With other processes, which wake nobody here.
    bool IsShared { get; }

    int Enter(long timeoutNs, int priority, ulong tag, out long waitNs);

    // Of all calls of Check and Leave one is told the outcome; a Check after that is told TB_E_INVALID_ARGUMENT.
    int Check(out long waitNs);

    // False: it has not entered, or is gone, or a Check in progress is told the outcome.
    bool Leave();
}

// A place whose wait has a result.
internal interface IPlace<TResult> : IPlace
{
    // What is thrown in place of a result. Null: served, or timed out; a wait without a limit that times out is one that
    // no time can express, for which there is no result.
    Exception? Failure(int status, long timeoutNs, long waitNs);

    TResult Result(int status);
}
