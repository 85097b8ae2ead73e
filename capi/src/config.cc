#include "capi/src/config.h"

#include <cstddef>
#include <cstring>

namespace tb::capi {
namespace {

constexpr uint32_t kFlags = TB_PRECISE_WAIT | TB_STATISTICS;
constexpr int64_t kSecond = 1000000000;
// The smallest struct ends with the rate.
constexpr std::size_t kSmallestStruct = offsetof(tb_config, rate_period_ns) + sizeof(int64_t);
constexpr std::size_t kLargestStruct = 4096;

tb_config defaults(std::size_t size) {
    return {size, 0, 0, kSecond, TB_INITIALLY_FULL, nullptr, 0, 0, 0, 0, nullptr, nullptr, nullptr, nullptr, 0};
}

std::size_t size_of(const void *sized_struct) {
    std::size_t size = 0;
    std::memcpy(&size, sized_struct, sizeof size);
    return size;
}

// All but struct_size, up to `end`.
void copy_fields(const void *from, void *to, std::size_t end) {
    std::memcpy(static_cast<char *>(to) + sizeof(std::size_t), static_cast<const char *>(from) + sizeof(std::size_t),
                end - sizeof(std::size_t));
}

Status read_limit(const LimitSpec &spec, uint64_t fastest, Limit *limit, tb_config_fault *fault) {
    const Status s = make_limit(spec, limit, fastest);
    if (s == Status::success) return s;
    tbu_fraction rate;
    if (tb::read_limit({spec.capacity, 1, kSecond}, &rate) != Status::success)
        return refuse(fault, "capacity", "from 1e-6 to 1e15 tokens", s);
    if (spec.rate_period_ns <= 0) return refuse(fault, "rate_period_ns", "more than 0", s);
    if (tb::read_limit(spec, &rate) != Status::success)
        return refuse(fault, "rate_tokens", "from 1e-9 to 1e10 tokens per second", s);
    return refuse(fault, "capacity", "at least one unit at this rate", s);
}

Status initial_units(const Limit &limit, double tokens, int64_t *units, tb_config_fault *fault) {
    constexpr const char *kAllowed = "from 0 to the capacity, or TB_INITIALLY_FULL";
    const uint64_t full = limit.capacity;
    if (tokens == TB_INITIALLY_FULL || tokens == 0) {
        *units = tokens == 0 ? 0 : static_cast<int64_t>(full);
        return Status::success;
    }
    if (!is_amount(tokens)) return refuse(fault, "initial_tokens", kAllowed, Status::invalid_argument);
    if (tokens > limit.capacity_tokens) return refuse(fault, "initial_tokens", kAllowed, Status::out_of_range);
    const uint64_t asked = to_units(limit.units.scale, tokens, TBU_DOWN);
    *units = static_cast<int64_t>(asked < full ? asked : full);
    return Status::success;
}

}  // namespace

bool is_struct_size(std::size_t struct_size, std::size_t smallest) {
    return struct_size >= smallest && struct_size <= kLargestStruct && struct_size % alignof(tb_config) == 0;
}

Status read_struct(const void *from, std::size_t smallest, void *to, std::size_t size, tb_config_fault *fault) {
    if (from == nullptr || !is_struct_size(size_of(from), smallest))
        return refuse(fault, "struct_size", "set by the init function of the struct", Status::invalid_argument);
    const std::size_t given = size_of(from);
    const unsigned char *const bytes = static_cast<const unsigned char *>(from);
    for (std::size_t i = size; i < given; ++i)
        if (bytes[i] != 0)
            return refuse(fault, "struct_size", "known to this library, or all fields beyond zero",
                          Status::unsupported);
    copy_fields(from, to, given < size ? given : size);
    return Status::success;
}

Status write_struct(const void *from, std::size_t size, std::size_t smallest, void *to) {
    if (to == nullptr || !is_struct_size(size_of(to), smallest)) return Status::invalid_argument;
    const std::size_t given = size_of(to);
    copy_fields(from, to, given < size ? given : size);
    return Status::success;
}

Status read_config(const tb_config *config, ParsedConfig *parsed, tb_config_fault *fault, uint64_t fastest) {
    ParsedConfig p{};
    p.config = defaults(sizeof p.config);
    Status s = read_struct(config, kSmallestStruct, &p.config, sizeof p.config, fault);
    if (s != Status::success) return s;
    const tb_config &c = p.config;
    if (c.max_waiters < 0) return refuse(fault, "max_waiters", "0 or more", Status::invalid_argument);
    if (c.max_lateness_ns < 0) return refuse(fault, "max_lateness_ns", "0 or more", Status::invalid_argument);
    if ((c.flags & ~kFlags) != 0)
        return refuse(fault, "flags", "of TB_PRECISE_WAIT and TB_STATISTICS", Status::unsupported);
    if (c.reserved != 0) return refuse(fault, "reserved", "0", Status::unsupported);
    const LimitSpec spec{c.capacity, c.rate_tokens, c.rate_period_ns};
    if (s = read_limit(spec, fastest, &p.limit, fault); s != Status::success) return s;
    s = initial_units(p.limit, c.initial_tokens, &p.initial_units, fault);
    if (s == Status::success) *parsed = p;
    return s;
}

Status write_config(const tb_config &full, tb_config *config) {
    return write_struct(&full, sizeof full, kSmallestStruct, config);
}

}  // namespace tb::capi

extern "C" tb_status tb_config_init(tb_config *config, size_t struct_size) {
    using namespace tb::capi;
    if (config == nullptr || !is_struct_size(struct_size, kSmallestStruct)) return TB_E_INVALID_ARGUMENT;
    std::memset(static_cast<void *>(config), 0, struct_size);
    config->struct_size = struct_size;
    const tb_config c = defaults(struct_size);
    write_config(c, config);
    return TB_SUCCESS;
}
