using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using Xunit;
using static TokenBucket.Tests.Buckets;

namespace TokenBucket.Tests;

// The rows of tables: a step names its key before the verb, as key/verb.
public partial class ConformanceTests
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Every_table_row_holds(bool asText)
    {
        string[] rows = Rows("TableRows");
        Assert.InRange(rows.Length, 4, int.MaxValue);
        foreach (string row in rows)
        {
            string[] fields = Split(row, '|');
            Assert.Equal(3, fields.Length);
            using var replay = new TableReplay(fields[1], asText);
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
    [InlineData("a/tkae 1 ok", "unknown step")]
    [InlineData("a/take 1 no", "Denied")]
    [InlineData("a/take 1 ok; a/peek = 1", "Expected: 1")]
    [InlineData("a/take 1 ok; b/take 1 no", "Denied")]
    [InlineData("many a b a = ok ok ok", "Denied")]
    [InlineData("a/take 1 ok; a/est 1 = 2s", "Expected: 00:00:02")]
    [InlineData("A: a/resv 1 = 1s", "1000000000")]
    [InlineData("close; a/take 1 ok", "Closed")]
    public void A_wrong_table_row_is_found(string steps, string complaint) =>
        Assert.Contains(
            complaint,
            Assert.ThrowsAny<Exception>(() =>
            {
                using var replay = new TableReplay("rate=1/s burst=1 keys=10", false);
                Array.ForEach(Split(steps, ';'), replay.Step);
            }).Message,
            StringComparison.Ordinal);

    private sealed class TableReplay : IDisposable
    {
        private readonly ManualClock _clock = new();
        private readonly KeyedTable _table;
        private readonly bool _asText;
        private readonly Dictionary<string, Reservation> _reservations = [];

        internal TableReplay(string limits, bool asText)
        {
            _asText = asText;
            Dictionary<string, string> limit = Split(limits, ' ').Select(l => l.Split('=')).ToDictionary(l => l[0], l => l[1]);
            Assert.True(limit.Keys.All(k => k is "rate" or "burst" or "keys" or "full"), "unknown limit");
            _table = new KeyedTable(new KeyedTableOptions
            {
                Capacity = Number(limit["burst"]), Tokens = Rate(limit["rate"]).Tokens,
                PeriodNanoseconds = Rate(limit["rate"]).PeriodNs, MaxKeys = (long)Number(limit["keys"]), Clock = _clock,
                WhenFull = limit.GetValueOrDefault("full") switch
                {
                    null or "evict" => WhenTableFull.EvictFullest, "deny" => WhenTableFull.Deny, "admit" => WhenTableFull.Admit,
                    string other => throw new FormatException(other),
                },
            });
        }

        public void Dispose()
        {
            _table.Dispose();
            _clock.Dispose();
        }

        internal void Step(string text)
        {
            List<string> words = [.. Split(text, ' ').Where(w => w != "=")];
            if (words[0][0] == '@')
            {
                _clock.Set(Duration(words[0][1..]));
                words.RemoveAt(0);
            }
            string name = "";
            if (words.Count > 0 && words[0][^1] == ':')
            {
                name = words[0][..^1];
                words.RemoveAt(0);
            }
            if (words.Count == 0)
            {
                return;
            }
            string[] of = words[0].Split('/');
            if (of.Length == 2)
            {
                RunKey(KeyOf(of[0]), [of[1], .. words.Skip(1)], name);
            }
            else
            {
                RunTable(words);
            }
        }

        private static string KeyOf(string word) => word == "\"\"" ? "" : word;

        private TableKey Key(string key) => _asText ? key : Encoding.UTF8.GetBytes(key);

        private void RunKey(string key, List<string> words, string name)
        {
            switch (words[0])
            {
                case "take":
                    CheckTake(words, n => _table.Take(Key(key), n));
                    break;
                case "upto":
                    Assert.Equal(Number(words[2]), _table.TakeUpTo(Key(key), Number(words[1])));
                    break;
                case "peek":
                    Assert.Equal(Number(words[1]), Math.Floor(_table.Available(Key(key))));
                    break;
                case "peekx":
                    Assert.Equal(Number(words[1]), _table.Available(Key(key)));
                    break;
                case "est":
                    Assert.Equal(RoundedUp(words[2]), _table.TimeUntil(Key(key), Number(words[1])));
                    break;
                case "force":
                    Assert.Equal(RoundedUp(words[2]), _table.Charge(Key(key), Number(words[1])));
                    break;
                case "add":
                    _table.Refund(Key(key), Number(words[1]));
                    break;
                case "resv":
                    if (CheckReserve(words, (n, most) => _table.Reserve(Key(key), n, most)) is Reservation reservation)
                    {
                        _reservations[name] = reservation;
                    }
                    break;
                case "cancel":
                    _reservations[words[1]].Cancel();
                    break;
                case "remove":
                    _table.Remove(Key(key));
                    break;
                default:
                    Assert.Fail("unknown step");
                    break;
            }
        }

        private void RunTable(List<string> words)
        {
            switch (words[0])
            {
                case "many":
                    int count = (words.Count - 1) / 2;
                    string[] keys = [.. words.Skip(1).Take(count).Select(KeyOf)];
                    var answers = new Status[count];
                    if (_asText)
                    {
                        _table.AllowMany(keys, answers);
                    }
                    else
                    {
                        _table.AllowMany([.. keys.Select(k => new ReadOnlyMemory<byte>(Encoding.UTF8.GetBytes(k)))], answers);
                    }
                    Assert.Equal(words.Skip(1 + count).Select(Answer), answers);
                    break;
                case "rate":
                    _table.SetRate(Rate(words[1]).Tokens * Second / Rate(words[1]).PeriodNs);
                    break;
                case "burst":
                    _table.SetCapacity(Number(words[1]));
                    break;
                case "close":
                    _table.Close();
                    break;
                default:
                    Assert.Fail("unknown step");
                    break;
            }
        }
    }
}
