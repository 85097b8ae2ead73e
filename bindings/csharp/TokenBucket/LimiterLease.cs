using System.Collections.Generic;
using System.Diagnostics.CodeAnalysis;
using System.Threading.RateLimiting;

namespace TokenBucket;

// Disposing a lease gives nothing back: a bucket's tokens are used up. RetryAfter is the time until the limiter has so
// many permits, found when it is read; without a limiter there is none.
internal sealed class LimiterLease(bool isAcquired, TokenBucketLimiter? limiter = null, int permits = 0) : RateLimitLease
{
    internal static readonly LimiterLease Granted = new(true);

    // Denied for good, or by Dispose.
    internal static readonly LimiterLease DeniedForEver = new(false);

    private static readonly string[] Names = [MetadataName.RetryAfter.Name];

    public override bool IsAcquired => isAcquired;

    public override IEnumerable<string> MetadataNames => Names;

    public override bool TryGetMetadata(string metadataName, [NotNullWhen(true)] out object? metadata)
    {
        long? ns = metadataName == MetadataName.RetryAfter.Name ? limiter?.TimeUntil(permits) : null;
        metadata = ns is long known and not NativeMethods.TB_FOREVER ? Nanoseconds.ToTimeSpan(known) : null;
        return metadata is not null;
    }
}
