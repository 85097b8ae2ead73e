using System.Collections.Generic;
using System.Diagnostics.CodeAnalysis;
using System.Threading.RateLimiting;

namespace TokenBucket;

// Disposing a lease gives nothing back: a bucket's tokens are used up. RetryAfter is the time until the bucket has so
// many permits, found when it is read; without a bucket there is none.
internal sealed class LimiterLease(
    bool isAcquired, LimiterState? limiter = null, IBucket? bucket = null, int permits = 0, string? reason = null)
    : RateLimitLease
{
    internal static readonly LimiterLease Granted = new(true);

    // Denied for good, or by Dispose.
    internal static readonly LimiterLease DeniedForEver = new(false);

    internal static readonly LimiterLease NoRoom = new(false, reason: TokenBucketException.MessageOf(Status.TableFull));

    private static readonly string[] RetryAfter = [MetadataName.RetryAfter.Name];
    private static readonly string[] ReasonPhrase = [MetadataName.ReasonPhrase.Name];

    public override bool IsAcquired => isAcquired;

    public override IEnumerable<string> MetadataNames => reason is null ? RetryAfter : ReasonPhrase;

    public override bool TryGetMetadata(string metadataName, [NotNullWhen(true)] out object? metadata)
    {
        metadata = null;
        if (metadataName == MetadataName.ReasonPhrase.Name)
        {
            metadata = reason;
        }
        else if (metadataName == MetadataName.RetryAfter.Name && TimeUntilGranted is long ns)
        {
            metadata = Nanoseconds.ToTimeSpan(ns);
        }
        return metadata is not null;
    }

    // Null: never, or the limiter was disposed.
    private long? TimeUntilGranted =>
        bucket is not null && !limiter!.IsDisposed && bucket.TimeUntil(permits, out long ns) == NativeMethods.TB_SUCCESS &&
        ns != NativeMethods.TB_FOREVER ? ns : null;
}
