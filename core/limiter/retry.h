// The one retry loop of operations that take no lock.
#ifndef TOKENBUCKET_CORE_LIMITER_RETRY_H
#define TOKENBUCKET_CORE_LIMITER_RETRY_H

#include <cstdint>

#include "core/bucket/cell.h"
#include "core/bucket/decide.h"
#include "core/clock/time_source.h"
#include "core/platform/platform.h"

namespace tb {

// The state word before and after the clock was read. If both are the same and the reading was ordered, the bucket was
// in that state at that time. A reading that was not ordered may be up to kDisorderNs older.
struct Glance {
    uint64_t before;
    int64_t now;
    uint64_t word;
    bool ordered;
};

// Longer than any load takes (counter.h): up to 3 us were measured where two processors fight for the line.
inline constexpr int64_t kDisorderNs = 65536;

// Would a denied amount be denied kDisorderNs later, too?
inline bool is_surely_denied(const Decision &d, const PlanSlot &plan) {
    const uint64_t most_per_ns = plan.at<offsetof(Plan, rate) + offsetof(tbu_rate, whole)>() + 1;
    return static_cast<uint64_t>(d.cost) - static_cast<uint64_t>(d.rest) > most_per_ns * kDisorderNs;
}

// The pause of a thread that lost a compare-and-swap: as long as a few takes, in which the winner keeps the cache line.
// By measurement: if it is shorter the line moves at every take, if it is longer the loser's calls take that longer.
inline void wait_after_loss() {
    platform::back_off(2);
}

// operation(glance) decides by glance.word, which is not older than glance.now, so it can only under-grant. It is
// repeated with a new glance while it returns stale, or denied although the word has changed since glance.before. From
// the second glance on the reading is ordered.
template <class Operation>
Status retry_until_current(const Cell &cell, TimeSource *time, Operation operation) {
    for (int round = 0;; ++round) {
        const bool ordered = round != 0;
        const uint64_t before = cell.word();
        const int64_t now = ordered ? time->now_ordered() : time->now();
        const Status s = operation(Glance{before, now, cell.word(), ordered});
        if (s != Status::stale && (s != Status::denied || cell.word() == before)) [[likely]]
            return s;
        if (ordered) wait_after_loss();
    }
}

}  // namespace tb

#endif
