using System;
using System.Text;
using static System.FormattableString;

namespace TokenBucket;

/// <summary>What a <see cref="CombinedLimit"/> answers for all its members.</summary>
/// <param name="Status">Success, Denied, ExceedsCapacity or TableFull; of a wait or reservation with a limit Success or
/// TimedOut.</param>
/// <param name="RefusedBy">The member that refused; of several the one that takes longest to grant. Null: all
/// granted.</param>
/// <param name="RetryAfterNanoseconds">Until that member would grant; 0 if all did, long.MaxValue if never.</param>
public readonly record struct CombinedDecision(Status Status, Member? RefusedBy, long RetryAfterNanoseconds)
{
    // What ToString shows: an infinite time in words.
    private bool PrintMembers(StringBuilder text)
    {
        text.Append(Invariant($"{nameof(Status)} = {Status}, {nameof(RefusedBy)} = {RefusedBy}, "));
        text.Append(Invariant($"{nameof(RetryAfter)} = {Nanoseconds.ToText(RetryAfterNanoseconds)}"));
        return true;
    }

    /// <summary>Whether the tokens were taken from all members.</summary>
    public bool IsGranted => Status == Status.Success;

    /// <summary>Until the member that refused would grant, rounded up; TimeSpan.MaxValue if never.</summary>
    public TimeSpan RetryAfter => Nanoseconds.ToTimeSpan(RetryAfterNanoseconds);
}
