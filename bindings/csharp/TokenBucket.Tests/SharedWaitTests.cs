using System;
using System.Diagnostics;
using System.Linq;
using System.Threading;
using System.Threading.RateLimiting;
using System.Threading.Tasks;
using Xunit;
using static TokenBucket.Tests.Buckets;
using Limiter = TokenBucket.Tests.SharedLimit.Limiter;

namespace TokenBucket.Tests;

// Waits for and reservations of what processes share. A wait learns of what another handle does, as of what another
// process does, by asking.
public sealed class SharedWaitTests : IDisposable
{
    private readonly string _name = $"tokenbucket-cs-{Environment.ProcessId}-{Guid.NewGuid():N}";

    public void Dispose() => Bucket.RemoveShared(_name);

    public static TheoryData<string> Kinds =>
        SharedFactAttribute.Missing(tables: true) is null
            ? [SharedLimit.OfBucket, SharedLimit.OfKey]
            : [SharedLimit.OfBucket];

    private SharedLimit Open(string kind, long? maxWaiters = null) => SharedLimit.Open(kind, _name, maxWaiters);

    // Two that wait for 2 and 3 tokens of one that has none.
    private static async Task<Task[]> WaitTwice(SharedLimit own)
    {
        Task[] waiting = [own.WaitAsync(2), Task.Run(() => own.Wait(3, Timeout.InfiniteTimeSpan))];
        Assert.True(await Task.Run(() => SpinWait.SpinUntil(() => own.Available <= -5, Patience)));
        return waiting;
    }

    private static Task Ended(Task[] waiting) => Task.WhenAll(waiting).WaitAsync(Patience);

    private static async Task EndedByClose(Task[] waiting)
    {
        foreach (Task one in waiting)
        {
            var e = await Assert.ThrowsAsync<ObjectDisposedException>(() => one.WaitAsync(Patience));
            Assert.StartsWith("closed: ", e.Message, StringComparison.Ordinal);
        }
    }

    [SharedTheory, MemberData(nameof(Kinds))]
    public async Task Another_process_has_it_and_its_refund_and_close_end_waits(string kind)
    {
        using SharedLimit limit = Open(kind);
        string program = typeof(SharedTests).Assembly.Location;
        using Process other = Process.Start(new ProcessStartInfo("dotnet", ["exec", program, _name, kind])
        {
            RedirectStandardInput = true, RedirectStandardOutput = true,
        })!;
        Assert.Equal("True False", await other.StandardOutput.ReadLineAsync());
        Assert.False(limit.Allow(7));
        Assert.True(limit.Allow(6));
        Task[] waiting = await WaitTwice(limit);
        other.StandardInput.WriteLine();
        await Ended(waiting);
        waiting = await WaitTwice(limit);
        other.StandardInput.Close();
        await EndedByClose(waiting);
        Assert.True(other.WaitForExit(Patience));
        Assert.Equal(0, other.ExitCode);
    }

    [SharedTheory, MemberData(nameof(Kinds))]
    public async Task Another_handle_s_refund_and_close_end_waits(string kind)
    {
        using SharedLimit own = Open(kind), other = Open(kind);
        Assert.True(other.Allow(10));
        Task[] waiting = await WaitTwice(own);
        other.Refund(5);
        await Ended(waiting);
        Assert.Equal(0, other.Available);
        waiting = await WaitTwice(own);
        other.Close();
        await EndedByClose(waiting);
    }

    [SharedTheory, MemberData(nameof(Kinds))]
    public async Task A_wait_that_ends_otherwise_gives_its_place_back(string kind)
    {
        using SharedLimit own = Open(kind), other = Open(kind), strict = Open(kind, maxWaiters: 1);
        Assert.True(other.Allow(10));
        using var stop = new CancellationTokenSource();
        Task waiting = own.WaitAsync(4, stop.Token);
        Assert.Equal(-4, other.Available);
        var e = await Assert.ThrowsAsync<TokenBucketException>(() => strict.WaitAsync(1).WaitAsync(Patience));
        Assert.Equal(Status.QueueFull, e.Status);
        Task blocking = Task.Run(() => own.Wait(3, Timeout.InfiniteTimeSpan, stop.Token));
        Assert.True(SpinWait.SpinUntil(() => other.Available <= -7, Patience));
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting.WaitAsync(Patience));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => blocking.WaitAsync(Patience));
        Assert.Equal(0, other.Available);
        Assert.False(await own.WaitAsync(1, TimeSpan.FromMinutes(1)) || own.Wait(1, TimeSpan.FromMinutes(1)));
        Assert.Equal(0, other.Available);
    }

    [SharedTheory, MemberData(nameof(Kinds))]
    public void Reservations_are_taken_from_all(string kind)
    {
        using SharedLimit own = Open(kind), other = Open(kind);
        Assert.True(other.Allow(10));
        Reservation first = own.Reserve(3), second = other.Reserve(4);
        Assert.Equal((-7, true), (own.Available, first.Wait > TimeSpan.FromDays(1)));
        first.Cancel();
        Assert.Equal(-4, other.Available);
        second.Settle(1);
        Assert.Equal(-1, own.Available);
        Assert.Null(other.Reserve(3, TimeSpan.FromMinutes(1)));
        Assert.Equal(-1, own.Available);
    }

    [SharedTheory, MemberData(nameof(Kinds))]
    public void No_more_are_pending_than_there_is_room_for(string kind)
    {
        using SharedLimit own = Open(kind), other = Open(kind);
        Assert.True(other.Allow(10));
        Reservation[] held = [.. Enumerable.Range(0, own.MostPending).Select(_ => own.Reserve())];
        foreach (Action call in (Action[])[() => other.Reserve(), () => { _ = other.WaitAsync(1); }])
        {
            Assert.Equal(Status.OutOfMemory, Assert.Throws<TokenBucketException>(call).Status);
        }
        foreach (QueueProcessingOrder order in Enum.GetValues<QueueProcessingOrder>())
        {
            Limiter limiter = Limiter.Open(kind, _name, 10, order);
            foreach (int permits in (int[])[0, 1])
            {
                ValueTask<RateLimitLease> denied = limiter.AcquireAsync(permits);
                Assert.True(denied.IsCompleted && !denied.Result.IsAcquired);
            }
            held[^1].Cancel();
            ValueTask<RateLimitLease> waiting = limiter.AcquireAsync(1);
            Assert.False(waiting.IsCompleted);
            Assert.False(limiter.AttemptAcquire(1).IsAcquired);
            Assert.Equal(-own.MostPending, other.Available);
            limiter.Dispose();
            Assert.False(waiting.AsTask().WaitAsync(Patience).GetAwaiter().GetResult().IsAcquired);
            held[^1] = own.Reserve();
        }
        Assert.Equal(-own.MostPending, other.Available);
    }

    [SharedTheory, MemberData(nameof(Kinds))]
    public async Task Dispose_ends_what_is_done_here_alone(string kind)
    {
        using SharedLimit other = Open(kind);
        SharedLimit own = Open(kind);
        Assert.True(own.Allow(10));
        Reservation promised = own.Reserve();
        Member member = own.Member;
        Task[] waiting = await WaitTwice(own);
        Task others = other.WaitAsync(4);
        own.Dispose();
        own.Dispose();
        Action[] ended =
        [
            .. waiting.Select<Task, Action>(one => () => one.WaitAsync(Patience).GetAwaiter().GetResult()),
        ];
        foreach (Action call in (Action[])[.. ended, .. own.Calls, () => promised.Settle(0)])
        {
            // It was not closed: others go on using it.
            Type type = kind == SharedLimit.OfKey ? typeof(KeyedTable) : typeof(Bucket);
            var e = Assert.Throws<ObjectDisposedException>(call);
            Assert.Equal(new ObjectDisposedException(type.FullName).Message, e.Message);
        }
        AssertMemberDisposed(member);
        Assert.Equal(-5, other.Available);
        promised.Cancel();
        other.Refund(4);
        await others.WaitAsync(Patience);
        Assert.Equal(0, other.Available);
    }

    private static void AssertMemberDisposed(Member member)
    {
        using var first = new Bucket(10, SharedLimit.Slow);
        var limit = new CombinedLimit(first, member);
        var limiter = new TokenBucketCombinedLimiter(limit);
        Action[] calls =
        [
            () => limit.Allow(), () => limit.Wait(), () => limit.Reserve(), () => limiter.AttemptAcquire(0),
            () => limiter.AttemptAcquire(1),
        ];
        Assert.All(calls, call =>
        {
            var e = Assert.Throws<ObjectDisposedException>(call);
            Assert.Equal((member.Bucket ?? (object)member.Table!).GetType().FullName, e.ObjectName);
            Assert.StartsWith("Cannot access a disposed object (member 1).", e.Message, StringComparison.Ordinal);
        });
        Assert.Equal(10, first.Available);
    }

    [SharedTheory, MemberData(nameof(Kinds))]
    public void It_joins_reservations_which_are_cancelled_also_when_a_member_was_disposed(string kind)
    {
        using SharedLimit other = Open(kind);
        using var first = new Bucket(10, SharedLimit.Slow);
        Assert.True(other.Allow(5));
        SharedLimit own = Open(kind);
        var both = new CombinedLimit(first, own.Member);
        Assert.Null(both.Reserve(TimeSpan.FromMinutes(1), out CombinedDecision refused, [1, 9]));
        Assert.Equal((both.Members[1], 10, 5), (refused.RefusedBy, first.Available, other.Available));
        CombinedReservation reservation = both.Reserve([1, 9]);
        Assert.True(reservation.Wait > TimeSpan.FromDays(1));
        Assert.Equal((9, -4), (Math.Round(first.Available, 2), other.Available));
        own.Dispose();
        reservation.Cancel();
        Assert.Equal((10, 5), (first.Available, other.Available));
    }

    [SharedTheory, MemberData(nameof(Kinds))]
    public async Task It_joins_decisions_but_not_waits(string kind)
    {
        using SharedLimit limit = Open(kind), again = Open(kind);
        using Bucket own = new(10, SharedLimit.Slow);
        var both = new CombinedLimit(own, limit.Member);
        Assert.True(both.Allow());
        foreach (int left in (int[])[9, 0])
        {
            Func<Task>[] waits = [() => both.WaitAsync(), () => Task.FromResult(both.Wait(TimeSpan.FromDays(1)))];
            foreach (Func<Task> wait in waits)
            {
                var e = await Assert.ThrowsAsync<TokenBucketException>(wait);
                Assert.Equal((Status.Unsupported, both.Members[1]), (e.Status, e.RefusedBy));
                Assert.EndsWith(
                    ": Members[1] is in shared memory, and cannot be waited for with others",
                    e.Message, StringComparison.Ordinal);
            }
            Assert.Equal((9, left), (Math.Round(own.Available, 2), limit.Available));
            Assert.Equal(left == 9, limit.Allow(9));
        }
        Assert.False(both.Allow());
        const string NoQueue =
            "queueLimit must be 0 where a member is shared, which cannot be waited for with others, got 1";
        var joint = new TokenBucketPartitionedCombinedLimiter<int>(_ => both, queueLimit: 1);
        Action[] calls =
        [
            () => _ = new TokenBucketCombinedLimiter(both, queueLimit: 1), () => joint.AttemptAcquire(1),
            () => joint.AcquireAsync(1).AsTask().GetAwaiter().GetResult(), () => joint.GetStatistics(1),
        ];
        Assert.All(calls, call => Assert.StartsWith(
            NoQueue, Assert.Throws<ArgumentOutOfRangeException>("queueLimit", call).Message, StringComparison.Ordinal));
        Assert.False((await new TokenBucketCombinedLimiter(both).AcquireAsync()).IsAcquired);

        // Two handles of one limit, which the library alone knows.
        var twice = new CombinedLimit(limit.Member, again.Member);
        Assert.All<Action>([() => twice.Allow(), () => twice.Reserve()], call => Assert.Equal(
            "Two of the members are the same limit, opened twice.", Assert.Throws<ArgumentException>(call).Message));
    }

    [SharedTheory, MemberData(nameof(Kinds))]
    public async Task A_limiter_waits_for_what_others_give_back(string kind)
    {
        using SharedLimit other = Open(kind);
        Limiter limiter = Limiter.Open(kind, _name, 10), left = Limiter.Open(kind, _name, 10);
        Assert.True(left.AttemptAcquire(9).IsAcquired);
        left.Dispose();
        Assert.True((await limiter.AcquireAsync(1)).IsAcquired);
        Task<RateLimitLease> waiting = limiter.AcquireAsync(3).AsTask();
        Assert.Equal(-3, other.Available);
        Assert.False((await limiter.AcquireAsync(8)).IsAcquired);
        other.Refund(3);
        Assert.True((await waiting.WaitAsync(Patience)).IsAcquired);

        waiting = limiter.AcquireAsync(0).AsTask();
        Assert.False(waiting.IsCompleted);
        other.Refund(1);
        Assert.True((await waiting.WaitAsync(Patience)).IsAcquired);
        Assert.Equal(1, other.Available);

        waiting = limiter.AcquireAsync(3).AsTask();
        limiter.Dispose();
        Assert.False((await waiting.WaitAsync(Patience)).IsAcquired);
        Assert.Equal(1, other.Available);
    }
}
