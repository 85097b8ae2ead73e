// A bucket on which nobody waits: the changes that would move claims, without any.
#ifndef TOKENBUCKET_TESTS_SUPPORT_LONE_BUCKET_H
#define TOKENBUCKET_TESTS_SUPPORT_LONE_BUCKET_H

#include "core/bucket/bucket.h"

namespace tb_test {

class LoneBucket : public tb::Bucket {
  public:
    using tb::Bucket::Bucket;

    // As the library does: without a lock first. What a caller was told came back must be what came back.
    tb::Status cancel(const tb::Reservation &r, int64_t now) {
        if (r.tokens == 0) return tb::Status::success;
        const tb::Status s = cancel_youngest(r, now, &given_back_);
        return s == tb::Status::denied ? Bucket::cancel(r, now, &nobody_, &given_back_) : s;
    }
    double given_back() const { return given_back_; }

    tb::Status refund(double n, int64_t now) { return Bucket::refund(n, now, &nobody_, &given_back_); }
    tb::Status reset(double tokens, int64_t now) { return Bucket::reset(tokens, now, &nobody_, &given_back_); }
    tb::Status set_rate(double rate, int64_t now) { return Bucket::set_rate(rate, now, &nobody_, &given_back_); }
    tb::Status set_capacity(double capacity, int64_t now) {
        return Bucket::set_capacity(capacity, now, &nobody_, &given_back_);
    }

  private:
    tb::Claims nobody_;
    double given_back_ = 0;
};

}  // namespace tb_test

#endif
