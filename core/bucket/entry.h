// What is promised and not yet due: the claim of one who waits inside the library, or a reservation in a caller's
// hands.
#ifndef TOKENBUCKET_CORE_BUCKET_ENTRY_H
#define TOKENBUCKET_CORE_BUCKET_ENTRY_H

#include <cstdint>

#include "core/bucket/plan.h"

namespace tb {

struct Standing {
    Status outcome;     // Status::waiting, or why it left
    uint64_t position;  // due when as many units have accrued
    int64_t held;       // units of the word that are its own
    int64_t due_ns;
    int64_t others;  // units spent by takes and charges behind it, before the next entry
    uint64_t spent;  // after all of this and of those before it; see Pending
};

struct Entry {
    Standing now;
    Standing next;  // what the change under way makes of it
    Entry *before;
    Entry *after;
    bool is_claim;
};

struct Claim : Entry {
    double n;
    int64_t deadline_ns;

    // Whoever is due at TBU_NEVER is not due even then.
    bool is_due(int64_t at_ns) const { return now.due_ns <= at_ns && now.due_ns != TBU_NEVER; }
};

}  // namespace tb

#endif
