using System;
using System.Collections.Generic;
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
/// outside the library's ranges, with a message that gives the range and the value;
/// <see cref="ObjectDisposedException"/> once the bucket is closed or disposed; <see cref="TokenBucketException"/> for an
/// amount above the capacity where an answer of "no" is not possible. A call that throws has changed nothing.</para>
/// </remarks>
public sealed unsafe partial class Bucket : IDisposable
{
    private readonly BucketHandle _handle;

    // That of its shared memory; null: it is of this process alone.
    private readonly string? _name;
    private volatile bool _disposed;

    /// <summary>Creates a full bucket.</summary>
    /// <param name="capacity">The largest number of tokens held: the largest burst. 1e-6 .. 1e15.</param>
    /// <param name="tokensPerSecond">The tokens gained per second. 1e-9 .. 1e10.</param>
    public Bucket(double capacity, double tokensPerSecond)
    {
        tb_config config = LimitOptions.NewConfig(capacity, tokensPerSecond);
        int status = BucketHandle.Create(&config, null, null, out _handle);
        if (status != NativeMethods.TB_SUCCESS)
        {
            throw Unmade(status, &config, new()
            {
                ["capacity"] = new(nameof(capacity), capacity), ["rate_tokens"] = new(nameof(tokensPerSecond), tokensPerSecond),
            });
        }
    }

    /// <summary>Creates a bucket from options.</summary>
    public Bucket(BucketOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        tb_config config = options.ToBucketConfig();
        Timers = options.Timers;
        IsObserved = options.IsObserved;
        int status = BucketHandle.Create(&config, options.OnEvent, ProviderClock.Of(options.TimeProvider), out _handle);
        GC.KeepAlive(options.Clock);
        if (status != NativeMethods.TB_SUCCESS)
        {
            throw Unmade(status, &config, options.Given);
        }
    }

    // Throws if the bucket may not be used any more.
    internal BucketHandle Handle
    {
        get
        {
            ObjectDisposedException.ThrowIf(IsLeft, this);
            return _handle;
        }
    }

    internal nint Address => _handle.Address;

    internal TimeProvider? Timers { get; } = TimeProvider.System;

    internal bool IsShared => _name is not null;

    // Takes are counted or told of.
    internal bool IsObserved { get; }

    /// <summary>The tokens in the bucket now, fractions included; negative while in debt.</summary>
    public double Available
    {
        get
        {
            Require(Undisposed.Available(out double tokens), 0, nameof(Available));
            return tokens;
        }
    }

    /// <summary>The limit in force.</summary>
    public BucketLimit Limit => LimitOf(Undisposed);

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
            int status => throw Failure(status, tokens, nameof(tokens)),
        };

    /// <summary>The same as <see cref="Allow"/>, under its other usual name.</summary>
    public bool TryConsume(double tokens = 1) => Allow(tokens);

    /// <summary>Takes tokens if they are there now, all or nothing, and says why not.</summary>
    public Decision Take(double tokens = 1)
    {
        int status = Handle.Take(tokens, out tb_decision d);
        if (status is not (NativeMethods.TB_SUCCESS or NativeMethods.TB_DENIED or NativeMethods.TB_EXCEEDS_CAPACITY))
        {
            throw Failure(status, tokens, nameof(tokens));
        }
        return new Decision((Status)d.status, d.remaining, d.retry_after_ns, d.reset_after_ns);
    }

    /// <summary>Takes as many whole tokens as are there now, at most so many; the number taken may be 0.</summary>
    public double TakeUpTo(double most)
    {
        Require(Handle.TakeUpTo(most, out double taken), most);
        return taken;
    }

    /// <summary>The time until so many tokens would be there if nobody took any, rounded up; zero if they are.</summary>
    public TimeSpan TimeUntil(double tokens)
    {
        Require(Undisposed.TimeUntil(tokens, out long ns), tokens);
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
        // -1 has a meaning of its own in the library.
        RequireTokens(tokens < 0 ? NativeMethods.TB_E_INVALID_ARGUMENT : NativeMethods.tb_reset(Handle, tokens), tokens);
    }

    /// <summary>Sets the tokens in the bucket to what a server said is left; what was taken or owed so far is forgotten.
    /// Those who wait keep their places and are planned anew; reservations keep their times and tokens.</summary>
    public void SetTokens(double tokens) => RequireTokens(NativeMethods.tb_set_tokens(Handle, tokens), tokens);

    /// <summary>Changes the rate at once, for those who wait too; tokens and debts are kept, and reservations keep their
    /// times.</summary>
    public void SetRate(double tokensPerSecond)
    {
        int status = NativeMethods.tb_set_rate(Handle, tokensPerSecond);
        if (status != NativeMethods.TB_SUCCESS)
        {
            throw Failure(status, tokensPerSecond, nameof(tokensPerSecond), Refusal.OfLimit(1, tokensPerSecond)
                ?? "so low that at most 2^58 units of this bucket come in until the last reservation is due");
        }
    }

    /// <summary>Changes the capacity at once; what exceeds a smaller one is dropped, and who waits for more than it gets a
    /// <see cref="TokenBucketException"/>. It holds at most 2^58 of <see cref="BucketLimit.Unit"/>.</summary>
    public void SetCapacity(double capacity) => SetCapacity(capacity, capacity, nameof(capacity));

    /// <summary>Closes the bucket for good: waits end with <see cref="ObjectDisposedException"/>, their tokens given
    /// back, and so does every later call that takes or changes. <see cref="Available"/>, <see cref="TimeUntil"/>,
    /// <see cref="Limit"/> and <see cref="Statistics"/> go on working until the bucket is disposed. Closing twice does nothing.</summary>
    public void Close() => Require(NativeMethods.tb_close(Undisposed), 0, nameof(Close));

    /// <summary>Closes the bucket for good; nothing can be asked of it any more. One of <see cref="OpenShared"/> stays
    /// open for others: waits here end, within 100 ms, and no others do.</summary>
    public void Dispose()
    {
        _disposed = true;
        if (_name is null)
        {
            Require(NativeMethods.tb_close(_handle), 0, nameof(Close));
        }
    }

    /// <summary>The limit in force, such as "Bucket(capacity 10 tokens, 5 tokens/s)"; also when disposed.</summary>
    public override string ToString() => ToString(nameof(Bucket));

    // As one of that type, which has this bucket.
    internal string ToString(string type) => $"{type}({SharedMemory.Shown(_name)}{LimitOf(_handle)})";

    // The argument is the capacity as the caller gave it.
    internal void SetCapacity(double capacity, object given, string argument)
    {
        int status = NativeMethods.tb_set_capacity(Handle, capacity);
        if (status != NativeMethods.TB_SUCCESS)
        {
            throw Failure(status, given, argument, Refusal.OfLimit(capacity, 1) ?? "from 1 to 2^58 units of this bucket");
        }
    }

    internal Exception Failure(int status, object? value, string argument, string? allowed = null) =>
        IsLeft && status == NativeMethods.TB_CLOSED
            ? new ObjectDisposedException(typeof(Bucket).FullName)
            : TokenBucketException.For(status, value, argument, typeof(Bucket), CapacityNative, allowed);

    internal int AllowNative(double tokens) => IsLeft ? NativeMethods.TB_CLOSED : _handle.Allow(tokens);

    internal bool IsFull
    {
        get
        {
            return TimeUntilNative(CapacityNative, out long ns) == NativeMethods.TB_SUCCESS && ns == 0;
        }
    }

    internal int TimeUntilNative(double tokens, out long ns) => _handle.TimeUntil(tokens, out ns);

    private double CapacityNative => LimitOf(_handle).Capacity;

    private static BucketLimit LimitOf(BucketHandle bucket)
    {
        tb_config c = new() { struct_size = (nuint)sizeof(tb_config) };
        _ = NativeMethods.tb_get_limit(bucket, ref c);
        return BucketLimit.Of(c);
    }

    // Disposed, but not closed.
    internal bool IsLeft => IsShared && _disposed;

    // What is not asked of a disposed bucket goes by this. The rest the library refuses, for it is closed, or Handle does.
    private BucketHandle Undisposed
    {
        get
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            return _handle;
        }
    }

    private static Exception Unmade(int status, tb_config* config, Dictionary<string, Refusal.Given> given)
    {
        _ = NativeMethods.tb_config_check(config, out tb_config_fault fault);
        return Refusal.OfConfig(status, fault, given);
    }

    // Generic, so that no call that succeeds allocates.
    private void Require<T>(int status, T value, [CallerArgumentExpression(nameof(value))] string argument = "")
    {
        if (status != NativeMethods.TB_SUCCESS)
        {
            throw Failure(status, value, argument);
        }
    }

    private void RequireTokens(int status, double tokens)
    {
        if (status != NativeMethods.TB_SUCCESS)
        {
            throw Failure(status, tokens, nameof(tokens), Refusal.UpToCapacity(CapacityNative));
        }
    }
}
