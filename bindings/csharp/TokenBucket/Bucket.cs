using System;
using System.Runtime.CompilerServices;

namespace TokenBucket;

/// <summary>
/// An exact, lock-free token bucket. It holds at most its capacity of tokens and gains its rate evenly, to the
/// nanosecond; in any window of w seconds at most capacity + rate * w tokens are granted.
/// </summary>
/// <remarks>
/// <para>All members may be called from any number of threads at once, <see cref="Dispose"/> included: it waits for no
/// call. The native bucket is freed by the garbage collector, once nothing refers to this object or to one of its
/// reservations.</para>
/// <para>Exceptions: <see cref="ArgumentOutOfRangeException"/> for an amount that is not above 0 and finite, or a limit
/// outside the library's ranges; <see cref="ObjectDisposedException"/> once the bucket is closed or disposed;
/// <see cref="TokenBucketException"/> for an amount above the capacity where an answer of "no" is not possible. A call
/// that throws has changed nothing.</para>
/// </remarks>
public sealed unsafe partial class Bucket : IDisposable
{
    private readonly BucketHandle _handle;
    private readonly bool _hasEvents;
    private readonly bool _isShared;
    private volatile bool _disposed;

    /// <summary>Creates a full bucket.</summary>
    /// <param name="capacity">The largest number of tokens held: the largest burst. 1e-6 .. 1e15.</param>
    /// <param name="tokensPerSecond">The tokens gained per second. 1e-9 .. 1e10.</param>
    public Bucket(double capacity, double tokensPerSecond)
    {
        tb_config config = LimitOptions.NewConfig(capacity, tokensPerSecond);
        int status = BucketHandle.Create(&config, null, out _handle);
        Require(status, (capacity, tokensPerSecond), nameof(capacity) + ", " + nameof(tokensPerSecond));
    }

    /// <summary>Creates a bucket from options.</summary>
    public Bucket(BucketOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        tb_config config = options.ToBucketConfig();
        IsOnManualClock = options.Clock is not null;
        _hasEvents = options.OnEvent is not null;
        IsObserved = _hasEvents || options.Statistics;
        int status = BucketHandle.Create(&config, options.OnEvent, out _handle);
        GC.KeepAlive(options.Clock);
        Require(status, options.DescribeBucket(), nameof(options));
    }

    // Throws if the bucket may not be used any more.
    internal BucketHandle Handle => IsLeft ? throw TokenBucketException.For(NativeMethods.TB_CLOSED, null, "") : _handle;

    internal bool IsOnManualClock { get; }

    // Takes are counted or told of.
    internal bool IsObserved { get; }

    /// <summary>The tokens in the bucket now, fractions included; negative while in debt.</summary>
    public double Available
    {
        get
        {
            Require(NativeMethods.tb_available(Undisposed, out double tokens), 0, nameof(Available));
            return tokens;
        }
    }

    /// <summary>The limit in force.</summary>
    public BucketLimit Limit
    {
        get
        {
            tb_config c = new() { struct_size = (nuint)sizeof(tb_config) };
            Require(NativeMethods.tb_get_limit(Undisposed, ref c), 0, nameof(Limit));
            return new BucketLimit(c.capacity, c.rate_tokens, c.rate_period_ns, c.unit);
        }
    }

    /// <summary>What the bucket has decided so far. Does not block.</summary>
    /// <exception cref="TokenBucketException">Unsupported: the bucket was created without
    /// <see cref="BucketOptions.Statistics"/>.</exception>
    public BucketStatistics Statistics
    {
        get
        {
            tb_stats s = new() { struct_size = (nuint)sizeof(tb_stats) };
            Require(NativeMethods.tb_get_stats(Undisposed, ref s), 0, nameof(Statistics));
            return new BucketStatistics(
                s.granted, s.denied, s.timed_out, s.cancelled, s.waits, s.total_wait_ns, s.longest_wait_ns, s.waiting,
                s.tokens_taken, s.tokens_given_back);
        }
    }

    /// <summary>Takes tokens if they are there now, all or nothing. False too for more than the capacity.</summary>
    public bool Allow(double tokens = 1) =>
        AllowNative(tokens) switch
        {
            NativeMethods.TB_SUCCESS => true,
            NativeMethods.TB_DENIED or NativeMethods.TB_EXCEEDS_CAPACITY => false,
            int status => throw TokenBucketException.For(status, tokens, nameof(tokens)),
        };

    /// <summary>The same as <see cref="Allow"/>, under its other usual name.</summary>
    public bool TryConsume(double tokens = 1) => Allow(tokens);

    /// <summary>Takes tokens if they are there now, all or nothing, and says why not.</summary>
    public Decision Take(double tokens = 1)
    {
        tb_decision d;
        int status = _hasEvents
            ? NativeMethods.TakeWithEvents(Handle, tokens, out d)
            : NativeMethods.tb_take(Handle, tokens, out d);
        if (status is not (NativeMethods.TB_SUCCESS or NativeMethods.TB_DENIED or NativeMethods.TB_EXCEEDS_CAPACITY))
        {
            throw TokenBucketException.For(status, tokens, nameof(tokens));
        }
        return new Decision((Status)d.status, d.remaining, d.retry_after_ns, d.reset_after_ns);
    }

    /// <summary>Takes as many whole tokens as are there now, at most so many; the number taken may be 0.</summary>
    public double TakeUpTo(double most)
    {
        Require(NativeMethods.tb_take_up_to(Handle, most, out double taken), most);
        return taken;
    }

    /// <summary>The time until so many tokens would be there if nobody took any, rounded up; zero if they are.</summary>
    public TimeSpan TimeUntil(double tokens)
    {
        Require(NativeMethods.tb_time_until(Undisposed, tokens, out long ns), tokens);
        return Nanoseconds.ToTimeSpan(ns);
    }

    /// <summary>Takes tokens now, into debt if need be, and says when they may be used.</summary>
    public Reservation Reserve(double tokens = 1)
    {
        Require(NativeMethods.tb_reserve(Handle, tokens, NativeMethods.TB_FOREVER, out tb_reservation r), tokens);
        return new Reservation(this, r);
    }

    /// <summary>As <see cref="Reserve(double)"/>, but null, with nothing taken, if the wait would be longer.</summary>
    public Reservation? Reserve(double tokens, TimeSpan maxWait)
    {
        long maxWaitNs = Nanoseconds.From(maxWait, nameof(maxWait));
        int status = NativeMethods.tb_reserve(Handle, tokens, maxWaitNs, out tb_reservation r);
        if (status == NativeMethods.TB_TIMED_OUT)
        {
            return null;
        }
        Require(status, tokens);
        return new Reservation(this, r);
    }

    /// <summary>Takes tokens unconditionally, into debt if need be: for work whose cost is known afterwards.</summary>
    /// <returns>The time until the debt is repaid, rounded up.</returns>
    public TimeSpan Charge(double tokens)
    {
        Require(NativeMethods.tb_charge(Handle, tokens, out long ns), tokens);
        return Nanoseconds.ToTimeSpan(ns);
    }

    /// <summary>Puts tokens in, at most up to the capacity.</summary>
    public void Refund(double tokens) => Require(NativeMethods.tb_refund(Handle, tokens), tokens);

    /// <summary>Fills the bucket and forgives all debt.</summary>
    public void Reset() => Require(NativeMethods.tb_reset(Handle, NativeMethods.TB_INITIALLY_FULL), 0, nameof(Reset));

    /// <summary>Sets the tokens in the bucket and forgives all debt.</summary>
    public void Reset(double tokens)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(tokens, 0);
        Require(NativeMethods.tb_reset(Handle, tokens), tokens);
    }

    /// <summary>Sets the tokens in the bucket to what a server said is left; what was taken or owed so far is forgotten.
    /// Those who wait keep their places and are planned anew; reservations keep their times and tokens.</summary>
    public void SetTokens(double tokens) => Require(NativeMethods.tb_set_tokens(Handle, tokens), tokens);

    /// <summary>Changes the rate at once, for those who wait too; tokens and debts are kept, and reservations keep their
    /// times.</summary>
    public void SetRate(double tokensPerSecond) =>
        Require(NativeMethods.tb_set_rate(Handle, tokensPerSecond), tokensPerSecond);

    /// <summary>Changes the capacity at once; what exceeds a smaller one is dropped, and who waits for more than it gets a
    /// <see cref="TokenBucketException"/>. It holds at most 2^58 of <see cref="BucketLimit.Unit"/>.</summary>
    public void SetCapacity(double capacity) => Require(NativeMethods.tb_set_capacity(Handle, capacity), capacity);

    /// <summary>Closes the bucket for good: waits end with <see cref="ObjectDisposedException"/>, their tokens given
    /// back, and so does every later call that takes or changes. <see cref="Available"/>, <see cref="TimeUntil"/>,
    /// <see cref="Limit"/> and <see cref="Statistics"/> go on working until the bucket is disposed. Closing twice does nothing.</summary>
    public void Close() => Require(NativeMethods.tb_close(Undisposed), 0, nameof(Close));

    /// <summary>Closes the bucket for good; nothing can be asked of it any more. One of <see cref="OpenShared"/> stays
    /// open for others: waits here end, within 100 ms, and no others do.</summary>
    public void Dispose()
    {
        _disposed = true;
        if (!_isShared)
        {
            Require(NativeMethods.tb_close(_handle), 0, nameof(Close));
        }
    }

    internal int AllowNative(double tokens) =>
        IsLeft ? NativeMethods.TB_CLOSED
        : _hasEvents ? NativeMethods.AllowWithEvents(_handle, tokens)
        : NativeMethods.tb_allow(_handle, tokens);

    internal bool IsFull
    {
        get
        {
            tb_config c = new() { struct_size = (nuint)sizeof(tb_config) };
            return NativeMethods.tb_get_limit(_handle, ref c) == NativeMethods.TB_SUCCESS &&
                TimeUntilNative(c.capacity, out long ns) == NativeMethods.TB_SUCCESS && ns == 0;
        }
    }

    internal int TimeUntilNative(double tokens, out long ns) =>
        NativeMethods.tb_time_until(_handle, tokens, out ns);

    // Disposed, but not closed.
    private bool IsLeft => _isShared && _disposed;

    // What is not asked of a disposed bucket goes by this. The rest the library refuses, for it is closed, or Handle does.
    private BucketHandle Undisposed
    {
        get
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            return _handle;
        }
    }

    // Generic, so that no call that succeeds allocates.
    private static void Require<T>(
        int status, T value, [CallerArgumentExpression(nameof(value))] string parameter = "")
    {
        if (status != NativeMethods.TB_SUCCESS)
        {
            throw TokenBucketException.For(status, value, parameter);
        }
    }
}
