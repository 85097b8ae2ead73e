// Takes that are undone in any order give back no more than is still there.
#include <gtest/gtest.h>
#include <unistd.h>

#include <optional>
#include <string>

#include "core/clock/clock.h"
#include "core/limiter/limiter.h"
#include "core/table/table.h"
#include "tests/shared/processes.h"

namespace {

using namespace tb;

constexpr int64_t kSecond = 1000000000;
constexpr LimitSpec kSpec{4, 1, kSecond};

Limit limit() {
    Limit made;
    EXPECT_EQ(make_limit(kSpec, &made), Status::success);
    return made;
}

// What a member of a decision does: a preview and a store.
bool take_one(Limiter *limiter, double n, Limiter::Attempt *a) {
    return limiter->preview(Limiter::counter(), n, a) == Status::success && limiter->store(*a);
}
bool take_one(Table *table, double n, KeyAttempt *a) {
    return table->Keys::allow(table->hash("k", 1), n, a) == Status::success;
}
bool allow_one(Limiter *limiter) {
    return limiter->allow(1) == Status::success;
}
bool allow_one(Table *table) {
    return table->allow(table->hash("k", 1), 1) == Status::success;
}

template <class Object, class ItsAttempt>
class Own {
  public:
    static constexpr bool kIsHere = true;
    using Attempt = ItsAttempt;

    template <class... Terms>
    explicit Own(const Terms &...terms) : object_(kSpec, limit(), terms...) {}
    void take(double n, Attempt *a) { EXPECT_TRUE(take_one(&object_, n, a)); }
    void undo(const Attempt &a) { object_.undo(a); }
    bool allow() { return allow_one(&object_); }

  private:
    Object object_;
};

struct OneBucket : Own<Limiter, Limiter::Attempt> {
    explicit OneBucket(Clock *clock) : Own(static_cast<int64_t>(limit().capacity), LimiterOptions{.clock = clock}) {}
};
struct OneKey : Own<Table, KeyAttempt> {
    explicit OneKey(Clock *clock) : Own(TableOptions{.clock = clock, .lines = 4}) {}
};

// Two processes that take in turn.
template <class Process, class ItsAttempt>
class OfTwo {
  public:
    struct Attempt {
        ItsAttempt attempt;
        Process *by;
    };

    template <class... Terms>
    explicit OfTwo(const Terms &...terms) : processes_{{name(), kSpec, terms...}, {name(), kSpec, terms...}} {
        tb_test::remove_shared(name());
    }
    void take(double n, Attempt *a) {
        a->by = &processes_[turn_++ % 2];
        EXPECT_TRUE(take_one(a->by->operator->(), n, &a->attempt));
    }
    void undo(const Attempt &a) { (*a.by)->undo(a.attempt); }
    bool allow() { return allow_one(processes_[0].operator->()); }

  private:
    static std::string name() { return "tokenbucket-test-undos-" + std::to_string(::getpid()); }

    Process processes_[2];
    int turn_ = 0;
};

struct SharedBucket : OfTwo<tb_test::BucketProcess, Limiter::Attempt> {
    static constexpr bool kIsHere = platform::kSharesMemory;
    explicit SharedBucket(Clock *clock) : OfTwo(static_cast<int64_t>(limit().capacity), clock) {}
};
struct SharedKey : OfTwo<tb_test::TableProcess, KeyAttempt> {
    static constexpr bool kIsHere = platform::kSharesMemory && platform::kHasPairExchange;
    explicit SharedKey(Clock *clock) : OfTwo(uint64_t{4}, WhenFull::evict_fullest, clock) {}
};

template <class Bucket>
class Undone : public testing::Test {
  protected:
    void SetUp() override {
        if (!Bucket::kIsHere) GTEST_SKIP() << "no shared memory here";
        bucket.emplace(&clock);
    }
    int take_all() {
        int taken = 0;
        while (bucket->allow()) ++taken;
        return taken;
    }
    Clock clock{0};
    std::optional<Bucket> bucket;
    typename Bucket::Attempt first, second;
};
using Buckets = testing::Types<OneBucket, OneKey, SharedBucket, SharedKey>;
TYPED_TEST_SUITE(Undone, Buckets);

// What the second holds has accrued again when the first has been given back.
TYPED_TEST(Undone, WhatOverflowsBetweenTwoDoesNotComeBack) {
    this->bucket->take(2, &this->first);
    this->bucket->take(1, &this->second);
    this->bucket->undo(this->first);
    this->clock.advance(kSecond);
    EXPECT_EQ(this->take_all(), 4);
    this->bucket->undo(this->second);
    EXPECT_EQ(this->take_all(), 0);
}

TYPED_TEST(Undone, NothingIsLostWhereNothingOverflows) {
    this->bucket->take(2, &this->first);
    this->bucket->take(1, &this->second);
    this->bucket->undo(this->second);
    this->bucket->undo(this->first);
    EXPECT_EQ(this->take_all(), 4);
}

TYPED_TEST(Undone, InTheOrderOfTheTakesAllComesBackThatIsNotFull) {
    this->bucket->take(1, &this->first);
    this->bucket->take(2, &this->second);
    this->bucket->undo(this->first);
    this->bucket->undo(this->second);
    EXPECT_EQ(this->take_all(), 4);
}

TYPED_TEST(Undone, EarlierUndosDoNotCount) {
    for (int i = 0; i < 3; ++i) {
        this->bucket->take(3, &this->first);
        this->bucket->undo(this->first);
    }
    this->bucket->take(2, &this->second);
    this->clock.advance(kSecond);
    this->bucket->undo(this->second);
    EXPECT_EQ(this->take_all(), 4);
}

}  // namespace
