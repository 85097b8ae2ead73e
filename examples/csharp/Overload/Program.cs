// Four workers ask for five times what the bucket gains, for five seconds of a manual clock; what is granted must be
// the exact number.
using System;
using System.Linq;
using System.Threading;
using TokenBucket;

const int Capacity = 500, TokensPerSecond = 2000, Workers = 4, AsksPerStep = 25;
const int StepMs = 10, DurationMs = 5000;
const long NanosecondsPerMs = 1_000_000;

using var clock = new ManualClock();
using var bucket = new Bucket(new BucketOptions { Capacity = Capacity, Tokens = TokensPerSecond, Clock = clock });

long asked = 0, granted = 0;
// The clock moves on when every worker has finished its step.
using var step = new Barrier(Workers, _ => clock.Advance(StepMs * NanosecondsPerMs));

void Work()
{
    for (int t = 0; t <= DurationMs; t += StepMs)
    {
        for (int i = 0; i < AsksPerStep; i++)
        {
            Interlocked.Increment(ref asked);
            if (bucket.Allow())
            {
                Interlocked.Increment(ref granted);
            }
        }
        step.SignalAndWait();
    }
}

Thread[] workers = [.. Enumerable.Range(0, Workers).Select(_ => new Thread(Work))];
foreach (Thread worker in workers)
{
    worker.Start();
}
foreach (Thread worker in workers)
{
    worker.Join();
}

const long Expected = Capacity + (long)TokensPerSecond * DurationMs / 1000;
Console.WriteLine($"overload csharp asked={asked} granted={granted} expected={Expected}");
return granted == Expected ? 0 : 1;
