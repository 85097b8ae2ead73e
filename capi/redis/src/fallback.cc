#include "capi/redis/src/fallback.h"

#include <tokenbucket_redis.h>

#include <algorithm>

namespace tb::redis {
namespace {

constexpr int64_t kKeys = 65536;

// What the table never grants the server may when it is back.
tb_status as_denial(tb_status s) {
    return s == TB_EXCEEDS_CAPACITY || s == TB_TABLE_FULL ? TB_DENIED : s;
}

}  // namespace

tb_status Fallback::init(int32_t policy, const tb_config &limit, double share, int64_t retry_after_ns) {
    policy_ = policy;
    capacity_ = limit.capacity;
    retry_after_ns_ = retry_after_ns;
    if (policy < TB_REDIS_ERROR || policy > TB_REDIS_LOCAL) return TB_E_INVALID_ARGUMENT;
    if (policy != TB_REDIS_LOCAL) return share == 0 ? TB_SUCCESS : TB_E_INVALID_ARGUMENT;
    if (!(share > 0 && share <= 1)) return TB_E_INVALID_ARGUMENT;
    tb_config local = limit;
    local.capacity *= share;
    local.rate_tokens *= share;
    tb_table_config keys;
    tb_table_config_init(&keys, sizeof keys);
    keys.max_keys = kKeys;
    return tb_table_create_with(&local, &keys, &table_);
}

tb_status Fallback::take(std::string_view key, double n, tb_decision *decision) {
    switch (policy_) {
        case TB_REDIS_CLOSED:
            *decision = denial();
            return TB_DENIED;
        case TB_REDIS_OPEN:
            *decision = {TB_SUCCESS, 0, 0, 0, 0};
            return TB_SUCCESS;
        case TB_REDIS_LOCAL: {
            *decision = denial();
            const tb_status s = as_denial(tb_table_take(table_, key.data(), key.size(), n, decision));
            if (decision->retry_after_ns == TB_FOREVER) *decision = denial();
            return s;
        }
        default:
            return TB_E_UNAVAILABLE;
    }
}

tb_status Fallback::take_up_to(std::string_view key, double most, double *taken) {
    switch (policy_) {
        case TB_REDIS_CLOSED:
            *taken = 0;
            return TB_SUCCESS;
        case TB_REDIS_OPEN:
            *taken = static_cast<double>(static_cast<int64_t>(std::min(most, capacity_)));
            return TB_SUCCESS;
        case TB_REDIS_LOCAL: {
            *taken = 0;
            const tb_status s = tb_table_take_up_to(table_, key.data(), key.size(), most, taken);
            return s == TB_TABLE_FULL ? TB_SUCCESS : s;
        }
        default:
            return TB_E_UNAVAILABLE;
    }
}

tb_status Fallback::wait_for(std::string_view key, double n, int64_t timeout_ns) {
    switch (policy_) {
        case TB_REDIS_CLOSED:
            return TB_TIMED_OUT;
        case TB_REDIS_OPEN:
            return TB_SUCCESS;
        case TB_REDIS_LOCAL: {
            const tb_status s = tb_table_wait_for(table_, key.data(), key.size(), n, timeout_ns);
            return as_denial(s) == TB_DENIED ? TB_TIMED_OUT : s;
        }
        default:
            return TB_E_UNAVAILABLE;
    }
}

}  // namespace tb::redis
