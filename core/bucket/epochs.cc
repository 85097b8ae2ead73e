#include "core/bucket/epochs.h"

namespace tb {
namespace {

// Farther than that from the base a position cannot be told from one on its other side: it was passed long ago.
constexpr int64_t kMaxOffset = static_cast<int64_t>(kMaxDebtUnits);

}  // namespace

int64_t rescale(int64_t units, uint64_t from_scale, uint64_t to_scale) {
    const bool negative = units < 0;
    const uint64_t magnitude = negative ? 0 - static_cast<uint64_t>(units) : static_cast<uint64_t>(units);
    const tbu_quotient q = tbu_divide(tbu_mul(magnitude, to_scale), {0, from_scale});
    const bool round_away = negative && (q.remainder.hi | q.remainder.lo) != 0;
    const tbu_wide whole = tbu_add64(q.quotient, round_away ? 1 : 0);
    if (whole.hi != 0 || whole.lo > static_cast<uint64_t>(INT64_MAX)) return negative ? INT64_MIN : INT64_MAX;
    return negative ? -static_cast<int64_t>(whole.lo) : static_cast<int64_t>(whole.lo);
}

void Epochs::begin(const Plan &previous, const Passage &passage, Plan *next) {
    passages_[previous.epoch % kEpochs] = passage;
    next->epoch = previous.epoch + 1;
    next->epoch_began_ns = next->base_ns;
    // Should 8 epochs pass within one nanosecond, times cannot tell their tickets apart: those of that instant are
    // void.
    const bool ambiguous = next->epoch >= kEpochs && began_ns_[(next->epoch + 1) % kEpochs] >= next->base_ns;
    if (ambiguous && next->base_ns < INT64_MAX) ++next->epoch_began_ns;
    began_ns_[next->epoch % kEpochs] = next->epoch_began_ns;
}

bool Epochs::translate(const Plan &plan, uint64_t ticket, int64_t issued_ns, uint64_t *position) const {
    const uint64_t age = (plan.epoch - ticket) % kEpochs;
    if (age > plan.epoch || issued_ns < began_ns_[ticket % kEpochs]) return false;
    uint64_t units = ticket >> kGenerationBits;
    for (uint64_t epoch = plan.epoch - age; epoch != plan.epoch; ++epoch) {
        const Passage &p = passages_[epoch % kEpochs];
        if (p.from_scale == 0) return false;
        const int64_t offset = rescale(position_difference(units, p.from), p.from_scale, p.to_scale);
        if (offset < -kMaxOffset || offset > kMaxOffset) return false;
        units = p.to + static_cast<uint64_t>(offset);
    }
    *position = units;
    return true;
}

}  // namespace tb
