// What the opaque handles point to.
#ifndef TOKENBUCKET_CAPI_SRC_HANDLES_H
#define TOKENBUCKET_CAPI_SRC_HANDLES_H

#include <cassert>

#include "capi/include/tokenbucket.h"
#include "capi/src/config.h"
#include "core/clock/clock.h"
#include "core/compose/joint_wait.h"
#include "core/limiter/limiter.h"
#include "core/memory.h"
#include "core/remote/remote_limit.h"
#include "core/table/table.h"

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

struct tb_clock : tb::Clock {
    static constexpr uint64_t kMagic = 0x6b636f6c632d6274;

    template <class... Args>
    explicit tb_clock(Args... args) : Clock(args...), magic(kMagic) {}

    [[no_unique_address]] Magic magic;
};

// The observer of a bucket with TB_STATISTICS or on_event. The bucket owns it and its statistics, which may be null.
struct tb_observer : tb::Observer {
    tb_observer(tb::Statistics *statistics, tb_event_fn event_function, void *user_data);

    const tb_event_fn on_event;
    void *const user;
};

struct tb_bucket {
    static constexpr uint64_t kMagic = 0x74656b6375622d74;

    // The observer and the shared state, which may be null, and the options, unless they are kNoWaitOptions, become the
    // bucket's own.
    tb_bucket(const tb::capi::ParsedConfig &parsed, bool use_counter, const tb::WaitOptions *waiting,
              const tb_observer *observer, tb::SharedState *shared)
        : magic(kMagic),
          limiter({parsed.config.capacity, parsed.config.rate_tokens, parsed.config.rate_period_ns}, parsed.limit,
                  parsed.initial_units, {parsed.config.clock, use_counter, waiting, observer, shared}) {}

    const tb_observer *observer() const { return static_cast<const tb_observer *>(limiter.observer()); }
    tb_clock *clock() const { return static_cast<tb_clock *>(limiter.clock()); }

    // Alive until the limiter's threads have left.
    [[no_unique_address]] Magic magic;
    tb::Limiter limiter;
};

struct tb_table {
    static constexpr uint64_t kMagic = 0x656c626174627462;

    tb_table(const tb::LimitSpec &spec, const tb::Limit &limit, const tb::TableOptions &options)
        : magic(kMagic), table(spec, limit, options) {}

    tb_clock *clock() { return static_cast<tb_clock *>(table.clock()); }

    // Alive until the table's threads have left.
    [[no_unique_address]] Magic magic;
    tb::Table table;
};

struct tb_waiter_all {
    static constexpr uint64_t kMagic = 0x6c6c612d74696177;

    tb_waiter_all(tb::JointWait::Part *its_parts, int its_count, uint64_t tag)
        : magic(kMagic), parts(its_parts), count(its_count), wait(its_parts, its_count, tag) {}

    [[no_unique_address]] Magic magic;
    tb::platform::ForkSafeLock lock;  // of the wait
    tb::JointWait::Part *const parts;
    const int count;
    tb::JointWait wait;
};

struct tb_remote {
    static constexpr uint64_t kMagic = 0x65746f6d65722d74;

    tb_remote(const tb::LimitSpec &its_spec, const tb::RemoteLimit &its_limit)
        : magic(kMagic), spec(its_spec), limit(its_limit) {}

    [[no_unique_address]] Magic magic;
    const tb::LimitSpec spec;
    const tb::RemoteLimit limit;
};

namespace tb::capi {

inline tb_status to_c(Status status) {
    return static_cast<tb_status>(status);
}

// Is the handle NULL? If not it must be alive, which debug builds check.
template <class Handle>
bool is_null(const Handle *handle) {
    if (handle != nullptr) handle->magic.check(Handle::kMagic);
    return handle == nullptr;
}

// Null if there is no memory. The shared state, which may be null, becomes the bucket's own with success.
tb_bucket *create_bucket(const ParsedConfig &parsed, SharedState *shared);

// Checks the limit of a table and its config, but for the clock, which must be alive.
Status read_table(const tb_config *limit, const tb_table_config *config, ParsedConfig *parsed, TableOptions *options,
                  tb_config_fault *fault);
// Null if there is no memory. options.shared, which may be null, becomes the table's own with success.
tb_table *create_table(const ParsedConfig &parsed, TableOptions options);

// The options of a config, for destroy_wait_options; null if there is no memory.
const tb::WaitOptions *create_wait_options(const tb_config &config);
void destroy_wait_options(const tb::WaitOptions *options);
// Writes them into a config, and no other flags.
void describe(const tb::WaitOptions &waiting, tb_config *config);

inline Reservation to_core(const tb_reservation &r) {
    return {r.tokens, r.wait_ns, r.ready_at_ns, r.ticket};
}
inline tb_reservation to_c(const Reservation &r) {
    return {r.tokens, r.wait_ns, r.ready_at_ns, r.ticket};
}

// Gives up one reference to a clock, which may be NULL; the last one destroys it.
void release_clock(tb_clock *clock);

}  // namespace tb::capi

#endif
