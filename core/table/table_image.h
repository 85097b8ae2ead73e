// What a table remembers: in memory of its process, or in memory that processes share. The lines stand behind it.
#ifndef TOKENBUCKET_CORE_TABLE_TABLE_IMAGE_H
#define TOKENBUCKET_CORE_TABLE_TABLE_IMAGE_H

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "core/bucket/undos.h"
#include "core/table/live_plan.h"
#include "core/table/slot.h"

namespace tb {

enum class WhenFull : uint32_t {
    evict_fullest,  // its key loses what it has taken; of 16 slots, one that is not in debt
    deny,           // the new key is denied: table_full
    admit,          // the new key is granted what it asks for, and nothing is remembered
};

struct alignas(Line) TableImage {
    TableImage(const Plan &its_plan, const LimitSpec &spec) : plan(its_plan, spec) {}

    static std::size_t size(uint64_t lines) {
        return sizeof(TableImage) + static_cast<std::size_t>(lines) * sizeof(Line);
    }
    Line *lines() { return reinterpret_cast<Line *>(this + 1); }

    LivePlanImage plan;
    alignas(Line) std::atomic<uint64_t> evicted{0};  // apart from the plan, which all read
    std::atomic<double> forgiven{0};
    Undos undos;
};

}  // namespace tb

#endif
