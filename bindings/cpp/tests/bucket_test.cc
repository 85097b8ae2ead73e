// The C++ class of a bucket: what each call answers, who owns what, and how times are handed on.
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <limits>
#include <ratio>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "tokenbucket.hpp"

namespace {

using namespace std::chrono_literals;
using tokenbucket::Bucket;
using tokenbucket::CallbackClock;
using tokenbucket::Config;
using tokenbucket::Decision;
using tokenbucket::Event;
using tokenbucket::kForever;
using tokenbucket::ManualClock;
using tokenbucket::Reservation;
using tokenbucket::Result;
using tokenbucket::Status;
using tokenbucket::Waiter;

template <class T>
inline constexpr bool kIsHandle =
    std::is_nothrow_move_constructible_v<T> &&std::is_nothrow_move_assignable_v<T> &&
    !std::is_copy_constructible_v<T> && !std::is_copy_assignable_v<T> && !std::is_default_constructible_v<T>;
static_assert(kIsHandle<Bucket> && kIsHandle<Reservation> && kIsHandle<CallbackClock> && kIsHandle<Waiter>);
static_assert(std::is_nothrow_move_constructible_v<ManualClock> && !std::is_copy_constructible_v<ManualClock>);
static_assert(!std::is_convertible_v<Result<void>, bool> && !std::is_convertible_v<Decision, bool>);
// What a result keeps for its message is numbers and static texts, which a call that is inlined need not write.
static_assert(std::is_trivially_copyable_v<Result<void>> && sizeof(Result<void>) <= 5 * sizeof(double));
static_assert(sizeof(Bucket) == 2 * sizeof(tb_bucket *));

// Ten tokens, one a second, on a manual clock that stands at 0.
class CppBucket : public testing::Test {
  protected:
    static Config config_on(const ManualClock &clock) {
        Config config;
        config.capacity = 10;
        config.rate_tokens = 1;
        config.clock = clock.get();
        return config;
    }
    double left() const { return *bucket.available(); }

    ManualClock clock;
    Bucket bucket{config_on(clock)};
};

TEST_F(CppBucket, AllowSaysYesNoAndWhyNot) {
    EXPECT_TRUE(bucket.allow());
    EXPECT_TRUE(bucket.try_consume(9));
    EXPECT_FALSE(bucket.allow());
    EXPECT_EQ(bucket.allow().status(), Status::denied);
    EXPECT_EQ(bucket.allow(11).status(), Status::exceeds_capacity);
    EXPECT_EQ(bucket.allow(std::nan("")).status(), Status::invalid_argument);
    EXPECT_EQ(bucket.try_consume(0).status(), Status::invalid_argument);
}

TEST_F(CppBucket, TakeTellsWhatIsLeftAndWhenToComeBack) {
    const Decision granted = bucket.take(8);
    EXPECT_TRUE(granted);
    EXPECT_EQ(granted.remaining, 2);
    EXPECT_EQ(granted.retry_after, 0s);
    EXPECT_EQ(granted.reset_after, 8s);

    const Decision denied = bucket.take(5);
    EXPECT_EQ(denied.status, Status::denied);
    EXPECT_FALSE(denied);
    EXPECT_EQ(denied.remaining, 2);
    EXPECT_EQ(denied.retry_after, 3s);

    EXPECT_EQ(bucket.take(11).status, Status::exceeds_capacity);
    EXPECT_EQ(bucket.take(11).retry_after, kForever);
    EXPECT_EQ(bucket.take(-1).status, Status::invalid_argument);
    EXPECT_EQ(bucket.take(-1).reset_after, 0s);
}

TEST_F(CppBucket, TakesWhatIsThere) {
    EXPECT_EQ(*bucket.take_up_to(7), 7);
    EXPECT_EQ(*bucket.take_up_to(7), 3);
    const Result<double> none = bucket.take_up_to(7);
    ASSERT_TRUE(none);
    EXPECT_EQ(*none, 0);
    EXPECT_EQ(bucket.take_up_to(-1).status(), Status::invalid_argument);
    EXPECT_FALSE(bucket.take_up_to(-1).has_value());
}

TEST_F(CppBucket, WaitsAreGrantedOrRefusedAtOnce) {
    EXPECT_TRUE(bucket.wait(9));
    EXPECT_TRUE(bucket.wait());
    EXPECT_EQ(bucket.wait_for(3, 2s).status(), Status::timed_out);
    EXPECT_EQ(bucket.wait(11).status(), Status::exceeds_capacity);
    EXPECT_EQ(left(), 0);
    clock.advance(3s).value();
    EXPECT_TRUE(bucket.wait_for(3, 0s));
}

TEST_F(CppBucket, AThreadOfAHigherPriorityGoesFirst) {
    bucket.allow(10).value();
    std::vector<int> order;
    std::vector<std::thread> threads;
    for (const int priority : {0, 1}) {
        threads.emplace_back([this, priority, &order] {
            bucket.wait_for(1, 10s, priority).value();
            order.push_back(priority);
        });
        while (clock.waiters()->count <= priority) std::this_thread::yield();
    }
    clock.advance(1s).value();
    threads[1].join();
    clock.advance(1s).value();
    threads[0].join();
    EXPECT_EQ(order, (std::vector<int>{1, 0}));
}

// Two limits of one request, reserved by hand; one has its tokens at once. Who gives up gives both back with settle(0):
// to cancel would give nothing back of the one that is due.
TEST_F(CppBucket, TwoReservationsThatAreGivenUpLoseNothing) {
    Config config = config_on(clock);
    config.initial_tokens = 0;
    Bucket other(config);
    bucket.allow(4).value();
    for (int round = 0; round < 5; ++round) {
        Reservation at_once = bucket.reserve(1).value();
        Reservation later = other.reserve(1).value();
        EXPECT_EQ(at_once.delay(), 0s);
        EXPECT_EQ(later.delay(), 1s);
        EXPECT_TRUE(at_once.settle(0));
        EXPECT_TRUE(later.settle(0));
    }
    EXPECT_EQ(left(), 6);
    EXPECT_EQ(*other.available(), 0);
    bucket.reserve(1).value().cancel();
    EXPECT_EQ(left(), 5);
}

TEST_F(CppBucket, AReservationThatEndsGivesItsTokensBack) {
    bucket.allow(10).value();
    {
        const Result<Reservation> promise = bucket.reserve(4);
        ASSERT_TRUE(promise);
        EXPECT_EQ(promise->tokens(), 4);
        EXPECT_EQ(promise->delay(), 4s);
        EXPECT_EQ(promise->ready_at().time_since_epoch(), 4s);
        EXPECT_EQ(left(), -4);
    }
    EXPECT_EQ(left(), 0);
}

TEST_F(CppBucket, AReservationThatIsCommittedKeepsThem) {
    bucket.allow(10).value();
    {
        Result<Reservation> promise = bucket.reserve(4);
        promise->commit();
        promise->cancel();
        EXPECT_EQ(promise->settle(1).status(), Status::invalid_argument);
    }
    EXPECT_EQ(left(), -4);
}

TEST_F(CppBucket, AReservationIsGivenBackOnce) {
    bucket.allow(10).value();
    {
        Result<Reservation> promise = bucket.reserve(4);
        promise->cancel();
        EXPECT_EQ(left(), 0);
        bucket.charge(4).value();
        promise->cancel();
    }
    EXPECT_EQ(left(), -4);
}

TEST_F(CppBucket, AReservationMoves) {
    bucket.allow(10).value();
    std::vector<Reservation> all;
    for (const double n : {1.0, 2.0}) all.push_back(bucket.reserve(n).value());
    EXPECT_EQ(left(), -3);

    Reservation youngest = std::move(all.back());
    all.pop_back();
    EXPECT_EQ(left(), -3);
    EXPECT_EQ(youngest.tokens(), 2);

    Reservation other = bucket.reserve(3).value();
    other = std::move(youngest);  // the one of 3 goes back
    EXPECT_EQ(left(), -3);
    EXPECT_EQ(other.tokens(), 2);
    Reservation &same = other;
    other = std::move(same);
    EXPECT_EQ(left(), -3);
    other.cancel();
    EXPECT_EQ(left(), -1);
}

TEST_F(CppBucket, AReservationOutlivesTheMoveOfItsBucket) {
    bucket.allow(10).value();
    Reservation promise = bucket.reserve(4).value();
    Bucket moved = std::move(bucket);
    promise.cancel();
    EXPECT_EQ(*moved.available(), 0);
}

TEST_F(CppBucket, AReservationSettlesAtWhatItCost) {
    Reservation less = bucket.reserve(4).value();
    EXPECT_TRUE(less.settle(1));
    EXPECT_EQ(left(), 9);
    EXPECT_EQ(less.settle(1).status(), Status::invalid_argument);

    bucket.allow(9).value();
    Reservation kept = bucket.reserve(2).value();
    EXPECT_EQ(kept.settle(-1).status(), Status::invalid_argument);
    kept.cancel();  // it was still there
    EXPECT_EQ(left(), 0);
}

TEST_F(CppBucket, AReservationIsRefusedBeyondItsLimit) {
    bucket.allow(10).value();
    EXPECT_EQ(bucket.reserve(2, 1999ms).status(), Status::timed_out);
    EXPECT_EQ(bucket.reserve(11).status(), Status::exceeds_capacity);
    EXPECT_EQ(left(), 0);
    EXPECT_EQ(bucket.reserve(2, 2000ms)->delay(), 2s);
}

// Real time: a timer of std::chrono goes off when the tokens are there. The counter-based clock may be a little off.
TEST(CppReservation, ReadyAtIsATimeOfTheSteadyClock) {
    Bucket bucket(1, 0.001);
    bucket.allow().value();
    const auto before = std::chrono::steady_clock::now();
    const Reservation promise = bucket.reserve().value();
    const auto after = std::chrono::steady_clock::now();
    const auto called = promise.ready_at() - promise.delay();
    EXPECT_GT(called, before - 1ms);
    EXPECT_LT(called, after + 1ms);
}

// Durations of any kind, also those whose nanoseconds cannot be counted: for ever, not what overflow makes of them.
TEST_F(CppBucket, TimeoutsOfEveryKind) {
    using Seconds = std::chrono::duration<double>;
    bucket.allow(10).value();
    EXPECT_TRUE(bucket.reserve(2, 2s));
    EXPECT_TRUE(bucket.reserve(2, Seconds(2.0)));
    EXPECT_EQ(bucket.reserve(2, Seconds(1.999)).status(), Status::timed_out);
    EXPECT_EQ(bucket.reserve(2, std::chrono::duration<std::int32_t, std::milli>(1999)).status(), Status::timed_out);
    EXPECT_TRUE(bucket.reserve(2, std::chrono::duration<std::uint64_t>(2)));

    EXPECT_TRUE(bucket.reserve(2, std::chrono::hours::max()));
    EXPECT_TRUE(bucket.reserve(2, kForever));
    EXPECT_TRUE(bucket.reserve(2, Seconds(std::numeric_limits<double>::infinity())));
    EXPECT_TRUE(bucket.reserve(2, std::chrono::duration<std::uint64_t>::max()));

    clock.advance(2s).value();
    EXPECT_EQ(bucket.wait_for(2, -1ns).status(), Status::invalid_argument);
    EXPECT_EQ(bucket.wait_for(2, -1ns, 1).status(), Status::invalid_argument);
    EXPECT_EQ(bucket.wait_for(2, std::chrono::hours::min()).status(), Status::invalid_argument);
    EXPECT_EQ(bucket.wait_for(2, Seconds(-1e-10)).status(), Status::invalid_argument);
    EXPECT_EQ(bucket.wait_for(2, Seconds(std::nan(""))).status(), Status::invalid_argument);
    EXPECT_EQ(bucket.reserve(2, -1ns).status(), Status::invalid_argument);
    EXPECT_EQ(bucket.reserve(2, Seconds(-0.5)).status(), Status::invalid_argument);
    EXPECT_EQ(left(), 2);
    EXPECT_TRUE(bucket.wait_for(2, 0s));
}

TEST_F(CppBucket, ChargeRefundAndReset) {
    EXPECT_EQ(*bucket.charge(12), 2s);
    EXPECT_EQ(left(), -2);
    EXPECT_TRUE(bucket.refund(3));
    EXPECT_EQ(left(), 1);
    EXPECT_TRUE(bucket.reset(4));
    EXPECT_EQ(left(), 4);
    EXPECT_TRUE(bucket.reset());
    EXPECT_EQ(left(), 10);
    EXPECT_EQ(bucket.reset(11).status(), Status::exceeds_capacity);
    EXPECT_TRUE(bucket.set_tokens(2));
    EXPECT_EQ(left(), 2);
    EXPECT_EQ(bucket.set_tokens(11).status(), Status::exceeds_capacity);
    EXPECT_EQ(bucket.set_tokens(-1).status(), Status::invalid_argument);
    EXPECT_EQ(bucket.refund(0).status(), Status::invalid_argument);
    EXPECT_EQ(bucket.charge(-1).status(), Status::invalid_argument);
}

TEST_F(CppBucket, NewLimits) {
    EXPECT_TRUE(bucket.set_capacity(4));
    EXPECT_TRUE(bucket.set_rate(2));
    bucket.allow(4).value();
    EXPECT_EQ(*bucket.time_until(4), 2s);
    EXPECT_EQ(bucket.time_until(5).status(), Status::exceeds_capacity);
    EXPECT_EQ(bucket.set_rate(0).status(), Status::out_of_range);
    EXPECT_EQ(bucket.set_capacity(0).status(), Status::out_of_range);
}

TEST_F(CppBucket, AClosedBucketCanBeLookedAt) {
    Reservation promise = bucket.reserve(4).value();
    bucket.close();
    bucket.close();
    EXPECT_EQ(bucket.allow().status(), Status::closed);
    EXPECT_EQ(bucket.take().status, Status::closed);
    EXPECT_EQ(bucket.wait().status(), Status::closed);
    EXPECT_EQ(bucket.reserve().status(), Status::closed);
    EXPECT_EQ(promise.settle(1).status(), Status::closed);
    EXPECT_EQ(left(), 6);
}

TEST_F(CppBucket, AMovedFromHandleRefuses) {
    Bucket moved = std::move(bucket);
    EXPECT_TRUE(moved.allow(10));
    EXPECT_EQ(bucket.get(), nullptr);
    EXPECT_EQ(bucket.allow().status(), Status::invalid_argument);
    EXPECT_EQ(bucket.take().status, Status::invalid_argument);
    EXPECT_EQ(bucket.reserve().status(), Status::invalid_argument);
    EXPECT_EQ(bucket.limit().status(), Status::invalid_argument);
    bucket.close();
    bucket = std::move(moved);
    EXPECT_EQ(bucket.allow().status(), Status::denied);
}

TEST(CppConfig, EveryFieldIsHandedOn) {
    ManualClock clock;
    const auto ignore = [](const Event &) {};
    const auto wake = [](std::uint64_t) {};
    Config config;
    config.capacity = 700;
    config.rate_tokens = 700000;
    config.rate_period = 1h;
    config.initial_tokens = 3;
    config.clock = clock.get();
    config.max_waiters = 5;
    config.max_lateness = 7ms;
    config.precise_wait = true;
    config.statistics = true;
    config.notify(ignore);
    config.wake_by(wake);
    const Bucket bucket(config);

    const Config limit = bucket.limit().value();
    EXPECT_EQ(limit.capacity, 700);
    EXPECT_EQ(limit.rate_tokens / static_cast<double>(limit.rate_period.count()), 700000 / 3600e9);
    EXPECT_EQ(*bucket.available(), 3);
    EXPECT_EQ(limit.clock, clock.get());
    EXPECT_GT(limit.unit, 0);
    EXPECT_EQ(limit.max_waiters, 5);
    EXPECT_EQ(limit.max_lateness, 7ms);
    EXPECT_TRUE(limit.precise_wait);
    EXPECT_TRUE(limit.statistics);
    EXPECT_EQ(limit.on_event, config.on_event);
    EXPECT_EQ(limit.event_user, &ignore);
    EXPECT_EQ(limit.on_wake, config.on_wake);
    EXPECT_EQ(limit.wake_user, &wake);
}

TEST(CppConfig, TheDefaultsAreThoseOfC) {
    const Config config;
    tb_config c;
    ASSERT_EQ(tb_config_init(&c, sizeof c), TB_SUCCESS);
    EXPECT_EQ(config.rate_period.count(), c.rate_period_ns);
    EXPECT_EQ(config.initial_tokens, c.initial_tokens);
    EXPECT_EQ(config.max_waiters, c.max_waiters);
    EXPECT_EQ(config.max_lateness.count(), c.max_lateness_ns);
    EXPECT_EQ(config.precise_wait || config.statistics, c.flags != 0);

    const Config limit = Bucket(1, 1).limit().value();
    EXPECT_FALSE(limit.precise_wait);
    EXPECT_FALSE(limit.statistics);
    EXPECT_EQ(limit.on_event, nullptr);
    EXPECT_EQ(limit.on_wake, nullptr) << "that of the bucket's own loops serves no other bucket";
    EXPECT_EQ(limit.wake_user, nullptr);
}

TEST(CppConfig, DesignatedFields) {
    EXPECT_TRUE(Bucket::create({.capacity = 10, .rate_tokens = 60, .rate_period = 1min}));
    EXPECT_EQ(Bucket::create({.capacity = 10, .rate_tokens = 60, .rate_period = 0s}).status(),
              Status::invalid_argument);
    EXPECT_EQ(Bucket::create(0, 1).status(), Status::out_of_range);
}

TEST(CppConfig, TheHandlerIsToldOfDenials) {
    std::vector<Event> events;
    auto handler = [&events](const Event &event) { events.push_back(event); };
    Config config;
    config.capacity = 1;
    config.rate_tokens = 0.001;
    config.notify(handler);
    Bucket bucket(config);
    EXPECT_TRUE(bucket.allow());
    EXPECT_FALSE(bucket.allow(0.5));
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].status, Status::denied);
    EXPECT_EQ(events[0].n, 0.5);
    EXPECT_EQ(events[0].waited, 0s);
}

TEST_F(CppBucket, StatisticsWhereAskedFor) {
    EXPECT_EQ(bucket.stats().status(), Status::unsupported);

    Config config = config_on(clock);
    config.statistics = true;
    Bucket counted(config);
    counted.allow(7).value();
    EXPECT_FALSE(counted.allow(7));
    counted.reserve(5).value().cancel();
    EXPECT_FALSE(counted.wait_for(7, 0s));
    const tokenbucket::Stats stats = counted.stats().value();
    EXPECT_EQ(stats.granted, 2);
    EXPECT_EQ(stats.denied, 1);
    EXPECT_EQ(stats.timed_out, 1);
    EXPECT_EQ(stats.cancelled, 1);
    EXPECT_EQ(stats.waits, 0);
    EXPECT_EQ(stats.waiting, 0);
    EXPECT_EQ(stats.total_wait, 0s);
    EXPECT_EQ(stats.longest_wait, 0s);
    EXPECT_EQ(stats.tokens_taken, 12);
    EXPECT_EQ(stats.tokens_given_back, 5);
}

TEST(CppClock, AManualClockMovesOnly) {
    ManualClock clock(5s);
    Config config;
    config.capacity = config.rate_tokens = 1;
    config.clock = clock.get();
    Bucket bucket(config);
    bucket.allow().value();
    EXPECT_EQ(bucket.reserve()->ready_at().time_since_epoch(), 6s);
    EXPECT_TRUE(clock.set(5500ms));
    EXPECT_TRUE(clock.advance(250ms));
    EXPECT_EQ(*bucket.available(), 0.75);
    EXPECT_EQ(clock.advance(-1ns).status(), Status::invalid_argument);
    EXPECT_EQ(clock.set(-1ns).status(), Status::invalid_argument);
    EXPECT_EQ(ManualClock::create(-1ns).status(), Status::invalid_argument);
    EXPECT_EQ(clock.waiters()->count, 0);
    EXPECT_EQ(clock.waiters()->next_due, kForever);
}

TEST(CppClock, ACallbackIsAsked) {
    auto time = 0ms;
    const auto now = [&time] { return time; };
    const CallbackClock clock = CallbackClock::create(now).value();
    Config config;
    config.capacity = config.rate_tokens = 1;
    config.clock = clock.get();
    Bucket bucket(config);
    EXPECT_TRUE(bucket.allow());
    time = 500ms;
    EXPECT_EQ(*bucket.available(), 0.5);
}

TEST(CppStatus, NamesMessagesAndErrors) {
    EXPECT_STREQ(name(Status::timed_out), "TB_TIMED_OUT");
    EXPECT_STREQ(message(Status::closed), tb_status_message(TB_CLOSED));
    EXPECT_STREQ(name(Status{99}), "TB_UNKNOWN");
    try {
        const Bucket bucket(-1, 1);
        FAIL() << "nothing was thrown";
    } catch (const tokenbucket::Error &error) {
        EXPECT_EQ(error.status(), Status::out_of_range);
        EXPECT_STREQ(error.what(), "capacity must be from 1e-6 to 1e15 tokens, got -1");
    }
    EXPECT_THROW(Bucket(Config{}), tokenbucket::Error);
    EXPECT_THROW(ManualClock(-1ns), tokenbucket::Error);
    Bucket bucket(1, 1);
    EXPECT_THROW(bucket.allow(2).value(), tokenbucket::Error);
    EXPECT_THROW(bucket.reserve(2).value(), tokenbucket::Error);
    EXPECT_NO_THROW(bucket.allow(1).value());
    const Result<Config> limit = bucket.limit();
    EXPECT_EQ(limit.value().capacity, 1);
    EXPECT_EQ(limit->capacity, (*limit).capacity);
}

TEST(CppStatus, TheLibrary) {
    EXPECT_EQ(tokenbucket::library_version(), tb_library_version());
    EXPECT_STREQ(tokenbucket::library_version_string(), tb_library_version_string());
    EXPECT_EQ(tokenbucket::abi_version(), TB_VERSION_MAJOR);
    EXPECT_EQ(tokenbucket::has_feature("counter_clock"), tb_has_feature("counter_clock") == 1);
    EXPECT_FALSE(tokenbucket::has_feature("no such feature"));
}

}  // namespace
