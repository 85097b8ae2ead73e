// Epochs of reservations: what tells one that a reset has made void, or that was counted in other units, from one of
// the present. A reset and a change of the units each begin a new epoch. A ticket carries its epoch modulo 8; the last
// 8 are known, and a ticket that is older than the epoch it names began is known to be from 8 or more epochs ago.
#ifndef TOKENBUCKET_CORE_BUCKET_EPOCHS_H
#define TOKENBUCKET_CORE_BUCKET_EPOCHS_H

#include <cstdint>

#include "core/bucket/plan.h"

namespace tb {

inline constexpr uint64_t kEpochs = 8;

class Epochs {
  public:
    // The plan `next` starts the epoch after the one of `previous`; earlier tickets are void or not.
    void begin(const Plan &previous, bool voids, Plan *next);

    // Is the ticket of the plan's epoch, or of a known one that was not made void?
    bool is_valid(const Plan &plan, uint64_t ticket, int64_t issued_ns) const;

  private:
    bool voided_[kEpochs] = {};  // at the epoch's end
    int64_t began_ns_[kEpochs] = {};
};

}  // namespace tb

#endif
