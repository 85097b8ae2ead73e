using System.Diagnostics;
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
        long first = UsedAfterMore(), last = 0;
        for (int i = 0; i < 6; i++)
        {
            last = UsedAfterMore();
        }
        Assert.InRange(last - first, long.MinValue, 20_000_000);
    }
}
