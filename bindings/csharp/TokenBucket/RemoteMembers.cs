using System;
using System.Linq;

namespace TokenBucket;

// The takes that stand in one script call, each of a key of its limit.
internal sealed unsafe class RemoteMembers(RemoteLimit[] limits, byte[][] keys, double[] tokens)
{
    // Of limits, keys and tokens; as many of each.
    private readonly byte[] _keys = [.. keys.SelectMany(key => key), 0];

    internal int TakeAll(out long[] arguments) => Ask(isAll: true, out arguments);

    internal int TakeEach(out long[] arguments) => Ask(isAll: false, out arguments);

    internal int Read(long[] arguments, long[] reply, out Status[] statuses, out tb_remote_answer[] answers)
    {
        statuses = new Status[limits.Length];
        answers = new tb_remote_answer[limits.Length];
        fixed (byte* bytes = _keys)
        fixed (tb_remote_member* members = Members(bytes))
        fixed (long* asked = arguments, replied = reply)
        fixed (Status* status = statuses)
        fixed (tb_remote_answer* answer = answers)
        {
            int all = NativeMethods.tb_remote_read_many(
                members, (nuint)limits.Length, asked, (nuint)arguments.Length, replied, (nuint)reply.Length, (int*)status,
                answer);
            GC.KeepAlive(limits);
            return all;
        }
    }

    private int Ask(bool isAll, out long[] arguments)
    {
        long[] written = new long[5 * limits.Length + 1];
        nuint count;
        int status;
        fixed (byte* bytes = _keys)
        fixed (tb_remote_member* members = Members(bytes))
        fixed (long* to = written)
        {
            status = isAll
                ? NativeMethods.tb_remote_take_all(members, (nuint)limits.Length, to, out count)
                : NativeMethods.tb_remote_take_each(members, (nuint)limits.Length, to, out count);
            GC.KeepAlive(limits);
        }
        arguments = status == NativeMethods.TB_SUCCESS ? written[..(int)count] : [];
        return status;
    }

    private tb_remote_member[] Members(byte* bytes)
    {
        var members = new tb_remote_member[limits.Length];
        for (int i = 0; i < members.Length; i++)
        {
            members[i] = new tb_remote_member
            {
                remote = limits[i].Handle.Address, key = bytes, key_size = (nuint)keys[i].Length, n = tokens[i],
            };
            bytes += keys[i].Length;
        }
        return members;
    }
}
