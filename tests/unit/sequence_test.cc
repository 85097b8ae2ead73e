// The tree against a list that is walked.
#include "core/queue/sequence.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "tests/model/plain_list.h"
#include "tests/support/trace.h"

namespace {

using model::PlainEntry;
using model::PlainList;
using model::Point;
using tb::Cursor;
using tb::Sequence;
using tb_test::Trace;

// Where positions wrap, seen as signed and as unsigned numbers.
constexpr uint64_t kOrigins[] = {0, UINT64_MAX - 20, (uint64_t{1} << 63) - 20, uint64_t{12345} << 40};

uint64_t no_limit(uint64_t origin) {
    return origin + (uint64_t{1} << 61);
}

// A sequence and the list that it must equal; positions are counted from an origin.
class Pair {
  public:
    Pair(uint64_t origin, int64_t capacity) : origin_(origin), sequence_(&arena_) { set_capacity(capacity); }

    void insert(int64_t position, int64_t cost) {
        ASSERT_TRUE(arena_.reserve());
        const uint32_t index = arena_.acquire();
        arena_[index].position = at(position);
        arena_[index].arrival = ++arrivals_;
        arena_[index].cost = cost;
        sequence_.insert(index);
        list.insert({index, position, cost});
    }
    void remove(std::size_t i) {
        sequence_.remove(list.entries[i].index);
        arena_.release(list.entries[i].index);
        list.erase(i);
    }
    void set_capacity(int64_t capacity) {
        list.capacity = capacity;
        sequence_.set_capacity(capacity);
    }

    bool check() const { return sequence_.check(); }
    tb::Entry &entry(std::size_t i) { return arena_[list.entries[i].index]; }
    const Sequence &sequence() const { return sequence_; }

    uint64_t at(int64_t position) const { return origin_ + static_cast<uint64_t>(position); }
    Cursor cursor(Point p) const { return {index(p.at), at(p.spent)}; }
    uint32_t index(std::size_t i) const { return i < list.entries.size() ? list.entries[i].index : 0; }

    void expect_equal(Cursor got, Point expected) const {
        EXPECT_EQ(got.next, index(expected.at));
        EXPECT_EQ(static_cast<int64_t>(got.spent - origin_), expected.spent);
    }

    void expect_same_order() const {
        uint32_t index = sequence_.first();
        int64_t cost = 0;
        for (const PlainEntry &e : list.entries) {
            ASSERT_EQ(index, e.index);
            index = sequence_.next(index);
            cost += e.cost;
        }
        ASSERT_EQ(index, 0u);
        ASSERT_EQ(sequence_.cost(), cost);
        ASSERT_EQ(sequence_.is_empty(), list.entries.empty());
        ASSERT_TRUE(check());
    }

    // All questions that are asked at a point.
    void expect_same_from(Point from, int64_t cost) const {
        const Cursor c = cursor(from);
        EXPECT_EQ(sequence_.spent_at_end(c), at(list.spent_at_end(from)));
        const Point gap = list.first_gap(from);
        expect_equal(sequence_.first_gap(c), gap);
        if (from.at < list.entries.size()) expect_equal(sequence_.step(c), list.step(from));
        if (from.at < list.entries.size()) expect_same_limit(from);
        if (!list.fits(gap, cost)) return;
        const Point fit = list.place(from, cost);
        expect_equal(sequence_.first_fit(c, cursor(gap), cost, no_limit(origin_)), fit);
    }

    PlainList list;

  private:
    // What may be spent before an entry: that fits, one more does not.
    void expect_same_limit(Point from) const {
        const uint64_t limit = sequence_.limit_before(index(from.at), no_limit(origin_));
        const int64_t most = static_cast<int64_t>(limit - origin_);
        if (most < -(int64_t{1} << 59)) {
            EXPECT_FALSE(list.fits({from.at, -(int64_t{1} << 59)}, 0)) << "nothing";
            return;
        }
        EXPECT_TRUE(list.fits({from.at, most}, 0)) << most;
        EXPECT_FALSE(list.fits({from.at, most}, 1)) << most;
    }

    const uint64_t origin_;
    tb::Arena arena_;
    Sequence sequence_;
    uint64_t arrivals_ = 0;
};

TEST(Sequence, OrderOfPositionThenOfArrival) {
    Pair p(UINT64_MAX - 5, 10);
    for (const int64_t position : {7, 3, 7, 0, 20, 3, -4}) p.insert(position, 1);
    p.expect_same_order();
    EXPECT_EQ(p.sequence().first(), 7u) << "the last that came";
    EXPECT_EQ(p.sequence().next(7), 4u);
    EXPECT_EQ(p.sequence().next(2), 6u) << "the same position, later";
}

TEST(Sequence, AnEmptyOne) {
    Pair p(5, 10);
    p.expect_same_order();
    EXPECT_EQ(p.sequence().first(), 0u);
    EXPECT_EQ(p.sequence().last(), 0u);
    EXPECT_EQ(p.sequence().spent_at_end({0, 77}), 77u);
    EXPECT_EQ(p.sequence().first_gap({0, 77}).spent, 77u);
    EXPECT_EQ(p.sequence().largest_prefix(5), 0);
}

TEST(Sequence, AGapIsWhereTheBucketOverflows) {
    Pair p(0, 10);
    p.insert(12, 5);  // from 2 spent on it does not overflow
    p.insert(30, 5);
    p.expect_equal(p.sequence().first_gap(p.cursor({0, 1})), {0, 1});
    p.expect_equal(p.sequence().first_gap(p.cursor({0, 2})), {1, 7});
    p.expect_equal(p.sequence().first_gap(p.cursor({0, 15})), {2, 25});
}

TEST(Sequence, NothingIsPutBeforeABrokenPromise) {
    Pair p(0, 10);
    p.insert(12, 5);
    p.insert(20, 11);  // costs more than the capacity, which was lowered
    EXPECT_FALSE(p.list.fits({0, -1000}, 0));
    p.expect_same_from({0, -1000}, 1);
    p.expect_same_from({1, 7}, 1);
}

TEST(Sequence, RandomTraces) {
    for (uint64_t seed = 0; seed < 1500; ++seed) {
        Trace trace(seed);
        const int64_t size = trace.between(1, 30);
        Pair p(trace.pick(kOrigins), trace.between(1, 12));
        for (int step = 0; step < 60; ++step) {
            const int64_t count = static_cast<int64_t>(p.list.entries.size());
            if (count < size && !trace.one_in(3)) {
                // A wide one has gaps, a narrow one broken promises.
                const int64_t position = trace.below(2 + 4 * size) - 3;
                p.insert(position, trace.between(1, trace.one_in(8) ? 2 * p.list.capacity : p.list.capacity));
                trace.note("insert", position);
            } else if (count != 0 && !trace.one_in(8)) {
                p.remove(static_cast<std::size_t>(trace.below(count)));
                trace.note("remove", count);
            } else {
                p.set_capacity(trace.between(1, 12));
                trace.note("capacity", p.list.capacity);
            }
            ASSERT_NO_FATAL_FAILURE(p.expect_same_order()) << trace.text();
            Point from = p.list.begin(trace.between(-10, 20));
            for (int64_t steps = trace.below(count + 1); steps > 0 && from.at < p.list.entries.size(); --steps)
                from = p.list.step(from);
            p.expect_same_from(from, trace.between(1, p.list.capacity));
            p.expect_same_from({from.at, trace.between(-10, 60)}, trace.between(1, p.list.capacity));
            ASSERT_FALSE(testing::Test::HasFailure()) << "capacity " << p.list.capacity << ": " << trace.text();
        }
    }
}

TEST(Sequence, LargestPrefix) {
    Trace trace(1);
    for (int round = 0; round < 200; ++round) {
        Pair p(trace.pick(kOrigins), 10);
        for (int64_t n = trace.below(20); n > 0; --n) p.insert(0, trace.between(1, 9));
        for (int64_t most = 0; most < 100; ++most) {
            int64_t sum = 0;
            for (const PlainEntry &e : p.list.entries) {
                if (sum + e.cost > most) break;
                sum += e.cost;
            }
            ASSERT_EQ(p.sequence().largest_prefix(most), sum) << most;
        }
    }
}

// Capacities and costs as large as they become.
TEST(Sequence, LargeNumbers) {
    Trace trace(2);
    for (int round = 0; round < 300; ++round) {
        Pair p(trace.draw(), int64_t{1} << 58);
        for (int64_t n = trace.below(6); n > 0; --n)
            p.insert(trace.below(int64_t{1} << 59), trace.between(1, int64_t{1} << trace.below(58)));
        p.expect_same_order();
        p.expect_same_from({0, trace.below(int64_t{1} << 58)}, trace.between(1, int64_t{1} << 58));
        ASSERT_FALSE(testing::Test::HasFailure());
    }
}

// check() sees every entry out of place, and every number of a summary that is off by one.
class Broken : public testing::Test {
  protected:
    Broken() {
        for (const int64_t position : {10, 22, 23, 31, 47, 50, 58}) p.insert(position, 4);
    }
    template <class Break>
    void expect_noticed(Break damage) {
        for (std::size_t i = 0; i < p.list.entries.size(); ++i) {
            const tb::Entry kept = p.entry(i);
            damage(&p.entry(i), i);
            EXPECT_FALSE(p.check()) << "entry " << i;
            p.entry(i) = kept;
            ASSERT_TRUE(p.check());
        }
    }

    Pair p{UINT64_MAX - 30, 10};
};

TEST_F(Broken, Order) {
    expect_noticed([](tb::Entry *e, std::size_t i) { e->position += i == 0 ? 100 : static_cast<uint64_t>(-100); });
}
TEST_F(Broken, SummaryOfWhatIsSpent) {
    expect_noticed([](tb::Entry *e, std::size_t) { ++e->below.spent; });
}
TEST_F(Broken, SummaryOfTheCost) {
    expect_noticed([](tb::Entry *e, std::size_t) { ++e->below.cost; });
}
TEST_F(Broken, SummaryOfTheLimit) {
    expect_noticed([](tb::Entry *e, std::size_t) { --e->below.limit; });
}

// 10^5 entries, put in as orders of arrival that would make a plain tree a list.
class Deep : public testing::TestWithParam<bool> {};

TEST_P(Deep, StaysShallow) {
    constexpr uint32_t kEntries = 100000;
    tb::Arena arena;
    Sequence sequence(&arena);
    sequence.set_capacity(10);
    std::vector<bool> is_child(kEntries + 1, false);
    int64_t cost = 0;
    for (uint32_t i = 0; i < kEntries; ++i) {
        ASSERT_TRUE(arena.reserve());
        const uint32_t index = arena.acquire();
        arena[index].position = GetParam() ? i : kEntries - i;
        arena[index].arrival = i;
        arena[index].cost = 1 + i % 5;
        cost += arena[index].cost;
        sequence.insert(index);
    }
    EXPECT_EQ(sequence.cost(), cost);
    for (uint32_t i = 1; i <= kEntries; ++i) is_child[arena[i].left] = is_child[arena[i].right] = true;
    std::vector<uint32_t> level;
    for (uint32_t i = 1; i <= kEntries; ++i)
        if (!is_child[i]) level.push_back(i);
    ASSERT_EQ(level.size(), 1u) << "one root";
    int depth = 0;
    for (; !level.empty(); ++depth) {
        std::vector<uint32_t> next;
        for (const uint32_t i : level)
            for (const uint32_t child : {arena[i].left, arena[i].right})
                if (child != 0) next.push_back(child);
        level.swap(next);
    }
    EXPECT_LE(depth, 60);
}

INSTANTIATE_TEST_SUITE_P(Sequence, Deep, testing::Bool());

}  // namespace
