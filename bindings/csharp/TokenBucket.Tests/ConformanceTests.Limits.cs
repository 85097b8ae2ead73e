using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text.RegularExpressions;
using System.Threading;
using System.Threading.Tasks;
using Xunit;
using static TokenBucket.Tests.Buckets;

namespace TokenBucket.Tests;

// The rows of several limits in one decision.
public partial class ConformanceTests
{
    [Theory]
    [InlineData("tasks")]
    [InlineData("threads")]
    [InlineData("both in turn")]
    [InlineData("both in turn, threads first")]
    public void Every_limit_row_holds(string waiters)
    {
        string[] rows = Rows("LimitRows");
        Assert.InRange(rows.Length, 20, int.MaxValue);
        foreach (string row in rows)
        {
            string[] fields = Split(row, '|');
            Assert.Equal(3, fields.Length);
            string[] steps = Split(fields[2], ';');
            using var replay = new LimitReplay(Split(fields[1], ';'), steps, IsThread(waiters));
            foreach (string step in steps.Append("end"))
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

    private static Func<int, bool> IsThread(string waiters) => waiters switch
    {
        "tasks" => _ => false,
        "threads" => _ => true,
        "both in turn" => number => number % 2 == 1,
        _ => number => number % 2 == 0,
    };

    [Theory]
    [InlineData("all r:1 ok; all r:1 t:1 no by=t retry=1s", "by=r")]
    [InlineData("all r:1 t:1 ok; all r:1 t:1 no by=r retry=2s", "retry=1s")]
    [InlineData("all r:1 t:1 no by=t retry=1s", "no by=t")]
    [InlineData("all r:2 u.a:1 never by=u.a", "by=r")]
    [InlineData("u/close; all r:1 u.a:1 closed by=r", "by=u.a")]
    [InlineData("r/take 1 ok; R: resv r:1 t:1 = 2s", "1000000000")]
    [InlineData("r/take 1 ok; R: resv r:1 t:1 = 1s; cancel R; t/peek = 0", "1")]
    [InlineData("r/take 1 ok; A: wait r:1 t:1; waiting = 2", "so many waiters", 10)]
    [InlineData("r/take 1 ok; A: wait r:1 t:1; next = 2s", "2000000000", 10)]
    [InlineData("r/take 1 ok; A: wait r:1 t:1; @1s A ok@1s; @2s A ok@2s", "2000000000")]
    [InlineData("r/take 1 ok; A: wait r:1 t:1; r/close; A closed@0s by=t", "by=r")]
    [InlineData("A: wait r:1 t:1 late by=r retry=1s", "late")]
    [InlineData("r/take 1 ok; A: wait r:1 t:1; end", "comes: A", 10)]
    [InlineData("all r:1 lo", "unknown answer")]
    [InlineData("t/tkae 1 ok", "unknown step")]
    public void A_wrong_limit_row_is_found(string text, string complaint, int patienceMs = 30_000)
    {
        string[] steps = Split(text, ';');
        Assert.Contains(
            complaint,
            Assert.ThrowsAny<Exception>(() =>
            {
                using var replay = new LimitReplay(
                    ["r rate=1/s burst=1", "t rate=1/s burst=1", "u rate=1/s burst=1 keys=10"],
                    steps[^1] == "end" ? [.. steps, "A ok@0s"] : steps, _ => false, TimeSpan.FromMilliseconds(patienceMs));
                Array.ForEach(steps, replay.Step);
            }).Message,
            StringComparison.Ordinal);
    }

    private sealed partial class LimitReplay : IDisposable
    {
        private readonly ManualClock _clock = new();
        private readonly Func<int, bool> _isThread;
        private readonly TimeSpan _patience;
        private readonly Dictionary<string, Bucket> _buckets = [];
        private readonly Dictionary<string, KeyedTable> _tables = [];
        private readonly Dictionary<string, CombinedReservation> _reservations = [];
        private readonly Dictionary<string, Waiter> _waiters = [];

        // What the row says of the times at which waits end.
        private readonly Dictionary<string, long> _ends = [];

        private sealed class Waiter(Task<(string Answer, long At)> outcome, CancellationTokenSource leaving)
        {
            internal Task<(string Answer, long At)> Outcome => outcome;
            internal CancellationTokenSource Leaving => leaving;
        }

        [GeneratedRegex(@"^(?:@\S+ )?(\w+) \w+@(\S+)")]
        private static partial Regex End();

        [GeneratedRegex(@"\(member (\d+)\)")]
        private static partial Regex ClosedMember();

        internal LimitReplay(string[] limits, string[] steps, Func<int, bool> isThread, TimeSpan? patience = null)
        {
            _isThread = isThread;
            _patience = patience ?? TimeSpan.FromSeconds(30);
            foreach (string limit in limits)
            {
                Create(limit);
            }
            foreach (Match end in steps.Select(s => End().Match(s)).Where(m => m.Success))
            {
                _ends[end.Groups[1].Value] = Duration(end.Groups[2].Value);
            }
        }

        public void Dispose()
        {
            foreach (Bucket bucket in _buckets.Values)
            {
                bucket.Dispose();
            }
            foreach (KeyedTable table in _tables.Values)
            {
                table.Dispose();
            }
            Task.WaitAll([.. _waiters.Values.Select(w => w.Outcome)]);
            _clock.Dispose();
        }

        private void Create(string text)
        {
            string[] words = Split(text, ' ');
            Dictionary<string, string> limit = words.Skip(1).Select(l => l.Split('=')).ToDictionary(l => l[0], l => l[1]);
            Assert.True(limit.Keys.All(k => k is "rate" or "burst" or "init" or "keys" or "max_waiters"), "unknown limit");
            (double tokens, long periodNs) = Rate(limit["rate"]);
            long? maxWaiters = limit.TryGetValue("max_waiters", out string? most) ? (long)Number(most) : null;
            if (limit.TryGetValue("keys", out string? keys))
            {
                _tables[words[0]] = new KeyedTable(new KeyedTableOptions
                {
                    Capacity = Number(limit["burst"]), Tokens = tokens, PeriodNanoseconds = periodNs, MaxKeys = (long)Number(keys),
                    MaxWaiters = maxWaiters, Clock = _clock,
                });
            }
            else
            {
                _buckets[words[0]] = new Bucket(new BucketOptions
                {
                    Capacity = Number(limit["burst"]), Tokens = tokens, PeriodNanoseconds = periodNs,
                    InitialTokens = limit.TryGetValue("init", out string? initial) ? Number(initial) : null,
                    MaxWaiters = maxWaiters, Clock = _clock,
                });
            }
        }

        internal void Step(string text)
        {
            List<string> words = [.. Split(text, ' ').Where(w => w != "=")];
            if (words[0][0] == '@')
            {
                MoveTo(Duration(words[0][1..]));
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
                RunOne(of[0], [of[1], .. words.Skip(1)], name);
            }
            else if (_waiters.TryGetValue(words[0], out Waiter? waiter))
            {
                RunWaiter(words, waiter);
            }
            else
            {
                Run(words, name);
            }
        }

        private void MoveTo(long time)
        {
            for (AwaitThoseDue(); _clock.NextDueNanoseconds is long due && due < time; AwaitThoseDue())
            {
                _clock.Set(due);
            }
            _clock.Set(time);
        }

        // The clock leaves a time when those who end then have done so.
        private void AwaitThoseDue()
        {
            foreach ((string name, Waiter waiter) in _waiters)
            {
                if (_ends.TryGetValue(name, out long end) && end <= _clock.Now)
                {
                    Assert.True(waiter.Outcome.Wait(_patience), $"nobody comes: {name}");
                }
            }
        }

        private void Run(List<string> words, string name)
        {
            (CombinedLimit limit, string[] names) = Limit(words);
            TimeSpan most = Option(words, "max") is string longest ? new TimeSpan(Duration(longest) / 100) : Timeout.InfiniteTimeSpan;
            switch (words[0])
            {
                case "all":
                    Expect(words, Outcome(names, () => Task.FromResult(limit.Take())).Result);
                    break;
                case "resv":
                    CombinedReservation? reservation = null;
                    string answer = Outcome(names, () =>
                    {
                        reservation = limit.Reserve(most, out CombinedDecision decision);
                        return Task.FromResult(decision);
                    }).Result;
                    if (Said(words) is null)
                    {
                        Assert.Equal(("ok", Duration(words[^1])), (answer, reservation!.WaitNanoseconds));
                        _reservations[name] = reservation;
                    }
                    else
                    {
                        Expect(words, answer);
                    }
                    break;
                case "cancel":
                    _reservations[words[1]].Cancel();
                    break;
                case "wait":
                    Enter(words, name, (timeout, priority, leaving, blocking) => Outcome(names, () => blocking
                        ? Task.FromResult(limit.Wait(timeout, priority, leaving))
                        : limit.WaitAsync(timeout, priority, leaving)));
                    break;
                case "leave":
                    _waiters[words[1]].Leaving.Cancel();
                    Assert.Equal("left", _waiters[words[1]].Outcome.WaitAsync(_patience).Result.Answer);
                    break;
                case "waiting":
                    Assert.True(SpinWait.SpinUntil(() => _clock.Waiters == Number(words[1]), _patience), $"so many waiters: {_clock.Waiters}");
                    break;
                case "next":
                    long? next = words[1] == "never" ? null : Duration(words[1]);
                    SpinWait.SpinUntil(() => _clock.NextDueNanoseconds == next, _patience);
                    Assert.Equal(next, _clock.NextDueNanoseconds);
                    break;
                case "end":
                    AwaitThoseDue();
                    break;
                default:
                    Assert.Fail("unknown step");
                    break;
            }
        }

        private (CombinedLimit Limit, string[] Names) Limit(List<string> words)
        {
            string[][] members = [.. words.Where(w => w.Contains(':', StringComparison.Ordinal)).Select(w => w.Split(':'))];
            return members.Length == 0 ? default : (
                new CombinedLimit([.. members.Select(m => Member(m[0], Number(m[1])))]), [.. members.Select(m => m[0])]);
        }

        // "r" or "u.a".
        private Member Member(string name, double tokens)
        {
            string[] parts = name.Split('.');
            return parts.Length == 1 ? new Member(_buckets[name], tokens) : new Member(_tables[parts[0]], parts[1], tokens);
        }

        // "late by=r retry=1s".
        private async Task<string> Outcome(string[] names, Func<Task<CombinedDecision>> ask)
        {
            CombinedDecision decision = default;
            string answer = await Outcome(async () =>
            {
                decision = await ask().ConfigureAwait(false);
                return decision.Status;
            }).ConfigureAwait(false);
            string[] parts = answer.Split('#');
            return decision.RefusedBy is Member member ? $"{answer} by={Name(member)} retry={decision.RetryAfterNanoseconds}"
                : parts.Length == 2 ? $"{parts[0]}by={names[int.Parse(parts[1], CultureInfo.InvariantCulture)]}" : answer;
        }

        private string Name(Member member) => member.Bucket is Bucket bucket
            ? _buckets.Single(b => b.Value == bucket).Key
            : $"{_tables.Single(t => t.Value == member.Table).Key}.{System.Text.Encoding.UTF8.GetString(member.Key)}";

        private async Task<string> Outcome(Func<Task<Status>> ask)
        {
            try
            {
                return await ask().ConfigureAwait(false) switch
                {
                    Status.Success => "ok", Status.Denied => "no", Status.TimedOut => "late", Status.ExceedsCapacity => "never",
                    Status other => other.ToString(),
                };
            }
            catch (TokenBucketException e) when (e.Status is Status.ExceedsCapacity or Status.QueueFull)
            {
                string by = e.RefusedBy is Member member ? " by=" + Name(member) : "";
                return (e.Status == Status.QueueFull ? "full" : "never") + by;
            }
            catch (ObjectDisposedException e)
            {
                Match member = ClosedMember().Match(e.Message);
                return member.Success ? "closed #" + member.Groups[1].Value : "closed";
            }
            catch (OperationCanceledException)
            {
                return "left";
            }
        }

        private static string? Option(List<string> words, string name) =>
            words.Find(w => w.StartsWith(name + "=", StringComparison.Ordinal))?[(name.Length + 1)..];

        private static string? Said(List<string> words) => words.Find(w => w is "ok" or "no" or "late" or "never" or "full" or "closed");

        // Whether it is what the row says: the answer, and of the rest what is said.
        private static void Expect(List<string> words, string answer)
        {
            List<string> told = [.. answer.Split(' ')];
            string said = Said(words) ?? throw new FormatException("unknown answer");
            string wanted = said, found = told[0];
            if (Option(words, "by") is string by)
            {
                (wanted, found) = ($"{wanted} by={by}", $"{found} by={Option(told, "by")}");
            }
            if (Option(words, "retry") is string retry)
            {
                (wanted, found) = ($"{wanted} retry={Duration(retry)}", $"{found} retry={Option(told, "retry")}");
            }
            Assert.True(wanted == found, $"said: {wanted}; found: {found.Replace("000000000", "s", StringComparison.Ordinal)}");
        }

        private void Enter(List<string> words, string name, Func<TimeSpan, int, CancellationToken, bool, Task<string>> wait)
        {
            TimeSpan timeout = Option(words, "within") is string within ? new TimeSpan(Duration(within) / 100) : Timeout.InfiniteTimeSpan;
            int priority = (int)Number(Option(words, "priority") ?? "0");
            var leaving = new CancellationTokenSource();
            int Over() => _waiters.Values.Count(w => w.Outcome.IsCompleted);
            (long waiting, int over) = (_clock.Waiters, Over());
            async Task<(string, long)> Wait(bool blocking) =>
                (await wait(timeout, priority, leaving.Token, blocking).ConfigureAwait(false), _clock.Now);
            Task<(string Answer, long At)> outcome = _isThread(_waiters.Count)
                ? Task.Factory.StartNew(
                    () => Wait(true).GetAwaiter().GetResult(), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default)
                : Wait(false);
            _waiters[name] = new Waiter(outcome, leaving);
            if (Said(words) is not null)
            {
                Expect(words, outcome.WaitAsync(_patience).Result.Answer);
            }
            else
            {
                // It enters, or drives somebody out. Of a thread that enters several queues the row asks whether it has.
                Assert.True(SpinWait.SpinUntil(() => _clock.Waiters != waiting || Over() != over, _patience), "does not wait");
            }
        }

        private void RunWaiter(List<string> words, Waiter waiter)
        {
            string[] said = words[1].Split('@');
            if (said.Length == 1)
            {
                Assert.False(waiter.Outcome.IsCompleted);
                return;
            }
            (string answer, long at) = waiter.Outcome.WaitAsync(_patience).Result;
            Expect([said[0], .. words.Skip(2)], answer);
            Assert.Equal(Duration(said[1]), at);
        }

        private void RunOne(string name, List<string> words, string waiterName)
        {
            switch (words[0])
            {
                case "rate":
                    double perSecond = Rate(words[1]).Tokens * Second / Rate(words[1]).PeriodNs;
                    Change(name, b => b.SetRate(perSecond), t => t.SetRate(perSecond));
                    return;
                case "burst":
                    Change(name, b => b.SetCapacity(Number(words[1])), t => t.SetCapacity(Number(words[1])));
                    return;
                case "close":
                    Change(name, b => b.Close(), t => t.Close());
                    return;
            }
            string[] of = name.Split('.');
            Bucket? bucket = _buckets.GetValueOrDefault(name);
            KeyedTable? table = _tables.GetValueOrDefault(of[0]);
            string key = of[^1];
            double tokens = words[0] == "wait" || words.Count > 1 ? Number(words[1]) : 0;
            switch (words[0])
            {
                case "take":
                    Expect(words, Outcome(() => Task.FromResult((bucket?.Take(tokens) ?? table!.Take(key, tokens)).Status)).Result);
                    break;
                case "peek":
                    Assert.Equal(tokens, bucket?.Available ?? table!.Available(key));
                    break;
                case "force":
                    _ = bucket?.Charge(tokens) ?? table!.Charge(key, tokens);
                    break;
                case "add":
                    Change(of[0], b => b.Refund(tokens), t => t.Refund(key, tokens));
                    break;
                case "reset":
                    bucket!.Reset(tokens);
                    break;
                case "set":
                    bucket!.SetTokens(tokens);
                    break;
                case "wait":
                    Enter(words, waiterName, (timeout, priority, leaving, blocking) => Outcome(async () =>
                        (blocking
                            ? bucket?.Wait(tokens, timeout, priority, leaving) ?? table!.Wait(key, tokens, timeout, priority, leaving)
                            : await (bucket?.WaitAsync(tokens, timeout, priority, leaving)
                                ?? table!.WaitAsync(key, tokens, timeout, priority, leaving)).ConfigureAwait(false))
                            ? Status.Success : Status.TimedOut));
                    break;
                default:
                    Assert.Fail("unknown step");
                    break;
            }
        }

        private void Change(string name, Action<Bucket> change, Action<KeyedTable> changeTable)
        {
            if (_buckets.TryGetValue(name, out Bucket? bucket))
            {
                change(bucket);
            }
            else
            {
                changeTable(_tables[name]);
            }
        }
    }
}
