using System;
using System.Threading;
using System.Threading.Tasks;
using StackExchange.Redis;

namespace TokenBucket.Redis;

// What the limiters share with the calls for takes and waits.
public sealed partial class RedisLimit
{
    internal enum Asking
    {
        Take,
        Peek,
    }

    // A take, or the look that a lease of no permits is.
    internal Decision Decide(Asking asking, RedisKey key, double tokens)
    {
        try
        {
            return DecideByServer(asking, key, tokens);
        }
        catch (TokenBucketException e) when (_instead.IsFor(e))
        {
            return Instead(asking, Whole(key), tokens);
        }
    }

    // And whether the decision is not the server's.
    internal async Task<(Decision Decision, bool IsInstead)> DecideAsync(
        Asking asking, RedisKey key, double tokens, CancellationToken cancellation)
    {
        try
        {
            return (await DecideByServerAsync(asking, key, tokens, cancellation).ConfigureAwait(false), false);
        }
        catch (TokenBucketException e) when (_instead.IsFor(e))
        {
            return (Instead(asking, Whole(key), tokens), true);
        }
    }

    internal Decision DecideByServer(Asking asking, RedisKey key, double tokens) =>
        Prepare(asking, Whole(key), tokens) is ScriptCall call
            ? DecisionOf(asking, call.Arguments, call.Ask())
            : TooMuch;

    private async Task<Decision> DecideByServerAsync(
        Asking asking, RedisKey key, double tokens, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        if (Prepare(asking, Whole(key), tokens) is not ScriptCall call)
        {
            return TooMuch;
        }
        long[] reply = await AskAsync(call, Undo, cancellation).ConfigureAwait(false);
        return DecisionOf(asking, call.Arguments, reply);

        void Undo(long[] reply)
        {
            if (asking == Asking.Take && DecisionOf(asking, call.Arguments, reply).IsGranted)
            {
                Forget(RefundAsync(key, tokens));
            }
        }
    }

    // isInstead: the server was found to be unavailable.
    internal async Task<Decision> WaitAsync(
        RedisKey key, double tokens, long timeoutNs, bool isInstead, CancellationToken cancellation)
    {
        if (!isInstead)
        {
            try
            {
                (RedisReservation? reservation, Decision decision) =
                    await ReserveAsync(key, tokens, timeoutNs, cancellation).ConfigureAwait(false);
                if (reservation is not null)
                {
                    await reservation.WaitUntilDueAsync(cancellation).ConfigureAwait(false);
                }
                return decision;
            }
            catch (TokenBucketException e) when (_instead.IsFor(e))
            {
            }
        }
        return await _instead.WaitAsync(Whole(key), tokens, timeoutNs, cancellation).ConfigureAwait(false);
    }

    private async Task<(RedisReservation? Reservation, Decision Decision)> ReserveAsync(
        RedisKey key, double tokens, long maxWaitNs, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        RedisKey[] keys = WithQueue(Whole(key));
        Require(Remote.Reserve(tokens, maxWaitNs, out long[] arguments), tokens);
        long[] reply = await AskAsync(Call(keys, arguments), Undo, cancellation).ConfigureAwait(false);
        int status = Read(arguments, reply, out tb_remote_answer answer);
        if (status == NativeMethods.TB_TIMED_OUT)
        {
            return (null, DecisionOf(Status.Denied, answer));
        }
        Require(status, tokens);
        _ = Remote.ReadReservation(arguments, reply, out tb_reservation native);
        return (new RedisReservation(this, keys, native), DecisionOf(Status.Success, answer));

        void Undo(long[] reply)
        {
            if (Remote.ReadReservation(arguments, reply, out tb_reservation native) == NativeMethods.TB_SUCCESS)
            {
                new RedisReservation(this, keys, native).GiveBack();
            }
        }
    }

    // Null: more than the capacity.
    private ScriptCall? Prepare(Asking asking, byte[] whole, double tokens)
    {
        int status = asking == Asking.Take
            ? Remote.Take(tokens, out long[] arguments) : Remote.Peek(tokens, out arguments);
        if (status == NativeMethods.TB_EXCEEDS_CAPACITY)
        {
            return null;
        }
        Require(status, tokens);
        return Call([whole], arguments);
    }

    private Decision DecisionOf(Asking asking, long[] arguments, long[] reply)
    {
        int status = Read(arguments, reply, out tb_remote_answer answer);
        Require(status == NativeMethods.TB_DENIED ? NativeMethods.TB_SUCCESS : status, asking);
        bool isThere = asking == Asking.Take ? status == NativeMethods.TB_SUCCESS : answer.retry_after_ns == 0;
        return DecisionOf(isThere ? Status.Success : Status.Denied, answer);
    }

    private static Decision DecisionOf(Status status, in tb_remote_answer answer) => new(
        status, Math.Max(answer.remaining, 0), status == Status.Success ? 0 : answer.retry_after_ns, answer.reset_after_ns);

    private Decision Instead(Asking asking, byte[] whole, double tokens) =>
        asking == Asking.Take ? _instead.Take(whole, tokens) : _instead.Peek(whole, tokens);

    // Who gives up is not kept waiting for the reply; what it says is undone when it comes.
    private static async Task<long[]> AskAsync(ScriptCall call, Action<long[]> undo, CancellationToken cancellation)
    {
        Task<long[]> asking = call.AskAsync();
        try
        {
            return await asking.WaitAsync(cancellation).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            Forget(UndoAsync());
            throw;
        }

        async Task UndoAsync() => undo(await asking.ConfigureAwait(false));
    }
}
