using System;
using System.Threading.Tasks;
using StackExchange.Redis;

namespace TokenBucket.Redis;

// One call of the script, which the primary decides. What the client or the server reports in its place is a
// TokenBucketException with that inside.
internal sealed class ScriptCall(IDatabase database, RedisKey[] keys, long[] arguments)
{
    private static readonly string Text = RemoteLimit.Script;
    private static readonly byte[] Sha1 = Convert.FromHexString(RemoteLimit.ScriptSha1);

    internal RedisKey[] Keys => keys;

    internal long[] Arguments => arguments;

    internal long[] Ask()
    {
        RedisValue[] values = Array.ConvertAll(arguments, n => (RedisValue)n);
        try
        {
            try
            {
                return Numbers(database.ScriptEvaluate(Sha1, keys, values, CommandFlags.DemandMaster));
            }
            catch (RedisServerException e) when (IsNoScript(e))
            {
                return Numbers(database.ScriptEvaluate(
                    Text, keys, values, CommandFlags.DemandMaster | CommandFlags.NoScriptCache));
            }
        }
        catch (Exception e) when (Meaning(e) is Status status)
        {
            throw new TokenBucketException(status, e);
        }
    }

    internal async Task<long[]> AskAsync()
    {
        RedisValue[] values = Array.ConvertAll(arguments, n => (RedisValue)n);
        try
        {
            try
            {
                return Numbers(await database.ScriptEvaluateAsync(Sha1, keys, values, CommandFlags.DemandMaster)
                    .ConfigureAwait(false));
            }
            catch (RedisServerException e) when (IsNoScript(e))
            {
                return Numbers(await database.ScriptEvaluateAsync(
                    Text, keys, values, CommandFlags.DemandMaster | CommandFlags.NoScriptCache).ConfigureAwait(false));
            }
        }
        catch (Exception e) when (Meaning(e) is Status status)
        {
            throw new TokenBucketException(status, e);
        }
    }

    // The server has lost the script, and has decided nothing.
    private static bool IsNoScript(RedisServerException e) => e.Message.StartsWith("NOSCRIPT", StringComparison.Ordinal);

    // A key that holds something else is no outage, which a policy would paper over: a type other than a string, or a
    // string that is no number. Null: the caller's mistake, such as keys in several slots of a cluster.
    private static Status? Meaning(Exception e) => e switch
    {
        RedisServerException when e.Message.Contains("WRONGTYPE", StringComparison.Ordinal) => Status.Mismatch,
        RedisServerException when e.Message.Contains("attempt to perform arithmetic", StringComparison.Ordinal) => Status.Mismatch,
        RedisException or RedisTimeoutException => Status.Unavailable,
        _ => null,
    };

    private static long[] Numbers(RedisResult reply) => (long[]?)reply ?? [];
}
