// Many keys in one call, against as many buckets of the library with the same calls at the same times; and in a
// cluster.
#include <memory>

#include "tests/remote/script_clock.h"
#include "tests/support/effort.h"
#include "tests/support/trace.h"

namespace {

using namespace tb_test;

constexpr int64_t kStartUs = 1764460800000000;
constexpr int kMembers = 5;

struct Limit {
    double capacity, rate;
};
const Limit kLimits[] = {{10, 1}, {1, 1}, {3, 0.7}, {10, 100}, {100, 3}, {0.5, 20}};

// Some keys of one tag, each with a limit of its own, and a bucket beside each.
class Family {
  public:
    Family(int number, Trace *dice) : dice_(*dice), clock_(manual_clock(kStartUs * 1000)) {
        for (int i = 0; i < kMembers; ++i) {
            const Limit &limit = dice_.pick(kLimits);
            capacities_.push_back(limit.capacity);
            remotes_.push_back(remote_of(config_of(limit.capacity, limit.rate, nullptr), 0));
            buckets_.push_back(bucket_of(config_of(limit.capacity, limit.rate, clock_.get())));
            keys_.push_back("{family:" + std::to_string(number) + "}" + std::to_string(i));
        }
    }

    void step(uint64_t *decisions, uint64_t *granted) {
        if (dice_.one_in(2)) now_us_ += dice_.below(dice_.one_in(3) ? 3000000 : 100000);
        EXPECT_EQ(tb_manual_clock_set(clock_.get(), now_us_ * 1000), TB_SUCCESS);
        const bool all = dice_.one_in(2);
        choose(all);
        ++*decisions;
        const Numbers arguments = written(all);
        Words keys;
        for (const std::size_t i : chosen_) keys.push_back(keys_[i]);
        const Numbers reply = ScriptServer::numbers(server().client.ask(server().words_at(now_us_, keys, arguments)));
        std::vector<tb_status> statuses(chosen_.size());
        std::vector<tb_remote_answer> answers(chosen_.size());
        const tb_status s = tb_remote_read_many(members_.data(), members_.size(), arguments.data(), arguments.size(),
                                                reply.data(), reply.size(), statuses.data(), answers.data());
        if (s == TB_SUCCESS) ++*granted;
        if (all) {
            check_all(s, statuses, answers);
        } else {
            check_each(s, statuses, answers);
        }
    }

  private:
    // Any of the keys in any order, for all-or-nothing each once.
    void choose(bool all) {
        chosen_.clear();
        members_.clear();
        for (int64_t n = dice_.between(1, kMembers); n > 0; --n) {
            const std::size_t i = static_cast<std::size_t>(dice_.below(kMembers));
            if (all && std::find(chosen_.begin(), chosen_.end(), i) != chosen_.end()) continue;
            chosen_.push_back(i);
        }
        for (const std::size_t i : chosen_) {
            const double most = capacities_[i] * 10;
            const double n =
                static_cast<double>(dice_.between(1, static_cast<int64_t>(dice_.one_in(2) ? 1 : most))) / 10;
            members_.push_back({remotes_[i].get(), keys_[i].data(), keys_[i].size(), n});
        }
    }
    Numbers written(bool all) const {
        Numbers arguments(5 * members_.size() + 1);
        size_t count = 0;
        const auto write = all ? tb_remote_take_all : tb_remote_take_each;
        EXPECT_EQ(write(members_.data(), members_.size(), arguments.data(), &count), TB_SUCCESS);
        EXPECT_EQ(count, arguments.size());
        return arguments;
    }

    void check_all(tb_status s, const std::vector<tb_status> &statuses, const std::vector<tb_remote_answer> &answers) {
        std::vector<tb_member> members;
        std::vector<int64_t> waits;
        int64_t longest_ns = 0;
        for (std::size_t i = 0; i < chosen_.size(); ++i) {
            tb_bucket *const bucket = buckets_[chosen_[i]].get();
            members.push_back({bucket, nullptr, nullptr, 0, members_[i].n});
            int64_t ns = 0;
            EXPECT_EQ(tb_time_until(bucket, members_[i].n, &ns), TB_SUCCESS);
            waits.push_back(up_to_us(ns));
        }
        tb_refusal refusal{};
        EXPECT_EQ(s, tb_allow_all(members.data(), members.size(), &refusal));
        for (std::size_t i = 0; i < chosen_.size(); ++i) {
            EXPECT_EQ(statuses[i], s);
            EXPECT_EQ(answers[i].retry_after_ns / 1000, s == TB_SUCCESS ? 0 : waits[i]);
            EXPECT_NEAR(answers[i].remaining, available(buckets_[chosen_[i]].get()), 4e-10);
            longest_ns = std::max(longest_ns, answers[i].retry_after_ns);
        }
        if (s == TB_DENIED) {
            EXPECT_EQ(longest_ns / 1000, up_to_us(refusal.retry_after_ns));
        }
    }
    void check_each(tb_status s, const std::vector<tb_status> &statuses, const std::vector<tb_remote_answer> &answers) {
        bool all = true;
        for (std::size_t i = 0; i < chosen_.size(); ++i) {
            tb_bucket *const bucket = buckets_[chosen_[i]].get();
            tb_decision d{};
            EXPECT_EQ(statuses[i], tb_take(bucket, members_[i].n, &d));
            EXPECT_EQ(answers[i].retry_after_ns / 1000, up_to_us(d.retry_after_ns));
            EXPECT_EQ(answers[i].reset_after_ns / 1000, up_to_us(d.reset_after_ns));
            EXPECT_NEAR(answers[i].remaining, d.remaining, 4e-10);
            all = all && d.status == TB_SUCCESS;
        }
        EXPECT_EQ(s, all ? TB_SUCCESS : TB_DENIED);
    }

    Trace &dice_;
    const ClockHandle clock_;
    std::vector<double> capacities_;
    std::vector<RemoteHandle> remotes_;
    std::vector<BucketHandle> buckets_;
    std::vector<std::string> keys_;
    int64_t now_us_ = kStartUs;
    std::vector<std::size_t> chosen_;
    std::vector<tb_remote_member> members_;
};

TEST(RemoteMany, DecideAsBucketsDo) {
    const uint64_t wanted = support::effort("TB_REMOTE_MANY", 30000, 3000);
    const uint64_t seed = support::effort("TB_SEED", 20251130, 20251130);
    Trace dice(seed);
    uint64_t decisions = 0, granted = 0;
    for (int family = 0; decisions < wanted && !testing::Test::HasFailure(); ++family) {
        Family f(family, &dice);
        for (int i = 0; i < 100 && !testing::Test::HasFailure(); ++i) f.step(&decisions, &granted);
    }
    std::cout << decisions << " calls for up to " << kMembers << " keys, " << granted << " granted in whole; seed "
              << seed << "\n";
    EXPECT_GT(granted, wanted / 10);
}

// What is refused writes no key, also of those that would have granted.
TEST(RemoteMany, NoKeyIsTouchedWhileOneRefuses) {
    const RemoteHandle large = remote_of(config_of(100, 1, nullptr), 0),
                       small = remote_of(config_of(1, 1e-3, nullptr), 0);
    const tb_remote_member members[] = {{large.get(), "{t}l", 4, 10}, {small.get(), "{t}s", 4, 1}};
    Numbers all(11);
    size_t count = 0;
    ASSERT_EQ(tb_remote_take_all(members, 2, all.data(), &count), TB_SUCCESS);
    RedisClient &client = server().client;
    const Words words = server().words({"{t}l", "{t}s"}, all);
    EXPECT_EQ(ScriptServer::numbers(client.ask(words))[0], 10000000000);
    const std::string value = client.ask({"GET", "{t}l"}).text;
    EXPECT_EQ(ScriptServer::numbers(client.ask(words))[0], 0);
    EXPECT_EQ(client.ask({"GET", "{t}l"}).text, value);
}

// Of each key, whether all are asked for or each.
TEST(RemoteMany, AClockSetBackEmptiesEachBucketAtOnce) {
    const RemoteHandle remote = remote_of(config_of(10, 1, nullptr), 0);
    for (const bool all : {true, false}) {
        const std::string tag = all ? "{back:all}" : "{back:each}";
        const Words keys{tag + "1", tag + "2"};
        int64_t now_us = kStartUs;
        const auto sent = [&](double n) {
            std::vector<tb_remote_member> members;
            for (const std::string &key : keys) members.push_back({remote.get(), key.data(), key.size(), n});
            Numbers arguments(5 * members.size() + 1);
            size_t count = 0;
            const auto write = all ? tb_remote_take_all : tb_remote_take_each;
            EXPECT_EQ(write(members.data(), members.size(), arguments.data(), &count), TB_SUCCESS);
            return ScriptServer::numbers(server().client.ask(server().words_at(now_us, keys, arguments)));
        };
        EXPECT_GT(sent(10)[3], 0);
        now_us -= 3600000000;
        EXPECT_EQ(sent(10)[3], 0);
        now_us += 10000000;
        EXPECT_GT(sent(10)[3], 0);
    }
}

TEST(RemoteMany, InAClusterOneTagIsOneSlot) {
    const RedisServer cluster({"--cluster-enabled", "yes"});
    RedisClient client(cluster.path());
    EXPECT_EQ(client.ask({"CLUSTER", "ADDSLOTSRANGE", "0", "16383"}).text, "OK");
    while (client.ask({"CLUSTER", "INFO"}).text.find("cluster_state:ok") == std::string::npos) ::usleep(20000);
    const std::string sha1 = client.ask({"SCRIPT", "LOAD", tb_remote_script()}).text;
    const RemoteHandle remote = remote_of(config_of(10, 1, nullptr), kSecond);
    const auto sent = [&](const Words &keys, bool all) {
        std::vector<tb_remote_member> members;
        for (const std::string &key : keys) members.push_back({remote.get(), key.data(), key.size(), 1});
        Numbers arguments(5 * members.size() + 1);
        size_t count = 0;
        const auto write = all ? tb_remote_take_all : tb_remote_take_each;
        if (write(members.data(), members.size(), arguments.data(), &count) != TB_SUCCESS)
            return std::string("refused");
        const RedisReply reply = client.ask(ScriptServer::words(sha1, keys, arguments));
        return reply.type == '-' ? reply.text.substr(0, 9) : std::string("done");
    };
    EXPECT_EQ(sent({"{a}1", "{a}2", "a"}, true), "done");
    EXPECT_EQ(sent({"{a}1", "{a}1"}, false), "done");
    EXPECT_EQ(sent({"a", "b"}, true), "refused");
    EXPECT_EQ(sent({"a", "b"}, false), "CROSSSLOT");
    // A bucket with its second key.
    const Numbers reserve = arguments_of(
        [&](int64_t *to, size_t *count) { return tb_remote_reserve(remote.get(), 10, kSecond, to, count); });
    EXPECT_EQ(client.ask(ScriptServer::words(sha1, keys_of("user:7", reserve), reserve)).type, '*');
}

}  // namespace
