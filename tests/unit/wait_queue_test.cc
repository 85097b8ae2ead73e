// The queue of those who wait, driven as an account drives it, at times of the test's choice; no thread sleeps.
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
    explicit Queue(tb::Clock *manual_clock = nullptr, int64_t max_lateness_ns = INT64_MAX)
        : queue({manual_clock, max_lateness_ns, {[](void *) {}, nullptr}}) {}

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

    Waiter *enter(int64_t tokens, int64_t now, int64_t deadline_ns = INT64_MAX, int32_t priority = 0) {
        waiters.push_back(std::make_unique<Thread>());
        look(now);
        const int64_t cost = tokens * kToken;
        const tb::Cursor at = queue.chain().place_waiter(queue.chain().behind_priority(priority), cost);
        EXPECT_TRUE(queue.chain().reserve_room());
        queue.enter(waiters.back().get(), at, cost, queue.due_ns(observed, at, cost), deadline_ns, priority);
        queue.show(waiters.back().get());
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

    // The waiter comes for its tokens.
    Status come(Waiter *w, int64_t now) {
        look(now);
        const Status s = queue.collect(observed, w);
        if (s != Status::waiting) leave(w);
        publish_changed();
        return s;
    }
    void leave(Waiter *w) {
        queue.leave(w);
        publish_changed();
    }

    static int64_t due(const Waiter *w) { return w->alarm.due_ns; }
    static uint32_t rings(const Waiter *w) { return w->alarm.sleeper->word(); }

    tb::Plan plan = tb::make_plan(tb_test::limit_of(10, 1e9), 0, {0, {0, 0}});
    uint64_t word = 0;
    struct Thread : Waiter {
        Thread() { alarm.sleeper = &sleeper; }
        tb::platform::Sleeper sleeper;
    };
    std::vector<std::unique_ptr<Thread>> waiters;  // outlive the queue
    tb::WaitQueue queue;
    Observation observed;
};

TEST_F(Queue, EachIsDueBehindTheOneBefore) {
    Waiter *const first = enter(3, 0);
    Waiter *const second = enter(2, 1);
    EXPECT_EQ(due(first), 3);
    EXPECT_EQ(due(second), 5);
    EXPECT_EQ(available(1), -4);
    EXPECT_EQ(queue.chain().waiters(), 2u);
}

TEST_F(Queue, WhoIsDueCollectsWheneverItComes) {
    Waiter *const first = enter(3, 0);
    Waiter *const second = enter(2, 0);
    EXPECT_EQ(come(first, 2), Status::waiting);
    EXPECT_EQ(come(second, 5), Status::success);
    EXPECT_EQ(come(first, 5), Status::success);
    EXPECT_TRUE(queue.chain().is_empty());
    EXPECT_EQ(available(5), 0);
}

// Granted late, they were due at their own times: what came in since is there.
TEST_F(Queue, ALateLookGrantsAtTheRightPositions) {
    Waiter *const first = enter(3, 0);
    reserve(4, 0);
    Waiter *const last = enter(1, 0);
    look(100);
    EXPECT_TRUE(queue.chain().is_settled());
    publish();
    EXPECT_EQ(available(100), 10);
    EXPECT_EQ(come(last, 100), Status::success);
    EXPECT_EQ(come(first, 100), Status::success);
    EXPECT_EQ(available(100), 10);
}

TEST_F(Queue, AReservationBeforeAWaiterIsPastBeforeIt) {
    reserve(4, 0);
    Waiter *const w = enter(3, 0);
    enter(2, 0);
    look(8);
    EXPECT_EQ(queue.chain().first_due(), w->index);
    EXPECT_EQ(queue.chain().first_reservation(), 0u);
    EXPECT_EQ(queue.chain().base(), static_cast<uint64_t>(7 * kToken));
}

TEST_F(Queue, OnlyTheOneInFrontLearnsThatItMovedUp) {
    Waiter *const first = enter(3, 0);
    Waiter *const second = enter(2, 0);
    Waiter *const third = enter(1, 0);
    look(1);
    leave(first);
    queue.serve(observed);
    EXPECT_EQ(due(second), 2);
    EXPECT_EQ(rings(second), 1u);
    EXPECT_EQ(due(third), 6) << "learns it in front";
    EXPECT_EQ(rings(third), 0u);
    EXPECT_EQ(available(1), -2);
    look(2);
    queue.serve(observed);
    EXPECT_EQ(rings(second), 1u) << "it knows that it is due";
    EXPECT_EQ(due(third), 3);
    EXPECT_EQ(rings(third), 1u);
}

TEST_F(Queue, AllWhomAChangeMakesDueAreToldAtOnce) {
    Waiter *const first = enter(3, 0);
    Waiter *const second = enter(2, 0);
    Waiter *const third = enter(4, 0);
    look(1);
    charge(-5);
    queue.serve(observed);
    for (const Waiter *w : {first, second}) {
        EXPECT_EQ(due(w), 1);
        EXPECT_EQ(rings(w), 1u);
    }
    EXPECT_EQ(due(third), 4);
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

TEST_F(Queue, WhoIsPutBackIsNotWokenForItUnlessItIsTooLate) {
    Waiter *const first = enter(3, 0);
    Waiter *const second = enter(2, 0, 8);
    Waiter *const third = enter(2, 0, 8);
    look(1);
    charge(2);
    publish();
    EXPECT_EQ(due(first), 5);
    EXPECT_EQ(due(second), 7);
    EXPECT_EQ(rings(first) + rings(second), 0u);
    EXPECT_EQ(third->outcome, Status::timed_out) << "9 is behind its deadline";
    EXPECT_EQ(rings(third), 1u);
    EXPECT_EQ(available(1), -6);
}

TEST_F(Queue, WhoIsDueKeepsItsTokensWhateverChanges) {
    Waiter *const w = enter(3, 0, 3);
    look(4);
    charge(20);
    publish();
    plan.capacity = 2 * kToken;
    look(5);
    queue.replan(observed);
    EXPECT_EQ(come(w, 6), Status::success);
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
    queue.serve(observed);
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
    queue.leave(w);
    look(1);
    EXPECT_EQ(queue.chain().base(), 0u) << "the word still shows it";
    publish();
    EXPECT_EQ(available(1), 1);
}

TEST_F(Queue, AfterAnAgeEverybodyIsDue) {
    Waiter *const first = enter(3, 0);
    reserve(4, 0);
    Waiter *const last = enter(1, 0);
    constexpr int64_t kAge = int64_t{1} << 62;
    EXPECT_EQ(come(first, kAge), Status::success);
    EXPECT_EQ(come(last, kAge), Status::success);
    EXPECT_TRUE(queue.chain().is_empty());
    EXPECT_EQ(available(kAge), 10);
}

TEST_F(Queue, DueAtNoTimeThatCanBeExpressed) {
    plan.base_ns = INT64_MAX - 10;
    look(INT64_MAX - 5);
    const uint64_t accrued = observed.balance.accrued;
    EXPECT_EQ(queue.due_ns(observed, {0, accrued}, 4 * kToken), INT64_MAX - 1);
    EXPECT_EQ(queue.due_ns(observed, {0, accrued}, 5 * kToken), TBU_NEVER);
    EXPECT_EQ(queue.due_ns(observed, {0, accrued - 9}, 9), INT64_MAX - 5) << "now";
}

TEST_F(Queue, ClosingEndsAllWaitsButOfThoseThatAreDue) {
    Waiter *const first = enter(3, 0);
    Waiter *const second = enter(2, 0);
    look(3);
    queue.grant_due();
    queue.end_all_waits(Status::closed);
    EXPECT_EQ(first->outcome, Status::success);
    EXPECT_EQ(second->outcome, Status::closed);
    EXPECT_EQ(rings(first), 1u);
    EXPECT_EQ(rings(second), 1u);
    publish_changed();
    EXPECT_EQ(available(3), 0);
    EXPECT_EQ(come(first, 4), Status::success);
    EXPECT_EQ(come(second, 4), Status::closed);
    EXPECT_EQ(available(4), 1);
}

TEST_F(Queue, AChildOfAForkForgetsEverybody) {
    Waiter *const w = enter(3, 0);
    queue.inside().begin();
    const auto abandon = [&] {
        queue.abandon();
        queue.inside().wait_for_all();
        _exit(rings(w) == 0 && queue.chain().is_empty() ? 0 : 1);
    };
    EXPECT_EXIT(abandon(), testing::ExitedWithCode(0), "") << "who waits belongs to another process";
}

TEST(InFlight, TheOwnerWaitsForAll) {
    tb::InFlight inside;
    inside.begin();
    inside.begin();
    std::atomic<int> ended{0};
    std::thread others([&] {
        for (int i = 0; i < 2; ++i) {
            std::this_thread::yield();
            inside.end(tb::platform::process_generation() + 1);  // was never counted
            ++ended;
            inside.end(tb::platform::process_generation());
        }
    });
    inside.wait_for_all();
    EXPECT_EQ(ended, 2);
    others.join();
}

// As Queue; tokens are kept for 2 ns.
class LateQueue : public Queue {
  protected:
    LateQueue() : Queue(nullptr, 2) {}
};

TEST_F(LateQueue, InTimeIsAtItsDueTime) {
    Waiter *const first = enter(10, 0);
    Waiter *const second = enter(10, 0);
    EXPECT_EQ(come(first, 12), Status::success);
    EXPECT_EQ(come(second, 12), Status::waiting);
    EXPECT_EQ(due(second), 20);
}

TEST_F(LateQueue, TheLateAndAllBehindArePlannedAnew) {
    Waiter *const first = enter(10, 0);
    Waiter *const second = enter(10, 0, 25);
    Waiter *const third = enter(4, 0);
    EXPECT_EQ(come(third, 17), Status::waiting);
    EXPECT_EQ(queue.chain().first_due(), first->index);
    EXPECT_EQ(due(third), 31);
    EXPECT_EQ(come(second, 18), Status::timed_out) << "it would be due at 27";
    EXPECT_EQ(come(third, 18), Status::waiting);
    EXPECT_EQ(due(third), 21);
    EXPECT_EQ(come(first, 19), Status::success);
    EXPECT_EQ(come(third, 21), Status::success);
    EXPECT_EQ(available(21), 0);
}

TEST_F(LateQueue, OneThatIsLateAgainIsPassedOverUntilItComes) {
    Waiter *const lost = enter(10, 0);
    Waiter *const second = enter(6, 0);
    EXPECT_EQ(come(second, 16), Status::waiting);
    EXPECT_EQ(due(second), 22);
    EXPECT_EQ(come(second, 22), Status::success);
    EXPECT_EQ(available(22), 4) << "nothing is kept for the lost one";
    Waiter *const third = enter(5, 22);
    EXPECT_EQ(due(third), 23);
    EXPECT_EQ(come(lost, 22), Status::waiting);
    EXPECT_EQ(due(lost), 28);
    EXPECT_EQ(come(third, 23), Status::waiting);
    EXPECT_EQ(due(third), 33);
    EXPECT_EQ(come(lost, 28), Status::success);
    EXPECT_EQ(come(third, 33), Status::success);
}

TEST_F(LateQueue, OneThatComesInVainAgainAndAgainIsCalledInstead) {
    Waiter *const first = enter(10, 0);
    Waiter *const second = enter(10, 0);
    Waiter *const third = enter(10, 0);
    Waiter *const fourth = enter(10, 0);
    EXPECT_EQ(come(fourth, 40), Status::waiting);
    EXPECT_EQ(due(fourth), 70) << "the others are late, and it comes in vain for the first time";
    EXPECT_EQ(come(first, 42), Status::success);
    for (Waiter *w : {second, third}) EXPECT_EQ(come(w, 42), Status::waiting);
    EXPECT_EQ(come(fourth, 70), Status::waiting);
    EXPECT_EQ(due(fourth), 70 + 8 * 20);
    EXPECT_EQ(come(second, 70), Status::success);
    EXPECT_EQ(come(third, 80), Status::success);
    queue.serve(observed);
    EXPECT_EQ(due(fourth), 90);
    EXPECT_EQ(rings(fourth), 1u);
    EXPECT_EQ(come(fourth, 90), Status::success);
}

TEST_F(LateQueue, OneSetAsideCanLeave) {
    Waiter *const lost = enter(10, 0);
    look(16);
    publish_changed();
    look(20);
    publish_changed();
    EXPECT_TRUE(queue.chain().is_empty());
    EXPECT_EQ(available(20), 10);
    leave(lost);
    EXPECT_EQ(available(20), 10);
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
    leave(first);
    queue.serve(observed);
    EXPECT_EQ(counted(&next), 1);
    EXPECT_EQ(next, 2);
    set(2);
    EXPECT_EQ(counted(&next), 0) << "rung, as it is due";
    EXPECT_EQ(next, INT64_MAX);
    EXPECT_EQ(rings(waiters[1].get()), 2u);
}

}  // namespace
