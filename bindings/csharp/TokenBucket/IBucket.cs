using System;

namespace TokenBucket;

// A bucket of its own, or that of a key in a table: for what outlives a call. The answers are the library's.
internal interface IBucket
{
    // What wakes who waits; null: a manual clock, which does so by itself.
    TimeProvider? Timers { get; }

    // With other processes, which wake nobody here.
    bool IsShared { get; }

    // Disposed here, but open for other processes, of which the library does not know.
    bool IsLeft { get; }

    int Allow(double tokens);

    int Available(out double tokens);

    int TimeUntil(double tokens, out long ns);

    int Refund(double tokens);

    int Enqueue(double tokens, long timeoutNs, int priority, ulong tag, out ulong waiter, out long waitNs);

    int Check(ulong waiter, out long waitNs);

    int Leave(ulong waiter);

    int Cancel(ref tb_reservation reservation);

    int Settle(ref tb_reservation reservation, double actual);

    // For a status that is not the ordinary outcome of a call with that argument. What else it must be where it is more
    // than an amount.
    Exception Failure(int status, object? value, string argument, string? allowed = null);
}
