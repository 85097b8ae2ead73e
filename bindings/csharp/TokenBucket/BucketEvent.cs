using System;

namespace TokenBucket;

/// <summary>What <see cref="BucketOptions.OnEvent"/> is told.</summary>
/// <param name="Status">What was decided.</param>
/// <param name="Tokens">The tokens asked for.</param>
/// <param name="WaitedNanoseconds">How long it waited, by the bucket's clock; 0 if it did not.</param>
public readonly record struct BucketEvent(Status Status, double Tokens, long WaitedNanoseconds)
{
    /// <summary><see cref="WaitedNanoseconds"/> as a TimeSpan, rounded up.</summary>
    public TimeSpan Waited => Nanoseconds.ToTimeSpan(WaitedNanoseconds);
}
