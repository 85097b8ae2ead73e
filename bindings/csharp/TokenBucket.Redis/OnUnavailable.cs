using System;

namespace TokenBucket.Redis;

/// <summary>What a <see cref="RedisLimit"/> answers to takes and waits where the server cannot be asked or does not
/// answer. All else always fails.</summary>
public readonly record struct OnUnavailable
{
    private enum Kind
    {
        Error,
        Closed,
        Open,
        Local,
    }

    private readonly Kind _kind;

    private OnUnavailable(Kind kind, double share = 0)
    {
        _kind = kind;
        Share = share;
    }

    /// <summary>A <see cref="TokenBucketException"/> with <see cref="Status.Unavailable"/> and the client's exception
    /// inside. The default.</summary>
    public static OnUnavailable Error => default;

    /// <summary>Denied; after what time it would be granted is not known.</summary>
    public static OnUnavailable Closed => new(Kind.Closed);

    /// <summary>Granted.</summary>
    public static OnUnavailable Open => new(Kind.Open);

    /// <summary>Each process keeps to a limit of its own, of the capacity and the rate times `share`, such as 1 /
    /// processes. It is kept for the last 65,536 keys or so that took tokens, in 1.6 MB. Where capacity * share is below
    /// 1, no whole token is granted.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A share that is not above 0 and at most 1.</exception>
    public static OnUnavailable Local(double share)
    {
        Refusal.Require(share > 0 && share <= 1, share, "more than 0 and at most 1");
        return new(Kind.Local, share);
    }

    internal bool IsError => _kind == Kind.Error;

    internal bool IsOpen => _kind == Kind.Open;

    internal bool IsLocal => _kind == Kind.Local;

    internal double Share { get; }
}
