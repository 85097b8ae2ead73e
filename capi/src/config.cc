#include "capi/src/config.h"

#include <cstddef>
#include <cstring>

#include "capi/src/handles.h"

namespace tb::capi {
namespace {

constexpr uint32_t kFlags = TB_PRECISE_WAIT | TB_STATISTICS;
constexpr int64_t kSecond = 1000000000;
// Up to the rate: the part without which there is no limit.
constexpr std::size_t kSmallestStruct = offsetof(tb_config, rate_period_ns) + sizeof(int64_t);

static_assert(sizeof(tb_config) == 88 && offsetof(tb_config, unit) == 48 && offsetof(tb_config, on_event) == 72);

bool is_zero(const unsigned char *bytes, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i)
        if (bytes[i] != 0) return false;
    return true;
}

// A size that ends inside a field was never any version's.
bool is_size(std::size_t size) {
    return size >= kSmallestStruct && size <= kLargestStruct && size % sizeof(double) == 0;
}

tb_config defaults(std::size_t size) {
    return {size, 0, 0, kSecond, TB_INITIALLY_FULL, nullptr, 0, 0, 0, 0, nullptr, nullptr};
}

std::size_t known(std::size_t size) {
    return size < sizeof(tb_config) ? size : sizeof(tb_config);
}

Status initial_units(const Limit &limit, double tokens, int64_t *units) {
    const uint64_t full = limit.capacity_units;
    if (tokens == TB_INITIALLY_FULL || tokens == 0) {
        *units = tokens == 0 ? 0 : static_cast<int64_t>(full);
        return Status::success;
    }
    if (!is_amount(tokens)) return Status::invalid_argument;
    if (tokens > limit.spec.capacity) return Status::out_of_range;
    const uint64_t asked = to_units(limit, tokens, TBU_DOWN);
    *units = static_cast<int64_t>(asked < full ? asked : full);
    return Status::success;
}

}  // namespace

Status read_config(const tb_config *config, Request *request) {
    if (config == nullptr || !is_size(config->struct_size)) return Status::invalid_argument;
    const std::size_t size = config->struct_size;
    const unsigned char *const bytes = reinterpret_cast<const unsigned char *>(config);
    if (!is_zero(bytes + known(size), size - known(size))) return Status::unsupported;
    tb_config c = defaults(size);
    std::memcpy(&c, bytes, known(size));
    if (c.clock != nullptr) is_null(c.clock);
    if (c.max_waiters < 0) return Status::invalid_argument;
    if ((c.flags & ~kFlags) != 0 || c.reserved != 0) return Status::unsupported;
    Request r{};
    if (const Status s = make_limit({c.capacity, c.rate_tokens, c.rate_period_ns}, &r.limit); s != Status::success)
        return s;
    if (const Status s = initial_units(r.limit, c.initial_tokens, &r.initial_units); s != Status::success) return s;
    r.clock = c.clock;
    r.manner = {c.max_waiters, c.flags, c.on_event, c.event_user};
    *request = r;
    return Status::success;
}

Status write_config(const Limit &limit, tb_clock *clock, const Manner &manner, tb_config *config) {
    if (config == nullptr || !is_size(config->struct_size)) return Status::invalid_argument;
    const tb_config c{config->struct_size,
                      limit.spec.capacity,
                      limit.spec.rate_tokens,
                      limit.spec.rate_period_ns,
                      TB_INITIALLY_FULL,
                      clock,
                      1.0 / static_cast<double>(tbu_power_of_ten(static_cast<int>(limit.places))),
                      manner.max_waiters,
                      manner.flags,
                      0,
                      manner.on_event,
                      manner.event_user};
    std::memcpy(static_cast<void *>(config), &c, known(c.struct_size));
    return Status::success;
}

}  // namespace tb::capi

extern "C" tb_status tb_config_init(tb_config *config, size_t struct_size) {
    using namespace tb::capi;
    if (config == nullptr || !is_size(struct_size)) return TB_E_INVALID_ARGUMENT;
    const tb_config c = defaults(struct_size);
    std::memset(static_cast<void *>(config), 0, struct_size);
    std::memcpy(static_cast<void *>(config), &c, known(struct_size));
    return TB_SUCCESS;
}
