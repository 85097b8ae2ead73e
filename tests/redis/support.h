// Limiters on a server that ends with the test.
#ifndef TOKENBUCKET_TESTS_REDIS_SUPPORT_H
#define TOKENBUCKET_TESTS_REDIS_SUPPORT_H

#include <gtest/gtest.h>
#include <time.h>
#include <tokenbucket_redis.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "tests/support/redis.h"

namespace tb_test {

inline constexpr int64_t kMillisecond = 1000000;
inline constexpr int64_t kSecond = 1000000000;

inline int64_t now_ns() {
    timespec t{};
    ::clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * kSecond + t.tv_nsec;
}

struct DestroyRedis {
    void operator()(tb_redis *server) const { tb_redis_destroy(server); }
    void operator()(tb_redis_limiter *limiter) const { tb_redis_limiter_destroy(limiter); }
};
using ServerHandle = std::unique_ptr<tb_redis, DestroyRedis>;
using LimiterHandle = std::unique_ptr<tb_redis_limiter, DestroyRedis>;

inline tb_redis_config server_config() {
    tb_redis_config config;
    EXPECT_EQ(tb_redis_config_init(&config, sizeof config), TB_SUCCESS);
    config.deadline_ns = 10 * kSecond;  // so that a busy machine is no failure
    return config;
}

inline ServerHandle connect(const std::string &path, const tb_redis_config &config = server_config()) {
    tb_redis *server = nullptr;
    EXPECT_EQ(tb_redis_create(("unix:" + path).c_str(), &config, &server), TB_SUCCESS);
    return ServerHandle(server);
}

inline tb_redis_limiter_config limiter_config() {
    tb_redis_limiter_config config;
    EXPECT_EQ(tb_redis_limiter_config_init(&config, sizeof config), TB_SUCCESS);
    return config;
}

inline tb_config limit_of(double capacity, double per_second) {
    tb_config limit;
    EXPECT_EQ(tb_config_init(&limit, sizeof limit), TB_SUCCESS);
    limit.capacity = capacity;
    limit.rate_tokens = per_second;
    return limit;
}

inline LimiterHandle limiter_of(const ServerHandle &server, double capacity, double per_second,
                                const tb_redis_limiter_config &config = limiter_config()) {
    const tb_config limit = limit_of(capacity, per_second);
    tb_redis_limiter *limiter = nullptr;
    EXPECT_EQ(tb_redis_limiter_create(server.get(), &limit, &config, &limiter), TB_SUCCESS);
    return LimiterHandle(limiter);
}

inline tb_status allow(const LimiterHandle &limiter, std::string_view key, double n) {
    return tb_redis_allow(limiter.get(), key.data(), key.size(), n);
}
inline tb_decision take(const LimiterHandle &limiter, std::string_view key, double n) {
    tb_decision decision{TB_E_UNSUPPORTED, 0, 0, 0, 0};
    const tb_status s = tb_redis_take(limiter.get(), key.data(), key.size(), n, &decision);
    if (s == TB_SUCCESS || s == TB_DENIED) {
        EXPECT_EQ(decision.status, s);
    }
    decision.status = s;
    return decision;
}
// What the server says is left.
inline double left(const LimiterHandle &limiter, std::string_view key) {
    tb_remote_answer answer{};
    EXPECT_EQ(tb_redis_peek(limiter.get(), key.data(), key.size(), 1, &answer), TB_SUCCESS);
    return answer.remaining;
}

inline tb_redis_stats stats_of(const ServerHandle &server) {
    tb_redis_stats stats{};
    stats.struct_size = sizeof stats;
    EXPECT_EQ(tb_redis_get_stats(server.get(), &stats), TB_SUCCESS);
    return stats;
}
inline std::string failure_of(const ServerHandle &server) {
    char text[160];
    EXPECT_EQ(tb_redis_last_failure(server.get(), text, sizeof text), TB_SUCCESS);
    return text;
}

}  // namespace tb_test

#endif
