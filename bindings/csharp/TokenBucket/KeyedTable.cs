using System;
using System.Collections.Generic;
using System.Runtime.CompilerServices;
using System.Threading;
using Bytes = TokenBucket.TableKey.Bytes;

namespace TokenBucket;

/// <summary>
/// A bucket for each key, such as a user or an address, all under one limit, in memory that is fixed when the table is
/// created. A key that was not asked for is full, so keys need no creating, and one that is full again makes room for
/// others.
/// </summary>
/// <remarks>
/// <para>A key is a string or bytes: <c>Allow("alice")</c>, <c>Allow("alice"u8)</c>. Nothing is allocated for a call but
/// for waits, reservations, and strings longer than 256 bytes, whose bytes are rented. What is said of a
/// <see cref="Bucket"/> holds for each key. A table knows a key by a hash made with a secret of its own: a new key is taken
/// for another one with a chance of about 1e-11 in a table for 10 million.</para>
/// <para>All members may be called from any number of threads at once, <see cref="Dispose"/> included: it waits for no
/// call. The table's memory is freed by the garbage collector, once nothing refers to this object or to one of its waits
/// or reservations.</para>
/// <para>Exceptions: <see cref="ArgumentException"/> for a key of more than <see cref="TableKey.MaxSize"/> bytes; else as a
/// <see cref="Bucket"/>, and <see cref="TokenBucketException"/> with <see cref="Status.TableFull"/> for a key that has no
/// room where an answer of "no" is not possible. A call that throws has changed nothing.</para>
/// </remarks>
[SkipLocalsInit]
public sealed unsafe partial class KeyedTable : IDisposable
{
    private const string OneOrMore = "1 or more";
    private const long FastestUnits = 8191;

    private readonly TableHandle _handle;

    // That of its shared memory; null: it is of this process alone.
    private readonly string? _name;
    private volatile bool _disposed;

    /// <summary>Creates a table.</summary>
    /// <param name="capacity">The largest number of tokens of a key: the largest burst. 1e-6 .. 1e15.</param>
    /// <param name="tokensPerSecond">The tokens that a key gains per second. 1e-9 .. 1e10.</param>
    /// <param name="maxKeys">How many keys may be short of tokens at a time; 24.6 bytes each. At least 1.</param>
    public KeyedTable(double capacity, double tokensPerSecond, long maxKeys)
    {
        Refusal.Require(maxKeys >= 1, maxKeys, OneOrMore);
        tb_config limit = LimitOptions.NewConfig(capacity, tokensPerSecond);
        tb_table_config config = NewConfig(maxKeys, 0, WhenTableFull.EvictFullest);
        int status = TableHandle.Create(&limit, &config, null, out _handle);
        if (status != NativeMethods.TB_SUCCESS)
        {
            throw Unmade(status, &limit, &config, new()
            {
                ["capacity"] = new(nameof(capacity), capacity), ["rate_tokens"] = new(nameof(tokensPerSecond), tokensPerSecond),
                ["max_keys"] = new(nameof(maxKeys), maxKeys),
            });
        }
    }

    /// <summary>Creates a table from options.</summary>
    public KeyedTable(KeyedTableOptions options)
    {
        tb_table_config config = ConfigOf(options);
        tb_config limit = options.ToConfig();
        Timers = options.Timers;
        int status = TableHandle.Create(&limit, &config, ProviderClock.Of(options.TimeProvider), out _handle);
        GC.KeepAlive(options.Clock);
        if (status != NativeMethods.TB_SUCCESS)
        {
            throw Unmade(status, &limit, &config, options.Given);
        }
    }

    // Throws if the table may not be used any more.
    internal TableHandle Handle
    {
        get
        {
            ObjectDisposedException.ThrowIf(IsLeft, this);
            return _handle;
        }
    }

    // As of Handle, but never throws.
    internal TableHandle Native => _handle;

    internal bool IsShared => _name is not null;

    internal TimeProvider? Timers { get; } = TimeProvider.System;

    /// <summary>The limit in force on each key.</summary>
    public BucketLimit Limit => LimitOf(Undisposed);

    /// <summary>Takes tokens of a key if they are there now, all or nothing. False too for more than the capacity, and for
    /// a new key that has no room.</summary>
    public bool Allow(TableKey key, double tokens = 1)
    {
        using var bytes = new Bytes(key, stackalloc byte[Bytes.BufferSize]);
        return AllowNative(bytes.Span, tokens) switch
        {
            NativeMethods.TB_SUCCESS => true,
            NativeMethods.TB_DENIED or NativeMethods.TB_EXCEEDS_CAPACITY or NativeMethods.TB_TABLE_FULL => false,
            int status => throw Failure(status, tokens, nameof(tokens)),
        };
    }

    /// <summary>Takes tokens of a key if they are there now, all or nothing, and says why not.</summary>
    public Decision Take(TableKey key, double tokens = 1)
    {
        using var bytes = new Bytes(key, stackalloc byte[Bytes.BufferSize]);
        int status = Handle.Take(bytes.Span, tokens, out tb_decision d);
        return status switch
        {
            NativeMethods.TB_SUCCESS or NativeMethods.TB_DENIED or NativeMethods.TB_EXCEEDS_CAPACITY =>
                new Decision((Status)status, d.remaining, d.retry_after_ns, d.reset_after_ns),
            NativeMethods.TB_TABLE_FULL =>
                new Decision(Status.TableFull, 0, NativeMethods.TB_FOREVER, NativeMethods.TB_FOREVER),
            _ => throw Failure(status, tokens, nameof(tokens)),
        };
    }

    /// <summary>Takes as many whole tokens of a key as are there now, at most so many; the number taken may be 0.</summary>
    public double TakeUpTo(TableKey key, double most)
    {
        using var bytes = new Bytes(key, stackalloc byte[Bytes.BufferSize]);
        Require(Handle.TakeUpTo(bytes.Span, most, out double taken), most);
        return taken;
    }

    /// <summary><see cref="Take"/>'s status for many keys by one call, which is faster where the table is larger than the
    /// processor's caches. The same key may occur again.</summary>
    /// <param name="keys">The keys.</param>
    /// <param name="answers">What each is told, as many as keys; also <see cref="Status.Closed"/>, and
    /// <see cref="Status.InvalidArgument"/> for an amount that is not above 0 and finite.</param>
    /// <param name="tokens">What each takes, as many as keys; by default one token each.</param>
    public void AllowMany(ReadOnlySpan<string> keys, Span<Status> answers, ReadOnlySpan<double> tokens = default)
    {
        RequireLengths(keys.Length, answers.Length, tokens.Length);
        using var batch = new TableKey.Batch(keys);
        AllowMany(batch, answers, tokens);
    }

    /// <summary>As the other <c>AllowMany</c>, for keys that are bytes.</summary>
    /// <param name="keys">The keys.</param>
    /// <param name="answers">What each is told, as many as keys.</param>
    /// <param name="tokens">What each takes, as many as keys; by default one token each.</param>
    public void AllowMany(
        ReadOnlySpan<ReadOnlyMemory<byte>> keys, Span<Status> answers, ReadOnlySpan<double> tokens = default)
    {
        RequireLengths(keys.Length, answers.Length, tokens.Length);
        using var batch = new TableKey.Batch(keys);
        AllowMany(batch, answers, tokens);
    }

    /// <summary>Takes tokens of a key now, into debt if need be, and says when they may be used.</summary>
    public Reservation Reserve(TableKey key, double tokens = 1) => Reserve(key, tokens, Timeout.InfiniteTimeSpan)
        ?? throw new TokenBucketException(Status.TimedOut);

    /// <summary>As <see cref="Reserve(TableKey, double)"/>, but null, with nothing taken, if the wait would be longer.
    /// </summary>
    public Reservation? Reserve(TableKey key, double tokens, TimeSpan maxWait)
    {
        long maxWaitNs = Nanoseconds.From(maxWait, nameof(maxWait));
        using var bytes = new Bytes(key, stackalloc byte[Bytes.BufferSize]);
        int status = NativeMethods.tb_table_reserve(
            Handle, bytes.Span, bytes.Size, tokens, maxWaitNs, out tb_reservation r);
        if (status == NativeMethods.TB_TIMED_OUT)
        {
            return null;
        }
        Require(status, tokens);
        return new Reservation(new KeyBucket(this, bytes.Span), r);
    }

    /// <summary>Takes tokens of a key unconditionally, into debt if need be: for work whose cost is known afterwards.
    /// </summary>
    /// <returns>The time until the debt is repaid, rounded up.</returns>
    public TimeSpan Charge(TableKey key, double tokens)
    {
        using var bytes = new Bytes(key, stackalloc byte[Bytes.BufferSize]);
        Require(NativeMethods.tb_table_charge(Handle, bytes.Span, bytes.Size, tokens, out long ns), tokens);
        return Nanoseconds.ToTimeSpan(ns);
    }

    /// <summary>Gives tokens to a key, at most up to the capacity.</summary>
    public void Refund(TableKey key, double tokens)
    {
        using var bytes = new Bytes(key, stackalloc byte[Bytes.BufferSize]);
        Require(NativeMethods.tb_table_refund(Handle, bytes.Span, bytes.Size, tokens), tokens);
    }

    /// <summary>The tokens of a key now, fractions included; negative while in debt.</summary>
    public double Available(TableKey key)
    {
        using var bytes = new Bytes(key, stackalloc byte[Bytes.BufferSize]);
        Require(Undisposed.Available(bytes.Span, out double tokens), 0, nameof(key));
        return tokens;
    }

    /// <summary>The time until a key would have so many tokens if nobody took any, rounded up; zero if it has.</summary>
    public TimeSpan TimeUntil(TableKey key, double tokens)
    {
        using var bytes = new Bytes(key, stackalloc byte[Bytes.BufferSize]);
        Require(Undisposed.TimeUntil(bytes.Span, tokens, out long ns), tokens);
        return Nanoseconds.ToTimeSpan(ns);
    }

    /// <summary>Forgets a key: its bucket is full again. Who waits gets its tokens from that, in order; pending
    /// reservations are void.</summary>
    public void Remove(TableKey key)
    {
        using var bytes = new Bytes(key, stackalloc byte[Bytes.BufferSize]);
        Require(NativeMethods.tb_table_remove(Undisposed, bytes.Span, bytes.Size), 0, nameof(key));
    }

    /// <summary>Changes the rate of all keys at once, for those who wait too; reservations keep their times.</summary>
    public void SetRate(double tokensPerSecond)
    {
        int status = NativeMethods.tb_table_set_rate(Handle, tokensPerSecond);
        if (status != NativeMethods.TB_SUCCESS)
        {
            BucketLimit limit = LimitOf(_handle);
            throw Failure(status, tokensPerSecond, nameof(tokensPerSecond), Refusal.OfLimit(1, tokensPerSecond)
                ?? (tokensPerSecond / limit.Unit >= FastestUnits * 1e9
                    ? $"less than {FastestUnits} units of this table per nanosecond"
                    : "so low that at most 2^58 units of this table come in until the last reservation is due"));
        }
    }

    /// <summary>Changes the capacity of all keys at once; who waits for more than it gets a
    /// <see cref="TokenBucketException"/>. Keys keep what they have spent, so what exceeds a smaller capacity is there
    /// again if it is raised. It holds at most 2^57 of <see cref="BucketLimit.Unit"/>.</summary>
    public void SetCapacity(double capacity) => SetCapacity(capacity, capacity, nameof(capacity));

    /// <summary>How full the table is. Reads all of it: 10 million places take some 50 ms.</summary>
    public KeyedTableStatistics GetStatistics()
    {
        tb_table_stats s = new() { struct_size = (nuint)sizeof(tb_table_stats) };
        Require(NativeMethods.tb_table_get_stats(Undisposed, ref s), 0, nameof(KeyedTable));
        return new KeyedTableStatistics(s.places, s.occupied, s.evicted, s.tokens_forgiven);
    }

    /// <summary>Closes the table for good: waits end with <see cref="ObjectDisposedException"/>, their tokens given
    /// back, and so does every later call that takes or changes. <see cref="Available"/>, <see cref="TimeUntil"/>,
    /// <see cref="Limit"/> and <see cref="GetStatistics"/> go on working until the table is disposed. Closing twice does
    /// nothing.</summary>
    public void Close() => Require(NativeMethods.tb_table_close(Undisposed), 0, nameof(Close));

    /// <summary>Closes the table for good; nothing can be asked of it any more. One of <see cref="OpenShared"/> stays
    /// open for others: waits here end, within 100 ms, and no others do.</summary>
    public void Dispose()
    {
        _disposed = true;
        if (!IsShared)
        {
            Require(NativeMethods.tb_table_close(_handle), 0, nameof(Close));
        }
    }

    /// <summary>The limit in force, such as "KeyedTable(capacity 10 tokens, 5 tokens/s per key)"; also when disposed.
    /// </summary>
    public override string ToString() => ToString(nameof(KeyedTable));

    // As one of that type, which has this table.
    internal string ToString(string type) => $"{type}({SharedMemory.Shown(_name)}{LimitOf(_handle)} per key)";

    // The argument is the capacity as the caller gave it.
    internal void SetCapacity(double capacity, object given, string argument)
    {
        int status = NativeMethods.tb_table_set_capacity(Handle, capacity);
        if (status != NativeMethods.TB_SUCCESS)
        {
            throw Failure(
                status, given, argument, Refusal.OfLimit(capacity, 1) ?? "from 1 to 2^57 units of this table");
        }
    }

    internal int AllowNative(ReadOnlySpan<byte> key, double tokens) =>
        IsLeft ? NativeMethods.TB_CLOSED : _handle.Allow(key, tokens);

    internal Exception Failure(int status, object? value, string argument, string? allowed = null) =>
        IsLeft && status == NativeMethods.TB_CLOSED
            ? new ObjectDisposedException(typeof(KeyedTable).FullName)
            : TokenBucketException.For(status, value, argument, typeof(KeyedTable), LimitOf(_handle).Capacity, allowed);

    private static BucketLimit LimitOf(TableHandle table)
    {
        tb_config c = new() { struct_size = (nuint)sizeof(tb_config) };
        _ = NativeMethods.tb_table_get_limit(table, ref c);
        return BucketLimit.Of(c);
    }

    private static Exception Unmade(
        int status, tb_config* limit, tb_table_config* config, Dictionary<string, Refusal.Given> given)
    {
        _ = NativeMethods.tb_table_config_check(limit, config, out tb_config_fault fault);
        return Refusal.OfConfig(status, fault, given);
    }

    // Disposed, but not closed.
    internal bool IsLeft => IsShared && _disposed;

    // What is not asked of a disposed table goes by this. The rest the library refuses, for it is closed, or Handle
    // does.
    private TableHandle Undisposed
    {
        get
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            return _handle;
        }
    }

    private static tb_table_config ConfigOf(KeyedTableOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        if (options.MaxKeys is null == options.MaxBytes is null)
        {
            throw new ArgumentException("One of MaxKeys and MaxBytes must be set, and not both.", nameof(options));
        }
        Refusal.Require(options.MaxKeys is null or >= 1, options.MaxKeys, OneOrMore);
        Refusal.Require(options.MaxBytes is null or >= 64, options.MaxBytes, "64 or more");
        return NewConfig(options.MaxKeys ?? 0, options.MaxBytes ?? 0, options.WhenFull);
    }

    private static tb_table_config NewConfig(long maxKeys, long maxBytes, WhenTableFull whenFull)
    {
        tb_table_config config;
        _ = NativeMethods.tb_table_config_init(&config, (nuint)sizeof(tb_table_config));
        config.max_keys = maxKeys;
        config.max_bytes = maxBytes;
        config.when_full = (int)whenFull;
        return config;
    }

    private static void RequireLengths(int keys, int answers, int tokens)
    {
        if (answers != keys || (tokens != 0 && tokens != keys))
        {
            throw new ArgumentException(
                $"There are {keys} keys, {answers} answers and {tokens} amounts.",
                answers != keys ? nameof(answers) : nameof(tokens));
        }
    }

    private void AllowMany(in TableKey.Batch batch, Span<Status> answers, ReadOnlySpan<double> tokens)
    {
        ReadOnlySpan<nuint> sizes = batch.Sizes;
        fixed (nuint* size = sizes)
        fixed (double* amount = tokens)
        fixed (Status* answer = answers)
        {
            int status = NativeMethods.tb_table_allow_many(
                Handle, batch.Bytes, size, amount, (nuint)sizes.Length, (int*)answer);
            Require(status, 0, nameof(answers));
        }
    }

    // Generic, so that no call that succeeds allocates.
    private void Require<T>(int status, T value, [CallerArgumentExpression(nameof(value))] string argument = "")
    {
        if (status != NativeMethods.TB_SUCCESS)
        {
            throw Failure(status, value, argument);
        }
    }
}
