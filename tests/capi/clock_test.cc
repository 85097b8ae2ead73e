// The clocks a bucket can be given, and the one it has of its own.
#include <gtest/gtest.h>

#include <ctime>

#include "tests/support/api.h"

namespace {

using namespace tb_test;

int64_t monotonic_ns() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * kSecond + t.tv_nsec;
}

ClockHandle callback_clock(int64_t *now) {
    tb_clock *clock = nullptr;
    const tb_clock_fn read = [](void *user) { return *static_cast<int64_t *>(user); };
    EXPECT_EQ(tb_callback_clock_create(read, now, &clock), TB_SUCCESS);
    return ClockHandle(clock);
}

TEST(ManualClock, NeverRunsBack) {
    const ClockHandle clock = manual_clock(10 * kSecond);
    const BucketHandle b = bucket_of(config_of(1, 1, clock.get()));
    ASSERT_EQ(tb_allow(b.get(), 1), TB_SUCCESS);
    EXPECT_EQ(tb_manual_clock_set(clock.get(), 0), TB_SUCCESS);
    EXPECT_EQ(tb_allow(b.get(), 1), TB_DENIED);
    EXPECT_EQ(tb_manual_clock_advance(clock.get(), kSecond), TB_SUCCESS);
    EXPECT_EQ(tb_allow(b.get(), 1), TB_SUCCESS) << "the advance counts from 10 s, not from 0";
}

TEST(ManualClock, AtItsLastInstantWhatIsThereIsGranted) {
    const ClockHandle clock = manual_clock(INT64_MAX);
    const BucketHandle b = bucket_of(config_of(2, 1, clock.get()));
    tb_reservation r{};
    EXPECT_EQ(tb_wait(b.get(), 1), TB_SUCCESS);
    EXPECT_EQ(tb_reserve(b.get(), 1, 0, &r), TB_SUCCESS);
    EXPECT_EQ(tb_reserve(b.get(), 1, TB_FOREVER, &r), TB_TIMED_OUT);
    EXPECT_EQ(tb_wait(b.get(), 1), TB_TIMED_OUT);
}

TEST(ManualClock, ServesManyBucketsAndOutlivesItsCreator) {
    ClockHandle clock = manual_clock();
    const BucketHandle a = bucket_of(config_of(1, 1, clock.get()));
    const BucketHandle b = bucket_of(config_of(1, 2, clock.get()));
    tb_clock *const borrowed = clock.get();
    clock.reset();
    ASSERT_EQ(tb_allow(a.get(), 1), TB_SUCCESS);
    ASSERT_EQ(tb_allow(b.get(), 1), TB_SUCCESS);
    ASSERT_EQ(tb_manual_clock_advance(borrowed, kSecond / 2), TB_SUCCESS);
    EXPECT_EQ(tb_allow(a.get(), 1), TB_DENIED);
    EXPECT_EQ(tb_allow(b.get(), 1), TB_SUCCESS);
}

TEST(CallbackClock, AStepBackIsHeldAtTheLatest) {
    int64_t now = 10 * kSecond;
    const ClockHandle clock = callback_clock(&now);
    const BucketHandle b = bucket_of(config_of(10, 1, clock.get()));
    ASSERT_EQ(tb_allow(b.get(), 10), TB_SUCCESS);
    now = 0;
    EXPECT_EQ(tb_allow(b.get(), 1), TB_DENIED);
    EXPECT_EQ(available(b.get()), 0);
    now = INT64_MIN;
    EXPECT_EQ(tb_allow(b.get(), 1), TB_DENIED);
    tb_reservation r{};
    ASSERT_EQ(tb_reserve(b.get(), 1, TB_FOREVER, &r), TB_SUCCESS);
    EXPECT_EQ(r.wait_ns, kSecond);
    ASSERT_EQ(tb_cancel(b.get(), &r), TB_SUCCESS);
    now = 11 * kSecond;
    EXPECT_EQ(tb_allow(b.get(), 1), TB_SUCCESS) << "neither minted nor locked out";
    EXPECT_EQ(tb_allow(b.get(), 1), TB_DENIED);
}

TEST(CallbackClock, AnyForwardJumpFillsTheBucketOnce) {
    int64_t now = 0;
    const ClockHandle clock = callback_clock(&now);
    const BucketHandle b = bucket_of(config_of(10, 1e10, clock.get()));
    ASSERT_EQ(tb_allow(b.get(), 10), TB_SUCCESS);
    now = INT64_MAX;
    EXPECT_EQ(available(b.get()), 10);
    EXPECT_EQ(tb_allow(b.get(), 10), TB_SUCCESS);
    EXPECT_EQ(tb_allow(b.get(), 1), TB_DENIED);
}

TEST(CallbackClock, MayUseTheBucketItself) {
    struct Reentrant {
        tb_bucket *bucket = nullptr;
        int depth = 0;
    } user;
    tb_clock *raw = nullptr;
    const tb_clock_fn read = [](void *p) {
        Reentrant *const r = static_cast<Reentrant *>(p);
        if (r->bucket != nullptr && r->depth == 0) {
            r->depth = 1;
            EXPECT_EQ(tb_allow(r->bucket, 1), TB_SUCCESS);
            r->depth = 0;
        }
        return int64_t{7};
    };
    ASSERT_EQ(tb_callback_clock_create(read, &user, &raw), TB_SUCCESS);
    const ClockHandle clock(raw);
    const BucketHandle b = bucket_of(config_of(10, 1, clock.get()));
    user.bucket = b.get();
    EXPECT_EQ(tb_allow(b.get(), 1), TB_SUCCESS);
    user.bucket = nullptr;
    EXPECT_EQ(available(b.get()), 8);
}

// The system clock in its two forms: CLOCK_MONOTONIC until the counter's speed is known, then the counter. Reservations
// of a full bucket show what time it says: never earlier than the monotonic clock allows, never back, a microsecond off
// at most once the counter leads (a preemption between the two readings only widens the bracket).
TEST(SystemClock, FollowsTheMonotonicClock) {
    tb_bucket *raw = nullptr;
    ASSERT_EQ(tb_create(1e6, 1e10, &raw), TB_SUCCESS);
    const BucketHandle b(raw);
    const int64_t end = monotonic_ns() + 1500 * kMillisecond;
    constexpr int64_t kTolerance = 2000;
    int64_t last = 0;
    for (;;) {
        tb_reservation r{};
        const int64_t before = monotonic_ns();
        ASSERT_EQ(tb_reserve(b.get(), 1, 0, &r), TB_SUCCESS);
        const int64_t after = monotonic_ns();
        EXPECT_GE(r.ready_at_ns, before - kTolerance);
        EXPECT_LE(r.ready_at_ns, after + kTolerance);
        EXPECT_GE(r.ready_at_ns, last);
        last = r.ready_at_ns;
        if (after > end || testing::Test::HasFailure()) break;
    }
}

}  // namespace
