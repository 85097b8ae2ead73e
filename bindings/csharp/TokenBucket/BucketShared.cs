using System;

namespace TokenBucket;

public sealed unsafe partial class Bucket
{
    /// <summary>Opens the bucket of that name in memory that processes share, or creates it. All that have opened it, in
    /// any of the library's languages, take from the same tokens and stand in one queue; what one changes, by
    /// <see cref="SetRate"/> or <see cref="Close"/>, holds for all.</summary>
    /// <remarks>
    /// <para>Waits ask every 100 ms what other processes have changed: a Close, or tokens put in, is seen so late. At most
    /// 1000 waits and reservations are pending, then <see cref="Status.OutOfMemory"/>. In a <see cref="CombinedLimit"/> it
    /// can be asked and reserved, but not waited for: <see cref="Status.Unsupported"/>. <see cref="BucketOptions.OnEvent"/>
    /// and <see cref="Statistics"/> are told what this process does.</para>
    /// </remarks>
    /// <param name="name">That of a file in /dev/shm, or an absolute path in a file system that has O_TMPFILE. Only its
    /// user may open it.</param>
    /// <param name="options">What a new bucket is made of. It has no clock.</param>
    /// <param name="adopt">Takes the limit that is in force there, whatever the options say.</param>
    /// <exception cref="TokenBucketException">Mismatch: the memory of that name is another limit, or of another kind; the
    /// message says what differs. System: with a <see cref="System.ComponentModel.Win32Exception"/> inside. Unsupported: a
    /// clock, or this system has no such memory.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A limit outside the ranges, or no such name.</exception>
    public static Bucket OpenShared(string name, BucketOptions options, bool adopt = false) => new(name, options, adopt);

    /// <summary>Removes the name of a shared bucket or table, if there is one. Processes that have it open keep it; who
    /// opens the name anew creates another.</summary>
    /// <exception cref="TokenBucketException">System, Unsupported: as for <see cref="OpenShared"/>.</exception>
    /// <exception cref="ArgumentOutOfRangeException">No such name.</exception>
    public static void RemoveShared(string name) => SharedMemory.Remove(name);

    private Bucket(string name, BucketOptions options, bool adopt)
    {
        ArgumentNullException.ThrowIfNull(options);
        tb_config config = options.ToBucketConfig();
        _name = name;
        IsObserved = options.IsObserved;
        fixed (byte* text = SharedMemory.TextOf(name))
        {
            int status = BucketHandle.OpenShared(
                &config, options.OnEvent, ProviderClock.Of(options.TimeProvider), text,
                adopt ? NativeMethods.TB_SHARED_ADOPT : 0, out _handle, out int fault);
            GC.KeepAlive(options.Clock);
            switch (status)
            {
                case NativeMethods.TB_SUCCESS:
                    return;
                case NativeMethods.TB_E_MISMATCH when fault is NativeMethods.TB_SHARED_CAPACITY or NativeMethods.TB_SHARED_RATE:
                    using (var there = new Bucket(name, options, adopt: true))
                    {
                        throw SharedMemory.OtherLimit(name, fault, options, there.Limit);
                    }
                case NativeMethods.TB_E_INVALID_ARGUMENT or NativeMethods.TB_E_OUT_OF_RANGE
                    when NativeMethods.tb_config_check(&config, out tb_config_fault refused) != NativeMethods.TB_SUCCESS:
                    throw Refusal.OfConfig(status, refused, options.Given);
                default:
                    throw SharedMemory.Failure(status, name, fault, typeof(Bucket), options);
            }
        }
    }
}
