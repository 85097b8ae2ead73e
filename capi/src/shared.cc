// Buckets that processes share: check, call the core, translate.
#include "capi/src/config.h"
#include "capi/src/handles.h"
#include "core/shared/shared_state.h"

namespace {

using tb::Status;
using tb::capi::to_c;

void tell(Status s, tb::Difference difference, int error, int32_t *out_fault) {
    if (out_fault == nullptr) return;
    if (s == Status::mismatch) *out_fault = static_cast<int32_t>(difference);
    if (s == Status::system) *out_fault = error;
}

// *bucket is set on success, and then owns the state.
Status open(const tb::capi::ParsedConfig &parsed, const char *name, uint32_t flags, tb::SharedState *state,
            tb_bucket **bucket, int32_t *out_fault) {
    const tb_config &c = parsed.config;
    tb::Difference difference{};
    int error = 0;
    const Status s = state->open(name,
                                 {{c.capacity, c.rate_tokens, c.rate_period_ns},
                                  parsed.limit,
                                  parsed.initial_units,
                                  tb::platform::monotonic_ns(),
                                  (flags & TB_SHARED_ADOPT) != 0},
                                 &difference, &error);
    tell(s, difference, error, out_fault);
    if (s != Status::success) return s;
    *bucket = tb::capi::create_bucket(parsed, state);
    if (*bucket == nullptr) return Status::out_of_memory;
    return Status::success;
}

}  // namespace

extern "C" {

tb_status tb_shared_open(const tb_config *config, const char *name, uint32_t flags, tb_bucket **out_bucket,
                         int32_t *out_fault) {
    if (out_bucket == nullptr) return TB_E_INVALID_ARGUMENT;
    tb::capi::ParsedConfig parsed;
    if (const Status s = tb::capi::read_config(config, &parsed); s != Status::success) return to_c(s);
    if (parsed.config.clock != nullptr || (flags & ~TB_SHARED_ADOPT) != 0) return TB_E_UNSUPPORTED;
    tb::SharedState *const state = tb::create<tb::SharedState>();
    if (state == nullptr) return TB_E_OUT_OF_MEMORY;
    tb_bucket *bucket = nullptr;
    Status s = open(parsed, name, flags, state, &bucket, out_fault);
    if (bucket == nullptr) tb::destroy(state);
    if (s == Status::success && !bucket->limiter.make_shared_queue()) {
        tb_destroy(bucket);
        s = Status::out_of_memory;
    }
    if (s == Status::success) *out_bucket = bucket;
    return to_c(s);
}

tb_status tb_shared_remove(const char *name, int32_t *out_fault) {
    if (name == nullptr) return TB_E_INVALID_ARGUMENT;
    int error = 0;
    const Status s = tb::remove_shared(name, &error);
    tell(s, tb::Difference::none, error, out_fault);
    return to_c(s);
}

const char *tb_shared_fault_message(int32_t fault) {
    switch (fault) {
        case TB_SHARED_KIND:
            return "what has that name is no plain file";
        case TB_SHARED_OWNER:
            return "the shared memory belongs to another user";
        case TB_SHARED_MODE:
            return "the shared memory may be read or written by other users";
        case TB_SHARED_SIZE:
            return "the shared memory is too short";
        case TB_SHARED_LAYOUT:
            return "the shared memory is of another version of the library, or none of it";
        case TB_SHARED_BOOT:
            return "the shared memory is from an earlier boot of the machine";
        case TB_SHARED_CLOCK:
            return "the shared memory belongs to another time namespace";
        case TB_SHARED_DAMAGED:
            return "the shared memory holds what no bucket does";
        case TB_SHARED_CAPACITY:
            return "the shared bucket has another capacity";
        case TB_SHARED_RATE:
            return "the shared bucket has another rate";
        default:
            return "unknown fault";
    }
}

}  // extern "C"
