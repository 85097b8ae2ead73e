// What a decision costs the server, in its own processor time, beside the algorithms that are usual there; how much
// memory a key takes; and how many decisions at the very time at which they turn are wrong. A server of its own is
// started, without disk; calls go through a pipeline, so that the time is that of the commands.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "capi/include/tokenbucket.h"
#include "tests/support/redis.h"

namespace bench {
namespace {

using tb_test::RedisClient;
using tb_test::RedisReply;
using Words = std::vector<std::string>;
using Numbers = std::vector<int64_t>;

constexpr int kRounds = 21;
constexpr int kDecisions = 1000;  // of a case in a round
constexpr int kInPipeline = 50;
constexpr int kKeys = 20000;  // of those that grant: a call now and then
constexpr int kDryKeys = 100;
constexpr int kCapacity = 100;
constexpr int64_t kPeriod = 86400;
constexpr int64_t kSecond = 1000000000;
constexpr double kAdmitGoal = 0.85, kDenyGoal = 0.45;  // of the GCRA's admit

// The algorithm that redis_rate publishes, GCRA with the time at which a key is free again as a float, in a text of our
// own with the same calls to the server: burst, rate, period, cost.
constexpr const char *kGcra = R"lua(
redis.replicate_commands()
local burst, rate, period, cost = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local interval = period / rate
local time = redis.call('TIME')
local now = time[1] - 1483228800 + time[2] / 1000000
local free_at = redis.call('GET', KEYS[1])
free_at = math.max(free_at and tonumber(free_at) or now, now)
local next_free_at = free_at + interval * cost
local spare = now - (next_free_at - interval * burst)
local remaining = spare / interval
if remaining < 0 then
    return {0, 0, tostring(-spare), tostring(free_at - now)}
end
local reset_after = next_free_at - now
if reset_after > 0 then
    redis.call('SET', KEYS[1], next_free_at, 'EX', math.ceil(reset_after))
end
return {cost, remaining, tostring(-1), tostring(reset_after)}
)lua";

// A log of the requests in a sorted set: limit, seconds, a name for this request.
constexpr const char *kSortedSet = R"lua(
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
redis.call('ZREMRANGEBYSCORE', KEYS[1], 0, now - ARGV[2] * 1000000)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
redis.call('ZADD', KEYS[1], now, ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 1
)lua";

// The least that a decision by the server's clock has to ask.
constexpr const char *kLooks = "redis.call('TIME') redis.call('GET', KEYS[1]) return 1";

void require(bool held, const char *what) {
    if (held) return;
    std::fprintf(stderr, "bench_stores_server: %s\n", what);
    std::exit(1);
}

double number_after(const std::string &text, const std::string &name) {
    const std::size_t at = text.find(name);
    require(at != std::string::npos, "INFO lacks a field");
    return std::stod(text.substr(at + name.size()));
}

double median_of(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

// One way to decide: the commands of the i-th decision are put into the pipeline, and it is known what the last of them
// is answered.
struct Case {
    std::string name;
    int commands;
    std::function<void(int)> send;
    std::function<bool(const RedisReply &)> is_expected;
};

class Server {
  public:
    Server() : client(redis_.path()) {
        ours = loaded(tb_remote_script());
        gcra = loaded(kGcra);
        sorted_set = loaded(kSortedSet);
        looks = loaded(kLooks);
    }

    std::string loaded(const std::string &text) { return client.ask({"SCRIPT", "LOAD", text}).text; }
    void send(const std::string &script, const Words &keys, const Words &arguments) {
        Words words{"EVALSHA", script, std::to_string(keys.size())};
        words.insert(words.end(), keys.begin(), keys.end());
        words.insert(words.end(), arguments.begin(), arguments.end());
        client.send(words);
    }
    // us of its processor for a decision.
    double cost_of(const Case &c, int first) {
        const double before = used_us();
        for (int done = 0; done < kDecisions; done += kInPipeline) {
            for (int i = 0; i < kInPipeline; ++i) c.send(first + done + i);
            for (int i = 0; i < kInPipeline * c.commands; ++i) {
                const RedisReply reply = client.receive();
                const bool is_last = (i + 1) % c.commands == 0;
                require(reply.type != '-' && (!is_last || c.is_expected(reply)), c.name.c_str());
            }
        }
        return (used_us() - before) / kDecisions;
    }
    int64_t bytes_of(const std::string &key) { return client.ask({"MEMORY", "USAGE", key}).number; }

  private:
    const tb_test::RedisServer redis_;

  public:
    RedisClient client;
    std::string ours, gcra, sorted_set, looks;

  private:
    double used_us() {
        const std::string info = client.ask({"INFO", "cpu"}).text;
        return (number_after(info, "used_cpu_user:") + number_after(info, "used_cpu_sys:")) * 1e6;
    }
};

tb_remote *limit_of(double capacity, double tokens, int64_t period_ns, int64_t max_wait_ns) {
    tb_config config;
    tb_config_init(&config, sizeof config);
    config.capacity = capacity;
    config.rate_tokens = tokens;
    config.rate_period_ns = period_ns;
    tb_remote *remote = nullptr;
    require(tb_remote_create(&config, max_wait_ns, &remote) == TB_SUCCESS, "cannot create a limit");
    return remote;
}

template <class Ask>
Words arguments_of(Ask ask) {
    Numbers numbers(TB_REMOTE_MAX_ARGUMENTS);
    size_t count = 0;
    require(ask(numbers.data(), &count) == TB_SUCCESS, "cannot ask");
    Words words;
    for (std::size_t i = 0; i < count; ++i) words.push_back(std::to_string(numbers[i]));
    return words;
}

std::string key_of(const char *kind, int number) {
    char text[64];
    std::snprintf(text, sizeof text, "%s:user:%09d", kind, number);
    return text;
}
std::string some_key(const char *kind, int i) {
    return key_of(kind, static_cast<int>(int64_t{i} * 7919 % kKeys));
}
std::string dry_key(const char *kind, int i) {
    return key_of(kind, i % kDryKeys);
}
std::string queue_of(const std::string &key) {
    return "q:{" + key + "}";
}

// The number of a reply, or the first of them; an error is none.
int64_t first_of(const RedisReply &r) {
    require(r.type == ':' || (r.type == '*' && !r.elements.empty()), r.text.c_str());
    return r.type == ':' ? r.number : r.elements[0].number;
}
bool is_left(const RedisReply &r, bool granted) {
    return (first_of(r) >= 0) == granted;
}
bool is_first(const RedisReply &r, bool positive) {
    return (first_of(r) > 0) == positive;
}

// All limits are of 100 tokens a day, so that a key that was called is there, and one that is dry stays so.
class Cases {
  public:
    explicit Cases(Server *server) : s_(*server) {
        add_ours();
        add_others();
    }
    ~Cases() { tb_remote_destroy(limit_); }
    Cases(const Cases &) = delete;
    Cases &operator=(const Cases &) = delete;

    std::vector<Case> all;

  private:
    void add(const char *name, int commands, std::function<void(int)> send,
             std::function<bool(const RedisReply &)> is_expected) {
        all.push_back({name, commands, std::move(send), std::move(is_expected)});
    }
    void drain(const char *kind, const std::string &script, const Words &arguments, int takes) {
        for (int key = 0; key < kDryKeys; ++key) {
            for (int i = 0; i < takes; ++i) {
                Words words = arguments;
                if (!words.empty() && words.back() == "id") words.back() = std::to_string(i);
                s_.send(script, {key_of(kind, key)}, words);
                s_.client.receive();
            }
        }
    }

    void add_ours() {
        const auto with = [](auto ask, const tb_remote *r, double n) {
            return arguments_of([=](int64_t *to, size_t *count) { return ask(r, n, to, count); });
        };
        const Words take = with(tb_remote_take, limit_, 1), some = with(tb_remote_take_up_to, limit_, 5);
        const Words reserve = reserve_of(1);
        drain("dry", s_.ours, with(tb_remote_take, limit_, kCapacity), 1);
        drain("late", s_.ours, with(tb_remote_take, limit_, kCapacity), 1);
        add(
            "take, granted", 1, [=, this](int i) { s_.send(s_.ours, {some_key("take", i)}, take); },
            [](const RedisReply &r) { return is_left(r, true); });
        add(
            "take, denied", 1, [=, this](int i) { s_.send(s_.ours, {dry_key("dry", i)}, take); },
            [](const RedisReply &r) { return is_left(r, false); });
        add(
            "of which time and key", 1, [=, this](int i) { s_.send(s_.looks, {dry_key("dry", i)}, take); },
            [](const RedisReply &r) { return is_first(r, true); });
        add(
            "take up to 5", 1, [=, this](int i) { s_.send(s_.ours, {some_key("some", i)}, some); },
            [](const RedisReply &r) { return is_first(r, true); });
        add(
            "reserve, due at once", 1,
            [=, this](int i) {
                s_.send(s_.ours, {some_key("now", i), queue_of(some_key("now", i))}, reserve);
            },
            [](const RedisReply &r) { return is_first(r, true); });
        const Words later = reserve_of(1e-3);
        add(
            "reserve, behind up to 64", 1,
            [=, this](int i) {
                s_.send(s_.ours, {dry_key("late", i), queue_of(dry_key("late", i))}, later);
            },
            [](const RedisReply &r) { return is_first(r, true); });
        add_take_all();
    }
    Words reserve_of(double n) const {
        return arguments_of(
            [&](int64_t *to, size_t *count) { return tb_remote_reserve(limit_, n, TB_FOREVER, to, count); });
    }
    void add_take_all() {
        const auto keys_of = [](int i) {
            const std::string tag = "{" + some_key("all", i) + "}";
            return Words{tag + "a", tag + "b", tag + "c"};
        };
        const Words keys = keys_of(0);
        std::vector<tb_remote_member> members;
        for (const std::string &key : keys) members.push_back({limit_, key.data(), key.size(), 1});
        Numbers numbers(5 * members.size() + 1);
        size_t count = 0;
        require(tb_remote_take_all(members.data(), members.size(), numbers.data(), &count) == TB_SUCCESS, "take_all");
        Words arguments;
        for (const int64_t n : numbers) arguments.push_back(std::to_string(n));
        add(
            "take from all of 3 keys", 1, [=, this](int i) { s_.send(s_.ours, keys_of(i), arguments); },
            [](const RedisReply &r) { return is_first(r, true); });
    }

    void add_others() {
        const std::string capacity = std::to_string(kCapacity), period = std::to_string(kPeriod);
        const Words one{capacity, capacity, period, "1"};
        drain("gcra-dry", s_.gcra, one, kCapacity);
        add(
            "GCRA of redis_rate, granted", 1, [=, this](int i) { s_.send(s_.gcra, {some_key("gcra", i)}, one); },
            [](const RedisReply &r) { return is_first(r, true); });
        add(
            "GCRA of redis_rate, denied", 1, [=, this](int i) { s_.send(s_.gcra, {dry_key("gcra-dry", i)}, one); },
            [](const RedisReply &r) { return is_first(r, false); });
        drain("set-dry", s_.sorted_set, {capacity, period, "id"}, kCapacity);
        const auto logged = [=](int i) { return Words{capacity, period, std::to_string(i)}; };
        add(
            "sorted set, granted", 1, [=, this](int i) { s_.send(s_.sorted_set, {some_key("set", i)}, logged(i)); },
            [](const RedisReply &r) { return is_first(r, true); });
        add(
            "sorted set, denied", 1, [=, this](int i) { s_.send(s_.sorted_set, {dry_key("set-dry", i)}, logged(i)); },
            [](const RedisReply &r) { return is_first(r, false); });
        add(
            "INCR and EXPIRE", 2,
            [this](int i) {
                s_.client.send({"EXPIRE", some_key("count", i), "86400"});
                s_.client.send({"INCR", some_key("count", i)});
            },
            [](const RedisReply &r) { return r.number > 0; });
    }

    Server &s_;
    tb_remote *const limit_ = limit_of(kCapacity, kCapacity, kPeriod *kSecond, kPeriod *kSecond);
};

// ---- Decisions at the time at which they turn

// The clock of a script is the test's: the last argument is the time, and keys do not expire.
std::string timed(const std::string &script) {
    return R"lua(local server, now = redis, table.remove(ARGV)
local redis = {replicate_commands = redis.replicate_commands}
function redis.call(name, key, value)
    if name == 'TIME' then return {now:sub(1, -7), now:sub(-6)} end
    if value then return server.call(name, key, value) end
    return server.call(name, key)
end
)lua" + script;
}

struct Wrong {
    int decisions = 0, ours = 0, gcra = 0;
};

// As often as not one microsecond before the time at which the exact answer turns, else at it.
void decide_at_boundaries(Server *server, const std::string &key, int64_t tokens, int64_t period_s, std::mt19937 *dice,
                          Wrong *wrong) {
    const std::string ours = server->loaded(timed(tb_remote_script())), gcra = server->loaded(timed(kGcra));
    constexpr int kBurst = 10;
    tb_remote *const remote = limit_of(kBurst, static_cast<double>(tokens), period_s * kSecond, 0);
    int64_t now_us = 1764460800000000;
    tb_clock *clock = nullptr;
    tb_bucket *bucket = nullptr;
    tb_manual_clock_create(now_us * 1000, &clock);
    tb_config config;
    tb_config_init(&config, sizeof config);
    tb_remote_get_limit(remote, &config);
    config.clock = clock;
    require(tb_create_with(&config, &bucket) == TB_SUCCESS, "cannot create a bucket");
    const Words arguments =
        arguments_of([&](int64_t *to, size_t *count) { return tb_remote_take(remote, 1, to, count); });
    for (int i = 0; i < 100; ++i) {
        tb_decision d{};
        tb_take(bucket, 1, &d);
        const bool granted = d.status == TB_SUCCESS;
        Words with_time = arguments;
        with_time.push_back(std::to_string(now_us));
        server->send(ours, {key + ":ours"}, with_time);
        server->send(
            gcra, {key + ":gcra"},
            {std::to_string(kBurst), std::to_string(tokens), std::to_string(period_s), "1", std::to_string(now_us)});
        const bool same = is_left(server->client.receive(), granted);
        const bool gcra_same = is_first(server->client.receive(), granted);
        ++wrong->decisions;
        wrong->ours += same ? 0 : 1;
        wrong->gcra += gcra_same ? 0 : 1;
        int64_t wait_ns = 0;
        tb_time_until(bucket, 1, &wait_ns);
        if (wait_ns > 0) now_us += (wait_ns + 999) / 1000 - ((*dice)() % 2 == 0 && wait_ns > 1000 ? 1 : 0);
        tb_manual_clock_set(clock, now_us * 1000);
    }
    tb_destroy(bucket);
    tb_clock_destroy(clock);
    tb_remote_destroy(remote);
}

void print_boundaries(Server *server) {
    std::mt19937 dice(20251130);
    Wrong wrong;
    for (int i = 0; i < 100; ++i)
        decide_at_boundaries(server, std::to_string(i), 1 + static_cast<int64_t>(dice() % 1000),
                             dice() % 2 == 0 ? 1 : 60, &dice, &wrong);
    std::printf("\nwrong decisions at the time at which they turn, of %d: ours %d, GCRA of redis_rate %d (%.1f %%)\n",
                wrong.decisions, wrong.ours, wrong.gcra, 100.0 * wrong.gcra / wrong.decisions);
}

void print_memory(Server *server) {
    std::printf(
        "\nbytes of a key of 19 characters: ours %lld, GCRA of redis_rate %lld, sorted set of 100 %lld, counter %lld\n",
        static_cast<long long>(server->bytes_of(some_key("take", 0))),
        static_cast<long long>(server->bytes_of(some_key("gcra", 0))),
        static_cast<long long>(server->bytes_of(dry_key("set-dry", 0))),
        static_cast<long long>(server->bytes_of(some_key("count", 0))));
}

int run() {
    Server server;
    const Cases cases(&server);
    std::map<std::string, std::vector<double>> times, ratios;
    for (int round = 0; round <= kRounds; ++round) {
        std::map<std::string, double> now;
        for (const Case &c : cases.all) now[c.name] = server.cost_of(c, round * kDecisions);
        if (round == 0) continue;  // warms up
        for (const Case &c : cases.all) {
            times[c.name].push_back(now[c.name]);
            ratios[c.name].push_back(now[c.name] / now["GCRA of redis_rate, granted"]);
        }
    }
    std::printf(
        "server: processor time of a decision, medians of %d rounds of %d; the ratio is to the GCRA of redis_rate\n"
        "that grants, of the same round\n\n%-34s %8s %8s\n",
        kRounds, kDecisions, "", "us", "ratio");
    for (const Case &c : cases.all)
        std::printf("%-34s %8.2f %8.2f\n", c.name.c_str(), median_of(times[c.name]), median_of(ratios[c.name]));
    const double admit = median_of(ratios["take, granted"]), deny = median_of(ratios["take, denied"]);
    std::printf("\ngoals: granted <= %.2f: %s; denied <= %.2f: %s\n", kAdmitGoal,
                admit <= kAdmitGoal ? "held" : "missed", kDenyGoal, deny <= kDenyGoal ? "held" : "missed");
    print_memory(&server);
    print_boundaries(&server);
    return 0;
}

}  // namespace
}  // namespace bench

int main() {
    return bench::run();
}
