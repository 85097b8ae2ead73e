// The queue of those who wait, driven as the limiter drives it, at times of the test's choice; no thread sleeps.
#include "core/queue/wait_queue.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <memory>
#include <thread>
#include <vector>

#include "tests/support/core.h"

namespace {

using tb::Observation;
using tb::Status;
using tb::Waiter;

constexpr int64_t kToken = 1000000000;  // units

// A bucket of 10 tokens, empty at 0, that gains one a nanosecond, and its queue.
class Queue : public testing::Test {
  protected:
    explicit Queue(tb::Clock *manual_clock = nullptr) : queue(manual_clock) {}

    const Observation &look(int64_t now) {
        observed = Observation(word, plan, now);
        queue.look(observed);
        return observed;
    }
    void publish() {
        observed.word = word = tb::word_at(queue.chain().end(), word);
        queue.published(word);
    }
    // After entries were changed.
    void publish_changed() {
        queue.changed();
        publish();
        look(observed.now);
    }

    Waiter *enter(int64_t tokens, int64_t now, int64_t deadline_ns = INT64_MAX) {
        waiters.push_back(std::make_unique<Waiter>());
        look(now);
        const int64_t cost = tokens * kToken;
        const tb::Cursor at = queue.chain().place_waiter(queue.chain().tail(), cost);
        EXPECT_TRUE(queue.chain().reserve_room());
        queue.enter(waiters.back().get(), at, cost, queue.due_ns(observed, at, cost), deadline_ns);
        publish();
        return waiters.back().get();
    }
    uint32_t reserve(int64_t tokens, int64_t now) {
        look(now);
        const int64_t cost = tokens * kToken;
        const tb::Cursor at = queue.chain().place_reservation(cost);
        EXPECT_TRUE(queue.chain().reserve_room());
        const uint32_t index = queue.chain().put_reservation(at, cost, queue.due_ns(observed, at, cost));
        publish();
        return index;
    }
    void charge(int64_t tokens) {
        queue.chain().set_base(queue.chain().base() + static_cast<uint64_t>(tokens * kToken));
        queue.replan(observed);
    }
    int64_t available(int64_t now) const { return tb::balance(word, plan, now).available / kToken; }

    static int64_t due(const Waiter *w) { return w->alarm.due_ns; }
    static bool is_over(const Waiter *w) { return (w->alarm.sleeper.word() & tb::Alarm::kOver) != 0; }
    static uint32_t rings(const Waiter *w) { return w->alarm.sleeper.word() / tb::Alarm::kRing; }

    tb::Plan plan = tb::make_plan(tb_test::limit_of(10, 1e9), 0, {0, {0, 0}});
    uint64_t word = 0;
    tb::WaitQueue queue;
    Observation observed;
    std::vector<std::unique_ptr<Waiter>> waiters;
};

TEST_F(Queue, EachIsDueBehindTheOneBefore) {
    Waiter *const first = enter(3, 0);
    Waiter *const second = enter(2, 1);
    EXPECT_EQ(due(first), 3);
    EXPECT_EQ(due(second), 5);
    EXPECT_EQ(available(1), -4);
    EXPECT_EQ(queue.chain().waiters(), 2u);
}

TEST_F(Queue, WhoIsDueIsGrantedInOrder) {
    Waiter *const first = enter(3, 0);
    Waiter *const second = enter(2, 0);
    look(2);
    EXPECT_EQ(first->outcome, Status::waiting);
    look(3);
    EXPECT_EQ(first->outcome, Status::success);
    EXPECT_EQ(second->outcome, Status::waiting);
    look(5);
    EXPECT_EQ(second->outcome, Status::success);
    EXPECT_TRUE(queue.chain().is_empty());
    EXPECT_EQ(available(5), 0);
}

// Granted late, they were due at their own times: what came in since is there.
TEST_F(Queue, ALateLookGrantsAtTheRightPositions) {
    enter(3, 0);
    reserve(4, 0);
    Waiter *const last = enter(1, 0);
    look(100);
    EXPECT_EQ(last->outcome, Status::success);
    EXPECT_TRUE(queue.chain().is_empty());
    publish();
    EXPECT_EQ(available(100), 10);
}

TEST_F(Queue, AReservationBeforeAWaiterIsPastBeforeIt) {
    reserve(4, 0);
    Waiter *const w = enter(3, 0);
    enter(2, 0);
    look(8);
    EXPECT_EQ(w->outcome, Status::success);
    EXPECT_EQ(queue.chain().first_reservation(), 0u);
    EXPECT_EQ(queue.chain().base(), static_cast<uint64_t>(7 * kToken));
}

TEST_F(Queue, TheEndIsToldOnce) {
    Waiter *const w = enter(3, 0);
    look(3);
    EXPECT_FALSE(is_over(w));
    queue.tell_ended(3);
    EXPECT_TRUE(is_over(w));
    const uint32_t word_then = w->alarm.sleeper.word();
    queue.tell_ended(3);
    EXPECT_EQ(w->alarm.sleeper.word(), word_then);
}

TEST_F(Queue, OnlyTheOneInFrontLearnsThatItMovedUp) {
    Waiter *const first = enter(3, 0);
    Waiter *const second = enter(2, 0);
    Waiter *const third = enter(1, 0);
    look(1);
    queue.end_wait(first->index, Status::interrupted);
    publish_changed();
    queue.serve(observed);
    EXPECT_EQ(first->outcome, Status::interrupted);
    EXPECT_EQ(due(second), 2);
    EXPECT_EQ(rings(second), 1u);
    EXPECT_EQ(due(third), 6) << "learns it in front";
    EXPECT_EQ(rings(third), 0u);
    EXPECT_EQ(available(1), -2);
    look(2);
    queue.serve(observed);
    EXPECT_EQ(second->outcome, Status::success);
    EXPECT_EQ(due(third), 3);
    EXPECT_EQ(rings(third), 1u);
}

TEST_F(Queue, NobodyIsWokenForNothing) {
    Waiter *const first = enter(3, 0);
    Waiter *const second = enter(2, 0);
    for (int64_t now = 0; now < 3; ++now) {
        look(now);
        queue.serve(observed);
        queue.replan(observed);
    }
    EXPECT_EQ(rings(first) + rings(second), 0u);
}

TEST_F(Queue, WhoIsPutBackLearnsItAtOnce) {
    Waiter *const first = enter(3, 0);
    Waiter *const second = enter(2, 0, 8);
    Waiter *const third = enter(2, 0, 8);
    look(1);
    charge(2);
    publish();
    EXPECT_EQ(due(first), 5);
    EXPECT_EQ(due(second), 7);
    EXPECT_EQ(rings(first), 1u);
    EXPECT_EQ(rings(second), 1u);
    EXPECT_EQ(third->outcome, Status::timed_out) << "9 is behind its deadline";
    EXPECT_EQ(available(1), -6);
}

TEST_F(Queue, AtItsDeadlineIsNotBehindIt) {
    Waiter *const w = enter(3, 0, 5);
    look(0);
    charge(2);
    EXPECT_EQ(due(w), 5);
    EXPECT_EQ(w->outcome, Status::waiting);
}

TEST_F(Queue, WhoCostsMoreThanTheCapacityLeaves) {
    Waiter *const first = enter(8, 0);
    Waiter *const second = enter(2, 0);
    look(0);
    plan.capacity = 5 * kToken;
    look(0);
    queue.replan(observed);
    publish_changed();
    EXPECT_EQ(first->outcome, Status::exceeds_capacity);
    EXPECT_EQ(second->outcome, Status::waiting);
    EXPECT_EQ(due(second), 2);
    EXPECT_EQ(available(0), -2);
}

// A change of the word that the queue did not make goes to the present, before all who wait.
TEST_F(Queue, WhatWasTakenBesideTheQueueIsTakenUp) {
    Waiter *const w = enter(3, 0);
    reserve(4, 0);
    word += static_cast<uint64_t>(2 * kToken) << tb::kGenerationBits;
    look(1);
    queue.serve(observed);
    EXPECT_EQ(due(w), 9) << "behind the reservation, whose promise is kept";
    EXPECT_EQ(queue.chain().base(), static_cast<uint64_t>(2 * kToken));
    EXPECT_EQ(tb::word_at(queue.chain().end(), word), word) << "the word shows it already";
}

TEST_F(Queue, AnEmptyQueueFollowsTheWord) {
    word = tb::word_at(0 - static_cast<uint64_t>(4 * kToken), 0);
    look(3);
    EXPECT_EQ(static_cast<int64_t>(queue.chain().base()), -4 * kToken);
    look(100);
    EXPECT_EQ(queue.chain().base(), static_cast<uint64_t>(90 * kToken)) << "full";
}

TEST_F(Queue, WhatLeftIsNotTakenUpAgain) {
    Waiter *const w = enter(3, 0);
    look(1);
    queue.end_wait(w->index, Status::interrupted);
    queue.changed();
    look(1);
    EXPECT_EQ(queue.chain().base(), 0u) << "the word still shows it";
    publish();
    EXPECT_EQ(available(1), 1);
}

TEST_F(Queue, AfterAnAgeEverybodyIsGranted) {
    enter(3, 0);
    reserve(4, 0);
    enter(1, 0);
    look(int64_t{1} << 62);
    EXPECT_TRUE(queue.chain().is_empty());
    for (const auto &w : waiters) EXPECT_EQ(w->outcome, Status::success);
}

TEST_F(Queue, DueAtNoTimeThatCanBeExpressed) {
    plan.base_ns = INT64_MAX - 10;
    look(INT64_MAX - 5);
    const uint64_t accrued = observed.balance.accrued;
    EXPECT_EQ(queue.due_ns(observed, {0, accrued}, 4 * kToken), INT64_MAX - 1);
    EXPECT_EQ(queue.due_ns(observed, {0, accrued}, 5 * kToken), TBU_NEVER);
    EXPECT_EQ(queue.due_ns(observed, {0, accrued - 9}, 9), INT64_MAX - 5) << "now";
}

TEST_F(Queue, ClosingEndsAllWaits) {
    enter(3, 0);
    enter(2, 0);
    look(0);
    queue.end_all_waits(Status::closed);
    queue.tell_ended(0);
    for (const auto &w : waiters) {
        EXPECT_EQ(w->outcome, Status::closed);
        EXPECT_TRUE(is_over(w.get()));
    }
    EXPECT_EQ(queue.chain().waiters(), 0u);
}

TEST_F(Queue, AChildOfAForkForgetsEverybody) {
    Waiter *const w = enter(3, 0);
    look(3);
    const auto abandon = [&] {
        queue.abandon();
        queue.tell_ended(3);
        queue.wait_until_departed();
        _exit(!is_over(w) && queue.chain().is_empty() ? 0 : 1);
    };
    EXPECT_EXIT(abandon(), testing::ExitedWithCode(0), "") << "who waits belongs to another process";
}

TEST_F(Queue, TheOwnerWaitsForAllWhoAreInside) {
    enter(3, 0);
    enter(2, 0);
    std::atomic<int> departed{0};
    std::thread others([&] {
        for (int i = 0; i < 2; ++i) {
            std::this_thread::yield();
            queue.depart(tb::platform::process_generation() + 1);  // was never counted
            ++departed;
            queue.depart(tb::platform::process_generation());
        }
    });
    queue.wait_until_departed();
    EXPECT_EQ(departed, 2);
    others.join();
}

struct Clocked {
    tb::Clock clock{0};
};

class ManualQueue : private Clocked, public Queue {
  protected:
    ManualQueue() : Queue(&clock) {}
    int64_t counted(int64_t *next_due) { return clock.waiters(next_due); }
    void set(int64_t now) { clock.set(now); }
};

TEST_F(ManualQueue, TheClockKnowsWhoWaits) {
    int64_t next = 0;
    Waiter *const first = enter(3, 0);
    enter(2, 0);
    EXPECT_EQ(counted(&next), 2);
    EXPECT_EQ(next, 3);
    look(1);
    queue.end_wait(first->index, Status::interrupted);
    publish_changed();
    queue.serve(observed);
    queue.tell_ended(1);
    EXPECT_EQ(counted(&next), 1);
    EXPECT_EQ(next, 2);
    set(2);
    EXPECT_EQ(counted(&next), 0) << "rung, as it is due";
    EXPECT_EQ(next, INT64_MAX);
    look(2);
    queue.tell_ended(2);
    EXPECT_TRUE(is_over(waiters[1].get()));
}

}  // namespace
