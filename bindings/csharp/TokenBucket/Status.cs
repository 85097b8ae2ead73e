namespace TokenBucket;

/// <summary>What the library answers: 0 is success, a positive value an ordinary outcome, a negative one a failure.</summary>
public enum Status
{
    /// <summary>Done, or the tokens are granted.</summary>
    Success = NativeMethods.TB_SUCCESS,

    /// <summary>Not enough tokens now.</summary>
    Denied = NativeMethods.TB_DENIED,

    /// <summary>Cannot be granted within the time allowed.</summary>
    TimedOut = NativeMethods.TB_TIMED_OUT,

    /// <summary>More tokens than the bucket can ever hold.</summary>
    ExceedsCapacity = NativeMethods.TB_EXCEEDS_CAPACITY,

    /// <summary>The bucket was closed.</summary>
    Closed = NativeMethods.TB_CLOSED,

    /// <summary>The waiter left; in events, a wait that was cancelled.</summary>
    Interrupted = NativeMethods.TB_INTERRUPTED,

    /// <summary>Too many waiters.</summary>
    QueueFull = NativeMethods.TB_QUEUE_FULL,

    /// <summary>No room for another key.</summary>
    TableFull = NativeMethods.TB_TABLE_FULL,

    /// <summary>Waits in the queue.</summary>
    Pending = NativeMethods.TB_PENDING,

    /// <summary>Not a possible argument.</summary>
    InvalidArgument = NativeMethods.TB_E_INVALID_ARGUMENT,

    /// <summary>Not representable by a bucket.</summary>
    OutOfRange = NativeMethods.TB_E_OUT_OF_RANGE,

    /// <summary>No memory.</summary>
    OutOfMemory = NativeMethods.TB_E_OUT_OF_MEMORY,

    /// <summary>Asks for something that the native library does not know.</summary>
    Unsupported = NativeMethods.TB_E_UNSUPPORTED,

    /// <summary>The operating system refused a needed service.</summary>
    System = NativeMethods.TB_E_SYSTEM,

    /// <summary>The store of the limit did not answer.</summary>
    Unavailable = NativeMethods.TB_E_UNAVAILABLE,

    /// <summary>What is shared is another limit, or of another kind.</summary>
    Mismatch = NativeMethods.TB_E_MISMATCH,
}
