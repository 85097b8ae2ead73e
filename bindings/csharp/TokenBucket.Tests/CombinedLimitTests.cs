using System;
using System.Linq;
using System.Threading;
using Xunit;
using static TokenBucket.Tests.Buckets;

namespace TokenBucket.Tests;

// Requests, 10 with 10 per second, tokens, 1000 with 100 per second, and for each user 5 with 1 per second. The rows of
// ConformanceTests have the rest.
public sealed class CombinedLimitTests : IDisposable
{
    private readonly ManualClock _clock = new();
    private readonly Bucket _requests, _tokens;
    private readonly KeyedTable _users;

    public CombinedLimitTests()
    {
        _requests = On(_clock, 10, 10);
        _tokens = On(_clock, 1000, 100);
        _users = TableOn(_clock, 5, 1);
    }

    public void Dispose()
    {
        _requests.Dispose();
        _tokens.Dispose();
        _users.Dispose();
        _clock.Dispose();
    }

    private CombinedLimit Of(string user) => new(_requests, new Member(_tokens, 100), new Member(_users, user, 2));

    private (double Requests, double Tokens, double User) Left => (_requests.Available, _tokens.Available, _users.Available("a"));

    [Fact]
    public void All_grant_or_nothing_is_taken()
    {
        CombinedLimit limit = Of("a");
        Assert.True(limit.Allow() && limit.Allow());
        Assert.Equal((8, 800, 1), Left);
        CombinedDecision refused = limit.Take();
        Assert.Equal(new CombinedDecision(Status.Denied, limit.Members[2], Second), refused);
        Assert.Equal((false, TimeSpan.FromSeconds(1)), (refused.IsGranted, refused.RetryAfter));
        Assert.False(limit.Allow());
        Assert.Equal((8, 800, 1), Left);
        Assert.True(Of("b").Allow());
        Assert.Equal((7, 700, 1), Left);
        _clock.Advance(Second);
        CombinedDecision granted = limit.Take();
        Assert.Equal((true, Status.Success, null, TimeSpan.Zero), (granted.IsGranted, granted.Status, granted.RefusedBy, granted.RetryAfter));
    }

    [Fact]
    public void A_call_may_say_what_it_costs()
    {
        CombinedLimit limit = Of("a");
        Assert.True(limit.Allow([1, 640, 0.5]));
        Assert.Equal((9, 360, 4.5), Left);
        CombinedDecision refused = limit.Take([1, 400, 1]);
        Assert.Equal((_tokens, Second * 2 / 5), (refused.RefusedBy!.Bucket, refused.RetryAfterNanoseconds));
        Assert.Equal((Second / 10, Second * 3 / 20), (limit.Reserve([10, 60, 1]).WaitNanoseconds, limit.Reserve([0.5, 1, 1]).WaitNanoseconds));
        Assert.Throws<ArgumentException>(() => limit.Allow([1]));
        Assert.Throws<ArgumentException>(() => limit.Take([1, 1, 1, 1]));
        Assert.Throws<ArgumentException>(() => limit.Reserve([1, 1]));
        Assert.Throws<ArgumentException>(() => { _ = limit.WaitAsync([1, 1]); });
        Assert.Throws<ArgumentException>(() => limit.Wait([1, 1], TimeSpan.Zero));
        (double, double, double) before = Left;
        foreach (double bad in (double[])[0, -1, double.NaN, double.PositiveInfinity])
        {
            var e = Assert.Throws<ArgumentOutOfRangeException>(() => limit.Allow([1, bad, 1]));
            Assert.Equal("tokens", e.ParamName);
            Assert.Throws<ArgumentOutOfRangeException>(() => limit.Reserve([1, bad, 1]));
            Assert.Throws<ArgumentOutOfRangeException>(() => { _ = limit.WaitAsync([1, bad, 1]); });
            Assert.Throws<ArgumentOutOfRangeException>(() => limit.Wait([1, bad, 1]));
            Assert.Throws<ArgumentOutOfRangeException>(() => new Member(_requests, bad));
            Assert.Throws<ArgumentOutOfRangeException>(() => new Member(_users, "a", bad));
        }
        Assert.Equal(before, Left);
    }

    [Fact]
    public void Members_are_buckets_and_keys()
    {
        CombinedLimit limit = Of("a");
        Assert.Equal([(_requests, null, 1), (_tokens, null, 100), (null, _users, 2)], limit.Members.Select(m => (m.Bucket, m.Table, m.Tokens)));
        Assert.True(limit.Members[0].Key.IsEmpty && limit.Members[2].Key.SequenceEqual("a"u8));
        Assert.Throws<ArgumentException>(() => new CombinedLimit());
        Assert.Throws<ArgumentException>(() => new CombinedLimit(_requests, new Member(_requests, 2)));
        Assert.Throws<ArgumentException>(() => new CombinedLimit(new Member(_users, "a"), _requests, new Member(_users, "a"u8)));
        Assert.Throws<ArgumentNullException>(() => new CombinedLimit(_requests, null!));
        Assert.Throws<ArgumentNullException>(() => new Member(null!));
        Assert.Throws<ArgumentException>(() => new Member(_users, new byte[TableKey.MaxSize + 1]));
        Member[] many = [.. Enumerable.Range(0, 17).Select(i => new Member(_users, $"{i}", i + 1))];
        Assert.Throws<ArgumentException>(() => new CombinedLimit(many));
        CombinedDecision refused = new CombinedLimit(many.AsSpan(1)).Take();
        Assert.Equal((Status.ExceedsCapacity, TimeSpan.MaxValue), (refused.Status, refused.RetryAfter));
        Assert.True(new CombinedLimit(many.AsSpan(1)).Allow([.. Enumerable.Repeat(4.0, 16)]));
        Assert.Equal((5, 1, 1), (_users.Available("0"), _users.Available("1"), _users.Available("16")));
    }

    // Together longer than the buffer on the stack.
    [Fact]
    public void Keys_may_be_long()
    {
        byte[] longest = new byte[TableKey.MaxSize], other = new byte[200];
        Random.Shared.NextBytes(longest);
        Random.Shared.NextBytes(other);
        var limit = new CombinedLimit(new Member(_users, other), new Member(_users, longest, 3), new Member(_users, ""), _requests);
        Assert.True(limit.Allow());
        Assert.Equal((4, 2, 4, 9), (_users.Available(other), _users.Available(longest), _users.Available(""), _requests.Available));
        Assert.Equal(limit.Members[1], limit.Take().RefusedBy);
        limit.Reserve().Cancel();
        Assert.Equal((4, 2, 4, 9), (_users.Available(other), _users.Available(longest), _users.Available(""), _requests.Available));
    }

    [Fact]
    public void What_can_never_be_granted_is_refused()
    {
        CombinedLimit limit = Of("a");
        Assert.Equal(new CombinedDecision(Status.ExceedsCapacity, limit.Members[1], long.MaxValue), limit.Take([1, 1001, 1]));
        Assert.False(limit.Allow([1, 1001, 1]));
        var e = Assert.Throws<TokenBucketException>(() => limit.Reserve([1, 1001, 1]));
        Assert.Equal((Status.ExceedsCapacity, limit.Members[1], null), (e.Status, e.RefusedBy, e.RetryAfter));
        using KeyedTable tiny = TinyTable(_clock, WhenTableFull.Deny);
        int granted = Enumerable.Range(0, 100).Count(i => new CombinedLimit(_requests, new Member(tiny, $"{i}")).Allow());
        Assert.Equal((granted, 10 - granted), (4, _requests.Available));
        Assert.Equal(Status.TableFull, new CombinedLimit(_requests, new Member(tiny, "new")).Take().Status);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    public void A_closed_member_is_named(int closed)
    {
        CombinedLimit limit = Of("a");
        ((IDisposable)(closed == 0 ? _requests : _users)).Dispose();
        Action[] calls =
        [
            () => limit.Allow(), () => limit.Take(), () => limit.Reserve(), () => limit.Reserve(TimeSpan.Zero, out _), () => limit.Wait(),
            () => limit.Wait(TimeSpan.Zero), () => { _ = limit.WaitAsync(); }, () => { _ = limit.WaitAsync(TimeSpan.Zero); },
        ];
        Assert.All(calls, call =>
        {
            var e = Assert.Throws<ObjectDisposedException>(call);
            Assert.Equal(closed == 0 ? typeof(Bucket).FullName : typeof(KeyedTable).FullName, e.ObjectName);
            Assert.Contains($"(member {closed})", e.Message, StringComparison.Ordinal);
        });
        Assert.Equal(1000, _tokens.Available);
    }

    [Fact]
    public void A_reservation_is_of_all()
    {
        CombinedLimit limit = Of("a");
        CombinedReservation now = limit.Reserve();
        Assert.Equal((0, TimeSpan.Zero), (now.WaitNanoseconds, now.Wait));
        now.Cancel();
        Assert.Equal((9, 900, 3), Left);
        CombinedReservation later = limit.Reserve([1, 1000, 1]);
        Assert.Equal((Second, TimeSpan.FromSeconds(1)), (later.WaitNanoseconds, later.Wait));
        Assert.Equal((8, -100, 2), Left);
        Assert.Null(limit.Reserve(TimeSpan.FromSeconds(1.9), out CombinedDecision refused, [1, 100, 1]));
        Assert.Equal(new CombinedDecision(Status.TimedOut, limit.Members[1], 2 * Second), refused);
        CombinedReservation? behind = limit.Reserve(TimeSpan.FromSeconds(2), out CombinedDecision granted, [1, 100, 1]);
        Assert.Equal((true, 2 * Second), (granted.IsGranted, behind!.WaitNanoseconds));
        Assert.Throws<ArgumentOutOfRangeException>(() => limit.Reserve(TimeSpan.FromTicks(-1), out _));
        behind.Cancel();
        later.Cancel();
        Assert.Equal((9, 900, 3), Left);
        later.Cancel();
        Assert.Equal((9, 900, 3), Left);
        _clock.Advance(Second);
        CombinedReservation used = limit.Reserve([1, 1000, 1]);
        _clock.Advance(Second);
        used.Cancel();
        Assert.Equal(100, _tokens.Available);
    }

    // Of the one limit the tokens are due at once, of the other they are not.
    [Fact]
    public void Ten_cancelled_rounds_cost_nothing()
    {
        using Bucket free = On(_clock, 60, 1), scarce = On(_clock, 10, 1, initial: 0);
        var both = new CombinedLimit(free, scarce);
        for (int i = 0; i < 10; i++)
        {
            CombinedReservation round = both.Reserve();
            Assert.Equal(Second, round.WaitNanoseconds);
            round.Cancel();
        }
        Assert.Equal((60, 0), (free.Available, scarce.Available));
    }

    [Fact]
    public void Nothing_is_allocated_for_a_take()
    {
        CombinedLimit limit = Of("a");
        Span<double> costs = [0.001, 0.001, 0.001];
        limit.Allow(costs);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 1000; i++)
        {
            limit.Allow(costs);
            limit.Take();
        }
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    // What a thread takes and cannot complete is given back: in the end no more is gone than was granted.
    [Fact]
    public void Nothing_is_lost_among_threads()
    {
        var request = new Member(_requests, 0.01);
        CombinedLimit[] limits = [new(request, _tokens), new(_tokens, request)];
        int granted = 0, turn = 0;
        InParallel(4, () =>
        {
            CombinedLimit limit = limits[Interlocked.Increment(ref turn) % 2];
            for (int i = 0; i < 5000; i++)
            {
                if (limit.Allow())
                {
                    Interlocked.Increment(ref granted);
                }
            }
        });
        Assert.Equal((1000, 0, 0), (granted, _requests.Available, _tokens.Available));
    }
}
