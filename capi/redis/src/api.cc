// The functions of the header: check, call, translate.
#include <tokenbucket_redis.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "capi/redis/src/handles.h"
#include "capi/redis/src/many.h"

namespace {

using namespace tb::redis;

constexpr int64_t kMillisecond = 1000000;
constexpr int64_t kSecond = 1000 * kMillisecond;
constexpr int64_t kMostDeadlineNs = 3600 * kSecond;
constexpr std::size_t kLargestStruct = 4096;

bool is_struct_size(std::size_t size, std::size_t smallest) {
    return size >= smallest && size <= kLargestStruct && size % alignof(int64_t) == 0;
}

// A struct that begins with struct_size: *to holds the defaults of what a shorter one does not say.
template <class Struct>
tb_status read_struct(const Struct *from, Struct *to) {
    if (from == nullptr) return TB_SUCCESS;
    if (!is_struct_size(from->struct_size, sizeof(Struct))) return TB_E_INVALID_ARGUMENT;
    const unsigned char *const bytes = reinterpret_cast<const unsigned char *>(from);
    if (std::any_of(bytes + sizeof(Struct), bytes + from->struct_size, [](unsigned char b) { return b != 0; }))
        return TB_E_UNSUPPORTED;
    *to = *from;
    return TB_SUCCESS;
}

template <class Struct>
tb_status init_struct(Struct *to, std::size_t struct_size, const Struct &defaults) {
    if (to == nullptr || !is_struct_size(struct_size, sizeof(Struct))) return TB_E_INVALID_ARGUMENT;
    std::memset(to, 0, struct_size);
    *to = defaults;
    to->struct_size = struct_size;
    return TB_SUCCESS;
}

constexpr tb_redis_config kServerDefaults{sizeof(tb_redis_config), nullptr, nullptr, 100 * kMillisecond, kSecond, 3, 0};
constexpr tb_redis_limiter_config kLimiterDefaults{
    sizeof(tb_redis_limiter_config), "tb:", 60 * kSecond, 0, 0, 0, TB_REDIS_ERROR, 0, 0};

tb_status check(const tb_redis_config &c) {
    if (c.user != nullptr && c.password == nullptr) return TB_E_INVALID_ARGUMENT;
    const bool in_range = c.deadline_ns >= kMillisecond && c.deadline_ns <= kMostDeadlineNs && c.breaker_open_ns >= 0 &&
                          c.breaker_open_ns <= kMostDeadlineNs && c.breaker_failures >= 1 && c.database >= 0;
    return in_range ? TB_SUCCESS : TB_E_OUT_OF_RANGE;
}

}  // namespace

extern "C" {

tb_status tb_redis_config_init(tb_redis_config *config, size_t struct_size) {
    return init_struct(config, struct_size, kServerDefaults);
}

tb_status tb_redis_create(const char *address, const tb_redis_config *config, tb_redis **out_server) {
    if (address == nullptr || out_server == nullptr) return TB_E_INVALID_ARGUMENT;
    tb_redis_config c = kServerDefaults;
    if (const tb_status s = read_struct(config, &c); s != TB_SUCCESS) return s;
    if (const tb_status s = check(c); s != TB_SUCCESS) return s;
    const Server::Options options{c.deadline_ns, c.breaker_open_ns, c.breaker_failures};
    tb_redis *const server = create<tb_redis>(options);
    if (server == nullptr) return TB_E_OUT_OF_MEMORY;
    if (const tb_status s = server->endpoint.init(address, c.user, c.password, c.database); s != TB_SUCCESS) {
        destroy(server);
        return s;
    }
    *out_server = server;
    return TB_SUCCESS;
}

void tb_redis_destroy(tb_redis *server) {
    destroy(server);
}

tb_status tb_redis_get_stats(tb_redis *server, tb_redis_stats *out_stats) {
    if (server == nullptr || out_stats == nullptr) return TB_E_INVALID_ARGUMENT;
    if (!is_struct_size(out_stats->struct_size, sizeof *out_stats)) return TB_E_INVALID_ARGUMENT;
    const ServerStats s = server->server.stats();
    *out_stats = {out_stats->struct_size, s.connects, s.round_trips, s.failures, s.breaker_opened};
    return TB_SUCCESS;
}

tb_status tb_redis_last_failure(tb_redis *server, char *out_text, size_t text_size) {
    if (server == nullptr || out_text == nullptr || text_size == 0) return TB_E_INVALID_ARGUMENT;
    const Failure failure = server->server.last_failure();
    const std::size_t size = std::min(std::strlen(failure.text), text_size - 1);
    std::memcpy(out_text, failure.text, size);
    out_text[size] = '\0';
    return TB_SUCCESS;
}

tb_status tb_redis_limiter_config_init(tb_redis_limiter_config *config, size_t struct_size) {
    return init_struct(config, struct_size, kLimiterDefaults);
}

tb_status tb_redis_limiter_create(tb_redis *server, const tb_config *limit, const tb_redis_limiter_config *config,
                                  tb_redis_limiter **out_limiter) {
    if (server == nullptr || limit == nullptr || out_limiter == nullptr) return TB_E_INVALID_ARGUMENT;
    tb_redis_limiter_config c = kLimiterDefaults;
    if (const tb_status s = read_struct(config, &c); s != TB_SUCCESS) return s;
    if (c.prefix == nullptr) return TB_E_INVALID_ARGUMENT;
    tb_redis_limiter *const limiter = create<tb_redis_limiter>(server);
    if (limiter == nullptr) return TB_E_OUT_OF_MEMORY;
    if (const tb_status s = limiter->limiter.init(limit, c); s != TB_SUCCESS) {
        destroy(limiter);
        return s;
    }
    *out_limiter = limiter;
    return TB_SUCCESS;
}

void tb_redis_limiter_destroy(tb_redis_limiter *limiter) {
    destroy(limiter);
}

tb_status tb_redis_allow(tb_redis_limiter *l, const void *key, size_t key_size, double n) {
    tb_decision decision;
    return l == nullptr ? TB_E_INVALID_ARGUMENT : l->limiter.take(key, key_size, n, &decision);
}

tb_status tb_redis_take(tb_redis_limiter *l, const void *key, size_t key_size, double n, tb_decision *out_decision) {
    if (l == nullptr || out_decision == nullptr) return TB_E_INVALID_ARGUMENT;
    return l->limiter.take(key, key_size, n, out_decision);
}

tb_status tb_redis_take_up_to(tb_redis_limiter *l, const void *key, size_t key_size, double most, double *out_taken) {
    if (l == nullptr || out_taken == nullptr) return TB_E_INVALID_ARGUMENT;
    return l->limiter.take_up_to(key, key_size, most, out_taken);
}

tb_status tb_redis_take_many(const tb_redis_member *members, size_t count, tb_decision *out_decisions) {
    if (members == nullptr || out_decisions == nullptr) return TB_E_INVALID_ARGUMENT;
    if (count < 1 || count > TB_REMOTE_MAX_KEYS) return TB_E_INVALID_ARGUMENT;
    return take_many(members, count, out_decisions);
}

tb_status tb_redis_take_all(const tb_redis_member *members, size_t count, tb_refusal *out_refusal) {
    if (members == nullptr || count < 1 || count > TB_MAX_MEMBERS) return TB_E_INVALID_ARGUMENT;
    tb_refusal refusal;
    return take_all(members, count, out_refusal == nullptr ? &refusal : out_refusal);
}

tb_status tb_redis_wait_for(tb_redis_limiter *l, const void *key, size_t key_size, double n, int64_t timeout_ns) {
    return l == nullptr ? TB_E_INVALID_ARGUMENT : l->limiter.wait_for(key, key_size, n, timeout_ns);
}

tb_status tb_redis_reserve(tb_redis_limiter *l, const void *key, size_t key_size, double n, int64_t max_wait_ns,
                           tb_reservation *out_reservation) {
    if (l == nullptr || out_reservation == nullptr) return TB_E_INVALID_ARGUMENT;
    return l->limiter.reserve(key, key_size, n, max_wait_ns, out_reservation);
}

tb_status tb_redis_cancel(tb_redis_limiter *l, const void *key, size_t key_size, tb_reservation *reservation) {
    if (l == nullptr || reservation == nullptr) return TB_E_INVALID_ARGUMENT;
    return l->limiter.cancel(key, key_size, reservation);
}

tb_status tb_redis_settle(tb_redis_limiter *l, const void *key, size_t key_size, tb_reservation *reservation,
                          double actual) {
    if (l == nullptr || reservation == nullptr) return TB_E_INVALID_ARGUMENT;
    return l->limiter.settle(key, key_size, reservation, actual);
}

tb_status tb_redis_charge(tb_redis_limiter *l, const void *key, size_t key_size, double n,
                          int64_t *out_repaid_after_ns) {
    return l == nullptr ? TB_E_INVALID_ARGUMENT : l->limiter.charge(key, key_size, n, out_repaid_after_ns);
}

tb_status tb_redis_refund(tb_redis_limiter *l, const void *key, size_t key_size, double n) {
    return l == nullptr ? TB_E_INVALID_ARGUMENT : l->limiter.refund(key, key_size, n);
}

tb_status tb_redis_reset(tb_redis_limiter *l, const void *key, size_t key_size, double tokens) {
    return l == nullptr ? TB_E_INVALID_ARGUMENT : l->limiter.reset(key, key_size, tokens);
}

tb_status tb_redis_peek(tb_redis_limiter *l, const void *key, size_t key_size, double n, tb_remote_answer *out_answer) {
    if (l == nullptr || out_answer == nullptr) return TB_E_INVALID_ARGUMENT;
    return l->limiter.peek(key, key_size, n, out_answer);
}

}  // extern "C"
