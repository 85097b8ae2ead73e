// Epochs of positions. A position keeps its meaning through every change of the rate and of the capacity, except that a
// reset makes all earlier ones void, and a capacity of another order of magnitude is counted in other units. Either
// begins a new epoch. A ticket carries its epoch modulo 8; the passages of the last 7 are kept, and a ticket that is
// older than the epoch it names began is known to be from 8 or more epochs ago.
#ifndef TOKENBUCKET_CORE_BUCKET_EPOCHS_H
#define TOKENBUCKET_CORE_BUCKET_EPOCHS_H

#include <cstdint>

#include "core/bucket/plan.h"

namespace tb {

inline constexpr uint64_t kEpochs = 8;

// From one epoch to the next: position `from`, one token being from_scale units, became `to`. from_scale 0: void.
struct Passage {
    uint64_t from;
    uint64_t to;
    uint64_t from_scale;
    uint64_t to_scale;
};

// floor(units * to_scale / from_scale) towards minus infinity; INT64_MIN or INT64_MAX if it does not fit.
int64_t rescale(int64_t units, uint64_t from_scale, uint64_t to_scale);

class Epochs {
  public:
    // The plan `next` starts the epoch after the one of `previous`.
    void begin(const Plan &previous, const Passage &passage, Plan *next);

    // A ticket's position in the plan's epoch; false if it means nothing any more.
    bool translate(const Plan &plan, uint64_t ticket, int64_t issued_ns, uint64_t *position) const;

  private:
    Passage passages_[kEpochs] = {};
    int64_t began_ns_[kEpochs] = {};
};

}  // namespace tb

#endif
