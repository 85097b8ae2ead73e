using System;
using System.Threading;
using System.Threading.Tasks;
using Bytes = TokenBucket.TableKey.Bytes;

namespace TokenBucket;

public sealed partial class KeyedTable
{
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
        return TakesAtOnce(bytes.Span, tokens)
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
            if (TakesAtOnce(bytes.Span, tokens))
            {
                return true;
            }
            bucket = new KeyBucket(this, bytes.Span);
        }
        return Waits.Block(new BucketPlace(bucket, tokens), timeoutNs, priority, cancellationToken);
    }

    // Spares a wait that need not wait its waiter.
    private bool TakesAtOnce(ReadOnlySpan<byte> key, double tokens) =>
        AllowNative(key, tokens) == NativeMethods.TB_SUCCESS;
}
