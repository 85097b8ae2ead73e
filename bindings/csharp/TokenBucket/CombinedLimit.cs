using System;
using System.Collections.Generic;
using System.Linq;
using System.Runtime.CompilerServices;
using System.Threading;
using System.Threading.Tasks;

namespace TokenBucket;

/// <summary>
/// Several limits in one decision, such as 10 a second and 1000 an hour, or requests and tokens: all its members grant, or
/// nothing is taken from any. Of up to 16 members, buckets and keys of tables mixed.
/// </summary>
/// <remarks>
/// <para>No member grants more than it would alone, and one that refuses costs the others nothing. The answer names it, and
/// says when it would grant. Where an amount for each member is given they are in the order of <see cref="Members"/>; none
/// given, the members' own count. It is small and owns nothing: make one for each decision where a key differs each time.
/// </para>
/// <para>All members of this class may be called from any number of threads at once.</para>
/// <para>Exceptions: <see cref="ArgumentException"/> for more or fewer amounts than members, and for a member that
/// processes share, opened twice; <see cref="ArgumentOutOfRangeException"/> for an amount that is not above 0 and finite;
/// <see cref="ObjectDisposedException"/> once the bucket or table of a member is closed or disposed;
/// <see cref="TokenBucketException"/>, with the member, where an answer of "no" is not possible. A call that throws has
/// changed nothing.</para>
/// </remarks>
[SkipLocalsInit]
public sealed unsafe class CombinedLimit
{
    private readonly Member[] _members;
    private readonly bool _isShared, _isObserved;

    /// <summary>Creates a limit of these.</summary>
    /// <exception cref="ArgumentException">None, more than 16, the same bucket or key twice, or two that go by different
    /// <see cref="TimeProvider"/>s.</exception>
    public CombinedLimit(params ReadOnlySpan<Member> members)
    {
        if (members.Length is 0 or > NativeMethods.TB_MAX_MEMBERS)
        {
            throw new ArgumentException(
                Refusal.Text(nameof(members), members.Length, $"from 1 to {NativeMethods.TB_MAX_MEMBERS}"), nameof(members));
        }
        _members = members.ToArray();
        for (int i = 0; i < _members.Length; i++)
        {
            ArgumentNullException.ThrowIfNull(_members[i], nameof(members));
            int first = Array.FindIndex(_members, _members[i].IsSameLimit);
            if (first < i)
            {
                throw new ArgumentException($"The members {first} and {i} are the same limit.", nameof(members));
            }
        }
        _isShared = _members.Any(m => m.IsShared);
        _isObserved = _members.Any(m => m.Bucket is { IsObserved: true });
        Members = Array.AsReadOnly(_members);
        TimeProvider[] timers = [.. _members.Select(m => m.Limit.Timers).OfType<TimeProvider>().Distinct()];
        Timers = timers.Length > 1
            ? throw new ArgumentException("The members go by different TimeProviders.", nameof(members))
            : timers.FirstOrDefault();
    }

    /// <summary>The members, in the order in which they were given.</summary>
    public IReadOnlyList<Member> Members { get; }

    // As of an IPlace: those on a manual clock, which needs none, may be among others.
    internal TimeProvider? Timers { get; }

    /// <summary>Takes from all members if all grant now. False too for more than a capacity, and for a new key that has no
    /// room. Never blocks, and overtakes nobody who waits.</summary>
    /// <param name="tokens">What it costs each member; by default what the members say.</param>
    public bool Allow(ReadOnlySpan<double> tokens = default) => Take(tokens).IsGranted;

    /// <summary>As <see cref="Allow"/>, and says who refused.</summary>
    /// <param name="tokens">What it costs each member; by default what the members say.</param>
    public CombinedDecision Take(ReadOnlySpan<double> tokens = default)
    {
        RequireLength(tokens);
        int status = TakeNative(tokens, 1, out tb_refusal refusal);
        return status is NativeMethods.TB_SUCCESS or NativeMethods.TB_DENIED or NativeMethods.TB_EXCEEDS_CAPACITY
                or NativeMethods.TB_TABLE_FULL
            ? Decision(status, refusal)
            : throw Failure(status, refusal, tokens);
    }

    /// <summary>Takes from all members now, into debt if need be, and says when all may be used. Does not block.</summary>
    /// <param name="tokens">What it costs each member; by default what the members say.</param>
    public CombinedReservation Reserve(ReadOnlySpan<double> tokens = default)
    {
        int status = ReserveNative(tokens, NativeMethods.TB_FOREVER, out CombinedReservation reservation, out tb_refusal refusal);
        return status == NativeMethods.TB_SUCCESS ? reservation : throw Failure(status, refusal, tokens);
    }

    /// <summary>As the other <c>Reserve</c>, but null, with nothing taken, if the wait would be longer.</summary>
    /// <param name="maxWait">The longest wait; zero takes what is there now.</param>
    /// <param name="decision">Who refused, and after what time it would have granted.</param>
    /// <param name="tokens">What it costs each member; by default what the members say.</param>
    public CombinedReservation? Reserve(
        TimeSpan maxWait, out CombinedDecision decision, ReadOnlySpan<double> tokens = default)
    {
        long maxWaitNs = Nanoseconds.From(maxWait, nameof(maxWait));
        int status = ReserveNative(tokens, maxWaitNs, out CombinedReservation reservation, out tb_refusal refusal);
        if (status is not (NativeMethods.TB_SUCCESS or NativeMethods.TB_TIMED_OUT))
        {
            throw Failure(status, refusal, tokens);
        }
        decision = Decision(status, refusal);
        return decision.IsGranted ? reservation : null;
    }

    /// <summary>Takes from all members, waiting until all have granted. It stands in the queue of each, in order of
    /// priority and arrival with all that wait there. What is due in one is held for it until all are. If the wait ends
    /// otherwise all comes back.</summary>
    /// <exception cref="OperationCanceledException">Cancelled; nothing was taken, and those behind move up.</exception>
    /// <exception cref="TokenBucketException">QueueFull, TableFull, more than a capacity, or Unsupported: a member is
    /// shared with other processes.</exception>
    public Task WaitAsync(CancellationToken cancellationToken = default) =>
        WaitAsync(default, Timeout.InfiniteTimeSpan, 0, cancellationToken);

    /// <summary>As the other <c>WaitAsync</c>, with what it costs each member.</summary>
    /// <exception cref="OperationCanceledException">Cancelled; nothing was taken, and those behind move up.</exception>
    public Task WaitAsync(ReadOnlySpan<double> tokens, CancellationToken cancellationToken = default) =>
        WaitAsync(tokens, Timeout.InfiniteTimeSpan, 0, cancellationToken);

    /// <summary>As the other <c>WaitAsync</c>, but refused at once, with nothing taken, if not all can be had within the
    /// timeout. Zero is a poll. Refused later, if a change of a member or a wait of a higher priority delays it beyond the
    /// timeout. Those of a higher priority are served first; that of the others is 0.</summary>
    /// <returns>Success or TimedOut, and who refused.</returns>
    /// <exception cref="OperationCanceledException">Cancelled; nothing was taken, and those behind move up.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A negative timeout that is not
    /// <see cref="Timeout.InfiniteTimeSpan"/>.</exception>
    public Task<CombinedDecision> WaitAsync(
        TimeSpan timeout, int priority = 0, CancellationToken cancellationToken = default) =>
        WaitAsync(default, timeout, priority, cancellationToken);

    /// <summary>As the other <c>WaitAsync</c>, with what it costs each member.</summary>
    /// <exception cref="OperationCanceledException">Cancelled; nothing was taken, and those behind move up.</exception>
    public Task<CombinedDecision> WaitAsync(
        ReadOnlySpan<double> tokens, TimeSpan timeout, int priority = 0, CancellationToken cancellationToken = default)
    {
        RequireLength(tokens);
        long timeoutNs = Nanoseconds.From(timeout, nameof(timeout));
        if (cancellationToken.IsCancellationRequested)
        {
            return Task.FromCanceled<CombinedDecision>(cancellationToken);
        }
        return TakesAtOnce(tokens)
            ? Task.FromResult(default(CombinedDecision))
            : Waits.Start(new CombinedPlace(this, tokens), timeoutNs, priority, cancellationToken);
    }

    /// <summary>As <c>WaitAsync</c>, blocking the calling thread.</summary>
    /// <exception cref="OperationCanceledException">Cancelled; nothing was taken, and those behind move up.</exception>
    public void Wait(CancellationToken cancellationToken = default) =>
        Wait(default, Timeout.InfiniteTimeSpan, 0, cancellationToken);

    /// <summary>As <c>WaitAsync</c> with amounts, blocking the calling thread.</summary>
    /// <exception cref="OperationCanceledException">Cancelled; nothing was taken, and those behind move up.</exception>
    public void Wait(ReadOnlySpan<double> tokens, CancellationToken cancellationToken = default) =>
        Wait(tokens, Timeout.InfiniteTimeSpan, 0, cancellationToken);

    /// <summary>As <c>WaitAsync</c> with a timeout, blocking the calling thread.</summary>
    /// <exception cref="OperationCanceledException">Cancelled; nothing was taken, and those behind move up.</exception>
    public CombinedDecision Wait(TimeSpan timeout, int priority = 0, CancellationToken cancellationToken = default) =>
        Wait(default, timeout, priority, cancellationToken);

    /// <summary>As <c>WaitAsync</c> with amounts and a timeout, blocking the calling thread.</summary>
    /// <exception cref="OperationCanceledException">Cancelled; nothing was taken, and those behind move up.</exception>
    public CombinedDecision Wait(
        ReadOnlySpan<double> tokens, TimeSpan timeout, int priority = 0, CancellationToken cancellationToken = default)
    {
        RequireLength(tokens);
        long timeoutNs = Nanoseconds.From(timeout, nameof(timeout));
        cancellationToken.ThrowIfCancellationRequested();
        return TakesAtOnce(tokens)
            ? default
            : Waits.Block(new CombinedPlace(this, tokens), timeoutNs, priority, cancellationToken);
    }

    /// <summary>The members with their limits.</summary>
    public override string ToString() => ToString(nameof(CombinedLimit));

    // As one of that type, which has this limit.
    internal string ToString(string type) => $"{type}({string.Join(", ", Members)})";

    internal int TakeNative(ReadOnlySpan<double> tokens, double times, out tb_refusal refusal)
    {
        ThrowIfLeft();
        using var members = new NativeMembers(
            _members, tokens, times, stackalloc tb_member[NativeMethods.TB_MAX_MEMBERS], stackalloc byte[NativeMembers.KeysSize]);
        return NativeMethods.tb_allow_all(members.Pointer, members.Count, out refusal);
    }

    internal int Enqueue(
        ReadOnlySpan<double> tokens, double times, long timeoutNs, int priority, ulong tag, out nint waiter, out long waitNs,
        out tb_refusal refusal)
    {
        ThrowIfLeft();
        using var members = new NativeMembers(
            _members, tokens, times, stackalloc tb_member[NativeMethods.TB_MAX_MEMBERS], stackalloc byte[NativeMembers.KeysSize]);
        return NativeMethods.tb_enqueue_all(
            members.Pointer, members.Count, timeoutNs, priority, tag, out waiter, out waitNs, out refusal);
    }

    // What a take of the members' own tokens would be told.
    internal int Look(out tb_refusal refusal)
    {
        refusal = default;
        ThrowIfLeft();
        for (int i = 0; i < _members.Length; i++)
        {
            int status = _members[i].Limit.TimeUntil(_members[i].Tokens, out long ns);
            ns = status == NativeMethods.TB_SUCCESS ? ns : NativeMethods.TB_FOREVER;
            if (ns > refusal.retry_after_ns)
            {
                refusal = new tb_refusal { member = i, retry_after_ns = ns };
            }
        }
        return refusal.retry_after_ns == 0 ? NativeMethods.TB_SUCCESS : NativeMethods.TB_DENIED;
    }

    // How often all could take their tokens, if so many times more had not been taken.
    internal int Permits(int more)
    {
        double times = int.MaxValue;
        foreach (Member member in _members)
        {
            _ = member.Limit.Available(out double available);
            times = Math.Min(times, available / member.Tokens + more);
        }
        return (int)Math.Max(Math.Floor(times), 0);
    }

    internal void Refund()
    {
        foreach (Member member in _members)
        {
            _ = member.Limit.Refund(member.Tokens);
        }
    }

    // That of a limiter on this limit.
    internal void RequireQueueLimit(int queueLimit) => Refusal.Require(
        queueLimit == 0 || !_isShared, queueLimit,
        "0 where a member is shared, which cannot be waited for with others");

    internal bool AreBucketsFull => Array.TrueForAll(_members, m => m.Bucket is null or { IsFull: true });

    internal CombinedDecision Decision(int status, in tb_refusal refusal) => status == NativeMethods.TB_SUCCESS
        ? default
        : new CombinedDecision((Status)status, _members[refusal.member], refusal.retry_after_ns);

    internal Exception Failure(int status, in tb_refusal refusal, ReadOnlySpan<double> tokens)
    {
        if (status == NativeMethods.TB_E_UNSUPPORTED)
        {
            int index = Array.FindIndex(_members, m => m.IsShared);
            return TokenBucketException.Unsupported(
                $"{nameof(Members)}[{index}] is in shared memory, and cannot be waited for with others", _members[index]);
        }
        if (status < 0)
        {
            int bad = tokens.IndexOfAnyExceptInRange(double.Epsilon, double.MaxValue);
            return status is not (NativeMethods.TB_E_INVALID_ARGUMENT or NativeMethods.TB_E_OUT_OF_RANGE)
                ? new TokenBucketException((Status)status)
                : bad >= 0
                ? Refusal.OutOfRange(nameof(tokens), tokens[bad], Refusal.Amount, $"[{bad}]")
                : _isShared && status == NativeMethods.TB_E_INVALID_ARGUMENT
                ? new ArgumentException("Two of the members are the same limit, opened twice.")
                : new ArgumentOutOfRangeException(nameof(tokens), $"{nameof(tokens)} must be {Refusal.WithinDebt}");
        }
        Member by = _members[refusal.member];
        return status switch
        {
            NativeMethods.TB_CLOSED => by.Closed(refusal.member),
            NativeMethods.TB_EXCEEDS_CAPACITY when tokens.Length == _members.Length => TokenBucketException.ExceedsCapacity(
                $"{nameof(tokens)}[{refusal.member}]", tokens[refusal.member], by.Capacity, by: by),
            NativeMethods.TB_EXCEEDS_CAPACITY => TokenBucketException.ExceedsCapacity(
                $"{nameof(Members)}[{refusal.member}].{nameof(Member.Tokens)}", by.Tokens, by.Capacity, by: by),
            _ => TokenBucketException.Refused(status, refusal.retry_after_ns, by),
        };
    }

    private int ReserveNative(
        ReadOnlySpan<double> tokens, long maxWaitNs, out CombinedReservation reservation, out tb_refusal refusal)
    {
        RequireLength(tokens);
        ThrowIfLeft();
        using var members = new NativeMembers(
            _members, tokens, 1, stackalloc tb_member[NativeMethods.TB_MAX_MEMBERS], stackalloc byte[NativeMembers.KeysSize]);
        var reserved = new tb_reservation[_members.Length];
        fixed (tb_reservation* first = reserved)
        {
            int status = NativeMethods.tb_reserve_all(
                members.Pointer, members.Count, maxWaitNs, first, out long waitNs, out refusal);
            reservation = new CombinedReservation(_members, reserved, waitNs);
            return status;
        }
    }

    // As Bucket.TakesAtOnce, and what is shared cannot be waited for with others.
    private bool TakesAtOnce(ReadOnlySpan<double> tokens) =>
        !_isShared && !_isObserved && TakeNative(tokens, 1, out _) == NativeMethods.TB_SUCCESS;

    // The library does not know of what is disposed here, but open for others.
    private void ThrowIfLeft()
    {
        for (int i = 0; _isShared && i < _members.Length; i++)
        {
            _members[i].ThrowIfLeft(i);
        }
    }

    private void RequireLength(ReadOnlySpan<double> tokens)
    {
        if (!tokens.IsEmpty && tokens.Length != _members.Length)
        {
            throw new ArgumentException(
                Refusal.Text(nameof(tokens), tokens.Length, $"{_members.Length} amounts, one for each member"), nameof(tokens));
        }
    }
}
