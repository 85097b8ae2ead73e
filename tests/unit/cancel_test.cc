// Cancelling: no window may ever hold more than capacity + rate * window, whatever is taken, reserved and cancelled.
//
// Nor is anything lost: once nothing is promised any more, the bucket holds what it would if the cancelled had never
// been. Every trace runs on the real bucket, at a rate of `per_ns` whole tokens per nanosecond, and all that was
// granted and not cancelled is replayed through a bucket that simply runs. Steps are 1 / per_ns nanoseconds: a
// reservation is paid by tokens that come in at a step, and may be used at the next whole nanosecond.
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <random>
#include <string>
#include <vector>

#include "tests/model/shape.h"
#include "tests/model/true_bucket.h"
#include "tests/support/lone_bucket.h"

namespace {

using Bucket = tb_test::LoneBucket;
using model::Shape;
using model::shape;
using tb::Status;

struct Op {
    enum Kind { take, reserve, cancel, advance } kind;
    int64_t amount;  // tokens, the reservation's index, or nanoseconds
};

std::string text(const std::vector<Op> &ops) {
    static const char *const kNames[] = {"take ", "reserve ", "cancel #", "advance "};
    std::string s;
    for (const Op &op : ops) s += kNames[op.kind] + std::to_string(op.amount) + "; ";
    return s;
}

class Trace {
  public:
    explicit Trace(const Shape &shape)
        : shape_(shape), bucket_(shape.limit, static_cast<int64_t>(shape.limit.capacity_units), 0) {}

    // False: the operation does nothing here, so no trace needs it.
    bool apply(const Op &op) {
        const bool done = act(op);
        if (done) compare();
        return done;
    }

    bool payable() const { return grants_.payable(shape_.capacity); }
    std::size_t reservations() const { return reservations_.size(); }
    // A give-back of less than nothing, of less than all by the youngest, or a second one; tokens lost.
    const std::string &fault() const { return fault_; }
    // Did cancels leave nothing promised, so that nothing may be missing?
    bool compared() const { return compared_; }

  private:
    struct Held {
        tb::Reservation reservation;
        int64_t step;
        bool live;
    };

    bool act(const Op &op) {
        switch (op.kind) {
            case Op::take:
                return take(op.amount);
            case Op::reserve:
                return reserve(op.amount);
            case Op::cancel:
                return cancel(static_cast<std::size_t>(op.amount));
            case Op::advance:
                now_ += op.amount;
                return true;
        }
        return false;
    }

    int64_t available() const { return static_cast<int64_t>(bucket_.available(now_)); }

    int64_t step() const { return now_ * shape_.per_ns; }

    // What is granted before something that was promised earlier may be counted more strictly than it must.
    void note_order(int64_t step) {
        if (grants_.lies_ahead(step)) in_order_ = false;
    }

    void compare() {
        if (!in_order_ || grants_.lies_ahead(step())) return;
        compared_ = compared_ || any_cancelled_;
        if (available() != grants_.level(shape_.capacity, step()))
            fault_ = "tokens: " + std::to_string(available()) + " instead of " +
                     std::to_string(grants_.level(shape_.capacity, step()));
    }

    bool take(int64_t n) {
        if (bucket_.try_take(static_cast<double>(n), now_) != Status::success) return false;
        note_order(step());
        grants_.add(step(), n);
        youngest_ = kNone;
        return true;
    }

    bool reserve(int64_t n) {
        if (available() < -3 * shape_.capacity) return false;
        Held held{{}, 0, true};
        if (bucket_.reserve(static_cast<double>(n), INT64_MAX, now_, &held.reservation) != Status::success)
            return false;
        held.step = step() + std::max<int64_t>(0, -available());
        if (held.reservation.ready_at_ns != (held.step + shape_.per_ns - 1) / shape_.per_ns) fault_ = "ready_at";
        note_order(held.step);
        grants_.add(held.step, n);
        youngest_ = reservations_.size();
        reservations_.push_back(held);
        return true;
    }

    Status cancelled(const tb::Reservation &r) {
        const double before = bucket_.available(now_);
        const Status s = bucket_.cancel(r, now_);
        if (r.tokens != 0 && bucket_.available(now_) - before != bucket_.given_back()) fault_ = "a wrong report";
        return s;
    }

    bool cancel(std::size_t i) {
        if (i >= reservations_.size()) return false;
        Held &held = reservations_[i];
        const int64_t before = available();
        if (!held.live) {
            // A copy. Without an entry it could stand for another that has taken the very place at this instant.
            if (tb::Ticket(held.reservation.ticket).has_entry()) cancelled(held.reservation);
            if (available() != before) fault_ = "a copy gave back";
            return false;
        }
        const int64_t n = static_cast<int64_t>(held.reservation.tokens);
        const bool due = now_ > held.reservation.ready_at_ns;
        if (cancelled(held.reservation) != Status::success) fault_ = "status";
        const int64_t back = available() - before;
        if (back < 0 || (due && back != 0)) fault_ = "gave back " + std::to_string(back);
        const bool pending = step() <= held.step;
        if (i == youngest_ && pending && back < std::min(n, shape_.capacity - before))
            fault_ = "not all of the youngest";
        const bool returned = pending && (i == youngest_ || tb::Ticket(held.reservation.ticket).has_entry());
        if (!due && !returned) in_order_ = false;
        held.live = false;
        youngest_ = kNone;
        any_cancelled_ = true;
        if (!due) grants_.remove(held.step, n);
        return !due;
    }

    static constexpr std::size_t kNone = SIZE_MAX;

    const Shape &shape_;
    Bucket bucket_;
    int64_t now_ = 0;
    model::Grants grants_;
    std::vector<Held> reservations_;
    std::size_t youngest_ = kNone;
    bool in_order_ = true;
    bool any_cancelled_ = false;
    bool compared_ = false;
    std::string fault_;
};

bool sound(const Trace &trace, const std::vector<Op> &ops, const Shape &shape) {
    if (trace.payable() && trace.fault().empty()) return true;
    ADD_FAILURE() << "capacity " << shape.capacity << ", " << shape.per_ns << " per ns: " << text(ops) << trace.fault();
    return false;
}

// Every trace up to `length` operations that all do something; a bucket cannot be copied, so each replays from the
// start. Returns their number, or stops at the first unsound one.
class Exhaustive {
  public:
    explicit Exhaustive(const Shape &shape) : shape_(shape) {}

    uint64_t run(int length) {
        extend(length, 0);
        return traces_;
    }

  private:
    void extend(int left, std::size_t reservations) {
        if (left == 0 || failed_) return;
        for (int64_t n = 1; n <= shape_.capacity; ++n) attempt({Op::take, n}, left);
        for (int64_t n = 1; n <= shape_.capacity; ++n) attempt({Op::reserve, n}, left);
        for (std::size_t i = 0; i < reservations; ++i) attempt({Op::cancel, static_cast<int64_t>(i)}, left);
        attempt({Op::advance, 1}, left);
    }

    void attempt(Op op, int left) {
        Trace trace(shape_);
        for (const Op &earlier : ops_) trace.apply(earlier);
        if (!trace.apply(op)) return;
        ++traces_;
        ops_.push_back(op);
        if (!sound(trace, ops_, shape_)) failed_ = true;
        extend(left - 1, trace.reservations());
        ops_.pop_back();
    }

    const Shape &shape_;
    std::vector<Op> ops_;
    uint64_t traces_ = 0;
    bool failed_ = false;
};

TEST(Cancel, EveryShortTraceIsPayable) {
    uint64_t traces = 0;
    for (const int64_t per_ns : {1, 2, 3})
        for (const auto &[capacity, length] : {std::pair{1, 8}, {2, 7}, {3, 6}})
            traces += Exhaustive(shape(capacity, per_ns)).run(length);
    std::cout << "traces " << traces << "\n";
    EXPECT_GT(traces, 300000u);
}

Op random_op(std::mt19937_64 *random, const Shape &shape, std::size_t reservations) {
    const uint64_t draw = (*random)();
    const int64_t n = 1 + static_cast<int64_t>((draw >> 8) % static_cast<uint64_t>(shape.capacity));
    switch (draw % 8) {
        case 0:
        case 1:
            return {Op::take, n};
        case 2:
        case 3:
        case 4:
            return {Op::reserve, n};
        case 5:
            return {Op::advance, 1 + static_cast<int64_t>((draw >> 8) % 3)};
        default:
            return {Op::cancel, static_cast<int64_t>(reservations == 0 ? 0 : (draw >> 8) % reservations)};
    }
}

TEST(Cancel, RandomTracesArePayable) {
    constexpr uint64_t kSeed = 20240607;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    constexpr uint64_t kTraces = 30000;
#else
    constexpr uint64_t kTraces = 1000000;
#endif
    const char *const asked = std::getenv("TB_TRACES");
    const uint64_t traces = asked != nullptr ? std::strtoull(asked, nullptr, 10) : kTraces;
    std::vector<Shape> shapes;
    for (int64_t capacity = 1; capacity <= 8; ++capacity)
        for (const int64_t per_ns : {1, 2, 3}) shapes.push_back(shape(capacity, per_ns));
    std::mt19937_64 random(kSeed);
    uint64_t compared = 0;
    for (uint64_t i = 0; i < traces; ++i) {
        const Shape &s = shapes[random() % shapes.size()];
        Trace trace(s);
        std::vector<Op> ops;
        for (uint64_t left = 8 + random() % 20; left > 0; --left) {
            ops.push_back(random_op(&random, s, trace.reservations()));
            if (!trace.apply(ops.back()) && trace.fault().empty()) ops.pop_back();
        }
        ASSERT_TRUE(sound(trace, ops, s)) << "trace " << i;
        compared += trace.compared() ? 1 : 0;
    }
    std::cout << "traces " << traces << ", " << compared << " compared after cancels, seed " << kSeed << "\n";
    EXPECT_GT(compared, traces / 4);
}

// Contexts that expire together are cancelled in any order; the longest first is the hardest.
TEST(Cancel, OldestFirstLosesNothing) {
    const Shape s = shape(10, 1);
    Trace trace(s);
    trace.apply({Op::take, 10});
    for (int i = 0; i < 100; ++i) trace.apply({Op::reserve, 1});
    for (int i = 0; i < 100; ++i) trace.apply({Op::cancel, i});
    EXPECT_EQ(trace.fault(), "");
    EXPECT_TRUE(trace.compared());
}

// Found by the two above, kept for their names' sake: chains in which a give-back lets the word pass an old position a
// second time.
TEST(Cancel, ChainsThatPassAPositionTwice) {
    const Shape one = shape(3, 1);
    const std::vector<Op> at_one_instant{{Op::take, 1},    {Op::reserve, 1}, {Op::reserve, 1}, {Op::cancel, 0},
                                         {Op::reserve, 3}, {Op::cancel, 1},  {Op::reserve, 1}};
    const Shape two = shape(2, 2);
    const std::vector<Op> between_nanoseconds{{Op::take, 1},    {Op::reserve, 1}, {Op::reserve, 1}, {Op::cancel, 0},
                                              {Op::advance, 1}, {Op::take, 1},    {Op::cancel, 1},  {Op::take, 2}};
    for (const auto &[s, ops] : {std::pair{one, at_one_instant}, {two, between_nanoseconds}}) {
        Trace trace(s);
        for (const Op &op : ops) trace.apply(op);
        sound(trace, ops, s);
    }
}

}  // namespace
