using System;
using System.Text;
using static System.FormattableString;

namespace TokenBucket;

/// <summary>What a limiter tells its client, as for HTTP's RateLimit and Retry-After headers.</summary>
/// <param name="Status">Success, Denied or ExceedsCapacity; of a table also TableFull, with times that are not known, as
/// if they were never.</param>
/// <param name="Remaining">Tokens left now; 0 while in debt.</param>
/// <param name="RetryAfterNanoseconds">Until this request would be granted; 0 if it was, long.MaxValue if never.</param>
/// <param name="ResetAfterNanoseconds">Until the bucket is full again.</param>
public readonly record struct Decision(
    Status Status, double Remaining, long RetryAfterNanoseconds, long ResetAfterNanoseconds)
{
    // What ToString shows: infinite times in words.
    private bool PrintMembers(StringBuilder text)
    {
        text.Append(Invariant($"{nameof(Status)} = {Status}, {nameof(Remaining)} = {Remaining}, "));
        text.Append(Invariant($"{nameof(RetryAfter)} = {Nanoseconds.ToText(RetryAfterNanoseconds)}, "));
        text.Append(Invariant($"{nameof(ResetAfter)} = {Nanoseconds.ToText(ResetAfterNanoseconds)}"));
        return true;
    }

    /// <summary>Whether the tokens were taken.</summary>
    public bool IsGranted => Status == Status.Success;

    /// <summary>Until this request would be granted, rounded up; TimeSpan.MaxValue if never.</summary>
    public TimeSpan RetryAfter => Nanoseconds.ToTimeSpan(RetryAfterNanoseconds);

    /// <summary>Until the bucket is full again, rounded up.</summary>
    public TimeSpan ResetAfter => Nanoseconds.ToTimeSpan(ResetAfterNanoseconds);
}
