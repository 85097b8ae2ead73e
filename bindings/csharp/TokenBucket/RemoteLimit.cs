using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;

namespace TokenBucket;

// A limit whose buckets lie on a server. Turns a question into the arguments of one script call, and the reply into an
// answer; does no I/O. Immutable.
internal sealed unsafe class RemoteLimit
{
    internal const int MaxKeys = NativeMethods.TB_REMOTE_MAX_KEYS;
    internal const int MaxMembers = NativeMethods.TB_MAX_MEMBERS;

    private readonly RemoteHandle _handle;

    // The fields, and max_wait_ns, are those of `given`.
    internal RemoteLimit(
        double capacity, double tokens, long periodNs, long maxWaitNs, Dictionary<string, Refusal.Given> given)
    {
        tb_config limit = LimitOptions.NewConfig(capacity, tokens);
        limit.rate_period_ns = periodNs;
        int status = NativeMethods.tb_remote_create(&limit, maxWaitNs, out nint address);
        _handle = new RemoteHandle(address);
        if (status != NativeMethods.TB_SUCCESS)
        {
            _ = NativeMethods.tb_remote_config_check(&limit, maxWaitNs, out tb_config_fault fault);
            throw Refusal.OfConfig(status, fault, given);
        }
    }

    internal static string Script => Marshal.PtrToStringUTF8((nint)NativeMethods.tb_remote_script())!;

    // 40 hexadecimal digits.
    internal static string ScriptSha1 => Marshal.PtrToStringUTF8((nint)NativeMethods.tb_remote_script_sha1())!;

    internal RemoteHandle Handle => _handle;

    internal BucketLimit Limit
    {
        get
        {
            tb_config c = new() { struct_size = (nuint)sizeof(tb_config) };
            _ = NativeMethods.tb_remote_get_limit(_handle, ref c);
            return BucketLimit.Of(c);
        }
    }

    // The second key of all calls but Take, TakeUpTo and Peek.
    internal static byte[] QueueKey(byte[] key)
    {
        byte[] queueKey = new byte[key.Length + NativeMethods.TB_REMOTE_QUEUE_KEY_ADDS];
        fixed (byte* bytes = queueKey)
        {
            if (NativeMethods.tb_remote_queue_key(key, (nuint)key.Length, bytes, out nuint size) != NativeMethods.TB_SUCCESS)
            {
                throw new ArgumentException(
                    "A key without a tag in braces may not be empty or hold a closing brace.", nameof(key));
            }
            return queueKey[..(int)size];
        }
    }

    internal int Take(double n, out long[] arguments) => Write(NativeMethods.tb_remote_take, n, out arguments);

    internal int TakeUpTo(double most, out long[] arguments) =>
        Write(NativeMethods.tb_remote_take_up_to, most, out arguments);

    internal int Peek(double n, out long[] arguments) => Write(NativeMethods.tb_remote_peek, n, out arguments);

    internal int Charge(double n, out long[] arguments) => Write(NativeMethods.tb_remote_charge, n, out arguments);

    internal int Refund(double n, out long[] arguments) => Write(NativeMethods.tb_remote_refund, n, out arguments);

    internal int Reset(double tokens, out long[] arguments) => Write(NativeMethods.tb_remote_reset, tokens, out arguments);

    internal int Reserve(double n, long maxWaitNs, out long[] arguments) => Write(
        (RemoteHandle remote, double of, long* to, out nuint count) =>
            NativeMethods.tb_remote_reserve(remote, of, maxWaitNs, to, out count),
        n, out arguments);

    internal int Cancel(tb_reservation reservation, out long[] arguments) => Write(
        (RemoteHandle remote, double _, long* to, out nuint count) =>
        {
            tb_reservation own = reservation;
            return NativeMethods.tb_remote_cancel(remote, &own, to, out count);
        },
        0, out arguments);

    internal int Settle(tb_reservation reservation, double actual, out long[] arguments) => Write(
        (RemoteHandle remote, double of, long* to, out nuint count) =>
        {
            tb_reservation own = reservation;
            return NativeMethods.tb_remote_settle(remote, &own, of, to, out count);
        },
        actual, out arguments);

    internal int Read(long[] arguments, long[] reply, out tb_remote_answer answer)
    {
        fixed (long* asked = arguments, replied = reply)
        {
            return NativeMethods.tb_remote_read(
                _handle, asked, (nuint)arguments.Length, replied, (nuint)reply.Length, out answer);
        }
    }

    internal int ReadReservation(long[] arguments, long[] reply, out tb_reservation reservation)
    {
        fixed (long* asked = arguments, replied = reply)
        {
            return NativeMethods.tb_remote_read_reservation(
                _handle, asked, (nuint)arguments.Length, replied, (nuint)reply.Length, out reservation);
        }
    }

    // The shape of all calls but those that read.
    private delegate int Writer(RemoteHandle remote, double n, long* arguments, out nuint count);

    private int Write(Writer write, double n, out long[] arguments)
    {
        long* buffer = stackalloc long[NativeMethods.TB_REMOTE_MAX_ARGUMENTS];
        int status = write(_handle, n, buffer, out nuint count);
        arguments = status == NativeMethods.TB_SUCCESS ? new ReadOnlySpan<long>(buffer, (int)count).ToArray() : [];
        return status;
    }
}
