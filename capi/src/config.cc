#include "capi/src/config.h"

#include <cstddef>
#include <cstring>

namespace tb::capi {
namespace {

constexpr uint32_t kFlags = TB_PRECISE_WAIT | TB_STATISTICS;
constexpr int64_t kSecond = 1000000000;
// The smallest struct ends with the rate.
constexpr std::size_t kSmallestStruct = offsetof(tb_config, rate_period_ns) + sizeof(int64_t);

bool is_zero(const unsigned char *bytes, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i)
        if (bytes[i] != 0) return false;
    return true;
}

// Every version's size is a multiple of the alignment.
bool is_size(std::size_t size) {
    return size >= kSmallestStruct && size <= kLargestStruct && size % alignof(tb_config) == 0;
}

tb_config defaults(std::size_t size) {
    return {size, 0, 0, kSecond, TB_INITIALLY_FULL, nullptr, 0, 0, 0, 0, nullptr, nullptr, nullptr, nullptr, 0};
}

std::size_t known(std::size_t size) {
    return size < sizeof(tb_config) ? size : sizeof(tb_config);
}

Status initial_units(const Limit &limit, double tokens, int64_t *units) {
    const uint64_t full = limit.capacity;
    if (tokens == TB_INITIALLY_FULL || tokens == 0) {
        *units = tokens == 0 ? 0 : static_cast<int64_t>(full);
        return Status::success;
    }
    if (!is_amount(tokens)) return Status::invalid_argument;
    if (tokens > limit.capacity_tokens) return Status::out_of_range;
    const uint64_t asked = to_units(limit.units.scale, tokens, TBU_DOWN);
    *units = static_cast<int64_t>(asked < full ? asked : full);
    return Status::success;
}

}  // namespace

Status read_config(const tb_config *config, ParsedConfig *parsed) {
    if (config == nullptr || !is_size(config->struct_size)) return Status::invalid_argument;
    const std::size_t size = config->struct_size;
    const unsigned char *const bytes = reinterpret_cast<const unsigned char *>(config);
    if (!is_zero(bytes + known(size), size - known(size))) return Status::unsupported;
    ParsedConfig p{};
    p.config = defaults(size);
    std::memcpy(&p.config, bytes, known(size));
    const tb_config &c = p.config;
    if (c.max_waiters < 0 || c.max_lateness_ns < 0) return Status::invalid_argument;
    if ((c.flags & ~kFlags) != 0 || c.reserved != 0) return Status::unsupported;
    if (const Status s = make_limit({c.capacity, c.rate_tokens, c.rate_period_ns}, &p.limit); s != Status::success)
        return s;
    if (const Status s = initial_units(p.limit, c.initial_tokens, &p.initial_units); s != Status::success) return s;
    *parsed = p;
    return Status::success;
}

Status write_config(const tb_config &full, tb_config *config) {
    if (config == nullptr || !is_size(config->struct_size)) return Status::invalid_argument;
    tb_config c = full;
    c.struct_size = config->struct_size;
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
