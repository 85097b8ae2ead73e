// A bucket that one thread uses and nobody waits on, driven as the library drives it.
#ifndef TOKENBUCKET_TESTS_SUPPORT_LONE_BUCKET_H
#define TOKENBUCKET_TESTS_SUPPORT_LONE_BUCKET_H

#include "core/bucket/bucket.h"

namespace tb_test {

class LoneBucket : public tb::Bucket {
  public:
    using tb::Bucket::Bucket;

    tb::Status reserve(double n, int64_t max_wait_ns, int64_t now, tb::Reservation *r) {
        const tb::Status s = reserve_at_once(n, now, r);
        const bool may_wait = s == tb::Status::waiting || s == tb::Status::timed_out;
        return may_wait ? Bucket::reserve(n, max_wait_ns, now, &pending_, r) : s;
    }
    tb::Status cancel(const tb::Reservation &r, int64_t now) {
        if (r.tokens == 0) return tb::Status::success;
        if (!tb::Ticket(r.ticket).has_entry()) return cancel_at_once(r, now, &given_back_);
        return at_present(now, [&](tb::Moment m) { return Bucket::cancel(r, m, &pending_, &given_back_); });
    }
    tb::Status settle(const tb::Reservation &r, double actual, int64_t now) {
        return at_present(now, [&](tb::Moment m) { return Bucket::settle(r, actual, m, &pending_, &given_back_); });
    }
    // What the last of the functions here was told to have given back.
    double given_back() const { return given_back_; }

    tb::Status refund(double n, int64_t now) {
        return at_present(now, [&](tb::Moment m) { return Bucket::refund(n, m, &pending_, &given_back_); });
    }
    tb::Status reset(double tokens, int64_t now) {
        return at_present(now, [&](tb::Moment m) { return Bucket::reset(tokens, m, &pending_, &given_back_); });
    }
    tb::Status set_rate(double rate, int64_t now) {
        return at_present(now, [&](tb::Moment m) { return Bucket::set_rate(rate, m, &pending_, &given_back_); });
    }
    tb::Status set_capacity(double capacity, int64_t now) {
        return at_present(now,
                          [&](tb::Moment m) { return Bucket::set_capacity(capacity, m, &pending_, &given_back_); });
    }

  private:
    template <class Operation>
    tb::Status at_present(int64_t now, Operation operation) {
        tb::Status s = tb::Status::stale;
        while (s == tb::Status::stale) s = operation({now, state()});
        return s;
    }

    tb::Pending pending_;
    double given_back_ = 0;
};

}  // namespace tb_test

#endif
