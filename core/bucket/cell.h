// A cell: the state word and the two plan slots it picks from. Every change of a bucket is one compare-and-swap of the
// word.
#ifndef TOKENBUCKET_CORE_BUCKET_CELL_H
#define TOKENBUCKET_CORE_BUCKET_CELL_H

#include <atomic>
#include <cstdint>

#include "core/bucket/plan.h"

namespace tb {

class Cell {
  public:
    // With `units` units in the bucket at the base of the plan; negative: a debt.
    Cell(const Plan &plan, int64_t units) {
        slots_[0].store(plan);
        slots_[1].store(plan);
        word_.store(word_at(plan.base.units - static_cast<uint64_t>(units), 0), std::memory_order_release);
    }

    uint64_t word() const { return word_.load(std::memory_order_acquire); }
    bool compare_exchange(uint64_t word, uint64_t next) {
        return word_.compare_exchange_strong(word, next, std::memory_order_acq_rel, std::memory_order_relaxed);
    }

    const PlanSlot &plan(uint64_t word) const { return slots_[word & 1]; }

    // A word and its plan that were in force at one time: the plan did not change until after the word was read.
    // The rounds end also if damage to a shared cell makes a slot seem to be written for ever.
    Plan read(uint64_t *word) const {
        constexpr int kMostRounds = 1 << 10;
        for (int round = 0;; ++round) {
            const PlanSlot &slot = plan(this->word());
            const uint64_t version = slot.version();
            const Plan p = slot.load();
            *word = this->word();
            if ((&slot == &plan(*word) && slot.is_still(version)) || round == kMostRounds) return p;
        }
    }

    // For one writer at a time: writes the spare slot. The compare-and-swap of `word` to one of the next generation
    // puts that plan in force.
    void prepare(uint64_t word, const Plan &next) { slots_[~word & 1].store(next); }

  private:
    std::atomic<uint64_t> word_;
    PlanSlot slots_[2];
};

}  // namespace tb

#endif
