using System;
using System.Collections.Generic;
using System.Diagnostics.CodeAnalysis;
using System.Threading.RateLimiting;

namespace TokenBucket;

// Disposing a lease gives nothing back: a bucket's tokens are used up.
internal sealed class LimiterLease : RateLimitLease
{
    internal static readonly LimiterLease Granted = new(true, null);

    // Denied for good, or by Dispose: there is no time to come back at.
    internal static readonly LimiterLease DeniedForEver = new(false, null);

    private static readonly string[] Names = [MetadataName.RetryAfter.Name];

    private readonly TimeSpan? _retryAfter;

    private LimiterLease(bool isAcquired, TimeSpan? retryAfter)
    {
        IsAcquired = isAcquired;
        _retryAfter = retryAfter;
    }

    public override bool IsAcquired { get; }

    public override IEnumerable<string> MetadataNames => Names;

    internal static LimiterLease Denied(long retryAfterNs) =>
        retryAfterNs == NativeMethods.TB_FOREVER
            ? DeniedForEver
            : new LimiterLease(false, Nanoseconds.ToTimeSpan(retryAfterNs));

    public override bool TryGetMetadata(string metadataName, [NotNullWhen(true)] out object? metadata)
    {
        metadata = metadataName == MetadataName.RetryAfter.Name ? _retryAfter : null;
        return metadata is not null;
    }
}
