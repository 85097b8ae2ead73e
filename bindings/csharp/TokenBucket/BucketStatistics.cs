using System;

namespace TokenBucket;

/// <summary>What a bucket has decided so far. What was used is <c>TokensTaken - TokensGivenBack</c>.</summary>
/// <param name="Granted">Takes, waits and reservations that got their tokens.</param>
/// <param name="Denied">Takes that found too few tokens.</param>
/// <param name="TimedOut">Waits and reservations that would have taken too long, refused at once or later.</param>
/// <param name="Cancelled">Reservations cancelled, and waits that were cancelled or that a close or a capacity ended.</param>
/// <param name="Waits">Waits in the queue that are over.</param>
/// <param name="TotalWaitNanoseconds">Of all those, by the bucket's clock.</param>
/// <param name="LongestWaitNanoseconds">The longest of those.</param>
/// <param name="Waiting">Those that now wait and are not due.</param>
/// <param name="TokensTaken">By all that was granted, and by waits that ended otherwise.</param>
/// <param name="TokensGivenBack">Of these, by cancelling and settling, and by waits that ended otherwise.</param>
public readonly record struct BucketStatistics(
    long Granted, long Denied, long TimedOut, long Cancelled, long Waits, long TotalWaitNanoseconds,
    long LongestWaitNanoseconds, long Waiting, double TokensTaken, double TokensGivenBack)
{
    /// <summary><see cref="TotalWaitNanoseconds"/> as a TimeSpan, rounded up.</summary>
    public TimeSpan TotalWait => Nanoseconds.ToTimeSpan(TotalWaitNanoseconds);

    /// <summary><see cref="LongestWaitNanoseconds"/> as a TimeSpan, rounded up.</summary>
    public TimeSpan LongestWait => Nanoseconds.ToTimeSpan(LongestWaitNanoseconds);
}
