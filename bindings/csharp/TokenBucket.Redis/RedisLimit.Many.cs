using System;
using System.Linq;
using System.Threading.Tasks;
using StackExchange.Redis;

namespace TokenBucket.Redis;

public sealed partial class RedisLimit
{
    /// <summary>Takes from all members, 1 .. 16, or from none, in one call. Their keys, prefixes included, have one tag in
    /// braces, such as "{alice}:day", and none is there twice.</summary>
    /// <returns>What each member is told. Where none was taken from, those that would have granted are Denied, to be
    /// retried after zero.</returns>
    /// <exception cref="ArgumentException">No common tag, the same key twice, too many members, or limits of different
    /// databases.</exception>
    /// <exception cref="TokenBucketException">A member asks for more than its capacity; or as for all. In place of a server
    /// that is unavailable each limit answers, if none of them says <see cref="OnUnavailable.Error"/>.</exception>
    public static Task<Decision[]> TakeAllAsync(params RedisMember[] members) => TakeManyAsync(members, isAll: true);

    /// <summary>Takes from each member, 1 .. 1024, that has enough, in their order, in one call. In a cluster all keys must
    /// lie in one slot.</summary>
    /// <returns>What each member is told.</returns>
    /// <exception cref="ArgumentException">Too many members, or limits of different databases.</exception>
    /// <exception cref="TokenBucketException">As <see cref="TakeAllAsync"/>.</exception>
    public static Task<Decision[]> TakeEachAsync(params RedisMember[] members) => TakeManyAsync(members, isAll: false);

    private static async Task<Decision[]> TakeManyAsync(RedisMember[] members, bool isAll)
    {
        RequireMembers(members, isAll ? RemoteLimit.MaxMembers : RemoteLimit.MaxKeys);
        byte[][] keys = Array.ConvertAll(members, m => m.Limit.Whole(m.Key));
        var remote = new RemoteMembers(
            Array.ConvertAll(members, m => m.Limit.Remote), keys, Array.ConvertAll(members, m => m.Tokens));
        int status = isAll ? remote.TakeAll(out long[] arguments) : remote.TakeEach(out arguments);
        if (status == NativeMethods.TB_E_INVALID_ARGUMENT)
        {
            throw new ArgumentException(
                "Keys that are taken from together have one tag in braces, and none is there twice.", nameof(members));
        }
        if (status != NativeMethods.TB_SUCCESS)
        {
            int i = Math.Max(Array.FindIndex(members, m => m.Tokens > m.Limit.Limit.Capacity), 0);
            throw members[i].Limit.Failure(status, members[i].Tokens, $"{nameof(members)}[{i}].{nameof(RedisMember.Tokens)}");
        }
        try
        {
            long[] reply = await members[0].Limit.Call([.. keys], arguments).AskAsync().ConfigureAwait(false);
            if (remote.Read(arguments, reply, out Status[] statuses, out tb_remote_answer[] answers) < 0)
            {
                throw new TokenBucketException(Status.Mismatch);
            }
            return [.. statuses.Zip(answers, (told, answer) => new Decision(
                told, Math.Max(answer.remaining, 0), answer.retry_after_ns, answer.reset_after_ns))];
        }
        catch (TokenBucketException e) when (Array.TrueForAll(members, m => m.Limit._instead.IsFor(e)))
        {
            return isAll
                ? TakeAllInstead(members, keys)
                : [.. members.Zip(keys, (m, key) => m.Limit._instead.Take(key, m.Tokens))];
        }
    }

    // Those with a local limit take together, once the others would grant.
    private static Decision[] TakeAllInstead(RedisMember[] members, byte[][] keys)
    {
        Decision[] looks = [.. members.Zip(keys, (m, key) => m.Limit._instead.Peek(key, m.Tokens))];
        Member[] local = [.. members.Zip(keys)
            .Where(m => m.First.Limit._instead.Local is not null)
            .Select(m => new Member(m.First.Limit._instead.Local!, m.Second, m.First.Tokens))];
        bool isGranted = Array.TrueForAll(looks, look => look.IsGranted) &&
            (local.Length == 0 || new CombinedLimit(local).Allow());
        return isGranted
            ? [.. members.Zip(looks, (m, look) => look with { Remaining = Math.Max(look.Remaining - m.Tokens, 0) })]
            : Array.ConvertAll(looks, look => look with { Status = Status.Denied });
    }

    private static void RequireMembers(RedisMember[] members, int most)
    {
        ArgumentNullException.ThrowIfNull(members);
        if (members.Length == 0 || members.Length > most)
        {
            throw new ArgumentException(Refusal.Text(nameof(members), members.Length, $"from 1 to {most}"), nameof(members));
        }
        for (int i = 0; i < members.Length; i++)
        {
            RedisMember member = members[i];
            ArgumentNullException.ThrowIfNull(member.Limit, $"{nameof(members)}[{i}].{nameof(RedisMember.Limit)}");
            if (member.Limit._database != members[0].Limit._database)
            {
                throw new ArgumentException("The limits were made with different databases.", nameof(members));
            }
            if (!Refusal.IsAmount(member.Tokens))
            {
                throw Refusal.OutOfRange(nameof(members), member.Tokens, Refusal.Amount, $"[{i}].{nameof(RedisMember.Tokens)}");
            }
        }
    }
}
