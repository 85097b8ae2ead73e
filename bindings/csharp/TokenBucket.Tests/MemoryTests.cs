using System.Diagnostics;
using System.Linq;
using Xunit;
using static TokenBucket.Tests.Buckets;

namespace TokenBucket.Tests;

// Alone: the process's memory is that of all tests.
[CollectionDefinition(nameof(MemoryTests), DisableParallelization = true)]
[Collection(nameof(MemoryTests))]
public class MemoryTests
{
    [Fact]
    public void Memory_comes_back_with_and_without_Dispose()
    {
        using var process = Process.GetCurrentProcess();
        long UsedAfterMore()
        {
            for (int i = 0; i < 50_000; i++)
            {
                Bucket bucket = On(new ManualClock(), 1, 1);
                if (i % 2 == 0)
                {
                    bucket.Dispose();
                }
            }
            Collect();
            process.Refresh();
            return process.WorkingSet64;
        }
        // The least of a few: what is lost stays, and what the collector keeps for a while does not.
        long LeastOfThree() => Enumerable.Range(0, 3).Min(_ => UsedAfterMore());
        long first = LeastOfThree();
        for (int i = 0; i < 3; i++)
        {
            UsedAfterMore();
        }
        long last = LeastOfThree();
        Assert.InRange(last - first, long.MinValue, 20_000_000);
    }
}
