#include "core/bucket/epochs.h"

namespace tb {

void Epochs::begin(const Plan &previous, bool voids, Plan *next) {
    voided_[previous.epoch % kEpochs] = voids;
    next->epoch = previous.epoch + 1;
    next->epoch_began_ns = next->base_ns;
    // Should 8 epochs pass within one nanosecond, times cannot tell their tickets apart: those of that instant are
    // void.
    const bool ambiguous = next->epoch >= kEpochs && began_ns_[(next->epoch + 1) % kEpochs] >= next->base_ns;
    if (ambiguous && next->base_ns < INT64_MAX) ++next->epoch_began_ns;
    began_ns_[next->epoch % kEpochs] = next->epoch_began_ns;
}

bool Epochs::is_valid(const Plan &plan, uint64_t ticket, int64_t issued_ns) const {
    const uint64_t age = (plan.epoch - ticket) % kEpochs;
    if (age > plan.epoch || issued_ns < began_ns_[ticket % kEpochs]) return false;
    for (uint64_t epoch = plan.epoch - age; epoch != plan.epoch; ++epoch)
        if (voided_[epoch % kEpochs]) return false;
    return true;
}

}  // namespace tb
