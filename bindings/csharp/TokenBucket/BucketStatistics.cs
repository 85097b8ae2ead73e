namespace TokenBucket;

/// <summary>What a bucket has decided so far; a wait counts as the reservation that it makes. What was used is
/// <c>TokensTaken - TokensGivenBack</c>.</summary>
/// <param name="Granted">Takes, waits and reservations that got their tokens.</param>
/// <param name="Denied">Takes that found too few tokens.</param>
/// <param name="TimedOut">Waits and reservations refused because they would have waited too long.</param>
/// <param name="Cancelled">Reservations cancelled, those of cancelled waits included.</param>
/// <param name="TokensTaken">By all that was granted.</param>
/// <param name="TokensGivenBack">Of these, by cancelling and settling.</param>
public readonly record struct BucketStatistics(
    long Granted, long Denied, long TimedOut, long Cancelled, double TokensTaken, double TokensGivenBack);
