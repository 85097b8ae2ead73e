using System;
using System.ComponentModel;
using System.Runtime.InteropServices;
using System.Text;
using static System.FormattableString;

namespace TokenBucket;

// The names and the refusals of what processes share, a bucket or a table.
internal static unsafe class SharedMemory
{
    private const string FileName = "the name of a file, without a slash or a leading dot, or an absolute path";

    // Counts what is open. The garbage collector closes the descriptors, but does not see how many there are.
    internal static readonly HandleCollector Opened = new(nameof(TokenBucket), 64);

    internal static void Remove(string name)
    {
        fixed (byte* text = TextOf(name))
        {
            int status = NativeMethods.tb_shared_remove(text, out int fault);
            if (status != NativeMethods.TB_SUCCESS)
            {
                throw Failure(status, name, fault, typeof(Bucket));
            }
        }
    }

    // Ended by a zero.
    internal static byte[] TextOf(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        return name.Contains('\0')
            ? throw Refusal.OutOfRange(
                nameof(name), name.Replace("\0", "\\0", StringComparison.Ordinal), "without a zero byte")
            : Encoding.UTF8.GetBytes(name + '\0');
    }

    // In the text of an object.
    internal static string Shown(string? name) => name is null ? "" : $"shared \"{name}\", ";

    // Of a limit whose capacity or rate is another than the one there.
    internal static TokenBucketException OtherLimit(
        string name, int fault, LimitOptions options, in BucketLimit there)
    {
        Refusal.Given capacity = options.Given["capacity"], rate = options.Given["rate_tokens"];
        BucketLimit asked = there with { Tokens = options.Tokens, PeriodNanoseconds = options.PeriodNanoseconds };
        return Other(name, fault == NativeMethods.TB_SHARED_CAPACITY
            ? Refusal.Text(capacity.Name, capacity.Value, Invariant($"{there.Capacity}, as it is there"))
            : Refusal.Text(rate.Name, asked.Rate, $"{there.Rate}, as it is there"));
    }

    // Of what could be adopted: what is another there, and the way out.
    internal static TokenBucketException Other(string name, string what) => TokenBucketException.Shared(
        Status.Mismatch, name, $"{what} (OpenShared with adopt: true takes what is there)");

    // Options: none to remove a name.
    internal static Exception Failure(int status, string name, int fault, Type owner, LimitOptions? options = null)
    {
        switch (status)
        {
            case NativeMethods.TB_E_SYSTEM:
                var error = new Win32Exception(fault);
                return TokenBucketException.Shared(Status.System, name, error.Message, error);
            case NativeMethods.TB_E_MISMATCH:
                string what = Marshal.PtrToStringUTF8((nint)NativeMethods.tb_shared_fault_message(fault))!;
                return TokenBucketException.Shared(Status.Mismatch, name, what);
            case NativeMethods.TB_E_INVALID_ARGUMENT:
                return Refusal.OutOfRange(nameof(name), name, FileName);
            case NativeMethods.TB_CLOSED:
                return TokenBucketException.Closed(owner, $": {name}: this lasts until RemoveShared removes the name");
            case NativeMethods.TB_E_UNSUPPORTED:
                const string SystemClock = " for what processes share, which goes by the system's clock";
                return TokenBucketException.Shared(
                    Status.Unsupported, name,
                    options?.Clock is not null ? $"{nameof(options.Clock)} must be null{SystemClock}"
                    : options?.TimeProvider is TimeProvider time && time != TimeProvider.System
                    ? $"{nameof(options.TimeProvider)} must be null or TimeProvider.System{SystemClock}"
                    : "the native library cannot share it between processes on this system");
            default:
                return new TokenBucketException((Status)status);
        }
    }
}
