// Version, features and status texts.
#include <cstring>

#include "capi/include/tokenbucket.h"
#include "core/platform/counter.h"
#include "core/platform/exchange.h"
#include "core/platform/platform.h"
#include "core/status.h"

namespace {

using namespace tb::platform;

#define TB_TEXT_OF(x) #x
#define TB_TEXT(x) TB_TEXT_OF(x)
constexpr char kVersion[] = TB_TEXT(TB_VERSION_MAJOR) "." TB_TEXT(TB_VERSION_MINOR) "." TB_TEXT(TB_VERSION_PATCH);

// capi/VERSION is the one source; the header must say the same.
static_assert(__builtin_strcmp(kVersion, TOKENBUCKET_VERSION) == 0);

constexpr int32_t kAbi = 1;

constexpr bool same(tb_status c, tb::Status core) {
    return c == static_cast<tb_status>(core);
}
static_assert(same(TB_SUCCESS, tb::Status::success) && same(TB_DENIED, tb::Status::denied));
static_assert(same(TB_TIMED_OUT, tb::Status::timed_out) && same(TB_CLOSED, tb::Status::closed));
static_assert(same(TB_EXCEEDS_CAPACITY, tb::Status::exceeds_capacity));
static_assert(same(TB_INTERRUPTED, tb::Status::interrupted) && same(TB_QUEUE_FULL, tb::Status::queue_full));
static_assert(same(TB_TABLE_FULL, tb::Status::table_full) && same(TB_PENDING, tb::Status::waiting));
static_assert(same(TB_E_INVALID_ARGUMENT, tb::Status::invalid_argument));
static_assert(same(TB_E_OUT_OF_RANGE, tb::Status::out_of_range));
static_assert(same(TB_E_OUT_OF_MEMORY, tb::Status::out_of_memory));
static_assert(same(TB_E_UNSUPPORTED, tb::Status::unsupported));

struct Feature {
    const char *name;
    bool here;
};
constexpr Feature kFeatures[] = {
    {"counter_clock", kHasCounter &&kMayTrustCounter},
    {"interruptible_wait", kSignalsEndSleep},
    {"shared_memory", kSharesMemory},
    {"timer_slack", kNarrowsTimerSlack},
    {"lock_free_table", kHasPairExchange},
};

}  // namespace

extern "C" {

int32_t tb_library_version(void) {
    return TB_VERSION_MAJOR * 10000 + TB_VERSION_MINOR * 100 + TB_VERSION_PATCH;
}

const char *tb_library_version_string(void) {
    return kVersion;
}

int32_t tb_abi_version(void) {
    return kAbi;
}

int32_t tb_has_feature(const char *name) {
    if (name == nullptr) return 0;
    for (const Feature &f : kFeatures)
        if (std::strcmp(name, f.name) == 0) return f.here;
    return 0;
}

const char *tb_status_name(tb_status status) {
#define TB_CASE(name, number, message) \
    case number:                       \
        return #name;
    switch (status) {
        TB_STATUS_LIST(TB_CASE)
        default:
            return "TB_UNKNOWN";
    }
#undef TB_CASE
}

const char *tb_status_message(tb_status status) {
#define TB_CASE(name, number, message) \
    case number:                       \
        return message;
    switch (status) {
        TB_STATUS_LIST(TB_CASE)
        default:
            return "unknown status";
    }
#undef TB_CASE
}

}  // extern "C"
