// Memory of a name, which all that know the name open; what it begins with says what it is.
#ifndef TOKENBUCKET_CORE_SHARED_OPENING_H
#define TOKENBUCKET_CORE_SHARED_OPENING_H

#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "core/bucket/limit.h"
#include "core/platform/platform.h"

namespace tb {

// What is wrong with memory of that name.
enum class Difference : int32_t {
    none = 0,
    kind = 1,            // no plain file
    owner = 2,           // of another user
    mode = 3,            // others may open it
    size = 4,            // too short
    layout = 5,          // of another version of the library, or of something else
    boot = 6,            // of an earlier boot of the machine
    time_namespace = 7,  // of processes that see another CLOCK_MONOTONIC
    damaged = 8,
    capacity = 9,
    rate = 10,
    object = 11,  // a bucket, not a table, or the reverse
    places = 12,  // a table of another size
    when_full = 13,
};

struct SharedHeader {
    uint64_t magic;
    uint32_t layout;
    uint32_t most_entries;  // of the queue of a bucket or a key
    uint64_t size;
    platform::ClockIdentity clock;
};

inline constexpr uint64_t kBucketMagic = 0x74656b6355424274;
inline constexpr uint64_t kTableMagic = 0x656c626154427462;

// Creates memory that is that object, but for what the caller writes behind the header, which has the path's name once
// it is published; null: no name. system: *error is an errno. stale: another process was first.
Status create_shared(platform::SharedMemory *memory, const char *path, const SharedHeader &object, int *error);
Status publish_shared(platform::SharedMemory *memory, const char *path, int *error);
// Opens memory that is that object, of any size. stale: there is none. mismatch: *difference says why. system.
Status attach_shared(platform::SharedMemory *memory, const char *path, const SharedHeader &object,
                     Difference *difference, int *error);

// Opens the memory of that name, or creates it by create(path), which may return stale; *is_new says which.
// invalid_argument: no such name. unsupported: no such memory here. Others as above.
template <class Create>
Status open_shared(platform::SharedMemory *memory, const char *name, const SharedHeader &object, Create create,
                   bool *is_new, Difference *difference, int *error) {
    constexpr int kRounds = 100;  // others may create and remove it meanwhile
    char path[platform::SharedMemory::kLongestPath];
    *difference = Difference::none;
    *is_new = true;
    if (!platform::kSharesMemory) return Status::unsupported;
    if (name == nullptr) return create(nullptr);
    if (!platform::SharedMemory::find_path(name, path, sizeof path)) return Status::invalid_argument;
    for (int round = 0; round < kRounds; ++round) {
        Status s = attach_shared(memory, path, object, difference, error);
        *is_new = s == Status::stale;
        if (*is_new) s = create(path);
        if (s != Status::stale) return s;
    }
    *error = EBUSY;
    return Status::system;
}

// Removes the name of a bucket or a table, whatever is wrong with it. mismatch: it is that of something else.
Status remove_shared(const char *name, Difference *difference, int *error);

bool is_same_rate(const LimitSpec &a, const LimitSpec &b);

}  // namespace tb

#endif
