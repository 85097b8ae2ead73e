// Waits that a std::stop_token ends.
#include <gtest/gtest.h>

#include "tokenbucket.hpp"

#if defined(__cpp_lib_jthread)

#include <chrono>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <thread>

namespace {

using namespace std::chrono_literals;
using tokenbucket::Bucket;
using tokenbucket::Config;
using tokenbucket::Limits;
using tokenbucket::ManualClock;
using tokenbucket::Status;
using tokenbucket::Table;
using tokenbucket::TableConfig;

// Empty, two tokens an hour, on a manual clock: a wait that is not woken does not end.
class CppStop : public testing::Test {
  protected:
    static Config config_on(const ManualClock &clock) {
        Config config;
        config.capacity = 10;
        config.rate_tokens = 2;
        config.rate_period = 1h;
        config.clock = clock.get();
        return config;
    }
    void SetUp() override {
        ASSERT_TRUE(bucket.allow(10));
        ASSERT_TRUE(table.allow("a", 10));
    }
    static Table table_on(const ManualClock &clock) {
        TableConfig keys;
        keys.max_keys = 10;
        return Table(config_on(clock), keys);
    }
    void until_waiting(std::int64_t count) const {
        while (clock.waiters()->count != count) std::this_thread::yield();
    }

    ManualClock clock;
    Bucket bucket{config_on(clock)};
    Table table = table_on(clock);
};

TEST_F(CppStop, AStopEndsTheWaitAndThoseBehindMoveUp) {
    std::stop_source source;
    std::optional<Status> stopped;
    std::thread first([&] { stopped = bucket.wait(8, source.get_token()).status(); });
    until_waiting(1);
    std::thread second([&] { EXPECT_TRUE(bucket.wait(2)); });
    until_waiting(2);
    EXPECT_EQ(*bucket.available(), -10);
    source.request_stop();
    first.join();
    EXPECT_EQ(stopped, Status::interrupted);
    EXPECT_EQ(clock.waiters()->next_due, 1h);
    ASSERT_TRUE(clock.set(1h));
    second.join();
    EXPECT_EQ(*bucket.available(), 0);
}

TEST_F(CppStop, WithoutAStopItIsGrantedAtItsTime) {
    std::stop_source source;
    std::thread waiting([&] { EXPECT_TRUE(bucket.wait_for(4, 2h, source.get_token())); });
    until_waiting(1);
    EXPECT_EQ(clock.waiters()->next_due, 2h);
    ASSERT_TRUE(clock.set(2h));
    waiting.join();
    EXPECT_EQ(*bucket.available(), 0);
    EXPECT_EQ(clock.waiters()->count, 0);
}

TEST_F(CppStop, OneThatIsToStopTakesNothing) {
    std::stop_source source;
    source.request_stop();
    ASSERT_TRUE(bucket.reset(5));
    EXPECT_EQ(bucket.wait(1, source.get_token()).status(), Status::interrupted);
    EXPECT_EQ(*bucket.available(), 5);
    EXPECT_TRUE(bucket.wait(1, std::stop_token())) << "a token that nobody can stop";
    EXPECT_EQ(*bucket.available(), 4);
}

TEST_F(CppStop, OtherAnswersAreThoseOfAWait) {
    std::stop_source source;
    EXPECT_EQ(bucket.wait_for(4, 2h - 1ns, source.get_token()).status(), Status::timed_out);
    EXPECT_EQ(bucket.wait(11, source.get_token()).status(), Status::exceeds_capacity);
    EXPECT_STREQ(bucket.wait(-1, source.get_token()).message().c_str(), "n must be finite and more than 0, got -1");
    EXPECT_STREQ(bucket.wait_for(1, -1h, source.get_token()).message().c_str(),
                 "timeout must be 0 or more, got -3600s");
    std::optional<Status> closed;
    std::thread waiting([&] { closed = bucket.wait(1, source.get_token()).status(); });
    until_waiting(1);
    bucket.close();
    waiting.join();
    EXPECT_EQ(closed, Status::closed);
}

TEST_F(CppStop, AHigherPriorityIsServedFirst) {
    std::stop_source source;
    std::thread low([&] { EXPECT_TRUE(bucket.wait(2, source.get_token())); });
    until_waiting(1);
    std::thread high([&] { EXPECT_TRUE(bucket.wait_for(2, 1h, source.get_token(), 1)); });
    until_waiting(2);
    ASSERT_TRUE(clock.set(1h));
    high.join();
    EXPECT_EQ(clock.waiters()->count, 1);
    ASSERT_TRUE(clock.set(2h));
    low.join();
}

TEST_F(CppStop, AKeyAndSeveralLimitsGiveAllBack) {
    std::stop_source source;
    std::optional<Status> of_key;
    std::optional<Status> of_all;
    std::thread key([&] { of_key = table.wait("a", 2, source.get_token()).status(); });
    until_waiting(1);
    ASSERT_TRUE(bucket.reset(3));
    std::thread all([&] { of_all = Limits(bucket.member(3), table.member("a", 1)).wait(source.get_token()).status(); });
    until_waiting(2);
    EXPECT_EQ(*bucket.available(), 0);
    source.request_stop();
    key.join();
    all.join();
    EXPECT_EQ(of_key, Status::interrupted);
    EXPECT_EQ(of_all, Status::interrupted);
    EXPECT_EQ(*bucket.available(), 3);
    EXPECT_EQ(*table.available("a"), 0);
    EXPECT_EQ(clock.waiters()->count, 0);
}

TEST_F(CppStop, WithAWakeOfItsOwnItIsUnsupported) {
    Config config = config_on(clock);
    auto wake = [](std::uint64_t) {};
    config.wake_by(wake);
    Bucket other(config);
    EXPECT_EQ(other.wait(1, std::stop_token()).status(), Status::unsupported);
}

}  // namespace

#endif
