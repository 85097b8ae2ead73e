// What a reservation's ticket says: the index and serial number of its entry, both 0 if it was due at once and has
// none, and the era (Plan::era) in which it was granted.
#ifndef TOKENBUCKET_CORE_QUEUE_TICKET_H
#define TOKENBUCKET_CORE_QUEUE_TICKET_H

#include <cstdint>

#include "core/queue/chain.h"

namespace tb {

struct Ticket {
    static constexpr unsigned kIndexBits = Chain::kIndexBits;

    uint32_t index;
    uint32_t serial;
    uint64_t era;

    static Ticket decoded(uint64_t value) {
        return {static_cast<uint32_t>(value % (1u << kIndexBits)),
                static_cast<uint32_t>(value >> kIndexBits) % (1u << Chain::kSerialBits),
                value >> (kIndexBits + Chain::kSerialBits)};
    }
    uint64_t encoded() const {
        return era << (kIndexBits + Chain::kSerialBits) | uint64_t{serial} << kIndexBits | index;
    }
};

static_assert(Arena::kMostEntries < 1u << Ticket::kIndexBits);
static_assert(kEras == uint64_t{1} << (64 - Ticket::kIndexBits - Chain::kSerialBits));

}  // namespace tb

#endif
