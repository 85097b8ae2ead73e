// A queue as plain data of a fixed layout, by which processes hand it to each other. An entry keeps its index; the
// trees are not in it, but built anew. The entries stand behind it, as many as there is memory for. One that nobody
// wrote in good faith may be read, too: what would lead the queue out of its memory or into a circle is refused, all
// else is a strange queue.
#ifndef TOKENBUCKET_CORE_QUEUE_IMAGE_H
#define TOKENBUCKET_CORE_QUEUE_IMAGE_H

#include <cstdint>

#include "core/queue/arena.h"
#include "core/units/accrual.h"

namespace tb {

struct EntryImage {
    uint64_t position;
    uint64_t arrival;
    int64_t cost;
    int64_t time_ns;
    Summary below;  // of one that is due
    // Of a waiter: what its alarm says, and see Waiter.
    int64_t told_ns;
    int64_t due_since_ns;
    int32_t outcome;
    uint32_t serial;
    uint32_t next;  // of one that is due, in the order of these
    uint8_t place;  // a Place
    uint8_t is_thread;
    uint8_t was_late;
    uint8_t in_vain;
};
static_assert(sizeof(EntryImage) == 88);

struct QueueImage {
    static constexpr uint32_t kMostEntries = 1000;  // that any queue of this kind has memory for

    uint64_t base;
    uint64_t base_before_due;
    int64_t headroom;
    int64_t capacity;
    uint64_t arrivals;
    uint64_t last_word;
    int64_t looked_ns;
    tbu_position looked_at;
    uint32_t serial;
    uint32_t first_due;
    uint32_t reached;  // indices 1 .. reached are used or free; more than there is memory for: damaged
    uint32_t unused;

    EntryImage *entries() { return reinterpret_cast<EntryImage *>(this + 1); }
    const EntryImage *entries() const { return reinterpret_cast<const EntryImage *>(this + 1); }
};
static_assert(sizeof(QueueImage) == 96);

}  // namespace tb

#endif
