using System;
using System.ComponentModel;
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

    private TokenBucketException(Status status, string message, Exception? inner) : base(message, inner) => Status = status;

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

    // The exception for a status that is not the ordinary outcome of a call whose argument was `value`.
    internal static Exception For(int status, object? value, string parameter) => (Status)status switch
    {
        Status.InvalidArgument or Status.OutOfRange =>
            new ArgumentOutOfRangeException(parameter, value, MessageOf((Status)status)),
        Status.Closed => new ObjectDisposedException(nameof(Bucket), MessageOf(Status.Closed)),
        _ => new TokenBucketException((Status)status),
    };

    // For shared memory of that name. Other statuses than these have no fault.
    internal static unsafe Exception ForShared(int status, string name, int fault, object? value, string parameter)
    {
        if (status == NativeMethods.TB_E_SYSTEM)
        {
            var error = new Win32Exception(fault);
            return new TokenBucketException(Status.System, $"{MessageOf(Status.System)}: {name}: {error.Message}", error);
        }
        if (status == NativeMethods.TB_E_MISMATCH)
        {
            string what = Marshal.PtrToStringUTF8((nint)NativeMethods.tb_shared_fault_message(fault))!;
            return new TokenBucketException(Status.Mismatch, $"{MessageOf(Status.Mismatch)}: {name}: {what}", null);
        }
        return For(status, value, parameter);
    }

    internal static TokenBucketException Refused(int status, long retryAfterNs, Member? by = null) => new((Status)status)
    {
        RetryAfter = retryAfterNs == NativeMethods.TB_FOREVER ? null : Nanoseconds.ToTimeSpan(retryAfterNs),
        RefusedBy = by,
    };
}
