// The bucket as it is defined: A(t) = floor(t * P / Q) units have accrued, Z are spent, min(capacity, A - Z) are there.
// Positions are whole numbers without end; nothing wraps, nothing is rounded but by that one floor.
#ifndef TOKENBUCKET_TESTS_MODEL_UNIT_BUCKET_H
#define TOKENBUCKET_TESTS_MODEL_UNIT_BUCKET_H

#include <algorithm>
#include <optional>
#include <vector>

#include "tests/model/units.h"

namespace model {

struct Ticket {
    Integer position;
    double tokens;
    int64_t wait_ns;
    int64_t ready_at_ns;
    std::size_t epoch;
};

class UnitBucket {
  public:
    UnitBucket(const Limit &limit, const Integer &held, int64_t now) : now_(now), spent_(-held) { adopt(limit); }

    void advance(int64_t now) {
        const Integer::Division d = divide(rest_ + Integer(now - now_) * p_, q_);
        accrued_ = accrued_ + d.floor;
        rest_ = d.rest;
        now_ = now;
    }

    const Limit &limit() const { return limit_; }
    const Integer &capacity() const { return capacity_; }
    const Integer &p() const { return p_; }
    const Integer &q() const { return q_; }
    Integer available() const { return std::min(capacity_, accrued_ - spent_); }
    // No fraction of a unit ever arises: a bucket of real numbers must decide alike.
    bool is_whole() const { return q_ == Integer(1); }

    // What n tokens cost; all that fits costs what the bucket holds.
    Integer cost(double n) const { return std::min(limit_.units.round_up(n), capacity_); }

    // Would `rest` units have grown to `target` after `wait` nanoseconds?
    bool grown(const Integer &rest, const Integer &target, int64_t wait) const {
        return rest + floor_of(rest_ + Integer(wait) * p_, q_) >= target;
    }

    void leave(const Integer &rest) { spent_ = accrued_ - rest; }

    Ticket reserve(double n, const Integer &units, int64_t wait_ns) {
        leave(available() - units);
        return {spent_, n, wait_ns, now_ + wait_ns, passages_.size()};
    }

    void refund(const Integer &units) { leave(std::min(capacity_, available() + units)); }

    void reset(const Integer &held) {
        rest_ = 0;
        passages_.push_back({now_, 0, 0, 0});
        fence_.reset();
        leave(std::min(held, capacity_));
    }

    // False: the debt cannot be counted in the new units; nothing has changed.
    bool change(double capacity, const Rational &per_ns) {
        const Limit next{capacity, per_ns, changed_units(limit_.units, capacity, per_ns)};
        const Integer from = limit_.units.scale();
        const Integer to = next.units.scale();
        const Integer kept = floor_of(available() * to, from);
        if (kept < -Integer::power(2, 59)) return false;
        if (from != to) {
            rest_ = 0;
            passages_.push_back({now_, accrued_, from, to});
            if (fence_ && *fence_ >= accrued_) fence_ = translated(*fence_, passages_.back()) + Integer(1);
        }
        adopt(next);
        leave(std::min(kept, capacity_));
        return true;
    }

    // Gives back all if nothing was taken since; else what cannot let a window overflow, and not again until all that
    // is spent now has accrued and is past. Nothing once the position is past, but for what was granted this instant.
    void cancel(const Ticket &ticket) {
        constexpr std::size_t kKept = 7;
        if (now_ > ticket.ready_at_ns || passages_.size() - ticket.epoch > kKept || is_crowded(ticket)) return;
        Integer position = ticket.position;
        for (std::size_t i = ticket.epoch; i < passages_.size(); ++i) {
            if (passages_[i].from.is_zero()) return;
            position = translated(position, passages_[i]);
        }
        const Integer later = spent_ - position;
        const bool youngest = later.is_zero();
        if (later < Integer(0) || later >= capacity_) return;
        if (position < accrued_ && !(youngest && ticket.wait_ns == 0)) return;
        if (!youngest && fence_ && *fence_ >= accrued_) return;
        const bool same_units = ticket.epoch == passages_.size();
        const Integer up = limit_.units.round_up(ticket.tokens);
        const Integer units = same_units && up <= capacity_ ? up : limit_.units.round_down(ticket.tokens);
        const Integer back = std::min(units, capacity_ - available());
        const Integer given = youngest ? back : std::min(back, capacity_ - later);
        if (given.is_zero()) return;
        if (!youngest) fence_ = spent_;
        leave(available() + given);
    }

  private:
    struct Passage {
        int64_t now;
        Integer at;
        Integer from;  // units of a token; 0: a reset
        Integer to;
    };

    // Issued in the very nanosecond in which its epoch, and 7 before it, began?
    bool is_crowded(const Ticket &ticket) const {
        if (ticket.epoch <= 7) return false;
        const int64_t issued = ticket.ready_at_ns - ticket.wait_ns;
        return issued == passages_[ticket.epoch - 1].now && issued == passages_[ticket.epoch - 8].now;
    }

    static Integer translated(const Integer &position, const Passage &passage) {
        return passage.at + floor_of((position - passage.at) * passage.to, passage.from);
    }

    // The fraction of a unit that has accrued is kept, over a common denominator.
    void adopt(const Limit &limit) {
        limit_ = limit;
        capacity_ = limit.units.round_down(limit.capacity);
        const Rational rate = limit.per_ns * Rational{limit.units.scale(), 1};
        const Rational fraction = ratio(rest_, q_);
        q_ = floor_of(rate.denominator * fraction.denominator, gcd(rate.denominator, fraction.denominator));
        p_ = floor_of(rate.numerator * q_, rate.denominator);
        rest_ = floor_of(fraction.numerator * q_, fraction.denominator);
    }

    int64_t now_;
    Limit limit_;
    Integer capacity_;
    Integer p_;
    Integer q_ = 1;
    Integer accrued_;
    Integer rest_;  // the fraction of a unit beyond accrued_, times q_
    Integer spent_;
    std::optional<Integer> fence_;
    std::vector<Passage> passages_;
};

}  // namespace model

#endif
