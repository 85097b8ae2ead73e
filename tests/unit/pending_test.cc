// Claims among takes, reservations, refunds and cancels, at random: no window ever holds more than capacity + rate *
// window, the order of arrival is the order of grants, nobody overtakes, and nothing is lost.
//
// Every trace runs on the real bucket at a rate of `per_ns` whole tokens per nanosecond; steps are 1 / per_ns
// nanoseconds, as in the test of cancels.
#include "core/bucket/pending.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <list>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "core/bucket/bucket.h"
#include "tests/model/shape.h"
#include "tests/model/true_bucket.h"

namespace {

using model::Shape;
using model::shape;
using tb::Bucket;
using tb::Claim;
using tb::Status;

class Trace {
  public:
    explicit Trace(const Shape &shape)
        : shape_(shape), bucket_(shape.limit, static_cast<int64_t>(shape.limit.capacity_units), 0) {}

    void one_of(uint64_t draw) {
        const int64_t n = 1 + static_cast<int64_t>((draw >> 8) % static_cast<uint64_t>(shape_.capacity));
        const std::size_t pick = static_cast<std::size_t>(draw >> 32);
        grant_who_is_due();
        act(draw % 21, n, pick);
        check_order();
        compare();
    }

    bool sound() {
        grant_who_is_due();
        // What was put in counts on top, once.
        const bool payable = grants_.payable(shape_.capacity + refunded_);
        EXPECT_TRUE(payable) << "capacity " << shape_.capacity << ": " << text_;
        EXPECT_EQ(fault_, "") << text_;
        return payable && fault_.empty();
    }
    // Did cancels and withdrawals leave nothing promised, so that nothing may be missing?
    bool compared() const { return compared_; }

  private:
    struct Reserved {
        tb::Reservation reservation;
        int64_t step;
    };

    void act(uint64_t kind, int64_t n, std::size_t pick) {
        switch (kind) {
            case 0:
            case 1:
                return take(n);
            case 2:
            case 3:
            case 4:
            case 5:
                return reserve(n);
            case 6:
            case 7:
            case 8:
            case 9:
            case 10:
            case 11:
                return claim(n);
            case 12:
            case 13:
                if (!reserved_.empty()) cancel(pick % reserved_.size());
                return;
            case 14:
                return refund(n);
            case 15:
            case 16:
            case 17:
            case 18:
                if (!claims_.empty()) withdraw(pick % claims_.size());
                return;
            default:
                now_ += 1 + static_cast<int64_t>(pick % 3);
                text_ += "advance to " + std::to_string(now_) + "; ";
                // Or else their threads are late to leave.
                if (pick % 2 == 0) leave_who_is_due();
        }
    }

    int64_t step() const { return now_ * shape_.per_ns; }
    int64_t available() const { return static_cast<int64_t>(bucket_.available(now_)); }
    tb::Moment moment() const { return {now_, bucket_.state()}; }

    void grant_at(int64_t step, int64_t n) {
        if (grants_.lies_ahead(step) || promises_lie_ahead(step)) in_order_ = false;
        grants_.add(step, n);
    }

    bool promises_lie_ahead(int64_t step) const {
        return !claims_.empty() && !is_due(claims_.back()) && position(claims_.back()) > step;
    }

    void take(int64_t n) {
        if (bucket_.try_take(static_cast<double>(n), now_) != Status::success) return;
        text_ += "take " + std::to_string(n) + "; ";
        if (anybody_waits()) fault_ += "a take overtook; ";
        grant_at(step(), n);
    }

    void reserve(int64_t n) {
        Reserved r{};
        if (available() < -3 * shape_.capacity) return;
        const double tokens = static_cast<double>(n);
        const Status s = bucket_.reserve_at_once(tokens, now_, &r.reservation);
        if (s != Status::success) bucket_.reserve(tokens, INT64_MAX, now_, &pending_, &r.reservation);
        text_ += "reserve " + std::to_string(n) + "; ";
        r.step = step() + std::max<int64_t>(0, -available());
        if (anybody_waits() && r.step < position(claims_.back())) fault_ += "a reservation overtook; ";
        after_a_change();
        grant_at(r.step, n);
        reserved_.push_back(r);
    }

    // Before a change: who is due has its grant, at its position, whatever comes.
    void grant_who_is_due() {
        for (const Claim &c : claims_)
            if (is_due(c) && granted_.insert(&c).second) grants_.add(position(c), static_cast<int64_t>(c.n));
    }

    void cancel(std::size_t i) {
        Reserved &r = reserved_[i];
        if (r.reservation.tokens == 0 || now_ > r.reservation.ready_at_ns) return;
        text_ += "cancel #" + std::to_string(i) + "; ";
        double given_back = 0;
        grant_who_is_due();
        const int64_t before = available();
        const bool pending = r.step >= step() && tb::Ticket(r.reservation.ticket).has_entry();
        if (tb::Ticket(r.reservation.ticket).has_entry())
            bucket_.cancel(r.reservation, moment(), &pending_, &given_back);
        else
            bucket_.cancel_at_once(r.reservation, now_, &given_back);
        if (given_back < 0 || static_cast<int64_t>(given_back) != available() - before)
            fault_ += "gave back a wrong amount; ";
        if (!pending) in_order_ = false;
        grants_.remove(r.step, static_cast<int64_t>(r.reservation.tokens));
        r.reservation.tokens = 0;
        any_left_ = true;
        after_a_change();
    }

    void claim(int64_t n) {
        if (available() < -3 * shape_.capacity) return;
        Claim *const c = &claims_.emplace_back();
        bucket_.claim(static_cast<double>(n), INT64_MAX, now_, &pending_, c);
        text_ += "claim " + std::to_string(n) + "; ";
        if (c->now.outcome == Status::success) {
            claims_.pop_back();
            if (anybody_waits()) fault_ += "a claim overtook; ";
            grant_at(step(), n);
        } else if (grants_.lies_ahead(position(*c))) {
            in_order_ = false;
        }
        after_a_change();
    }

    void refund(int64_t n) {
        text_ += "refund " + std::to_string(n) + "; ";
        double given_back = 0;
        bucket_.refund(static_cast<double>(n), moment(), &pending_, &given_back);
        refunded_ += n;
        in_order_ = false;
        after_a_change();
    }

    // As a thread whose sleep was interrupted.
    void withdraw(std::size_t i) {
        Claim *const c = &*std::next(claims_.begin(), static_cast<std::ptrdiff_t>(i));
        text_ += "withdraw #" + std::to_string(i) + "; ";
        grant_who_is_due();
        bucket_.catch_up(now_, &pending_);
        if (c->now.outcome == Status::waiting && is_due(*c)) pending_.grant(c);
        if (c->now.outcome == Status::waiting) {
            const bool on_top = c->after == nullptr;
            const int64_t before = available();
            double given_back = 0;
            bucket_.withdraw(c, Status::interrupted, moment(), &pending_, &given_back);
            if (static_cast<int64_t>(given_back) != available() - before || given_back < (on_top ? c->n : 0))
                fault_ += "gave back wrong; ";
            any_left_ = true;
        }
        after_a_change();
    }

    int64_t position(const Claim &c) const {
        return tb::position_difference(c.now.position, 0) / static_cast<int64_t>(shape_.limit.scale);
    }
    bool is_due(const Claim &c) const { return c.now.due_ns <= now_; }
    bool anybody_waits() const { return !claims_.empty() && !is_due(claims_.back()); }

    void leave_who_is_due() {
        grant_who_is_due();
        while (!claims_.empty() && is_due(claims_.front())) {
            bucket_.catch_up(now_, &pending_);
            if (claims_.front().now.outcome == Status::waiting) pending_.grant(&claims_.front());
            after_a_change();
        }
    }

    void after_a_change() {
        while (Claim *const gone = pending_.take_out()) leave(gone);
    }

    void leave(Claim *c) {
        const bool granted = c->now.outcome != Status::interrupted;
        const auto is_this = [c](const Claim &other) { return &other == c; };
        const auto at = std::find_if(claims_.begin(), claims_.end(), is_this);
        const auto not_due = [this](const Claim &other) { return !is_due(other); };
        if (granted && std::any_of(claims_.begin(), at, not_due)) fault_ += "granted out of order; ";
        if (granted_.erase(c) != (granted ? 1u : 0u)) {
            if (!granted) fault_ += "a due one was not granted; ";
            grant_at(step(), static_cast<int64_t>(c->n));
        }
        claims_.erase(at);
    }

    void check_order() {
        int64_t last = step();
        for (const Claim &c : claims_) {
            if (is_due(c)) continue;
            if (position(c) <= last) fault_ += "positions do not rise; ";
            if (c.now.due_ns != (position(c) + shape_.per_ns - 1) / shape_.per_ns) fault_ += "a wrong due time; ";
            last = position(c);
        }
        if (last > step() && last > step() - available()) fault_ += "beyond the word; ";
        for (const tb::Entry *e = pending_.first(); e != nullptr && e->after != nullptr; e = e->after)
            if (tb::position_difference(e->after->now.position, e->now.position) < 0) in_order_ = false;
    }

    void compare() {
        if (!in_order_ || grants_.lies_ahead(step()) || anybody_waits()) return;
        grant_who_is_due();
        compared_ = compared_ || any_left_;
        if (available() != grants_.level(shape_.capacity, step())) fault_ += "tokens are missing; ";
    }

    const Shape &shape_;
    Bucket bucket_;
    tb::Pending pending_;
    std::list<Claim> claims_;
    std::set<const Claim *> granted_;  // due, and counted in grants_
    std::vector<Reserved> reserved_;
    int64_t now_ = 0;
    model::Grants grants_;
    // So far nothing was granted for earlier than what was promised before it: that may be counted more strictly.
    bool in_order_ = true;
    int64_t refunded_ = 0;
    bool any_left_ = false;
    bool compared_ = false;
    std::string text_;
    std::string fault_;
};

TEST(Pending, RandomTracesArePayableAndInOrder) {
    constexpr uint64_t kSeed = 20250312;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    constexpr uint64_t kTraces = 10000;
#else
    constexpr uint64_t kTraces = 300000;
#endif
    const char *const asked = std::getenv("TB_TRACES");
    const uint64_t traces = asked != nullptr ? std::strtoull(asked, nullptr, 10) : kTraces;
    std::vector<Shape> shapes;
    for (int64_t capacity = 1; capacity <= 6; ++capacity)
        for (const int64_t per_ns : {1, 2, 3}) shapes.push_back(shape(capacity, per_ns));
    std::mt19937_64 random(kSeed);
    uint64_t compared = 0;
    for (uint64_t i = 0; i < traces; ++i) {
        Trace trace(shapes[random() % shapes.size()]);
        for (uint64_t left = 8 + random() % 24; left > 0; --left) trace.one_of(random());
        ASSERT_TRUE(trace.sound()) << "trace " << i;
        compared += trace.compared() ? 1 : 0;
    }
    std::cout << "traces " << traces << ", " << compared << " compared after some left, seed " << kSeed << "\n";
    EXPECT_GT(compared, traces / 8);
}

// Its time may be before what others have done since: by then the reservation was due.
TEST(Pending, ACancelThatIsLateForWhatOthersDidLooksAgain) {
    const Shape s = shape(10, 1);
    Bucket bucket(s.limit, 0, 0);
    tb::Pending pending;
    tb::Reservation r{};
    ASSERT_EQ(bucket.reserve(5, INT64_MAX, 0, &pending, &r), Status::success);
    const tb::Moment before{3, bucket.state()};
    ASSERT_EQ(bucket.try_take(3, 100), Status::success);
    double given_back = -1;
    EXPECT_EQ(bucket.cancel(r, before, &pending, &given_back), Status::stale);
    EXPECT_EQ(bucket.available(100), 7);
}

TEST(Pending, ARefundBehindADueClaimWhoseThreadSleepsOnIsNotLost) {
    const Shape s = shape(5, 1);
    Bucket bucket(s.limit, 0, 0);
    tb::Pending pending;
    Claim c{};
    tb::Reservation r{};
    ASSERT_EQ(bucket.claim(5, INT64_MAX, 0, &pending, &c), Status::success);
    ASSERT_EQ(bucket.reserve(5, INT64_MAX, 0, &pending, &r), Status::success);
    double given_back = 0;
    ASSERT_EQ(bucket.refund(3, {5, bucket.state()}, &pending, &given_back), Status::success);
    EXPECT_EQ(bucket.available(5), -2);
    EXPECT_EQ(pending.take_out(), &c);
}

// Behind one that lies far ahead, those that have become due are let go before more memory is taken.
TEST(Pending, DueOnesDoNotPileUp) {
    const Shape s = shape(100000, 1);
    Bucket bucket(s.limit, 0, 0);
    tb::Pending pending;
    tb::Reservation large{}, far{}, r{};
    ASSERT_EQ(bucket.reserve(100000, INT64_MAX, 0, &pending, &large), Status::success);
    ASSERT_EQ(bucket.reserve(1, INT64_MAX, 0, &pending, &far), Status::success);
    double given_back = 0;
    ASSERT_EQ(bucket.cancel(large, {0, bucket.state()}, &pending, &given_back), Status::success);
    int64_t now = 0;
    for (int i = 0; i < 1000; ++i) {
        ASSERT_EQ(bucket.reserve(1, INT64_MAX, now, &pending, &r), Status::success);
        now = r.ready_at_ns + 1;
    }
    EXPECT_LT(now, far.ready_at_ns);
    EXPECT_LE(pending.size(), 64u);
}

}  // namespace
