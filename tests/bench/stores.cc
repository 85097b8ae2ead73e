// Takes from a server of Redis, per second: hiredis alone, and libtokenbucket-redis in its ways of asking less often.
// Prints ratios of one run, in rounds in which all take turns.
#include <hiredis.h>
#include <pthread.h>
#include <tokenbucket_redis.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/redis.h"

namespace {

constexpr double kCapacity = 1e9, kRate = 1e6;
constexpr int kRounds = 5;
constexpr int64_t kRoundNs = 300000000;
const std::string kKey = "tb:bench";

int64_t now_ns() {
    timespec t{};
    ::clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

void check(tb_status status) {
    if (status == TB_SUCCESS) return;
    std::fprintf(stderr, "%s\n", tb_status_name(status));
    std::exit(1);
}

tb_config limit() {
    tb_config config;
    check(tb_config_init(&config, sizeof config));
    config.capacity = kCapacity;
    config.rate_tokens = kRate;
    return config;
}

// What a program does by itself: one connection under a lock, one EVALSHA at a time, the reply read.
class Plain {
  public:
    explicit Plain(const std::string &path) : context_(::redisConnectUnix(path.c_str())) {
        const tb_config config = limit();
        check(tb_remote_create(&config, 0, &remote_));
        ::freeReplyObject(::redisCommand(context_, "SCRIPT LOAD %s", tb_remote_script()));
    }
    ~Plain() {
        tb_remote_destroy(remote_);
        ::redisFree(context_);
    }
    void take() {
        const std::lock_guard<std::mutex> hold(lock_);
        int64_t arguments[TB_REMOTE_MAX_ARGUMENTS];
        size_t count = 0;
        check(tb_remote_take(remote_, 1, arguments, &count));
        std::array<std::string, TB_REMOTE_MAX_ARGUMENTS + 4> words{"EVALSHA", tb_remote_script_sha1(), "1", kKey};
        std::array<const char *, words.size()> texts{};
        std::array<size_t, words.size()> sizes{};
        for (std::size_t i = 0; i < count + 4; ++i) {
            if (i >= 4) words[i] = std::to_string(arguments[i - 4]);
            texts[i] = words[i].data();
            sizes[i] = words[i].size();
        }
        auto *const reply = static_cast<redisReply *>(
            ::redisCommandArgv(context_, static_cast<int>(count + 4), texts.data(), sizes.data()));
        const int64_t left = reply->integer;
        ::freeReplyObject(reply);
        tb_remote_answer answer;
        check(tb_remote_read(remote_, arguments, count, &left, 1, &answer));
    }

  private:
    std::mutex lock_;
    redisContext *const context_;
    tb_remote *remote_ = nullptr;
};

class Ours {
  public:
    explicit Ours(const std::string &address, int64_t lease = 0) {
        tb_redis_config config;
        check(tb_redis_config_init(&config, sizeof config));
        config.deadline_ns = 10 * INT64_C(1000000000);
        config.breaker_open_ns = 3600 * INT64_C(1000000000);
        check(tb_redis_create(address.c_str(), &config, &server_));
        tb_redis_limiter_config options;
        check(tb_redis_limiter_config_init(&options, sizeof options));
        options.lease = lease;
        options.lessees = lease > 0 ? 4 : 0;
        const tb_config config_of_limit = limit();
        check(tb_redis_limiter_create(server_, &config_of_limit, &options, &limiter_));
    }
    ~Ours() {
        tb_redis_limiter_destroy(limiter_);
        tb_redis_destroy(server_);
    }
    tb_status allow() { return tb_redis_allow(limiter_, "bench", 5, 1); }
    void take_many(std::size_t count) {
        const std::vector<tb_redis_member> members(count, {limiter_, "bench", 5, 1});
        std::vector<tb_decision> decisions(count);
        check(tb_redis_take_many(members.data(), count, decisions.data()));
    }

  private:
    tb_redis *server_ = nullptr;
    tb_redis_limiter *limiter_ = nullptr;
};

// Takes per second of some threads that call `call`, which takes `each` tokens, for a round.
double measure(int threads, int each, const std::function<void()> &call) {
    std::atomic<int64_t> takes{0};
    std::vector<std::thread> running;
    const int64_t begin = now_ns();
    for (int i = 0; i < threads; ++i)
        running.emplace_back([&] {
            int64_t count = 0;
            while (now_ns() - begin < kRoundNs)
                for (int n = 0; n < 16; ++n) {
                    call();
                    count += each;
                }
            takes += count;
        });
    for (std::thread &t : running) t.join();
    return static_cast<double>(takes) * 1e9 / static_cast<double>(now_ns() - begin);
}

double median(std::vector<double> values) {
    std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
    return values[values.size() / 2];
}

struct Way {
    std::string name;
    int threads;
    int each;
    std::function<void()> call;
    std::vector<double> per_second{};
};

void print_breaker() {
    constexpr int kAnswers = 1000000;
    Ours ours("unix:/nowhere/s");
    for (int i = 0; i < 10; ++i) ours.allow();  // which opens it
    const int64_t begin = now_ns();
    for (int i = 0; i < kAnswers; ++i) ours.allow();
    std::printf("an answer while the breaker is open: %.0f ns\n", static_cast<double>(now_ns() - begin) / kAnswers);
}

}  // namespace

int main() {
    const tb_test::RedisServer redis;
    Plain plain(redis.path());
    Ours ours("unix:" + redis.path()), by_10("unix:" + redis.path(), 10), by_100("unix:" + redis.path(), 100),
        by_1000("unix:" + redis.path(), 1000);
    std::vector<Way> ways;
    for (const int threads : {1, 2, 8, 32}) ways.push_back({"hiredis under a lock", threads, 1, [&] { plain.take(); }});
    for (const int threads : {1, 2, 8, 32}) ways.push_back({"combined", threads, 1, [&] { check(ours.allow()); }});
    ways.push_back({"take_many of 32", 1, 32, [&] { ours.take_many(32); }});
    ways.push_back({"lease of 10", 1, 1, [&] { check(by_10.allow()); }});
    ways.push_back({"lease of 100", 1, 1, [&] { check(by_100.allow()); }});
    ways.push_back({"lease of 1000", 1, 1, [&] { check(by_1000.allow()); }});
    for (int round = 0; round < kRounds; ++round)
        for (Way &w : ways) w.per_second.push_back(measure(w.threads, w.each, w.call));
    const double one = median(ways[0].per_second);
    std::printf("%-24s %8s %14s %8s\n", "takes", "threads", "per second", "ratio");
    for (const Way &w : ways) {
        const double per_second = median(w.per_second);
        std::printf("%-24s %8d %14.0f %8.2f\n", w.name.c_str(), w.threads, per_second, per_second / one);
    }
    print_breaker();
}
