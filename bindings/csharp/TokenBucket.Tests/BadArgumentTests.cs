using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Reflection;
using System.Threading.RateLimiting;
using StackExchange.Redis;
using TokenBucket.Redis;
using Xunit;
using static TokenBucket.Tests.Buckets;

namespace TokenBucket.Tests;

// What an error says of a refused argument: its name as the caller wrote it, what it must be, and what it was.
public sealed class BadArgumentTests : IDisposable
{
    private readonly string _name = $"tokenbucket-cs-bad-{Environment.ProcessId}-{Guid.NewGuid():N}";
    private readonly ManualClock _clock = new(Second);
    private readonly Bucket _bucket;
    private readonly KeyedTable _table;
    private readonly Reservation _reservation;
    private readonly IDatabase _database = DispatchProxy.Create<IDatabase, Nobody>();

    public BadArgumentTests()
    {
        _bucket = On(_clock, 10, 5);
        _reservation = _bucket.Reserve(1);
        _bucket.Reset();
        _table = TableOn(_clock, 10, 5);
    }

    public void Dispose()
    {
        _bucket.Dispose();
        _table.Dispose();
        _clock.Dispose();
        Bucket.RemoveShared(_name);
    }

    // A server that is never asked.
    public class Nobody : DispatchProxy
    {
        protected override object? Invoke(MethodInfo? targetMethod, object?[]? args) => throw new NotSupportedException();
    }

    // One call with the arguments of a row, and how they are spelled in it.
    private sealed record Way(Action Call, params (string Neutral, string Name, object Value)[] Spelled);

    // The rows of bindings/bad_arguments.txt, which says what they mean.
    [SharedFact]
    public void Every_row_is_refused_by_name()
    {
        string[][] rows = [.. ConformanceTests.Rows("BadArguments")
            .Where(line => line.Length > 0 && line[0] != '#')
            .Select(line => line.Split(" | "))];
        Assert.InRange(rows.Length, 84, int.MaxValue);
        foreach (string[] row in rows)
        {
            Dictionary<string, string> given = row[1].Split(", ").Select(a => a.Split('=')).ToDictionary(a => a[0], a => a[1]);
            Way[] ways = [.. Ways(row[0], given)];
            Assert.NotEmpty(ways);
            foreach (Way way in ways)
            {
                (string _, string name, object value) = way.Spelled.Single(s => s.Neutral == row[2]);
                IsRefused(way.Call, name, value, RangeHere(row[0], row[2], row[3]), string.Join(" | ", row));
            }
            Assert.Equal((10, 10, Second), (_bucket.Available, _table.Available("a"), _clock.Now));
        }
    }

    // Null is the default of the first two, so 0 is none.
    private static string RangeHere(string call, string refused, string range) => (call, refused) switch
    {
        ("bucket" or "table", "max_waiters") => "1 or more",
        ("bucket", "max_lateness") => "more than 0",
        _ => range,
    };

    private static void IsRefused(Action call, string name, object value, string range, string row)
    {
        Exception? e = Record.Exception(call);
        Assert.True(e is ArgumentException or FormatException or TokenBucketException { Status: Status.ExceedsCapacity or Status.Mismatch },
            $"{row}: {e}");
        string start = $"{name} must be {range}";
        int at = e.Message.IndexOf(start, StringComparison.Ordinal);
        Assert.True(at >= 0, $"{row}: {e.Message}");
        string got = string.Create(CultureInfo.InvariantCulture, $", got {value}");
        Assert.True(e.Message.IndexOf(got, at, StringComparison.Ordinal) > at, $"{row}: {e.Message}");
        if (e is ArgumentException argument)
        {
            Assert.Equal((row, name), (row, argument.ParamName));
        }
        if (e is ArgumentOutOfRangeException range_)
        {
            Assert.Equal((row, value), (row, range_.ActualValue));
        }
    }

    private static double Number(string text) => text switch
    {
        "nan" => double.NaN,
        "inf" => double.PositiveInfinity,
        _ => double.Parse(text, CultureInfo.InvariantCulture),
    };

    private static TimeSpan Time(string text) => TimeSpan.FromSeconds(Number(text.TrimEnd('s')));

    private IEnumerable<Way> Ways(string call, Dictionary<string, string> given)
    {
        double capacity = Number(given.GetValueOrDefault("capacity", "10")), rate = Number(given.GetValueOrDefault("rate", "5"));
        TimeSpan period = Time(given.GetValueOrDefault("period", "1s"));
        double tokens = Number(given.GetValueOrDefault("tokens", "1"));
        (string, string, object) Tokens(string name = "tokens") => ("tokens", name, tokens);
        return call switch
        {
            "bucket" => Creating(given, capacity, rate, period),
            "shared" or "shared_again" => [Shared(call, given, capacity, rate)],
            "table" => Table(given, capacity, rate, period),
            "server" => Server(given, capacity, rate, period),
            "take" => [new(() => _bucket.Take(tokens), Tokens()), new(() => _bucket.Allow(tokens), Tokens())],
            "take_up_to" => [new(() => _bucket.TakeUpTo(Number(given["most"])), ("most", "most", Number(given["most"])))],
            "wait" => Waiting(given, tokens),
            "reserve" => Reserving(given, tokens),
            "time_until" => [new(() => _bucket.TimeUntil(tokens), Tokens())],
            "charge" => [new(() => _bucket.Charge(tokens), Tokens())],
            "refund" => [new(() => _bucket.Refund(tokens), Tokens())],
            "settle" => [new(() => _reservation.Settle(Number(given["actual"])), ("actual", "actualTokens", Number(given["actual"])))],
            "reset" => [new(() => _bucket.Reset(tokens), Tokens())],
            "set_tokens" => [new(() => _bucket.SetTokens(tokens), Tokens())],
            "table_take" when given.ContainsKey("key_size") =>
                [new(() => _table.Take(new byte[int.Parse(given["key_size"], null)]), ("key", "key", int.Parse(given["key_size"], null)))],
            "table_take" => [new(() => _table.Take("a", tokens), Tokens()), new(() => _table.Allow("a", tokens), Tokens())],
            "table_charge" => [new(() => _table.Charge("a", tokens), Tokens())],
            "table_wait" =>
            [
                new(() => _table.Wait("a", 1, Time(given["timeout"])), ("timeout", "timeout", Time(given["timeout"]))),
                new(() => _ = _table.WaitAsync("a", 1, Time(given["timeout"])), ("timeout", "timeout", Time(given["timeout"]))),
            ],
            "server_take" => [new(() => Wait(Server().TakeAsync("a", tokens)), Tokens()), new(() => Server().Take("a", tokens), Tokens())],
            "server_charge" => [new(() => Wait(Server().ChargeAsync("a", tokens)), Tokens())],
            "server_wait" =>
                [new(() => Wait(Server().WaitAsync("a", 1, Time(given["timeout"]))), ("timeout", "timeout", Time(given["timeout"])))],
            "clock" =>
            [
                new(() => _ = new ManualClock((long)Time(given["start"]).TotalNanoseconds),
                    ("start", "startNanoseconds", (long)Time(given["start"]).TotalNanoseconds)),
            ],
            "clock_set" =>
            [
                new(() => _clock.Set((long)Time(given["now"]).TotalNanoseconds),
                    ("now", "nanoseconds", (long)Time(given["now"]).TotalNanoseconds)),
            ],
            "clock_advance" =>
            [
                new(() => _clock.Advance(Time(given["duration"])), ("duration", "time", Time(given["duration"]))),
                new(() => _clock.Advance((long)Time(given["duration"]).TotalNanoseconds),
                    ("duration", "nanoseconds", (long)Time(given["duration"]).TotalNanoseconds)),
            ],
            "set_rate" => [new(() => _bucket.SetRate(rate), ("rate", "tokensPerSecond", rate))],
            "set_capacity" => [new(() => _bucket.SetCapacity(capacity), ("capacity", "capacity", capacity))],
            "table_set_rate" => [new(() => _table.SetRate(rate), ("rate", "tokensPerSecond", rate))],
            "table_set_capacity" => [new(() => _table.SetCapacity(capacity), ("capacity", "capacity", capacity))],
            "limits" => [Limits(int.Parse(given["members"], null))],
            "address" => Address(given),
            _ => throw new InvalidOperationException($"unknown call {call}"),
        };
    }

    private static void Wait(System.Threading.Tasks.Task asked) => asked.GetAwaiter().GetResult();

    private static IEnumerable<Way> Creating(Dictionary<string, string> given, double capacity, double rate, TimeSpan period)
    {
        if (given.Keys.All(k => k is "capacity" or "rate"))
        {
            yield return new(() => _ = new Bucket(capacity, rate), ("capacity", "capacity", capacity), ("rate", "tokensPerSecond", rate));
        }
        double? initial = given.TryGetValue("initial", out string? i) ? Number(i) : null;
        long? waiters = given.TryGetValue("max_waiters", out string? w) ? long.Parse(w, CultureInfo.InvariantCulture) : null;
        TimeSpan? lateness = given.TryGetValue("max_lateness", out string? l) ? Time(l) : null;
        (string, string, object)[] spelled =
        [
            ("capacity", "Capacity", capacity), ("rate", "Tokens", rate), ("initial", "InitialTokens", initial ?? 0),
            ("max_waiters", "MaxWaiters", waiters ?? 0), ("max_lateness", "MaxLateness", lateness ?? default),
        ];
        yield return new(
            () => _ = new Bucket(new BucketOptions
            {
                Capacity = capacity, Tokens = rate, Period = period, InitialTokens = initial, MaxWaiters = waiters, MaxLateness = lateness,
            }),
            [.. spelled, ("period", "Period", period)]);
        long ns = (long)period.TotalNanoseconds;
        yield return new(
            () => _ = new Bucket(new BucketOptions
            {
                Capacity = capacity, Tokens = rate, PeriodNanoseconds = ns, InitialTokens = initial, MaxWaiters = waiters,
                MaxLateness = lateness,
            }),
            [.. spelled, ("period", "PeriodNanoseconds", ns)]);
    }

    private Way Shared(string call, Dictionary<string, string> given, double capacity, double rate)
    {
        string name = given.GetValueOrDefault("name", _name);
        double? initial = given.TryGetValue("initial", out string? i) ? Number(i) : null;
        var options = new BucketOptions { Capacity = capacity, Tokens = rate, InitialTokens = initial };
        return new(
            () =>
            {
                using Bucket? first = call == "shared_again" ? Bucket.OpenShared(name, new BucketOptions { Capacity = 10, Tokens = 5 }) : null;
                var e = Record.Exception(() => Bucket.OpenShared(name, options));
                Assert.True(first is null || e!.Message.Contains(name, StringComparison.Ordinal));
                throw e!;
            },
            ("capacity", "Capacity", capacity), ("rate", "Tokens", rate), ("initial", "InitialTokens", initial ?? 0), ("name", "name", name));
    }

    private static IEnumerable<Way> Table(Dictionary<string, string> given, double capacity, double rate, TimeSpan period)
    {
        long? bytes = given.TryGetValue("max_bytes", out string? b) ? long.Parse(b, CultureInfo.InvariantCulture) : null;
        long? keys = bytes is null ? long.Parse(given.GetValueOrDefault("max_keys", "100"), CultureInfo.InvariantCulture) : null;
        long? waiters = given.TryGetValue("max_waiters", out string? w) ? long.Parse(w, CultureInfo.InvariantCulture) : null;
        if (given.Keys.All(k => k is "capacity" or "rate" or "max_keys"))
        {
            yield return new(
                () => _ = new KeyedTable(capacity, rate, keys!.Value),
                ("capacity", "capacity", capacity), ("rate", "tokensPerSecond", rate), ("max_keys", "maxKeys", keys!));
        }
        yield return new(
            () => _ = new KeyedTable(new KeyedTableOptions
            {
                Capacity = capacity, Tokens = rate, Period = period, MaxKeys = keys, MaxBytes = bytes, MaxWaiters = waiters,
            }),
            ("capacity", "Capacity", capacity), ("rate", "Tokens", rate), ("period", "Period", period), ("max_keys", "MaxKeys", keys ?? 0),
            ("max_bytes", "MaxBytes", bytes ?? 0), ("max_waiters", "MaxWaiters", waiters ?? 0));
    }

    private RedisLimit Server() => new(_database, new RedisLimitOptions { Capacity = 10, Tokens = 5 });

    private IEnumerable<Way> Server(Dictionary<string, string> given, double capacity, double rate, TimeSpan period)
    {
        double share = Number(given.GetValueOrDefault("share", "1"));
        TimeSpan wait = Time(given.GetValueOrDefault("max_wait", "60s"));
        yield return new(
            () => _ = new RedisLimit(_database, new RedisLimitOptions
            {
                Capacity = capacity, Tokens = rate, Period = period, MaxWait = wait, OnUnavailable = OnUnavailable.Local(share),
            }),
            ("capacity", "Capacity", capacity), ("rate", "Tokens", rate), ("period", "Period", period), ("max_wait", "MaxWait", wait),
            ("share", "share", share));
    }

    private IEnumerable<Way> Waiting(Dictionary<string, string> given, double tokens)
    {
        TimeSpan timeout = Time(given.GetValueOrDefault("timeout", "1s"));
        (string, string, object)[] spelled = [("tokens", "tokens", tokens), ("timeout", "timeout", timeout)];
        yield return new(() => _bucket.Wait(tokens, timeout), spelled);
        yield return new(() => _ = _bucket.WaitAsync(tokens, timeout), spelled);
        yield return new(() => _bucket.Wait(tokens, timeout, priority: 1), spelled);
    }

    private IEnumerable<Way> Reserving(Dictionary<string, string> given, double tokens)
    {
        TimeSpan wait = Time(given.GetValueOrDefault("max_wait", "1s"));
        yield return new(() => _bucket.Reserve(tokens, wait), ("tokens", "tokens", tokens), ("max_wait", "maxWait", wait));
    }

    private static Way Limits(int count)
    {
        Member[] members = [.. Enumerable.Range(0, count).Select(_ => new Member(new Bucket(1, 1)))];
        return new(() => _ = new CombinedLimit(members), ("members", "members", count));
    }

    private static IEnumerable<Way> Address(Dictionary<string, string> given)
    {
        int prefix = int.Parse(given.GetValueOrDefault("ipv6_prefix", "64"), CultureInfo.InvariantCulture);
        yield return new(
            () => AddressKey.Of(given["text"], prefix), ("text", "address", given["text"]), ("ipv6_prefix", "ipv6Prefix", prefix));
    }

    private static TokenBucketLimiterOptions Options(
        int limit = 10, double tokens = 5, int periodSeconds = 1, int queue = 0, int lateMs = 10, int order = 0) => new()
        {
            TokenLimit = limit, TokensPerPeriod = tokens, ReplenishmentPeriod = TimeSpan.FromSeconds(periodSeconds), QueueLimit = queue,
            MaxLateness = TimeSpan.FromMilliseconds(lateMs), QueueProcessingOrder = (QueueProcessingOrder)order,
        };

    [Fact]
    public void A_limiter_names_its_own_options_and_arguments()
    {
        (TokenBucketLimiterOptions Options, string Name, object Value, string Range)[] rows =
        [
            (Options(limit: 0), "TokenLimit", 0, "1 or more"),
            (Options(tokens: 0), "TokensPerPeriod", 0.0, "from 1e-9 to 1e10 tokens per second"),
            (Options(tokens: 1e12, periodSeconds: 60), "TokensPerPeriod", 1e12, "from 1e-9 to 1e10 tokens per second"),
            (Options(periodSeconds: 0), "ReplenishmentPeriod", TimeSpan.Zero, "more than 0"),
            (Options(periodSeconds: -60), "ReplenishmentPeriod", TimeSpan.FromMinutes(-1), "more than 0"),
            (Options(queue: -1), "QueueLimit", -1, "0 or more"),
            (Options(order: 2), "QueueProcessingOrder", (QueueProcessingOrder)2, "OldestFirst or NewestFirst"),
            (Options(lateMs: -5), "MaxLateness", TimeSpan.FromMilliseconds(-5), "more than 0"),
        ];
        foreach ((TokenBucketLimiterOptions options, string name, object value, string range) in rows)
        {
            IsRefused(() => _ = new TokenBucketLimiter(options), name, value, range, name);
            var perKey = new TokenBucketPartitionedLimiterOptions
            {
                TokenLimit = options.TokenLimit, TokensPerPeriod = options.TokensPerPeriod, QueueLimit = options.QueueLimit,
                ReplenishmentPeriod = options.ReplenishmentPeriod, MaxLateness = options.MaxLateness, MaxKeys = 100,
                QueueProcessingOrder = options.QueueProcessingOrder,
            };
            IsRefused(() => _ = new TokenBucketPartitionedLimiter<int>(perKey), name, value, range, name);
        }
        using var limiter = new TokenBucketLimiter(Options());
        IsRefused(() => limiter.AttemptAcquire(11), "permitCount", 11, "at most the token limit of 10", "permits");
        IsRefused(() => limiter.SetTokenLimit(0), "tokenLimit", 0, "1 or more", "limit");
        IsRefused(() => limiter.SetTokenLimit(1_000_000_000), "tokenLimit", 1_000_000_000, "from 1 to 2^58 units of this bucket", "limit");
        IsRefused(() => limiter.SetRate(-1), "tokensPerSecond", -1.0, "from 1e-9 to 1e10 tokens per second", "rate");
        IsRefused(() => limiter.SetTokens(11), "tokens", 11.0, "from 0 to the capacity of 10", "tokens");
        var both = new CombinedLimit(_bucket, new Member(_table, "a"));
        IsRefused(() => _ = new TokenBucketCombinedLimiter(both, -1), "queueLimit", -1, "0 or more", "queue");
    }

    // No "no" is possible.
    [Fact]
    public void What_exceeds_the_capacity_is_told_by_name()
    {
        Action[] calls =
        [
            () => _bucket.Wait(11), () => _ = _bucket.WaitAsync(11), () => _bucket.Reserve(11), () => _bucket.TimeUntil(11),
            () => _table.Wait("a", 11), () => _table.Reserve("a", 11), () => _table.TimeUntil("a", 11),
            () => Wait(Server().ReserveAsync("a", 11)),
        ];
        Assert.All(calls, call => IsRefused(call, "tokens", 11.0, "at most the capacity of 10", "capacity"));
        var both = new CombinedLimit(new Member(_table, "a"), _bucket);
        IsRefused(() => both.Wait([1, 11]), "tokens[1]", 11.0, "at most the capacity of 10", "both");
        Assert.Same(both.Members[1], Assert.Throws<TokenBucketException>(() => both.Wait([1, 11])).RefusedBy);
        var e = Assert.Throws<ArgumentOutOfRangeException>(() => both.Take([1, -2]));
        Assert.StartsWith("tokens[1] must be finite and more than 0, got -2", e.Message, StringComparison.Ordinal);
        Assert.Equal(("tokens", -2.0), (e.ParamName, e.ActualValue));
        IsRefused(() => _bucket.Charge(1e12), "tokens", 1e12, "so few that at most 2^59 units are owed", "debt");
        Assert.Equal((10, 10), (_bucket.Available, _table.Available("a")));
    }

    [Fact]
    public void What_was_disposed_goes_by_its_own_name()
    {
        var limiter = new TokenBucketLimiter(Options());
        var perKey = new TokenBucketPartitionedLimiter<int>(new() { TokenLimit = 1, TokensPerPeriod = 1, MaxKeys = 1 });
        limiter.Dispose();
        perKey.Dispose();
        _bucket.Dispose();
        _table.Dispose();
        (Type Owner, Action Call)[] rows =
        [
            (typeof(Bucket), () => _bucket.Take()), (typeof(Bucket), () => _bucket.Wait()), (typeof(Bucket), () => _ = _bucket.Available),
            (typeof(Bucket), () => _bucket.SetRate(1)), (typeof(Bucket), () => _bucket.SetTokens(1)), (typeof(Bucket), () => _reservation.Settle(1)),
            (typeof(KeyedTable), () => _table.Take("a")), (typeof(KeyedTable), () => _table.SetCapacity(1)),
            (typeof(TokenBucketLimiter), () => limiter.AttemptAcquire()), (typeof(TokenBucketLimiter), () => limiter.SetRate(1)),
            (typeof(TokenBucketLimiter), () => limiter.SetTokenLimit(1)), (typeof(TokenBucketLimiter), () => limiter.SetTokens(1)),
            (typeof(TokenBucketLimiter), () => limiter.GetStatistics()),
            (typeof(TokenBucketPartitionedLimiter<int>), () => perKey.SetRate(1)),
            (typeof(TokenBucketPartitionedLimiter<int>), () => perKey.SetTokenLimit(1)),
            (typeof(TokenBucketPartitionedLimiter<int>), () => perKey.GetTableStatistics()),
        ];
        Assert.All(rows, row => Assert.Equal(row.Owner.FullName, Assert.Throws<ObjectDisposedException>(row.Call).ObjectName));
    }
}
