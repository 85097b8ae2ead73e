// The chain against a list that is walked, and a line of waiters who are placed one by one.
#include "core/queue/chain.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <vector>

#include "core/queue/wait_queue.h"
#include "tests/model/plain_list.h"
#include "tests/support/core.h"
#include "tests/support/trace.h"

namespace {

using model::PlainEntry;
using model::PlainList;
using model::Point;
using tb::Chain;
using tb::Cursor;
using tb_test::Trace;

constexpr uint64_t kOrigins[] = {0, UINT64_MAX - 40, (uint64_t{1} << 63) - 40, uint64_t{12345} << 40};

struct PlainWaiter {
    uint32_t index;
    int64_t cost;
    int32_t priority;
};

struct Issued {
    uint32_t index;
    uint32_t serial;
    bool valid;
};

// A chain and what it must equal, in positions counted from an origin.
class Pair {
  public:
    Pair(uint64_t origin, int64_t capacity, int64_t base) : base_(base), origin_(origin) {
        set_capacity(capacity);
        set_base(base);
    }

    int64_t base() const { return base_; }
    int64_t capacity() const { return list_.capacity; }
    std::size_t reservations() const { return list_.entries.size(); }
    std::size_t waiters() const { return waiters_.size(); }
    Chain &chain() { return chain_; }

    void set_base(int64_t base) {
        base_ = base;
        chain_.set_base(at(base));
    }
    void set_capacity(int64_t capacity) {
        list_.capacity = capacity;
        chain_.set_capacity(capacity);
    }

    // Where a newcomer is put: behind all waiters. Its position.
    int64_t reserve(int64_t cost) {
        const Point p = list_.place(tail(), cost, Chain::kMostGaps);
        expect_equal(chain_.place_reservation(cost), p);
        const Point with = {p.at, p.spent + cost};
        EXPECT_TRUE(chain_.reserve_room());
        const uint32_t index = chain_.put_reservation(cursor(p), cost, with.spent);
        list_.insert({index, with.spent, cost});
        issued_.push_back({index, chain_[index].serial, true});
        return with.spent;
    }
    void wait(int64_t cost, int32_t priority = 0) {
        std::size_t i = 0;
        while (i < waiters_.size() && waiters_[i].priority >= priority) ++i;
        const Point p = list_.place(behind(i), cost);
        expect_equal(chain_.place_waiter(chain_.behind_priority(priority), cost), p);
        EXPECT_TRUE(chain_.reserve_room());
        const uint32_t index = chain_.put_waiter(cursor(p), cost, 0, priority, &nobody_);
        waiters_.insert(waiters_.begin() + static_cast<std::ptrdiff_t>(i), {index, cost, priority});
        issued_.push_back({index, chain_[index].serial, true});
    }
    void remove_reservation(std::size_t i) {
        invalidate(list_.entries[i].index);
        chain_.remove(list_.entries[i].index);
        list_.erase(i);
    }
    void remove_waiter(std::size_t i) {
        invalidate(waiters_[i].index);
        chain_.remove(waiters_[i].index);
        waiters_.erase(waiters_.begin() + static_cast<std::ptrdiff_t>(i));
    }
    void keep(std::size_t i, int64_t cost) {
        invalidate(list_.entries[i].index);
        chain_.keep(list_.entries[i].index, cost);
        list_.entries[i].cost = cost;
    }
    // Whoever comes first is past.
    void pass_first() {
        const Point first = waiters_.empty() ? Point{1, 0} : list_.place(list_.begin(base_), waiters_[0].cost);
        if (first.at == 0) {
            base_ = first.spent + waiters_[0].cost;
            invalidate(waiters_[0].index);
            chain_.make_due(waiters_[0].index);
            chain_.collect(waiters_[0].index);
            chain_.remove(waiters_[0].index);
            waiters_.erase(waiters_.begin());
        } else if (!list_.entries.empty()) {
            invalidate(list_.entries[0].index);
            chain_.pass_reservation(list_.entries[0].index);
            base_ = list_.step(list_.begin(base_)).spent;
            list_.erase(0);
        }
    }

    // Are all promises kept as things stand?
    bool is_sound() const { return list_.fits(list_.begin(base_), 0); }

    void expect_same() const {
        EXPECT_TRUE(chain_.check());
        EXPECT_EQ(chain_.base(), at(base_));
        EXPECT_EQ(chain_.waiters(), waiters_.size());
        EXPECT_EQ(chain_.is_empty(), waiters_.empty() && list_.entries.empty());
        EXPECT_EQ(chain_.first_reservation(), index(0));
        uint32_t next = chain_.first_waiter();
        for (std::size_t i = 0; i < waiters_.size(); ++i) {
            ASSERT_EQ(next, waiters_[i].index);
            expect_equal(chain_.behind(next), behind(i + 1));
            next = chain_.next_waiter(next);
        }
        EXPECT_EQ(next, 0u);
        expect_equal(chain_.begin(), list_.begin(base_));
        expect_equal(chain_.tail(), tail());
        EXPECT_EQ(chain_.end(), at(list_.spent_at_end(tail())));
        for (const int64_t cost : {int64_t{1}, list_.capacity})
            expect_equal(chain_.place_waiter(chain_.begin(), cost), list_.place(list_.begin(base_), cost));
    }
    void expect_serials() const {
        for (const Issued &i : issued_) EXPECT_EQ(chain_.holds(i.index, i.serial), i.valid);
    }
    int64_t cost(std::size_t i) const { return list_.entries[i].cost; }

  private:
    void invalidate(uint32_t index) {
        for (Issued &i : issued_)
            if (i.index == index) i.valid = false;
    }
    uint64_t at(int64_t position) const { return origin_ + static_cast<uint64_t>(position); }
    uint32_t index(std::size_t i) const { return i < list_.entries.size() ? list_.entries[i].index : 0; }
    Cursor cursor(Point p) const { return {index(p.at), at(p.spent)}; }
    Point tail() const { return behind(waiters_.size()); }
    // The point behind so many waiters.
    Point behind(std::size_t count) const {
        std::vector<int64_t> costs;
        for (std::size_t i = 0; i < count; ++i) costs.push_back(waiters_[i].cost);
        return list_.tail(base_, costs);
    }
    void expect_equal(Cursor got, Point expected) const {
        EXPECT_EQ(got.next, index(expected.at));
        EXPECT_EQ(static_cast<int64_t>(got.spent - origin_), expected.spent);
    }

    Chain chain_;
    PlainList list_;
    std::vector<PlainWaiter> waiters_;  // in their order
    std::vector<Issued> issued_;
    tb::Waiter nobody_;
    int64_t base_;
    const uint64_t origin_;
};

TEST(Chain, NewcomersStandOneBehindTheOther) {
    Pair p(UINT64_MAX - 4, 10, 0);
    EXPECT_EQ(p.reserve(3), 3);
    p.wait(4);
    EXPECT_EQ(p.reserve(2), 9);
    p.wait(1);
    EXPECT_EQ(p.reserve(1), 11);
    p.expect_same();
}

// What leaves was never there; the next who comes takes its place, if nobody waits behind it.
TEST(Chain, ANewcomerTakesTheGapOfWhatLeft) {
    Pair p(0, 10, 0);
    p.reserve(8);
    p.reserve(8);
    p.remove_reservation(0);
    p.expect_same();
    EXPECT_EQ(p.reserve(1), 1);
    EXPECT_EQ(p.reserve(8), 22) << "does not fit before the other";
    p.wait(1);
    p.expect_same();
    EXPECT_EQ(p.reserve(1), 3) << "behind the waiter, who stands in the gap";
}

TEST(Chain, NobodyIsPutBeforeAWaiter) {
    Pair p(0, 10, 0);
    p.reserve(8);
    p.reserve(8);
    p.remove_reservation(0);
    p.wait(9);
    p.expect_same();
    EXPECT_EQ(p.reserve(1), 24) << "the gap is before the waiter, who stands at 23";
}

TEST(Chain, WaitersMoveUpInOrder) {
    Pair p(0, 10, 0);
    p.wait(10);
    for (const int64_t cost : {3, 1, 2}) p.wait(cost);
    p.reserve(5);
    p.remove_waiter(0);
    p.expect_same();
    p.pass_first();
    EXPECT_EQ(p.base(), 3);
    EXPECT_EQ(p.waiters(), 2u);
    p.expect_same();
}

TEST(Chain, EachPriorityIsALineOfItsOwn) {
    Pair p(0, 10, 0);
    p.wait(3, 0);
    p.wait(2, 1);
    p.wait(1, 1);
    p.wait(4, INT32_MIN);
    p.wait(5, INT32_MAX);
    p.expect_same();
    p.remove_waiter(0);
    p.expect_same();
}

// Three waiters of capacity 10; the first two are due at 5, the rest at 9.
class Due : public testing::Test {
  protected:
    void SetUp() override {
        chain.set_capacity(10);
        for (const int64_t cost : {2, 3, 4}) {
            ASSERT_TRUE(chain.reserve_room());
            waiters.push_back(chain.put_waiter(chain.place_waiter(chain.tail(), cost), cost, 0, 0, &nobody));
        }
        chain.make_due(waiters[0]);
        chain.make_due(waiters[1]);
    }

    Chain chain;
    tb::Waiter nobody;
    std::vector<uint32_t> waiters;
};

TEST_F(Due, TheyCountAsServedAndChangeNothingBehind) {
    EXPECT_EQ(chain.base(), 5u);
    EXPECT_EQ(chain.end(), 9u);
    EXPECT_EQ(chain.waiters(), 1u);
    EXPECT_EQ(chain.first_due(), waiters[0]);
    EXPECT_EQ(chain.next_due(waiters[0]), waiters[1]);
    chain.collect(waiters[0]);
    EXPECT_EQ(chain.base(), 5u);
    EXPECT_EQ(chain.end(), 9u);
    EXPECT_EQ(chain.first_due(), waiters[1]);
}

TEST_F(Due, WhatOneGivesBackIsWhatItKeptAway) {
    chain.fill_and_take(1, 2, 100);  // 2 more are taken, and the bucket has not been full
    chain.remove(waiters[1]);
    EXPECT_EQ(chain.base(), 4u);
    chain.fill_and_take(3, 0, 100);  // full without the first, too
    chain.remove(waiters[0]);
    EXPECT_EQ(chain.base(), 3u) << "of its 2 one would have overflowed";
    EXPECT_EQ(chain.first_due(), 0u);
}

TEST_F(Due, WhatOverflowedMeanwhileDoesNotComeBack) {
    chain.fill_and_take(5, 10, 100);
    chain.remove(waiters[0]);
    EXPECT_EQ(chain.base(), 15u);
    chain.undo_due();
    EXPECT_EQ(chain.base(), 15u);
    EXPECT_EQ(chain.end(), 22u) << "they wait again, behind what was taken";
}

TEST_F(Due, OneThatGoesLeavesTheOthersAtTheirPositions) {
    chain.remove(waiters[0]);
    EXPECT_EQ(chain.base(), 3u);
    chain.fill_and_take(1, 0, 100);
    chain.make_due(waiters[2]);
    EXPECT_EQ(chain.base(), 7u);
    chain.fill_and_take(4, 0, 100);
    chain.remove(waiters[1]);
    EXPECT_EQ(chain.base(), 5u) << "1 has overflowed before the last became due";
}

TEST_F(Due, AllWaitAgainInTheirOrder) {
    chain.undo_due();
    EXPECT_EQ(chain.base(), 0u);
    EXPECT_EQ(chain.end(), 9u);
    EXPECT_EQ(chain.first_waiter(), waiters[0]);
    EXPECT_EQ(chain.next_waiter(waiters[0]), waiters[1]);
    chain.make_due(waiters[0]);
    chain.undo_due([](const tb::Waiter *) { return true; });
    EXPECT_EQ(chain.end(), 7u);
    EXPECT_EQ(chain.waiters(), 3u) << "one that is set aside counts";
    chain.rejoin(waiters[0]);
    EXPECT_EQ(chain.first_waiter(), waiters[0]);
    EXPECT_EQ(chain.end(), 9u);
}

TEST_F(Due, AReservationBehindThemPassesWithAndWithoutThem) {
    ASSERT_TRUE(chain.reserve_room());
    chain.remove(waiters[2]);
    const uint32_t r = chain.put_reservation({0, 12}, 2, 0);  // at 14; the bucket overflows before it without the two
    chain.pass_reservation(r);
    EXPECT_EQ(chain.base(), 7u);
    chain.undo_due();
    EXPECT_EQ(chain.base(), 6u);
}

TEST_F(Due, AWaiterIsFoundByItsNumberUntilItIsGone) {
    const uint64_t number = chain.number(waiters[0]);
    EXPECT_EQ(chain.waiter(number), &nobody);
    chain.collect(waiters[0]);
    EXPECT_EQ(chain.waiter(number), &nobody);
    chain.remove(waiters[0]);
    EXPECT_EQ(chain.waiter(number), nullptr);
    ASSERT_TRUE(chain.reserve_room());
    EXPECT_EQ(chain.put_waiter(chain.tail(), 1, 0, 0, &nobody), waiters[0]) << "the same index";
    EXPECT_EQ(chain.waiter(number), nullptr);
    for (const uint64_t other : {uint64_t{0}, uint64_t{1}, number + 1, UINT64_MAX})
        EXPECT_EQ(chain.waiter(other), nullptr);
}

TEST(Chain, WhatIsPastGoesIntoTheBase) {
    Pair p(0, 10, 0);
    p.reserve(8);
    p.reserve(8);
    p.set_base(-20);
    p.pass_first();
    EXPECT_EQ(p.base(), 6) << "it overflowed before the first";
    p.pass_first();
    EXPECT_EQ(p.base(), 14);
    EXPECT_TRUE(p.chain().is_empty());
}

TEST(Chain, WhatIsKeptStaysAtItsPlaceUnderNoTicket) {
    Pair p(0, 10, 0);
    p.reserve(8);
    p.reserve(8);
    const uint32_t index = p.chain().first_reservation();
    const uint32_t serial = p.chain()[index].serial;
    p.keep(0, 3);
    p.expect_same();
    EXPECT_FALSE(p.chain().holds(index, serial));
    EXPECT_EQ(p.chain().first_reservation(), index);
    EXPECT_EQ(p.reserve(5), 5) << "what was given back";
}

TEST(Chain, AnotherRateKeepsTheTimesAndTheOrder) {
    Chain chain;
    chain.set_capacity(10);
    const auto put = [&](uint64_t position, int64_t cost, int64_t due_ns) {
        EXPECT_TRUE(chain.reserve_room());
        return chain.put_reservation({0, position - static_cast<uint64_t>(cost)}, cost, due_ns);
    };
    const uint32_t first = put(3, 3, 300);
    const uint32_t second = put(9, 6, 900);
    const uint32_t third = put(9, 1, 900);
    tb::Plan plan = tb::make_plan(tb_test::limit_of(10, 1e9), 100, {50, {0, 0}});
    plan.rate = tbu_rate_make({0, 7}, {0, 100});
    chain.set_rate(plan);
    EXPECT_EQ(chain[first].position, 50u + 14);
    EXPECT_EQ(chain[second].position, 50u + 56);
    EXPECT_EQ(chain[third].position, 50u + 56);
    EXPECT_TRUE(chain.check());
    chain.pass_reservation(first);
    EXPECT_EQ(chain.first_reservation(), second);
    EXPECT_EQ(chain.base(), 57u) << "a gap before it";
}

TEST(Chain, ForgetsReservationsAloneOrEverybody) {
    Pair p(0, 10, 0);
    p.reserve(8);
    p.wait(8);
    p.chain().remove_reservations();
    EXPECT_EQ(p.chain().first_reservation(), 0u);
    EXPECT_EQ(p.chain().waiters(), 1u);
    const auto abandon = [&] {
        p.chain().abandon();
        const bool empty = p.chain().is_empty() && p.chain().waiters() == 0 && p.chain().end() == p.chain().base();
        _exit(empty ? 0 : 1);
    };
    EXPECT_EXIT(abandon(), testing::ExitedWithCode(0), "") << "in the child of a fork";
}

class Chains {
  public:
    Chains(uint64_t seed, bool sound)
        : trace_(seed), sound_(sound), pair_(trace_.pick(kOrigins), 1 + trace_.below(12), 0) {}

    void run() {
        static constexpr Step kSteps[] = {&Chains::reserve, &Chains::reserve, &Chains::wait,        &Chains::wait,
                                          &Chains::leave,   &Chains::leave,   &Chains::pass,        &Chains::keep,
                                          &Chains::refund,  &Chains::charge,  &Chains::set_capacity};
        for (int step = 0; step < 80 && !testing::Test::HasFailure(); ++step) {
            (this->*trace_.pick(kSteps))();
            pair_.expect_same();
            pair_.expect_serials();
            EXPECT_TRUE(!sound_ || pair_.is_sound());
        }
        EXPECT_FALSE(testing::Test::HasFailure()) << "capacity " << pair_.capacity() << ": " << trace_.text();
    }

  private:
    using Step = void (Chains::*)();

    int64_t cost() { return trace_.between(1, pair_.capacity()); }

    void reserve() {
        const int64_t n = cost();
        trace_.note("reserve", n);
        pair_.reserve(n);
    }
    void wait() {
        const int64_t n = cost();
        const int32_t priority = trace_.one_in(3) ? static_cast<int32_t>(trace_.between(-1, 1)) : 0;
        trace_.note("wait", n, priority);
        pair_.wait(n, priority);
    }
    void leave() {
        const std::size_t count = pair_.reservations() + pair_.waiters();
        if (count == 0) return;
        const std::size_t i = static_cast<std::size_t>(trace_.below(static_cast<int64_t>(count)));
        trace_.note("leave", static_cast<int64_t>(i));
        if (i < pair_.reservations()) {
            pair_.remove_reservation(i);
        } else {
            pair_.remove_waiter(i - pair_.reservations());
        }
    }
    void pass() {
        trace_.note("pass", pair_.base());
        pair_.pass_first();
    }
    void keep() {
        if (pair_.reservations() == 0) return;
        const std::size_t i = static_cast<std::size_t>(trace_.below(static_cast<int64_t>(pair_.reservations())));
        const int64_t n = trace_.between(1, sound_ ? pair_.cost(i) : 12);
        trace_.note("keep", static_cast<int64_t>(i), n);
        pair_.keep(i, n);
    }
    void refund() {
        trace_.note("refund", pair_.base());
        pair_.set_base(pair_.base() - trace_.below(5));
    }
    void charge() {
        if (sound_) return;
        trace_.note("charge", pair_.base());
        pair_.set_base(pair_.base() + trace_.below(5));
    }
    void set_capacity() {
        if (sound_) return;
        pair_.set_capacity(trace_.between(1, 12));
        trace_.note("capacity", pair_.capacity());
    }

    Trace trace_;
    const bool sound_;
    Pair pair_;
};

// Without charges and lowered limits every promise is kept at every moment.
TEST(Chain, SoundTraces) {
    for (uint64_t seed = 0; seed < 2000 && !HasFailure(); ++seed) Chains(seed, true).run();
}

TEST(Chain, TracesWithBrokenPromises) {
    for (uint64_t seed = 2000; seed < 4000 && !HasFailure(); ++seed) Chains(seed, false).run();
}

}  // namespace
