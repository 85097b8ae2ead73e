using System;
using System.Linq;
using System.Threading.Tasks;
using StackExchange.Redis;
using TokenBucket.Redis;
using Xunit;

namespace TokenBucket.Tests.Redis;

[Collection(SharedRedis.Name)]
public class RedisLimitTests(RedisServer server)
{
    [RedisTheory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_key_is_limited(bool blocking)
    {
        RedisLimit limit = server.Limit(capacity: 3);
        async Task<Decision> Take(double n) => blocking ? limit.Take("a", n) : await limit.TakeAsync("a", n);
        Decision granted = await Take(2), denied = await Take(2), never = await Take(4);
        Assert.Equal((Status.Success, 1, 0), (granted.Status, Math.Floor(granted.Remaining), granted.RetryAfterNanoseconds));
        Assert.Equal((Status.Denied, 1), (denied.Status, Math.Floor(denied.Remaining)));
        Assert.InRange(granted.ResetAfter.TotalSeconds, 1999, 2000);
        Assert.InRange(denied.RetryAfter.TotalSeconds, 990, 1000);
        Assert.Equal(0, denied.RetryAfterNanoseconds % 1000);
        Assert.Equal((Status.ExceedsCapacity, TimeSpan.MaxValue), (never.Status, never.RetryAfter));
        Assert.True((await limit.TakeAsync("b", 3)).IsGranted);
        Assert.Equal(new BucketLimit(3, 1, 1000 * Buckets.Second, limit.Limit.Unit), limit.Limit);
        Assert.Equal("RedisLimit(capacity 3 tokens, 1 tokens per 1000 s per key)", limit.ToString());
    }

    // Of amounts and what is left; hardly anything comes in meanwhile.
    [RedisFact]
    public async Task Answers_are_those_of_a_bucket()
    {
        using var clock = new ManualClock();
        using Bucket bucket = Buckets.On(clock, 100, 1e-7);
        RedisLimit limit = server.Limit(capacity: 100, tokens: 1, period: 1e7);
        var random = new Random(5);
        for (int i = 0; i < 100; i++)
        {
            double n = random.Next(1, 40) / 4.0;
            Decision local = bucket.Take(n), remote = await limit.TakeAsync("a", n);
            Assert.Equal((local.Status, local.Remaining), (remote.Status, Math.Floor(remote.Remaining * 4) / 4));
        }
    }

    [RedisFact]
    public async Task All_limits_of_the_same_keys_are_one()
    {
        string prefix = $"limit {server.NewName()}:";
        RedisLimit one = server.Limit(prefix: prefix), other = server.Limit(prefix: prefix), foreign = server.Limit();
        Assert.True((await one.TakeAsync("a", 10)).IsGranted);
        Assert.False((await other.TakeAsync("a")).IsGranted);
        Assert.True((await foreign.TakeAsync("a")).IsGranted);
        Assert.InRange(server.Database.KeyTimeToLive(prefix + "a")!.Value.TotalSeconds, 9990, 10001);
        Assert.Equal("tb:", new RedisLimitOptions { Capacity = 1, Tokens = 1 }.Prefix);
    }

    [RedisFact]
    public async Task Up_to_so_many_are_taken()
    {
        RedisLimit limit = server.Limit(capacity: 10);
        Assert.True((await limit.TakeAsync("a", 3.5)).IsGranted);
        Assert.Equal((4, 2, 0), (await limit.TakeUpToAsync("a", 4.9), await limit.TakeUpToAsync("a", 9), await limit.TakeUpToAsync("a", 9)));
    }

    [RedisFact]
    public async Task A_look_takes_nothing()
    {
        RedisLimit limit = server.Limit(capacity: 10);
        Decision full = await limit.PeekAsync("a", 10);
        Assert.Equal((Status.Success, 10, 0, 0), (full.Status, full.Remaining, full.RetryAfterNanoseconds, full.ResetAfterNanoseconds));
        Assert.True((await limit.TakeAsync("a", 8)).IsGranted);
        Decision denied = await limit.PeekAsync("a", 3);
        Assert.Equal((Status.Denied, 2), (denied.Status, Math.Floor(denied.Remaining)));
        Assert.InRange(denied.RetryAfter.TotalSeconds, 990, 1000);
        Assert.Equal(Status.ExceedsCapacity, (await limit.PeekAsync("a", 11)).Status);
    }

    [RedisFact]
    public async Task Tokens_are_charged_given_and_set()
    {
        RedisLimit limit = server.Limit(capacity: 10, maxWait: 5000);
        Assert.Equal(TimeSpan.Zero, await limit.ChargeAsync("a", 10));
        Assert.InRange((await limit.ChargeAsync("a", 4)).TotalSeconds, 3990, 4000);
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => limit.ChargeAsync("a", 4));
        Assert.InRange((await limit.PeekAsync("a")).RetryAfter.TotalSeconds, 4990, 5000);
        await limit.RefundAsync("a", 6);
        Assert.Equal(2, Math.Floor((await limit.PeekAsync("a")).Remaining));
        await limit.ResetAsync("a", 7);
        Assert.Equal(7, Math.Floor((await limit.PeekAsync("a")).Remaining));
        await limit.ResetAsync("a");
        Assert.Equal(10, (await limit.PeekAsync("a")).Remaining);
        await limit.ResetAsync("a", 0);
        Assert.InRange((await limit.PeekAsync("a")).Remaining, 0, 0.01);
    }

    [RedisFact]
    public async Task Many_keys_are_asked_by_one_call()
    {
        RedisLimit of2 = server.Limit(capacity: 2), of5 = server.Limit(capacity: 5);
        RedisMember[] members = [.. Enumerable.Range(0, 1024).Select(i => new RedisMember(i % 2 == 0 ? of2 : of5, $"{i / 4}", 2))];
        long calls = server.Calls("evalsha") + server.Calls("eval");
        Decision[] decisions = await RedisLimit.TakeEachAsync(members);
        Assert.InRange(server.Calls("evalsha") + server.Calls("eval") - calls, 1, 2);
        double Left(int i, int of) => Math.Floor(decisions[i / 4 * 4 + of].Remaining);
        for (int i = 0; i < members.Length; i++)
        {
            // The second take of a key finds 0 of 2 and 3 of 5.
            Assert.Equal(i % 4 == 2 ? Status.Denied : Status.Success, decisions[i].Status);
            Assert.Equal((0, 3, 0, 1), (Left(i, 0), Left(i, 1), Left(i, 2), Left(i, 3)));
        }
        Assert.InRange(decisions[2].RetryAfter.TotalSeconds, 1990, 2000);
    }

    [RedisFact]
    public async Task All_are_taken_from_or_none()
    {
        RedisLimit perDay = server.Limit(capacity: 5), perHour = server.Limit(capacity: 2);
        Task<Decision[]> Take(double n) => RedisLimit.TakeAllAsync(new(perDay, "{alice}", n), new(perHour, "{alice}", n));
        Assert.Equal((Status[])[Status.Success, Status.Success], [.. (await Take(2)).Select(d => d.Status)]);
        Decision[] refused = await Take(1);
        Assert.Equal((Status[])[Status.Denied, Status.Denied], [.. refused.Select(d => d.Status)]);
        Assert.Equal(TimeSpan.Zero, refused[0].RetryAfter);
        Assert.InRange(refused[1].RetryAfter.TotalSeconds, 990, 1000);
        Assert.Equal(3, Math.Floor((await perDay.PeekAsync("{alice}")).Remaining));

        foreach (RedisMember[] bad in (RedisMember[][])
            [[], [new(perDay, "a"), new(perHour, "b")], [new(perDay, "{a}"), new(perDay, "{a}")],
             [.. Enumerable.Range(0, 17).Select(i => new RedisMember(perDay, $"{{a}}{i}"))], [new(perDay, "a", -1)]])
        {
            Assert.Equal("members", (await Assert.ThrowsAnyAsync<ArgumentException>(() => RedisLimit.TakeAllAsync(bad))).ParamName);
        }
        var elsewhere = new RedisLimit(
            server.Database.Multiplexer.GetDatabase(1), new RedisLimitOptions { Capacity = 1, Tokens = 1 });
        await Assert.ThrowsAsync<ArgumentException>(() => RedisLimit.TakeEachAsync(new(perDay, "a"), new(elsewhere, "a")));
        Assert.Equal(Status.ExceedsCapacity, (await Assert.ThrowsAsync<TokenBucketException>(() => Take(3))).Status);
    }

    [RedisTheory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_server_that_lost_the_script_is_sent_it(bool blocking)
    {
        RedisLimit limit = server.Limit(capacity: 2);
        async Task<Decision> Take() => blocking ? limit.Take("a") : await limit.TakeAsync("a");
        server.Command("SCRIPT", "FLUSH");
        (long texts, long hashes) = (server.Calls("eval"), server.Calls("evalsha"));
        Assert.True((await Take()).IsGranted);
        Assert.Equal((1, 1), (server.Calls("eval") - texts, server.Calls("evalsha") - hashes));
        Assert.True((await Take()).IsGranted);
        Assert.False((await Take()).IsGranted);
        Assert.Equal((1, 3), (server.Calls("eval") - texts, server.Calls("evalsha") - hashes));
    }

    [RedisFact]
    public async Task A_key_may_hold_any_bytes()
    {
        RedisLimit limit = server.Limit(capacity: 1, maxWait: 5000);
        RedisKey[] keys = [.. Enumerable.Range(0, 256).Select(b => (RedisKey)new[] { (byte)b }), "\u20ac", "", "a{b}c"];
        RedisMember[] members = [.. keys.Select(key => new RedisMember(limit, key))];
        Assert.All(await RedisLimit.TakeEachAsync(members), d => Assert.True(d.IsGranted));
        Assert.All(await RedisLimit.TakeEachAsync(members), d => Assert.False(d.IsGranted));
        Assert.False((await limit.TakeAsync("\u20ac"u8.ToArray())).IsGranted);

        RedisKey all = Enumerable.Range(0, 256).Select(b => (byte)b).ToArray();
        Assert.True((await limit.TakeAsync(all)).IsGranted);
        await (await limit.ReserveAsync(all))!.CancelAsync();
        await Assert.ThrowsAsync<ArgumentException>(() => limit.ReserveAsync("a}"));
    }

    [RedisFact]
    public async Task A_key_of_another_kind_is_no_denial()
    {
        RedisLimit limit = server.Limit(instead: OnUnavailable.Open, prefix: "other ");
        server.Command("RPUSH", "other list", "1");
        server.Command("SET", "other text", "hello");
        foreach (string key in (string[])["list", "text"])
        {
            var e = await Assert.ThrowsAsync<TokenBucketException>(() => limit.TakeAsync(key));
            Assert.Equal(Status.Mismatch, e.Status);
        }
        Assert.IsType<RedisServerException>(Assert.Throws<TokenBucketException>(() => limit.Take("list")).InnerException);
    }

    [RedisFact]
    public async Task Bad_arguments_are_refused()
    {
        RedisLimit limit = server.Limit(maxWait: 1);
        foreach (double n in (double[])[0, -1, double.NaN, double.PositiveInfinity])
        {
            Assert.Equal("tokens", Assert.Throws<ArgumentOutOfRangeException>(() => limit.Take("a", n)).ParamName);
            await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => limit.TakeAsync("a", n));
            await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => limit.TakeUpToAsync("a", n));
            await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => limit.WaitAsync("a", n));
            await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => limit.RefundAsync("a", n));
            await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => limit.ChargeAsync("a", n));
        }
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => limit.ResetAsync("a", -2));
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => limit.WaitAsync("a", 1, TimeSpan.FromSeconds(-2)));
        Assert.Equal(Status.ExceedsCapacity, (await Assert.ThrowsAsync<TokenBucketException>(() => limit.WaitAsync("a", 11))).Status);
        Assert.Equal("key", Assert.Throws<ArgumentNullException>(() => limit.Take(default)).ParamName);
        Assert.Equal("key", Assert.Throws<ArgumentException>(() => limit.Take(new byte[65536])).ParamName);
        Assert.Throws<ArgumentOutOfRangeException>(() => server.Limit(capacity: 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => server.Limit(maxWait: -1));
        Assert.Equal(
            TimeSpan.FromMinutes(1), new RedisLimit(server.Database, new RedisLimitOptions { Capacity = 1, Tokens = 1 }).MaxWait);
        Assert.Throws<ArgumentOutOfRangeException>(() => server.Limit(tokens: 1.23456789012345, period: 1.2345678));
        Assert.Throws<ArgumentOutOfRangeException>(() => OnUnavailable.Local(0));
        Assert.Throws<ArgumentOutOfRangeException>(() => OnUnavailable.Local(1.1));
        Assert.Throws<ArgumentNullException>(() => new RedisLimit(null!, new RedisLimitOptions { Capacity = 1, Tokens = 1 }));
        Assert.Throws<ArgumentNullException>(() => new RedisLimit(server.Database, null!));
    }
}
