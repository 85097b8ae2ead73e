using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Threading;
using Xunit;
using static TokenBucket.Tests.Buckets;

namespace TokenBucket.Tests;

// The rows of tests/conformance, through the binding's public members; README.md there explains the steps.
public partial class ConformanceTests
{
    internal static string[] Rows(string file) => File.ReadAllLines(
        typeof(ConformanceTests).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(m => m.Key == file).Value!);

    [Fact]
    public void Every_row_holds()
    {
        string[] rows = Rows("Rows");
        Assert.InRange(rows.Length, 18, int.MaxValue);
        Replayed(rows, _ => false);
    }

    // isThread: whether the waiter of that number blocks a thread.
    private static void Replayed(string[] rows, Func<int, bool> isThread)
    {
        foreach (string row in rows)
        {
            string[] fields = Split(row, '|');
            Assert.Equal(3, fields.Length);
            using var replay = new Replay(fields[1], isThread);
            foreach (string step in Split(fields[2], ';'))
            {
                try
                {
                    replay.Step(step);
                }
                catch (Exception e)
                {
                    Assert.Fail($"{fields[0]}, step '{step}': {e}");
                }
            }
        }
    }

    [Theory]
    [InlineData("rate=1/s burst=1", "tkae 1 ok", "unknown step")]
    [InlineData("rate=1/s burst=1", "take 1 no", "Denied")]
    [InlineData("rate=1/s burst=1", "peek=2", "Expected: 2")]
    [InlineData("rate=1/s burst=1 colour=red", "peek=1", "unknown limit")]
    [InlineData("rate=1/s burst=1", "take 1 ok; A: wait 1; @2s A ok@2s", "2000000000")]
    [InlineData("rate=1/s burst=1", "take 1 ok; A: wait 1; @1s A late@1s", "late")]
    [InlineData("rate=1/s burst=1", "A: wait 1 closed", "closed")]
    [InlineData("rate=1/s burst=1", "take 1 ok; A: wait 1; @1s A waits", "Assert.Equal")]
    [InlineData("rate=1/s burst=1", "A: wait 1 late", "late")]
    [InlineData("rate=1/s burst=1", "take 1 ok; A: wait 1; next = 2s", "2000000000")]
    [InlineData("rate=1/s burst=1", "take 1 ok; A: wait 1; waiting = 2", "2")]
    [InlineData("rate=1/s burst=1", "take 1 ok; A: wait 1 within=1ms late=2s", "2000000000")]
    public void A_wrong_row_is_found(string limit, string step, string complaint) =>
        Assert.Contains(
            complaint,
            Assert.ThrowsAny<Exception>(() =>
            {
                using var replay = new Replay(limit, _ => false);
                Array.ForEach(Split(step, ';'), replay.Step);
            }).Message,
            StringComparison.Ordinal);

    private static string[] Split(string text, char separator) =>
        text.Split(separator, StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);

    private static double Number(string text) => double.Parse(text, CultureInfo.InvariantCulture);

    // "100ms", "2s", "s".
    private static long Duration(string text)
    {
        string unit = text.TrimStart("-0123456789".ToCharArray());
        string digits = text[..^unit.Length];
        long length = unit switch { "ns" => 1, "us" => 1000, "ms" => 1_000_000, "s" => Second, _ => throw new FormatException(text) };
        return (digits.Length == 0 ? 1 : long.Parse(digits, CultureInfo.InvariantCulture)) * length;
    }

    private static (double Tokens, long PeriodNs) Rate(string text)
    {
        string[] parts = text.Split('/');
        return (Number(parts[0]), Duration(parts[1]));
    }

    private sealed partial class Replay : IDisposable
    {
        private readonly ManualClock _clock = new();
        private readonly Bucket _bucket;
        private readonly Dictionary<string, Reservation> _reservations = [];
        private string _name = "";

        internal Replay(string limits, Func<int, bool> isThread)
        {
            _isThread = isThread;
            Dictionary<string, string> limit = Split(limits, ' ').Select(l => l.Split('=')).ToDictionary(l => l[0], l => l[1]);
            Assert.True(limit.Keys.All(k => k is "rate" or "burst" or "init" or "max_waiters" or "lateness"), "unknown limit");
            _bucket = new Bucket(new BucketOptions
            {
                Capacity = Number(limit["burst"]), Tokens = Rate(limit["rate"]).Tokens,
                PeriodNanoseconds = Rate(limit["rate"]).PeriodNs, Clock = _clock,
                InitialTokens = limit.TryGetValue("init", out string? initial) ? Number(initial) : null,
                MaxWaiters = limit.TryGetValue("max_waiters", out string? most) ? (long)Number(most) : null,
                MaxLateness = limit.TryGetValue("lateness", out string? late) ? RoundedUp(late) : null, Statistics = true,
            });
        }

        public void Dispose()
        {
            _bucket.Dispose();
            _clock.Dispose();
        }

        internal void Step(string text)
        {
            List<string> words = [.. Split(text, ' ').Where(w => w != "=")];
            if (words[0][0] == '@')
            {
                MoveTo(Duration(words[0][1..]));
                words.RemoveAt(0);
            }
            _name = "";
            if (words.Count > 0 && words[0][^1] == ':')
            {
                _name = words[0][..^1];
                words.RemoveAt(0);
            }
            if (words.Count > 0)
            {
                Run(words);
            }
            Settle();
        }

        private void Run(List<string> words)
        {
            switch (words[0].Split('=')[0])
            {
                case "peek":
                    Assert.Equal(Number(words[0]["peek=".Length..]), Math.Floor(_bucket.Available));
                    break;
                case "peekx":
                    Assert.Equal(Number(words[0]["peekx=".Length..]), _bucket.Available);
                    break;
                case "take":
                    CheckTake(words, _bucket.Take);
                    break;
                case "upto":
                    Assert.Equal(Number(words[2]), _bucket.TakeUpTo(Number(words[1])));
                    break;
                case "est":
                    Assert.Equal(RoundedUp(words[2]), _bucket.TimeUntil(Number(words[1])));
                    break;
                case "force":
                    Assert.Equal(RoundedUp(words[2]), _bucket.Charge(Number(words[1])));
                    break;
                case "add":
                    _bucket.Refund(Number(words[1]));
                    break;
                case "resv":
                    if (CheckReserve(words, _bucket.Reserve) is Reservation reservation)
                    {
                        _reservations[_name] = reservation;
                    }
                    break;
                case "cancel":
                    _reservations[words[1]].Cancel();
                    break;
                case "rate":
                    _bucket.SetRate(Rate(words[1]).Tokens * Second / Rate(words[1]).PeriodNs);
                    break;
                case "burst":
                    _bucket.SetCapacity(Number(words[1]));
                    break;
                default:
                    RunWait(words);
                    break;
            }
        }
    }

    // A TimeSpan counts 100 ns.
    private static TimeSpan RoundedUp(string duration) => new((Duration(duration) + 99) / 100);

    private static Status Answer(string word) => word switch
    {
        "ok" => Status.Success, "no" => Status.Denied, "never" => Status.ExceedsCapacity, "full" => Status.TableFull,
        "closed" => Status.Closed, _ => throw new FormatException(word),
    };

    private static void CheckTake(List<string> words, Func<double, Decision> take)
    {
        string times = words.Find(w => w[0] == '*') ?? "*1";
        for (int i = 0; i < Number(times[1..]); i++)
        {
            Decision decision;
            try
            {
                decision = take(Number(words[1]));
            }
            catch (ObjectDisposedException)
            {
                decision = new Decision(Status.Closed, 0, 0, 0);
            }
            Assert.Equal(Answer(words[2]), decision.Status);
            foreach (string[] check in words.Select(w => w.Split('=')).Where(w => w.Length == 2))
            {
                if (check[0] == "retry")
                {
                    Assert.Equal(Duration(check[1]), decision.RetryAfterNanoseconds);
                }
                else
                {
                    Assert.Equal("rem", check[0]);
                    Assert.Equal(Number(check[1]), Math.Floor(decision.Remaining));
                }
            }
        }
    }

    // Null: refused, as the row says.
    private static Reservation? CheckReserve(List<string> words, Func<double, TimeSpan, Reservation?> reserve)
    {
        string? limit = words.Find(w => w.StartsWith("max=", StringComparison.Ordinal));
        double tokens = Number(words[1]);
        // Limits of less than 100 ns are no TimeSpan; rounding one down refuses what it must, and no more.
        TimeSpan most = limit is null ? Timeout.InfiniteTimeSpan : new TimeSpan(Duration(limit["max=".Length..]) / 100);
        if (words[^1] == "never")
        {
            Assert.Equal(Status.ExceedsCapacity, Assert.Throws<TokenBucketException>(() => reserve(tokens, most)).Status);
            return null;
        }
        Reservation? reservation = reserve(tokens, most);
        if (words[^1] == "no")
        {
            Assert.Null(reservation);
            return null;
        }
        Assert.NotNull(reservation);
        Assert.Equal(Duration(words[^1]), reservation.WaitNanoseconds);
        return reservation;
    }
}
