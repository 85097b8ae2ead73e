using System;
using System.Runtime.CompilerServices;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using StackExchange.Redis;

namespace TokenBucket.Redis;

/// <summary>
/// One limit for a fleet: a bucket for each key in Redis or Valkey, for all processes that use the same server, prefix and
/// options. The server decides, by its own clock; a decision is one call of a script.
/// </summary>
/// <remarks>
/// <para>A key is a string or bytes; the server has it behind <see cref="RedisLimitOptions.Prefix"/>, until its bucket is
/// full again. A key without a tag in braces must not hold a closing brace where it is reserved, waited for, charged,
/// refunded or reset.</para>
/// <para>All members may be called from any number of threads at once. The connection is the caller's: its timeouts hold
/// for each call, and nothing is closed here.</para>
/// <para>Exceptions: <see cref="ArgumentOutOfRangeException"/> for an amount that is not above 0 and finite;
/// <see cref="TokenBucketException"/> with <see cref="Status.Unavailable"/> where the server cannot be asked or does not
/// answer, with the client's exception inside: what was asked may have happened. Where <see cref="OnUnavailable"/> says so,
/// takes and waits have another answer; all else always fails. <see cref="Status.Mismatch"/>: the key holds
/// something else.</para>
/// </remarks>
public sealed partial class RedisLimit
{
    private static readonly Decision TooMuch =
        new(Status.ExceedsCapacity, 0, NativeMethods.TB_FOREVER, NativeMethods.TB_FOREVER);

    private readonly IDatabase _database;
    private readonly byte[] _prefix;
    private readonly Substitute _instead;

    /// <summary>Prepares a limit; asks the server nothing.</summary>
    /// <param name="database">Where the buckets lie, without a prefix of its own.</param>
    /// <param name="options">What the limit is made of.</param>
    /// <exception cref="ArgumentOutOfRangeException">A limit outside the ranges of a <see cref="Bucket"/>, or one that the
    /// server cannot count exactly: as a rule a rate of more than 9 digits, or a bucket that takes more than 285 years to
    /// fill.</exception>
    public RedisLimit(IDatabase database, RedisLimitOptions options)
    {
        ArgumentNullException.ThrowIfNull(database);
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(options.Prefix);
        _database = database;
        _prefix = Encoding.UTF8.GetBytes(options.Prefix);
        MaxWait = options.MaxWait;
        Remote = new RemoteLimit(
            options.Capacity, options.Tokens, options.PeriodNanoseconds,
            Nanoseconds.FromNonNegative(MaxWait, nameof(options.MaxWait)), options.Given);
        _instead = new Substitute(options);
    }

    /// <summary>The limit on each key. What is counted on the server may be coarser than in a <see cref="Bucket"/>, but is
    /// never more than a token.</summary>
    public BucketLimit Limit => Remote.Limit;

    /// <summary>The longest wait, and what a key may owe, as <see cref="RedisLimitOptions.MaxWait"/>.</summary>
    public TimeSpan MaxWait { get; }

    /// <summary>The limit, such as "RedisLimit(capacity 10 tokens, 5 tokens/s per key)".</summary>
    public override string ToString() => $"{nameof(RedisLimit)}({Limit} per key)";

    internal RemoteLimit Remote { get; }

    /// <summary>Takes tokens of a key if they are there now, all or nothing, and says why not. Blocks the calling thread
    /// until the server has answered. More than the capacity is told so without asking, with what is left as 0.</summary>
    public Decision Take(RedisKey key, double tokens = 1) => Decide(Asking.Take, key, tokens);

    /// <summary>As <see cref="Take"/>; no thread waits. What is granted after a cancel goes back.</summary>
    /// <exception cref="OperationCanceledException">Cancelled; nothing stays taken.</exception>
    public async Task<Decision> TakeAsync(RedisKey key, double tokens = 1, CancellationToken cancellationToken = default) =>
        (await DecideAsync(Asking.Take, key, tokens, cancellationToken).ConfigureAwait(false)).Decision;

    /// <summary>Takes as many whole tokens of a key as are there now, at most so many; the number taken may be 0.</summary>
    public async Task<double> TakeUpToAsync(RedisKey key, double most)
    {
        byte[] whole = Whole(key);
        Require(Remote.TakeUpTo(most, out long[] arguments), most);
        try
        {
            return (await AnswerAsync([whole], arguments, most).ConfigureAwait(false)).tokens;
        }
        catch (TokenBucketException e) when (_instead.IsFor(e))
        {
            return _instead.TakeUpTo(whole, most);
        }
    }

    /// <summary>What <see cref="TakeAsync"/> would answer now; takes nothing.</summary>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public Task<Decision> PeekAsync(RedisKey key, double tokens = 1, CancellationToken cancellationToken = default) =>
        DecideByServerAsync(Asking.Peek, key, tokens, cancellationToken);

    /// <summary>Takes tokens of a key, waiting until they are there; no thread waits. All waits and reservations of the
    /// fleet stand in one line. False at once, with nothing taken, if that cannot be within the timeout or
    /// <see cref="MaxWait"/>. The time counts from the server's answer; the host's timers count whole milliseconds, so it
    /// may end one or two later than due.</summary>
    /// <param name="key">The key.</param>
    /// <param name="tokens">How many.</param>
    /// <param name="timeout">The longest wait; null is <see cref="MaxWait"/>.</param>
    /// <param name="cancellationToken">Ends the wait; the tokens go back to the server.</param>
    /// <exception cref="OperationCanceledException">Cancelled; nothing stays taken.</exception>
    /// <exception cref="TokenBucketException">More than the capacity; or as for all.</exception>
    public async Task<bool> WaitAsync(
        RedisKey key, double tokens = 1, TimeSpan? timeout = null, CancellationToken cancellationToken = default) =>
        (await WaitAsync(key, tokens, Nanoseconds.From(timeout ?? MaxWait, nameof(timeout)), false, cancellationToken)
            .ConfigureAwait(false)).IsGranted;

    /// <summary>Takes tokens of a key now, into debt if need be, and says when they may be used; null, with nothing taken,
    /// if the wait would be longer than told, or than <see cref="MaxWait"/>.</summary>
    /// <param name="key">The key.</param>
    /// <param name="tokens">How many.</param>
    /// <param name="maxWait">The longest wait; null is <see cref="MaxWait"/>.</param>
    /// <exception cref="TokenBucketException">More than the capacity; or as for all.</exception>
    public async Task<RedisReservation?> ReserveAsync(RedisKey key, double tokens = 1, TimeSpan? maxWait = null) =>
        (await ReserveAsync(key, tokens, Nanoseconds.From(maxWait ?? MaxWait, nameof(maxWait)), default)
            .ConfigureAwait(false)).Reservation;

    /// <summary>Takes tokens of a key unconditionally, into debt if need be: for work whose cost is known afterwards.
    /// </summary>
    /// <returns>The time until the debt is repaid, rounded up.</returns>
    /// <exception cref="ArgumentOutOfRangeException">More debt than <see cref="MaxWait"/> allows; nothing was charged.
    /// </exception>
    public async Task<TimeSpan> ChargeAsync(RedisKey key, double tokens)
    {
        RedisKey[] keys = WithQueue(Whole(key));
        Require(Remote.Charge(tokens, out long[] arguments), tokens);
        return Nanoseconds.ToTimeSpan((await AnswerAsync(keys, arguments, tokens).ConfigureAwait(false)).retry_after_ns);
    }

    /// <summary>Gives tokens to a key, at most up to the capacity.</summary>
    public async Task RefundAsync(RedisKey key, double tokens)
    {
        RedisKey[] keys = WithQueue(Whole(key));
        Require(Remote.Refund(tokens, out long[] arguments), tokens);
        await AnswerAsync(keys, arguments, tokens).ConfigureAwait(false);
    }

    /// <summary>Sets the tokens of a key, 0 .. capacity; null is full. Its pending reservations are void.</summary>
    public async Task ResetAsync(RedisKey key, double? tokens = null)
    {
        RedisKey[] keys = WithQueue(Whole(key));
        // -1 has a meaning of its own in the library.
        long[] arguments = [];
        int status = tokens < 0 ? NativeMethods.TB_E_INVALID_ARGUMENT
            : Remote.Reset(tokens ?? NativeMethods.TB_INITIALLY_FULL, out arguments);
        if (status != NativeMethods.TB_SUCCESS)
        {
            throw Failure(status, tokens, nameof(tokens), Refusal.UpToCapacity(Limit.Capacity));
        }
        await AnswerAsync(keys, arguments, tokens).ConfigureAwait(false);
    }

    internal ScriptCall Call(RedisKey[] keys, long[] arguments) => new(_database, keys, arguments);

    // A reply that is none to such a call means that the key holds something else.
    internal int Read(long[] arguments, long[] reply, out tb_remote_answer answer)
    {
        int status = Remote.Read(arguments, reply, out answer);
        return status == NativeMethods.TB_E_INVALID_ARGUMENT ? NativeMethods.TB_E_MISMATCH : status;
    }

    internal void Require<T>(int status, T value, [CallerArgumentExpression(nameof(value))] string argument = "")
    {
        if (status != NativeMethods.TB_SUCCESS)
        {
            throw Failure(status, value, argument);
        }
    }

    internal Exception Failure(int status, object? value, string argument, string? allowed = null) =>
        TokenBucketException.For(
            status, value, argument, typeof(RedisLimit), Limit.Capacity,
            allowed ?? (status == NativeMethods.TB_E_OUT_OF_RANGE ? "so few that a key owes what is gained in MaxWait, or less" : null));

    // Whether it succeeds is of no matter.
    internal static void Forget(Task task) => task.ContinueWith(
        static done => _ = done.Exception, default(CancellationToken), TaskContinuationOptions.OnlyOnFaulted,
        TaskScheduler.Default);

    private async Task<tb_remote_answer> AnswerAsync(
        RedisKey[] keys, long[] arguments, double? value, [CallerArgumentExpression(nameof(value))] string argument = "")
    {
        long[] reply = await Call(keys, arguments).AskAsync().ConfigureAwait(false);
        Require(Read(arguments, reply, out tb_remote_answer answer), value, argument);
        return answer;
    }

    private byte[] Whole(RedisKey key)
    {
        byte[] bytes = [.. _prefix, .. (byte[]?)key ?? throw new ArgumentNullException(nameof(key))];
        TableKey.RequireSize(bytes.Length);
        return bytes;
    }

    private static RedisKey[] WithQueue(byte[] whole) => [whole, RemoteLimit.QueueKey(whole)];
}
