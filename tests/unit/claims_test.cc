// Claims among takes, reservations and cancels, at random: no window ever holds more than capacity + rate * window, the
// order of arrival is the order of grants, and nobody overtakes.
//
// Every trace runs on the real bucket at a rate of `per_ns` whole tokens per nanosecond; steps are 1 / per_ns
// nanoseconds, as in the test of cancels.
#include "core/bucket/claims.h"

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
        switch (draw % 10) {
            case 0:
                return take(n);
            case 1:
            case 2:
                return reserve(n);
            case 3:
            case 4:
            case 5:
                return claim(n);
            case 6:
                if (!reserved_.empty()) cancel(pick % reserved_.size());
                return;
            case 7:
            case 8:
                if (!claims_.empty()) withdraw(pick % claims_.size());
                return;
            default:
                now_ += 1 + static_cast<int64_t>(pick % 3);
                text_ += "advance to " + std::to_string(now_) + "; ";
                // Or else their threads are late to leave.
                if (pick % 2 == 0) release_who_is_due();
        }
    }

    bool sound() {
        grant_who_is_due();
        EXPECT_TRUE(grants_.payable(shape_.capacity)) << text_;
        EXPECT_EQ(fault_, "") << text_;
        return grants_.payable(shape_.capacity) && fault_.empty();
    }

  private:
    struct Reserved {
        tb::Reservation reservation;
        int64_t step;
    };

    int64_t available() const { return static_cast<int64_t>(bucket_.available(now_)); }

    void take(int64_t n) {
        if (bucket_.try_take(static_cast<double>(n), now_) != Status::success) return;
        text_ += "take " + std::to_string(n) + "; ";
        if (anybody_waits()) fault_ += "a take overtook; ";
        grants_.add(now_ * shape_.per_ns, n);
    }

    void reserve(int64_t n) {
        Reserved r{};
        if (available() < -3 * shape_.capacity) return;
        if (bucket_.reserve(static_cast<double>(n), INT64_MAX, now_, &r.reservation) != Status::success) return;
        text_ += "reserve " + std::to_string(n) + "; ";
        r.step = now_ * shape_.per_ns + std::max<int64_t>(0, -available());
        if (anybody_waits() && r.step < position(claims_.back())) fault_ += "a reservation overtook; ";
        grants_.add(r.step, n);
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
        bucket_.cancel(r.reservation, now_, &queue_, &given_back);
        if (given_back < 0 || given_back > r.reservation.tokens) fault_ += "gave back a wrong amount; ";
        grants_.remove(r.step, static_cast<int64_t>(r.reservation.tokens));
        r.reservation.tokens = 0;
        after_a_change();
    }

    void claim(int64_t n) {
        if (available() < -3 * shape_.capacity) return;
        Claim c{};
        if (bucket_.claim(static_cast<double>(n), INT64_MAX, now_, &c) != Status::success) return;
        text_ += "claim " + std::to_string(n) + "; ";
        if (c.now.outcome == Status::success) {
            if (anybody_waits()) fault_ += "a claim overtook; ";
            grants_.add(now_ * shape_.per_ns, n);
            return;
        }
        claims_.push_back(c);
        queue_.add(&claims_.back());
        check_order();
    }

    void withdraw(std::size_t i) {
        Claim *const c = &*std::next(claims_.begin(), static_cast<std::ptrdiff_t>(i));
        text_ += "withdraw #" + std::to_string(i) + "; ";
        const bool was_due = is_due(*c);
        const bool on_top = !was_due && i + 1 == claims_.size() && position(*c) == now_ * shape_.per_ns - available();
        double given_back = 0;
        grant_who_is_due();
        bucket_.withdraw(c, Status::interrupted, now_, &queue_, &given_back);
        if (given_back < 0 || given_back > c->n || (on_top && given_back != c->n) || (was_due && given_back != 0))
            fault_ += "gave back wrong; ";
        after_a_change();
    }

    int64_t position(const Claim &c) const {
        return tb::position_difference(c.now.position, 0) / static_cast<int64_t>(shape_.limit.scale);
    }
    bool is_due(const Claim &c) const { return c.now.due_ns <= now_; }
    bool anybody_waits() const { return !claims_.empty() && !is_due(claims_.back()); }

    void release_who_is_due() {
        grant_who_is_due();
        while (!claims_.empty() && is_due(claims_.front())) leave(claims_.begin());
    }

    void after_a_change() {
        for (auto c = claims_.begin(); c != claims_.end();) {
            const auto gone = c++;
            if (gone->now.outcome == Status::waiting) continue;
            leave(gone);
        }
        check_order();
    }

    void leave(std::list<Claim>::iterator c) {
        queue_.remove(&*c);
        const bool granted = c->now.outcome != Status::interrupted;
        if (granted && c != claims_.begin()) fault_ += "granted out of order; ";
        if (granted_.erase(&*c) != (granted ? 1u : 0u)) {
            if (!granted) fault_ += "a due one was not granted; ";
            grants_.add(now_ * shape_.per_ns, static_cast<int64_t>(c->n));
        }
        claims_.erase(c);
    }

    void check_order() {
        int64_t last = now_ * shape_.per_ns;
        for (const Claim &c : claims_) {
            if (is_due(c)) continue;
            if (position(c) <= last) fault_ += "positions do not rise; ";
            if (c.now.due_ns != (position(c) + shape_.per_ns - 1) / shape_.per_ns) fault_ += "a wrong due time; ";
            last = position(c);
        }
        if (last > now_ * shape_.per_ns && last > now_ * shape_.per_ns - available()) fault_ += "beyond the word; ";
    }

    const Shape &shape_;
    Bucket bucket_;
    tb::Claims queue_;
    std::list<Claim> claims_;
    std::set<const Claim *> granted_;  // due, and counted in grants_
    std::vector<Reserved> reserved_;
    int64_t now_ = 0;
    model::Grants grants_;
    std::string text_;
    std::string fault_;
};

TEST(Claims, RandomTracesArePayableAndInOrder) {
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
    for (uint64_t i = 0; i < traces; ++i) {
        Trace trace(shapes[random() % shapes.size()]);
        for (uint64_t left = 8 + random() % 24; left > 0; --left) trace.one_of(random());
        ASSERT_TRUE(trace.sound()) << "trace " << i;
    }
    std::cout << "traces " << traces << ", seed " << kSeed << "\n";
}

}  // namespace
