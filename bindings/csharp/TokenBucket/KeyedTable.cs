using System;
using System.Runtime.CompilerServices;
using System.Threading;
using System.Threading.Tasks;
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
public sealed unsafe class KeyedTable : IDisposable
{
    private readonly TableHandle _handle;
    private volatile bool _disposed;

    /// <summary>Creates a table.</summary>
    /// <param name="capacity">The largest number of tokens of a key: the largest burst. 1e-6 .. 1e15.</param>
    /// <param name="tokensPerSecond">The tokens that a key gains per second. 1e-9 .. 1e10.</param>
    /// <param name="maxKeys">How many keys may be short of tokens at a time; 24.6 bytes each. At least 1.</param>
    public KeyedTable(double capacity, double tokensPerSecond, long maxKeys)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(maxKeys, 1);
        tb_config limit = LimitOptions.NewConfig(capacity, tokensPerSecond);
        tb_table_config config = NewConfig(maxKeys, 0, WhenTableFull.EvictFullest);
        int status = TableHandle.Create(&limit, &config, out _handle);
        Require(status, (capacity, tokensPerSecond, maxKeys), "capacity, tokensPerSecond, maxKeys");
    }

    /// <summary>Creates a table from options.</summary>
    public KeyedTable(KeyedTableOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        if (options.MaxKeys is null == options.MaxBytes is null)
        {
            throw new ArgumentException("One of MaxKeys and MaxBytes must be set, and not both.", nameof(options));
        }
        ArgumentOutOfRangeException.ThrowIfLessThan(options.MaxKeys ?? 1, 1, nameof(KeyedTableOptions.MaxKeys));
        ArgumentOutOfRangeException.ThrowIfLessThan(options.MaxBytes ?? 64, 64, nameof(KeyedTableOptions.MaxBytes));
        tb_config limit = options.ToConfig();
        tb_table_config config = NewConfig(options.MaxKeys ?? 0, options.MaxBytes ?? 0, options.WhenFull);
        IsOnManualClock = options.Clock is not null;
        int status = TableHandle.Create(&limit, &config, out _handle);
        GC.KeepAlive(options.Clock);
        Require(status, options.Describe(), nameof(options));
    }

    internal TableHandle Handle => _handle;

    internal bool IsOnManualClock { get; }

    /// <summary>The limit in force on each key.</summary>
    public BucketLimit Limit
    {
        get
        {
            tb_config c = new() { struct_size = (nuint)sizeof(tb_config) };
            Require(NativeMethods.tb_table_get_limit(Undisposed, ref c), 0, nameof(Limit));
            return new BucketLimit(c.capacity, c.rate_tokens, c.rate_period_ns, c.unit);
        }
    }

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
        int status = NativeMethods.tb_table_take(_handle, bytes.Span, bytes.Size, tokens, out tb_decision d);
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
        Require(NativeMethods.tb_table_take_up_to(_handle, bytes.Span, bytes.Size, most, out double taken), most);
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

    /// <summary>Takes tokens of a key, waiting until they are there. All that wait for a key, threads and tasks, stand in
    /// one queue and are served in the order in which they came. Never ends early; the host's timers count whole
    /// milliseconds, so it may end one or two later than due.</summary>
    /// <exception cref="OperationCanceledException">Cancelled; nothing was taken, and those behind move up.</exception>
    /// <exception cref="TokenBucketException">QueueFull, TableFull, or more than the capacity.</exception>
    public Task WaitAsync(TableKey key, double tokens = 1, CancellationToken cancellationToken = default) =>
        WaitAsync(key, tokens, Timeout.InfiniteTimeSpan, 0, cancellationToken);

    /// <summary>As the other <c>WaitAsync</c>, but false at once, with nothing taken, if the tokens cannot be had within
    /// the timeout. Zero is a poll. False later, if a change of the limit or the key's bucket or a wait of a higher
    /// priority delays it beyond the timeout.</summary>
    /// <exception cref="OperationCanceledException">Cancelled; nothing was taken, and those behind move up.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A negative timeout that is not
    /// <see cref="Timeout.InfiniteTimeSpan"/>.</exception>
    public Task<bool> WaitAsync(
        TableKey key, double tokens, TimeSpan timeout, CancellationToken cancellationToken = default) =>
        WaitAsync(key, tokens, timeout, 0, cancellationToken);

    /// <summary>As the other <c>WaitAsync</c>, with a priority: those of a higher one are served first, and that of the
    /// others is 0. The timeout may be <see cref="Timeout.InfiniteTimeSpan"/>.</summary>
    /// <exception cref="OperationCanceledException">Cancelled; nothing was taken, and those behind move up.</exception>
    public Task<bool> WaitAsync(
        TableKey key, double tokens, TimeSpan timeout, int priority, CancellationToken cancellationToken = default)
    {
        long timeoutNs = Nanoseconds.From(timeout, nameof(timeout));
        if (cancellationToken.IsCancellationRequested)
        {
            return Task.FromCanceled<bool>(cancellationToken);
        }
        using var bytes = new Bytes(key, stackalloc byte[Bytes.BufferSize]);
        return AllowNative(bytes.Span, tokens) == NativeMethods.TB_SUCCESS
            ? Task.FromResult(true)
            : Waits.Start(new BucketPlace(new KeyBucket(this, bytes.Span), tokens), timeoutNs, priority, cancellationToken);
    }

    /// <summary>As <c>WaitAsync</c>, blocking the calling thread.</summary>
    /// <exception cref="OperationCanceledException">Cancelled; nothing was taken, and those behind move up.</exception>
    public void Wait(TableKey key, double tokens = 1, CancellationToken cancellationToken = default) =>
        Wait(key, tokens, Timeout.InfiniteTimeSpan, 0, cancellationToken);

    /// <summary>As <c>WaitAsync</c> with a timeout, blocking the calling thread.</summary>
    /// <exception cref="OperationCanceledException">Cancelled; nothing was taken, and those behind move up.</exception>
    public bool Wait(TableKey key, double tokens, TimeSpan timeout, CancellationToken cancellationToken = default) =>
        Wait(key, tokens, timeout, 0, cancellationToken);

    /// <summary>As <c>WaitAsync</c> with a timeout and a priority, blocking the calling thread.</summary>
    /// <exception cref="OperationCanceledException">Cancelled; nothing was taken, and those behind move up.</exception>
    public bool Wait(
        TableKey key, double tokens, TimeSpan timeout, int priority, CancellationToken cancellationToken = default)
    {
        long timeoutNs = Nanoseconds.From(timeout, nameof(timeout));
        cancellationToken.ThrowIfCancellationRequested();
        KeyBucket bucket;
        using (var bytes = new Bytes(key, stackalloc byte[Bytes.BufferSize]))
        {
            if (AllowNative(bytes.Span, tokens) == NativeMethods.TB_SUCCESS)
            {
                return true;
            }
            bucket = new KeyBucket(this, bytes.Span);
        }
        return Waits.Block(new BucketPlace(bucket, tokens), timeoutNs, priority, cancellationToken);
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
            _handle, bytes.Span, bytes.Size, tokens, maxWaitNs, out tb_reservation r);
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
        Require(NativeMethods.tb_table_charge(_handle, bytes.Span, bytes.Size, tokens, out long ns), tokens);
        return Nanoseconds.ToTimeSpan(ns);
    }

    /// <summary>Gives tokens to a key, at most up to the capacity.</summary>
    public void Refund(TableKey key, double tokens)
    {
        using var bytes = new Bytes(key, stackalloc byte[Bytes.BufferSize]);
        Require(NativeMethods.tb_table_refund(_handle, bytes.Span, bytes.Size, tokens), tokens);
    }

    /// <summary>The tokens of a key now, fractions included; negative while in debt.</summary>
    public double Available(TableKey key)
    {
        using var bytes = new Bytes(key, stackalloc byte[Bytes.BufferSize]);
        Require(NativeMethods.tb_table_available(Undisposed, bytes.Span, bytes.Size, out double tokens), 0, nameof(key));
        return tokens;
    }

    /// <summary>The time until a key would have so many tokens if nobody took any, rounded up; zero if it has.</summary>
    public TimeSpan TimeUntil(TableKey key, double tokens)
    {
        using var bytes = new Bytes(key, stackalloc byte[Bytes.BufferSize]);
        Require(NativeMethods.tb_table_time_until(Undisposed, bytes.Span, bytes.Size, tokens, out long ns), tokens);
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
    public void SetRate(double tokensPerSecond) =>
        Require(NativeMethods.tb_table_set_rate(_handle, tokensPerSecond), tokensPerSecond);

    /// <summary>Changes the capacity of all keys at once; who waits for more than it gets a
    /// <see cref="TokenBucketException"/>. Keys keep what they have spent, so what exceeds a smaller capacity is there
    /// again if it is raised. It holds at most 2^57 of <see cref="BucketLimit.Unit"/>.</summary>
    public void SetCapacity(double capacity) => Require(NativeMethods.tb_table_set_capacity(_handle, capacity), capacity);

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

    /// <summary>Closes the table for good; nothing can be asked of it any more.</summary>
    public void Dispose()
    {
        _disposed = true;
        Require(NativeMethods.tb_table_close(_handle), 0, nameof(Close));
    }

    internal int AllowNative(ReadOnlySpan<byte> key, double tokens) =>
        NativeMethods.tb_table_allow(_handle, key, (nuint)key.Length, tokens);

    internal static Exception Failure(int status, object? value, string parameter) =>
        status == NativeMethods.TB_CLOSED
            ? new ObjectDisposedException(nameof(KeyedTable), TokenBucketException.MessageOf(Status.Closed))
            : TokenBucketException.For(status, value, parameter);

    // What is not asked of a disposed table goes by this. The rest the library refuses, for it is closed.
    private TableHandle Undisposed
    {
        get
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            return _handle;
        }
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
                _handle, batch.Bytes, size, amount, (nuint)sizes.Length, (int*)answer);
            Require(status, 0, nameof(answers));
        }
    }

    // Generic, so that no call that succeeds allocates.
    private static void Require<T>(int status, T value, [CallerArgumentExpression(nameof(value))] string parameter = "")
    {
        if (status != NativeMethods.TB_SUCCESS)
        {
            throw Failure(status, value, parameter);
        }
    }
}
