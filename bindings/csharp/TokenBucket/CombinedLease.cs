using System.Collections.Generic;
using System.Diagnostics.CodeAnalysis;
using System.Linq;
using System.Threading.RateLimiting;

namespace TokenBucket;

// Of a request that was refused. What is not known is left out.
internal sealed class CombinedLease(CombinedDecision decision) : RateLimitLease
{
    private static readonly string[] Names =
        [MetadataName.RetryAfter.Name, MetadataName.ReasonPhrase.Name, TokenBucketCombinedLimiter.RefusedBy.Name];

    public override bool IsAcquired => false;

    public override IEnumerable<string> MetadataNames => Names.Where(name => TryGetMetadata(name, out _));

    public override bool TryGetMetadata(string metadataName, [NotNullWhen(true)] out object? metadata)
    {
        metadata = null;
        if (metadataName == TokenBucketCombinedLimiter.RefusedBy.Name)
        {
            metadata = decision.RefusedBy;
        }
        else if (metadataName == MetadataName.RetryAfter.Name && decision.RetryAfterNanoseconds != NativeMethods.TB_FOREVER)
        {
            metadata = decision.RetryAfter;
        }
        else if (metadataName == MetadataName.ReasonPhrase.Name && decision.Status == Status.TableFull)
        {
            metadata = TokenBucketException.MessageOf(Status.TableFull);
        }
        return metadata is not null;
    }
}
