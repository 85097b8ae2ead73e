// The full answer to a take.
#ifndef TOKENBUCKET_CORE_BUCKET_ANSWER_H
#define TOKENBUCKET_CORE_BUCKET_ANSWER_H

#include <cstddef>
#include <cstdint>

#include "core/bucket/decide.h"

namespace tb {

// TBU_NEVER for a time that is longer than any int64_t.
struct Answer {
    double remaining;
    int64_t retry_after_ns;
    int64_t reset_after_ns;
};

// What the answer to a decision follows from.
struct Terms {
    Decision decision;
    uint64_t scale;
    int64_t capacity;
    tbu_rate rate;

    // False if the plan was replaced during the reading.
    [[gnu::always_inline]] bool read(const Decision &d, const PlanSlot &slot) {
        const uint64_t version = slot.version();
        decision = d;
        scale = slot.at<offsetof(Plan, scale)>();
        capacity = static_cast<int64_t>(slot.at<offsetof(Plan, capacity)>());
        rate = speed_of(slot);
        rate.reciprocal = wide_at<offsetof(Plan, rate) + offsetof(tbu_rate, reciprocal)>(slot);
        return slot.is_still(version);
    }
    // Has a meaning for success, denied and exceeds_capacity.
    [[gnu::always_inline]] Answer answer() const {
        const Decision &d = decision;
        int64_t retry_after_ns = d.status == Status::exceeds_capacity ? TBU_NEVER : 0;
        if (d.status == Status::denied) retry_after_ns = time_to_grow(rate, d.at, d.rest, d.cost);
        return {to_tokens(scale, d.rest > 0 ? d.rest : 0), retry_after_ns, time_to_grow(rate, d.at, d.rest, capacity)};
    }
};

}  // namespace tb

#endif
