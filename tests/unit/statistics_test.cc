// What is counted, by one thread and by many.
#include "core/limiter/statistics.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace {

using tb::Statistics;
using tb::Status;
using tb::Totals;

TEST(Statistics, BeginAtZero) {
    const Totals t = Statistics().totals();
    EXPECT_EQ(t.granted + t.denied + t.timed_out + t.cancelled + t.waits + t.total_wait_ns + t.longest_wait_ns, 0);
    EXPECT_EQ(t.tokens_taken + t.tokens_given_back, 0);
}

TEST(Statistics, TakesAndRefusals) {
    Statistics s;
    s.count_granted(2.5);
    s.count_granted(1);
    s.count_refused(Status::denied);
    s.count_refused(Status::timed_out);
    s.count_refused(Status::timed_out);
    for (const Status other : {Status::exceeds_capacity, Status::closed, Status::queue_full, Status::invalid_argument})
        s.count_refused(other);
    const Totals t = s.totals();
    EXPECT_EQ(t.granted, 2);
    EXPECT_EQ(t.tokens_taken, 3.5);
    EXPECT_EQ(t.denied, 1);
    EXPECT_EQ(t.timed_out, 2);
    EXPECT_EQ(t.waits + t.cancelled, 0);
}

TEST(Statistics, WaitsByTheirOutcome) {
    Statistics s;
    s.count_wait(Status::success, 1, 100);
    s.count_wait(Status::timed_out, 2, 300);
    s.count_wait(Status::interrupted, 4, 200);
    s.count_wait(Status::closed, 8, 50);
    const Totals t = s.totals();
    EXPECT_EQ(t.granted, 1);
    EXPECT_EQ(t.timed_out, 1);
    EXPECT_EQ(t.cancelled, 2);
    EXPECT_EQ(t.waits, 4);
    EXPECT_EQ(t.total_wait_ns, 650);
    EXPECT_EQ(t.longest_wait_ns, 300);
    EXPECT_EQ(t.tokens_taken, 15) << "each had taken its tokens";
    EXPECT_EQ(t.denied, 0);
}

TEST(Statistics, WhatCameBack) {
    Statistics s;
    s.count_cancelled();
    s.count_given_back(1.5);
    s.count_given_back(0);
    s.count_given_back(2);
    EXPECT_EQ(s.totals().cancelled, 1);
    EXPECT_EQ(s.totals().tokens_given_back, 3.5);
    EXPECT_EQ(s.totals().tokens_taken, 0);
}

TEST(Statistics, AllThreadsAreSummedUp) {
    constexpr int kThreads = 4;
    constexpr int kEach = 20000;
    Statistics s;
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i)
        threads.emplace_back([&s, i] {
            for (int n = 1; n <= kEach; ++n) {
                s.count_granted(0.5);
                s.count_refused(Status::denied);
                s.count_wait(Status::success, 1, i * kEach + n);
            }
        });
    for (std::thread &t : threads) t.join();
    const Totals t = s.totals();
    EXPECT_EQ(t.granted, 2 * kThreads * kEach);
    EXPECT_EQ(t.denied, kThreads * kEach);
    EXPECT_EQ(t.waits, kThreads * kEach);
    EXPECT_EQ(t.tokens_taken, 1.5 * kThreads * kEach);
    EXPECT_EQ(t.longest_wait_ns, kThreads * kEach);
}

}  // namespace
