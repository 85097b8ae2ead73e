// Buckets and tables that processes share: check, call the core, translate.
#include "capi/src/config.h"
#include "capi/src/handles.h"
#include "core/shared/shared_state.h"
#include "core/table/shared_table.h"

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

// *table is set on success, and then owns the memory.
Status open_table(const tb::capi::ParsedConfig &parsed, tb::TableOptions options, const char *name, uint32_t flags,
                  tb::SharedTable *shared, tb_table **table, int32_t *out_fault) {
    const tb_config &c = parsed.config;
    tb::Difference difference{};
    int error = 0;
    const Status s = shared->open(name,
                                  {{c.capacity, c.rate_tokens, c.rate_period_ns},
                                   parsed.limit,
                                   options.lines,
                                   options.when_full,
                                   tb::platform::monotonic_ns(),
                                   (flags & TB_SHARED_ADOPT) != 0},
                                  &difference, &error);
    tell(s, difference, error, out_fault);
    if (s != Status::success) return s;
    options.share(shared);
    *table = tb::capi::create_table(parsed, options);
    return *table == nullptr ? Status::out_of_memory : Status::success;
}

}  // namespace

extern "C" {

tb_status tb_shared_open(const tb_config *config, const char *name, uint32_t flags, tb_bucket **out_bucket,
                         int32_t *out_fault) {
    if (out_bucket == nullptr) return TB_E_INVALID_ARGUMENT;
    tb::capi::ParsedConfig parsed;
    tb_config_fault fault;
    if (const Status s = tb::capi::read_config(config, &parsed, &fault); s != Status::success) return to_c(s);
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

tb_status tb_shared_table_open(const tb_config *limit, const tb_table_config *config, const char *name, uint32_t flags,
                               tb_table **out_table, int32_t *out_fault) {
    if (out_table == nullptr) return TB_E_INVALID_ARGUMENT;
    tb::capi::ParsedConfig parsed;
    tb::TableOptions options;
    tb_config_fault fault;
    if (const Status s = tb::capi::read_table(limit, config, &parsed, &options, &fault); s != Status::success)
        return to_c(s);
    if (parsed.config.clock != nullptr || (flags & ~TB_SHARED_ADOPT) != 0) return TB_E_UNSUPPORTED;
    tb::SharedTable *const shared = tb::create<tb::SharedTable>();
    if (shared == nullptr) return TB_E_OUT_OF_MEMORY;
    tb_table *table = nullptr;
    const Status s = open_table(parsed, options, name, flags, shared, &table, out_fault);
    if (table == nullptr) tb::destroy(shared);
    if (table != nullptr) *out_table = table;
    return to_c(s);
}

tb_status tb_shared_remove(const char *name, int32_t *out_fault) {
    if (name == nullptr) return TB_E_INVALID_ARGUMENT;
    tb::Difference difference{};
    int error = 0;
    const Status s = tb::remove_shared(name, &difference, &error);
    tell(s, difference, error, out_fault);
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
            return "the shared memory holds what no bucket or table does";
        case TB_SHARED_CAPACITY:
            return "the shared limit has another capacity";
        case TB_SHARED_RATE:
            return "the shared limit has another rate";
        case TB_SHARED_OBJECT:
            return "the shared memory is a bucket and no table, or the reverse";
        case TB_SHARED_PLACES:
            return "the shared table has room for more or fewer keys";
        case TB_SHARED_FULL:
            return "the shared table does otherwise with a new key when it is full";
        default:
            return "unknown fault";
    }
}

}  // extern "C"
