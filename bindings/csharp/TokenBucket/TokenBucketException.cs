using System;
using System.Globalization;
using System.Runtime.InteropServices;

namespace TokenBucket;

/// <summary>A request that the bucket cannot meet, with the library's status.</summary>
public sealed class TokenBucketException : Exception
{
    /// <summary>An exception for the status, with the library's own message.</summary>
    public TokenBucketException(Status status) : this(status, null)
    {
    }

    internal TokenBucketException(Status status, Exception? inner) : this(status, MessageOf(status), inner)
    {
    }

    internal TokenBucketException(Status status, string message, Exception? inner) : base(message, inner) => Status = status;

    /// <summary>What the library answered.</summary>
    public Status Status { get; }

    /// <summary>For a wait that was refused, such as with <see cref="Status.QueueFull"/>: the time after which it would
    /// have been granted if nobody else came, rounded up. Null where it is not known, or never.</summary>
    public TimeSpan? RetryAfter { get; private init; }

    /// <summary>The member of a <see cref="CombinedLimit"/> that refused; null for a bucket or table of its own.</summary>
    public Member? RefusedBy { get; private init; }

    internal static unsafe string MessageOf(Status status) =>
        Marshal.PtrToStringUTF8((nint)NativeMethods.tb_status_message((int)status))!;

    internal static unsafe string NameOf(int status) =>
        Marshal.PtrToStringUTF8((nint)NativeMethods.tb_status_name(status))!;

    // For a status that is not the ordinary outcome of a call with that argument, on a limit of that capacity. What else
    // it must be where it is more than an amount.
    internal static Exception For(
        int status, object? value, string argument, Type owner, double capacity, string? allowed = null) =>
        (Status)status switch
        {
            Status.InvalidArgument => Refusal.OutOfRange(argument, value, allowed ?? Refusal.Amount),
            Status.OutOfRange => Refusal.OutOfRange(argument, value, allowed ?? Refusal.WithinDebt),
            Status.ExceedsCapacity => ExceedsCapacity(argument, value, capacity, allowed),
            Status.Closed => Closed(owner),
            _ => new TokenBucketException((Status)status),
        };

    internal static TokenBucketException ExceedsCapacity(
        string argument, object? value, double capacity, string? allowed = null, Member? by = null)
    {
        string most = string.Create(CultureInfo.InvariantCulture, $"at most the capacity of {capacity}");
        return new(Status.ExceedsCapacity, Refusal.Text(argument, value, allowed ?? most), null) { RefusedBy = by };
    }

    internal static ObjectDisposedException Closed(Type owner, string more = "")
    {
        string what = owner == typeof(Bucket) || owner == typeof(TokenBucketLimiter) ? "bucket" : "table";
        return new(owner.FullName, $"closed: the {what} was closed{more}");
    }

    // For shared memory of that name.
    internal static TokenBucketException Shared(Status status, string name, string what, Exception? inner = null) =>
        new(status, $"{MessageOf(status)}: {name}: {what}", inner);

    internal static TokenBucketException Unsupported(string why, Member? by = null) =>
        new(Status.Unsupported, $"{MessageOf(Status.Unsupported)}: {why}", null) { RefusedBy = by };

    internal static TokenBucketException Refused(int status, long retryAfterNs, Member? by = null) => new((Status)status)
    {
        RetryAfter = retryAfterNs == NativeMethods.TB_FOREVER ? null : Nanoseconds.ToTimeSpan(retryAfterNs),
        RefusedBy = by,
    };
}
