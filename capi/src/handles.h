// What the opaque handles point to, and how memory for them is had without the C++ runtime library.
#ifndef TOKENBUCKET_CAPI_SRC_HANDLES_H
#define TOKENBUCKET_CAPI_SRC_HANDLES_H

#include <cassert>
#include <cstdlib>
#include <new>
#include <utility>

#include "capi/include/tokenbucket.h"
#include "capi/src/config.h"
#include "core/bucket/bucket.h"
#include "core/clock/clock.h"
#include "core/wait/room.h"
#include "core/wait/statistics.h"

// In debug builds a handle that is dead or of another type stops the program.
class Magic {
#ifdef NDEBUG
  public:
    explicit Magic(uint64_t) {}
    void check(uint64_t) const {}
#else
  public:
    explicit Magic(uint64_t word) : word_(word) {}
    ~Magic() {
        const_cast<volatile uint64_t &>(word_) = 0;
    }
    void check(uint64_t word) const {
        assert(word_ == word && "dead or foreign tokenbucket handle");
    }

  private:
    uint64_t word_;
#endif
};

struct tb_clock {
    static constexpr uint64_t kMagic = 0x6b636f6c632d6274;

    template <class... Args>
    explicit tb_clock(Args... args) : clock(args...), magic(kMagic) {}

    tb::Clock clock;
    [[no_unique_address]] Magic magic;
};

struct tb_bucket : tb::TimedBucket {
    static constexpr uint64_t kMagic = 0x74656b6375622d74;

    // `counters`: null, or what counts, which the bucket then owns.
    tb_bucket(const tb::capi::Request &request, bool use_counter, tb::Statistics *counters)
        : TimedBucket(request.limit, request.initial_units, request.clock != nullptr ? &request.clock->clock : nullptr,
                      use_counter, counters != nullptr || request.manner.on_event != nullptr),
          room(&bucket, &time, {request.manner.max_waiters, (request.manner.flags & TB_PRECISE_WAIT) != 0, counters}),
          statistics(counters),
          manner(request.manner),
          clock_handle(request.clock),
          magic(kMagic) {}

    bool is_watched() const { return statistics != nullptr || manner.on_event != nullptr; }

    tb::WaitRoom room;
    tb::Statistics *const statistics;
    const tb::capi::Manner manner;
    tb_clock *const clock_handle;
    [[no_unique_address]] Magic magic;
};

namespace tb::capi {

template <class T, class... Args>
T *create(Args &&...args) {
    static_assert(sizeof(T) % alignof(T) == 0);
    void *const memory = std::aligned_alloc(alignof(T) > alignof(void *) ? alignof(T) : alignof(void *), sizeof(T));
    return memory == nullptr ? nullptr : new (memory) T(std::forward<Args>(args)...);
}

template <class T>
void destroy(T *object) {
    object->~T();
    std::free(object);
}

inline tb_status to_c(Status status) {
    return static_cast<tb_status>(status);
}

// NULL is for the caller to refuse; anything else must be alive.
template <class Handle>
bool is_null(const Handle *handle) {
    if (handle != nullptr) handle->magic.check(Handle::kMagic);
    return handle == nullptr;
}

}  // namespace tb::capi

#endif
