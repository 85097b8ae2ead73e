// The counter clock's arithmetic against a counter and a CLOCK_MONOTONIC of the test's making.
#include "core/clock/anchor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace {

using tb::ClockAnchor;
using tb::ClockSample;

constexpr int64_t kMillisecond = 1000000;

// A counter of 2.6 GHz that is `skew` parts per million off.
struct Machine {
    int64_t skew = 0;

    uint64_t counter_at(int64_t ns) const {
        return 12345 + static_cast<uint64_t>(ns) * 26 / 10 + static_cast<uint64_t>(ns * skew / 1000000);
    }
    // The counter is read somewhere between the two readings of the time.
    ClockSample sample(int64_t before_ns, int64_t counter_ns, int64_t after_ns) const {
        return {counter_at(counter_ns), before_ns, after_ns};
    }
};

TEST(Anchor, ASampleIsJudgedByTheNarrowest) {
    EXPECT_TRUE(tb::is_narrow({0, 1000, 1250}, 50));
    EXPECT_FALSE(tb::is_narrow({0, 1000, 1251}, 50));
    EXPECT_TRUE(tb::is_narrow({0, 1000, 9000}, 2000)) << "where clocks are read slowly";
}

TEST(Anchor, IsMeasuredOverTenMilliseconds) {
    const Machine m;
    const ClockSample origin = m.sample(0, 50, 100);
    EXPECT_FALSE(tb::can_measure(origin, m.sample(9 * kMillisecond, 9 * kMillisecond, 9 * kMillisecond)));
    EXPECT_TRUE(tb::can_measure(origin, m.sample(11 * kMillisecond, 11 * kMillisecond, 11 * kMillisecond)));
    EXPECT_TRUE(tb::can_measure(m.sample(5000, 5000, 5000), m.sample(6000, 50, 6000))) << "a counter that ran back";
}

// A chain of anchors, each from a sample with the counter anywhere inside: no anchor begins before the last one ended,
// none before what CLOCK_MONOTONIC may have shown at its counter, and all stay within a microsecond of it.
TEST(Anchor, NeverRunsBackAndStaysWithinAMicrosecond) {
    std::mt19937_64 random(1);
    for (int chain = 0; chain < 2000; ++chain) {
        const Machine m{static_cast<int64_t>(random() % 400) - 200};
        int64_t now = 1000000000 + static_cast<int64_t>(random() % 1000000000);
        ClockSample origin = m.sample(now, now, now + 50);
        ClockAnchor last = tb::no_anchor(origin, {0, 0, 0, 0});
        for (int i = 0; i < 12; ++i) {
            const int64_t span_ns = static_cast<int64_t>(static_cast<double>(last.span) / 2.6 * 1.0003);
            now += std::max(span_ns + 251, 10 * kMillisecond + 251) + static_cast<int64_t>(random() % 100000);
            const int64_t width = static_cast<int64_t>(random() % 251);
            const int64_t inside = now + static_cast<int64_t>(random() % static_cast<uint64_t>(width + 1));
            const ClockSample sample = m.sample(now, inside, now + width);
            const ClockAnchor next = tb::next_anchor(origin, sample, last);
            ASSERT_GT(next.span, 0u);
            ASSERT_GE(next.time_ns, last.end());
            ASSERT_GE(next.time_ns, inside);
            ASSERT_LE(next.time_ns - inside, 1000) << "at the beginning";
            const int64_t end = inside + static_cast<int64_t>(static_cast<double>(next.span) / 2.6);
            const uint64_t at_end = m.counter_at(end);
            ASSERT_LE(std::abs(next.at(at_end) - end), 1000 + 1) << "at the end";
            origin = sample;
            last = next;
        }
    }
}

TEST(Anchor, HoldsForTwiceTheMeasuredTimeUpToASecond) {
    const Machine m;
    const ClockSample origin = m.sample(0, 0, 0);
    const ClockAnchor none{0, 0, 0, 0};
    const auto length_after = [&](int64_t ns) {
        const ClockAnchor a = tb::next_anchor(origin, m.sample(ns, ns, ns), none);
        return a.end() - a.time_ns;
    };
    EXPECT_NEAR(static_cast<double>(length_after(10 * kMillisecond)), 20e6, 2);
    EXPECT_NEAR(static_cast<double>(length_after(300 * kMillisecond)), 600e6, 2);
    EXPECT_NEAR(static_cast<double>(length_after(5000 * kMillisecond)), 1e9, 2);
}

TEST(Anchor, ACounterThatChangesItsSpeedIsNotUsed) {
    const Machine m;
    const ClockSample a = m.sample(0, 0, 0);
    const ClockSample b = m.sample(100 * kMillisecond, 100 * kMillisecond, 100 * kMillisecond);
    const ClockAnchor steady = tb::next_anchor(a, b, {0, 0, 0, 0});
    for (const int64_t skew : {-2000, 2000}) {
        ClockSample c = m.sample(400 * kMillisecond, 400 * kMillisecond, 400 * kMillisecond);
        c.counter += static_cast<uint64_t>(300 * kMillisecond / 1000000 * skew * 26 / 10);
        EXPECT_EQ(tb::next_anchor(b, c, steady).span, 0u) << skew;
        EXPECT_GE(tb::next_anchor(b, c, steady).time_ns, steady.end());
    }
    ClockSample back = b;
    back.after_ns += 1000 * kMillisecond;
    back.counter -= 5;
    EXPECT_EQ(tb::next_anchor(b, back, steady).span, 0u);
}

}  // namespace
