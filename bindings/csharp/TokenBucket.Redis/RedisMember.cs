using StackExchange.Redis;

namespace TokenBucket.Redis;

/// <summary>One of the takes that are decided by one call.</summary>
/// <param name="Limit">The limit. All of a call must have been made with the same <see cref="IDatabase"/>.</param>
/// <param name="Key">The key, without the limit's prefix.</param>
/// <param name="Tokens">What it takes.</param>
public readonly record struct RedisMember(RedisLimit Limit, RedisKey Key, double Tokens = 1);
