using System;

namespace TokenBucket;

public sealed unsafe partial class KeyedTable
{
    /// <summary>Opens the table of that name in memory that processes share, or creates it, as
    /// <see cref="Bucket.OpenShared"/> does a bucket: all that have opened it take from the same tokens of each key, and
    /// stand in its queue; what one changes, by <see cref="SetRate"/>, <see cref="Remove"/> or <see cref="Close"/>, holds
    /// for all.</summary>
    /// <remarks>
    /// <para>Waits are as those of a shared bucket, also in a <see cref="CombinedLimit"/>, but one key in eight places, at
    /// least 16 and at most 512, can have waits and reservations at a time, each at most 128; then
    /// <see cref="Status.OutOfMemory"/>. A new table takes all its memory at once, with 24 KB for each such key.</para>
    /// </remarks>
    /// <param name="name">As for a bucket.</param>
    /// <param name="options">What a new table is made of. It has no clock.</param>
    /// <param name="adopt">Takes the limit, the size and the <see cref="KeyedTableOptions.WhenFull"/> that are in force
    /// there, whatever the options say.</param>
    /// <exception cref="TokenBucketException">As for a bucket. Mismatch: also another size or WhenFull.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A limit outside the ranges, or no such name.</exception>
    /// <exception cref="ArgumentException">No size, or two.</exception>
    public static KeyedTable OpenShared(string name, KeyedTableOptions options, bool adopt = false) =>
        new(name, options, adopt);

    /// <summary>Removes the name of a shared table: the same as <see cref="Bucket.RemoveShared"/>.</summary>
    public static void RemoveShared(string name) => SharedMemory.Remove(name);

    private KeyedTable(string name, KeyedTableOptions options, bool adopt)
    {
        tb_table_config config = ConfigOf(options);
        tb_config limit = options.ToConfig();
        _name = name;
        fixed (byte* text = SharedMemory.TextOf(name))
        {
            int status = TableHandle.OpenShared(
                &limit, &config, ProviderClock.Of(options.TimeProvider), text,
                adopt ? NativeMethods.TB_SHARED_ADOPT : 0, out _handle, out int fault);
            GC.KeepAlive(options.Clock);
            if (status != NativeMethods.TB_SUCCESS)
            {
                throw NotOpened(status, fault, name, options, &limit, &config);
            }
        }
    }

    private static Exception NotOpened(
        int status, int fault, string name, KeyedTableOptions options, tb_config* limit, tb_table_config* config)
    {
        if (NativeMethods.tb_table_config_check(limit, config, out tb_config_fault refused) != NativeMethods.TB_SUCCESS)
        {
            return Refusal.OfConfig(status, refused, options.Given);
        }
        switch (status == NativeMethods.TB_E_MISMATCH ? fault : 0)
        {
            case NativeMethods.TB_SHARED_CAPACITY or NativeMethods.TB_SHARED_RATE:
                using (var there = new KeyedTable(name, options, adopt: true))
                {
                    return SharedMemory.OtherLimit(name, fault, options, there.Limit);
                }
            case NativeMethods.TB_SHARED_PLACES:
                return OtherTable(name, options.Given[options.MaxKeys is null ? "max_bytes" : "max_keys"]);
            case NativeMethods.TB_SHARED_FULL:
                return OtherTable(name, options.Given["when_full"]);
            default:
                return SharedMemory.Failure(status, name, fault, typeof(KeyedTable), options);
        }
    }

    private static TokenBucketException OtherTable(string name, in Refusal.Given given) =>
        SharedMemory.Other(name, Refusal.Text(given.Name, given.Value, "that of the table there"));
}
