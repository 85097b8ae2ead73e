// The reservations that are pending, and the ids that name them. An id is looked up, never trusted: an edited or
// outdated one finds nothing, since an entry that is used anew gets another serial number; nor, but for an improbable
// accident, does another bucket's, since each begins to count elsewhere. Memory is kept until the
// end: as much as for the most that were ever pending at one time.
#ifndef TOKENBUCKET_CORE_BUCKET_RESERVED_H
#define TOKENBUCKET_CORE_BUCKET_RESERVED_H

#include <cstddef>
#include <cstdint>

#include "core/bucket/entry.h"

namespace tb {

struct Reserved : Entry {
    uint64_t id;  // serial number * 2^24 + index
    bool in_use;
};

class ReservedPool {
  public:
    static constexpr unsigned kIdBits = 60;

    ReservedPool();
    ~ReservedPool();
    ReservedPool(const ReservedPool &) = delete;
    ReservedPool &operator=(const ReservedPool &) = delete;

    // The next one would need more memory.
    bool is_full() const;
    // Null: no memory, or nearly 2^24 are in use.
    Reserved *acquire();
    void release(Reserved *reserved);
    // The entry stays; no ticket names it any more.
    void disown(Reserved *reserved);
    // Null: none of this id is in use.
    Reserved *find(uint64_t id) const;
    // None is in use any more, in whatever state a thread that is gone has left them.
    void forget_all();

  private:
    static constexpr unsigned kIndexBits = 24;
    static constexpr uint64_t kFirstChunk = 64;
    static constexpr std::size_t kChunks = 18;  // each twice the one before

    Reserved *at(uint64_t index) const;
    uint64_t new_id(uint64_t index);

    Reserved *chunks_[kChunks] = {};
    uint64_t given_out_ = 0;  // indices that were ever in use
    Reserved *free_ = nullptr;
    uint64_t serial_;
};

}  // namespace tb

#endif
