using System;
using System.Collections.Generic;
using System.Diagnostics.CodeAnalysis;
using System.Threading.RateLimiting;

namespace TokenBucket;

// Disposing a lease gives nothing back: a bucket's tokens are used up.
internal sealed class LimiterLease : RateLimitLease
{
    internal static readonly LimiterLease Granted = new(true, NativeMethods.TB_FOREVER);

    // Denied for good, or by Dispose: there is no time to come back at.
    internal static readonly LimiterLease DeniedForEver = new(false, NativeMethods.TB_FOREVER);

    private static readonly string[] Names = [MetadataName.RetryAfter.Name];

    // TB_FOREVER: none.
    private readonly long _retryAfterNs;

    private LimiterLease(bool isAcquired, long retryAfterNs)
    {
        IsAcquired = isAcquired;
        _retryAfterNs = retryAfterNs;
    }

    public override bool IsAcquired { get; }

    public override IEnumerable<string> MetadataNames => Names;

    internal static LimiterLease Denied(long retryAfterNs) =>
        retryAfterNs == NativeMethods.TB_FOREVER ? DeniedForEver : new LimiterLease(false, retryAfterNs);

    public override bool TryGetMetadata(string metadataName, [NotNullWhen(true)] out object? metadata)
    {
        bool known = metadataName == MetadataName.RetryAfter.Name && _retryAfterNs != NativeMethods.TB_FOREVER;
        metadata = known ? Nanoseconds.ToTimeSpan(_retryAfterNs) : null;
        return known;
    }
}
