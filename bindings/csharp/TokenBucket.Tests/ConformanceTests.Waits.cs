using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Xunit;
using static TokenBucket.Tests.Buckets;

namespace TokenBucket.Tests;

// The rows that say who waits and when each is served.
public partial class ConformanceTests
{
    [Theory]
    [InlineData("tasks")]
    [InlineData("threads")]
    [InlineData("both in turn")]
    public void Every_wait_row_holds(string waiters)
    {
        string[] rows = Rows("WaitRows");
        Assert.InRange(rows.Length, 4, int.MaxValue);
        Replayed(rows, number => waiters == "threads" || (waiters == "both in turn" && number % 2 == 1));
    }

    private sealed class Waiting(Task<string> outcome, CancellationTokenSource leaving)
    {
        internal Task<string> Outcome => outcome;
        internal CancellationTokenSource Leaving => leaving;
        internal long? EndedAt;
    }

    private sealed partial class Replay
    {
        private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);
        private static readonly string[] Answers = ["ok", "late", "never", "full", "closed"];
        private readonly Func<int, bool> _isThread;
        private readonly Dictionary<string, Waiting> _waiting = [];
        private int _waits, _entered;

        private void MoveTo(long time)
        {
            while (_clock.NextDueNanoseconds is long due && due > _clock.Now && due < time)
            {
                _clock.Set(due);
                Settle();
            }
            _clock.Set(time);
            Settle();
        }

        // All whose wait is over have come: of those who entered, the bucket counts these, and the clock the others.
        private void Settle()
        {
            bool AllHaveCome() =>
                _bucket.Statistics.Waits is long over && over + _clock.Waiters == _entered &&
                _waiting.Values.Count(w => w.Outcome.IsCompleted) == over;
            Assert.True(SpinWait.SpinUntil(AllHaveCome, Limit), "a wait is over, but nobody comes");
            foreach (Waiting waiting in _waiting.Values.Where(w => w.Outcome.IsCompleted))
            {
                waiting.EndedAt ??= _clock.Now;
            }
        }

        private void RunWait(List<string> words)
        {
            string[] said = words[^1].Split('@');
            if (words.Count == 2 && _waiting.TryGetValue(words[0], out Waiting? named))
            {
                Assert.Equal(words[1] != "waits", named.Outcome.IsCompleted);
                if (words[1] != "waits")
                {
                    Assert.Equal((said[0], Duration(said[1])), (named.Outcome.Result, named.EndedAt));
                }
                return;
            }
            switch (words[0].Split('=')[0])
            {
                case "jump":
                    _clock.Set(Duration(words[1]));
                    break;
                case "wait":
                    Wait(words);
                    break;
                case "leave":
                    _waiting[words[1]].Leaving.Cancel();
                    Assert.Equal("left", _waiting[words[1]].Outcome.WaitAsync(Limit).GetAwaiter().GetResult());
                    break;
                case "waiting":
                    Assert.Equal(Number(words[^1].Split('=')[^1]), _clock.Waiters);
                    break;
                case "next":
                    string next = words[^1].Split('=')[^1];
                    Assert.Equal(next == "never" ? null : Duration(next), _clock.NextDueNanoseconds);
                    break;
                case "reset":
                    _bucket.Reset(Number(words[1]));
                    break;
                case "set":
                    _bucket.SetTokens(Number(words[1]));
                    break;
                case "close":
                    _bucket.Close();
                    break;
                default:
                    Assert.Fail("unknown step");
                    break;
            }
        }

        private void Wait(List<string> words)
        {
            string? Option(string name) => words.Find(w => w.StartsWith(name + "=", StringComparison.Ordinal))?[(name.Length + 1)..];
            double tokens = Number(words[1]);
            int priority = (int)Number(Option("priority") ?? "0");
            long within = Option("within") is string limit ? Duration(limit) : NativeMethods.TB_FOREVER;
            // A TimeSpan counts 100 ns; rounding down refuses what it must, and no more.
            TimeSpan timeout = Option("within") is null ? Timeout.InfiniteTimeSpan : new TimeSpan(within / 100);
            string? answer = Option("late") is null ? words.Find(Answers.Contains) : "late";
            if (Option("late") is string wouldTake)
            {
                int status = NativeMethods.tb_enqueue(_bucket.Handle, tokens, within, priority, 0, out _, out long waitNs);
                Assert.Equal((NativeMethods.TB_TIMED_OUT, Duration(wouldTake)), (status, waitNs));
            }
            var leaving = new CancellationTokenSource();
            Task<string> outcome = _isThread(_waits++)
                ? Task.Factory.StartNew(
                    () => Outcome(() => Task.FromResult(_bucket.Wait(tokens, timeout, priority, leaving.Token))).GetAwaiter().GetResult(),
                    CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default)
                : Outcome(() => _bucket.WaitAsync(tokens, timeout, priority, leaving.Token));
            if (answer is not null)
            {
                Assert.Equal(answer, outcome.WaitAsync(Limit).GetAwaiter().GetResult());
                return;
            }
            _entered++;
            _waiting[_name] = new Waiting(outcome, leaving);
            Settle();
            Assert.False(outcome.IsCompleted, "it does not wait: False");
        }

        private static async Task<string> Outcome(Func<Task<bool>> wait)
        {
            try
            {
                return await wait().ConfigureAwait(false) ? "ok" : "late";
            }
            catch (TokenBucketException e) when (e.Status is Status.ExceedsCapacity or Status.QueueFull)
            {
                return e.Status == Status.QueueFull ? "full" : "never";
            }
            catch (ObjectDisposedException)
            {
                return "closed";
            }
            catch (OperationCanceledException)
            {
                return "left";
            }
        }
    }
}
