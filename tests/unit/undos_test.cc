// Takes that are undone in any order give back no more than is still there.
#include <gtest/gtest.h>

#include "core/clock/clock.h"
#include "core/limiter/limiter.h"
#include "core/table/table.h"

namespace {

using namespace tb;

constexpr int64_t kSecond = 1000000000;
constexpr LimitSpec kSpec{4, 1, kSecond};

Limit limit() {
    Limit made;
    EXPECT_EQ(make_limit(kSpec, &made), Status::success);
    return made;
}

// What a member of a decision does: a preview, and a store or an undo.
class OneBucket {
  public:
    using Attempt = Limiter::Attempt;

    explicit OneBucket(Clock *clock)
        : limiter_(kSpec, limit(), static_cast<int64_t>(limit().capacity), {.clock = clock}) {}
    void take(double n, Attempt *a) {
        EXPECT_EQ(limiter_.preview(Limiter::counter(), n, a), Status::success);
        EXPECT_TRUE(limiter_.store(*a));
    }
    void undo(const Attempt &a) { limiter_.undo(a); }
    bool allow() { return limiter_.allow(1) == Status::success; }

  private:
    Limiter limiter_;
};

class OneKey {
  public:
    using Attempt = KeyAttempt;

    explicit OneKey(Clock *clock) : table_(kSpec, limit(), options(clock)), key_(table_.hash("k", 1)) {}
    void take(double n, Attempt *a) { EXPECT_EQ(table_.Keys::allow(key_, n, a), Status::success); }
    void undo(const Attempt &a) { table_.undo(a); }
    bool allow() { return table_.allow(key_, 1) == Status::success; }

  private:
    static TableOptions options(Clock *clock) {
        TableOptions o;
        o.clock = clock;
        o.lines = 4;
        return o;
    }
    Table table_;
    const uint64_t key_;
};

template <class Bucket>
class Undone : public testing::Test {
  protected:
    int take_all() {
        int taken = 0;
        while (bucket.allow()) ++taken;
        return taken;
    }
    Clock clock{0};
    Bucket bucket{&clock};
    typename Bucket::Attempt first, second;
};
using Buckets = testing::Types<OneBucket, OneKey>;
TYPED_TEST_SUITE(Undone, Buckets);

// What the second holds has accrued again when the first has been given back.
TYPED_TEST(Undone, WhatOverflowsBetweenTwoDoesNotComeBack) {
    this->bucket.take(2, &this->first);
    this->bucket.take(1, &this->second);
    this->bucket.undo(this->first);
    this->clock.advance(kSecond);
    EXPECT_EQ(this->take_all(), 4);
    this->bucket.undo(this->second);
    EXPECT_EQ(this->take_all(), 0);
}

TYPED_TEST(Undone, NothingIsLostWhereNothingOverflows) {
    this->bucket.take(2, &this->first);
    this->bucket.take(1, &this->second);
    this->bucket.undo(this->second);
    this->bucket.undo(this->first);
    EXPECT_EQ(this->take_all(), 4);
}

TYPED_TEST(Undone, InTheOrderOfTheTakesAllComesBackThatIsNotFull) {
    this->bucket.take(1, &this->first);
    this->bucket.take(2, &this->second);
    this->bucket.undo(this->first);
    this->bucket.undo(this->second);
    EXPECT_EQ(this->take_all(), 4);
}

TYPED_TEST(Undone, EarlierUndosDoNotCount) {
    for (int i = 0; i < 3; ++i) {
        this->bucket.take(3, &this->first);
        this->bucket.undo(this->first);
    }
    this->bucket.take(2, &this->second);
    this->clock.advance(kSecond);
    this->bucket.undo(this->second);
    EXPECT_EQ(this->take_all(), 4);
}

}  // namespace
