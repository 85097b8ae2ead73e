// The bucket as it is defined: A(t) = floor(t * P / Q) units have accrued, Z are spent, min(capacity, A - Z) are there.
// Positions are whole numbers without end; nothing wraps, nothing is rounded but by that one floor.
#ifndef TOKENBUCKET_TESTS_MODEL_UNIT_BUCKET_H
#define TOKENBUCKET_TESTS_MODEL_UNIT_BUCKET_H

#include <algorithm>
#include <vector>

#include "tests/model/units.h"

namespace model {

struct Ticket {
    std::size_t id;    // of what is pending; 0: was due at once, with tokens to spare
    Integer position;  // if so, and in which epoch
    std::size_t epoch;
    double tokens;
    int64_t ready_at_ns;
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
        const bool spare = available() > units;
        if (!spare) catch_up();
        leave(available() - units);
        if (spare) return {0, spent_, began_.size(), n, now_};
        promises_.push_back({++last_id_, spent_, units, 0, spent_, now_});
        end_ = spent_;
        return {last_id_, spent_, began_.size(), n, now_ + wait_ns};
    }

    // Behind the last that is pending.
    void refund(const Integer &units) {
        catch_up();
        const Integer fitting = std::min(units, capacity_ - available());
        leave(available() + fitting);
        if (promises_.empty()) return;
        promises_.back().others = promises_.back().others - fitting;
        lay(promises_.size() - 1);
    }

    void reset(const Integer &held) {
        catch_up();
        rest_ = 0;
        begin_epoch();
        promises_.clear();
        leave(std::min(held, capacity_));
    }

    // False: the debt cannot be counted in the new units; nothing has changed.
    bool change(double capacity, const Rational &per_ns) {
        catch_up();
        UnitBucket changed = *this;
        if (!changed.become(capacity, per_ns)) return false;
        *this = changed;
        return true;
    }

    // What is pending leaves the chain as if it had never been in it. What was due at once comes back only if it was
    // granted last, and at this instant.
    void cancel(const Ticket &ticket) {
        if (now_ > ticket.ready_at_ns) return;
        if (ticket.id == 0) {
            const bool current = ticket.epoch == began_.size() && ticket.ready_at_ns >= began_.back();
            if (current && ticket.position == spent_) leave(available() + cost(ticket.tokens));
            return;
        }
        catch_up();
        const auto of_it = [&](const Promise &p) { return p.id == ticket.id; };
        const auto found = std::find_if(promises_.begin(), promises_.end(), of_it);
        if (found == promises_.end()) return;
        const std::size_t at = static_cast<std::size_t>(found - promises_.begin());
        const Integer others = found->others;
        const Integer before = at == 0 ? base_ : promises_[at - 1].spent;
        const Integer full = accrued_ - capacity_;
        const Integer chain = countable((others > Integer(0) ? std::max(before, full) : before) + others);
        const Integer after = std::min(chain, found->spent - found->held);
        promises_.erase(found);
        if (at == 0) {
            base_ = after;
        } else {
            promises_[at - 1].others = promises_[at - 1].others + others;
            promises_[at - 1].spent = after;
        }
        lay(at);
    }

  private:
    // Of a reservation: see core/bucket/pending.h.
    struct Promise {
        std::size_t id;
        Integer position;
        Integer held;
        Integer others;
        Integer spent;
        int64_t planned;  // when its due time was last worked out
    };

    Integer accrued_before() const { return accrued_ + floor_of(rest_ - p_, q_); }

    // Should 8 epochs pass within one nanosecond, tickets of that instant cannot be told apart, and are void.
    void begin_epoch() {
        const std::size_t epoch = began_.size();
        const bool crowded = epoch >= 8 && began_[epoch - 7] >= now_;
        began_.push_back(crowded ? now_ + 1 : now_);
    }

    bool is_over(const Promise &p) const {
        return p.position < accrued_ || (now_ > p.planned && p.position <= accrued_before());
    }

    bool become(double capacity, const Rational &per_ns) {
        const Limit next{capacity, per_ns, changed_units(limit_.units, capacity, per_ns)};
        const Integer from = limit_.units.scale();
        const Integer to = next.units.scale();
        const auto moved = [&](const Integer &units) { return ceiling_of(units * to, from); };
        const Integer kept = floor_of(available() * to, from);
        const Integer most = Integer::power(2, 59);
        if (kept < -most) return false;
        base_ = from == to ? base_ : accrued_ - std::min(floor_of((accrued_ - base_) * to, from), most);
        if (from != to) {
            rest_ = 0;
            begin_epoch();
        }
        for (Promise &p : promises_) {
            p.position = accrued_ + moved(p.position - accrued_);
            p.held = moved(p.held);
            p.others = std::max(-most, moved(p.others));
            p.planned = now_;
            if (from != to && std::max({p.position - accrued_, p.held, p.others}) >= most) return false;
        }
        adopt(next);
        leave(std::min(kept, capacity_));
        for (std::size_t i = 0; i < promises_.size(); ++i) {
            lay_one(i);
        }
        if (!promises_.empty()) sink();
        return true;
    }

    void catch_up() {
        const Integer spent = accrued_ - available();
        if (!promises_.empty()) {
            promises_.back().others = promises_.back().others + spent - end_;
            promises_.back().spent = promises_.back().spent + spent - end_;
        }
        end_ = spent;
        while (!promises_.empty() && is_over(promises_.front())) {
            base_ = promises_.front().spent;
            promises_.erase(promises_.begin());
        }
        if (promises_.empty()) base_ = spent;
    }

    void lay_one(std::size_t i) {
        Promise &p = promises_[i];
        const Integer before = i == 0 ? base_ : promises_[i - 1].spent;
        p.spent = countable(std::max(before, p.position - std::max(capacity_, p.held)) + p.held);
        if (p.others > Integer(0)) p.spent = std::max(p.spent, accrued_ - capacity_);
        p.spent = countable(p.spent + p.others);
    }

    Integer countable(const Integer &position) const {
        const Integer most = Integer::power(2, 59);
        return std::clamp(position, accrued_ - most, accrued_ + most);
    }

    // From there on, until the chain is as it was.
    void lay(std::size_t i) {
        for (bool changed = true; changed && i < promises_.size(); ++i) {
            const Integer before = promises_[i].spent;
            lay_one(i);
            promises_[i].spent = std::min(promises_[i].spent, before);
            changed = promises_[i].spent != before;
        }
        sink();
    }

    // The word never rises to the chain's end; if it is behind that, the difference is put behind the last.
    void sink() {
        const Integer end = promises_.empty() ? base_ : promises_.back().spent;
        leave(std::min(capacity_, std::max(available(), accrued_ - end)));
        end_ = spent_;
        if (promises_.empty() || spent_ <= end) return;
        promises_.back().others = promises_.back().others + spent_ - end;
        promises_.back().spent = spent_;
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
    std::vector<Promise> promises_;
    Integer base_;
    Integer end_;
    std::size_t last_id_ = 0;
    std::vector<int64_t> began_{0};
};

}  // namespace model

#endif
