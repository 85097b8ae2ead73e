using System;
using System.Threading;

namespace TokenBucket;

// Counts what many threads do at once: neighbouring threads write to different cache lines. The first line holds the
// array's length, which all read.
internal sealed class StripedCounter
{
    private const int Stripes = 4, LineLength = 64 / sizeof(long);

    private readonly long[] _counts = new long[(1 + Stripes) * LineLength];

    internal long Sum
    {
        get
        {
            long sum = 0;
            for (int i = LineLength; i < _counts.Length; i += LineLength)
            {
                sum += Volatile.Read(ref _counts[i]);
            }
            return sum;
        }
    }

    internal void Increment() =>
        Interlocked.Increment(ref _counts[(1 + Environment.CurrentManagedThreadId % Stripes) * LineLength]);
}
