// Limits, plans and limiters for the tests of the core.
#ifndef TOKENBUCKET_TESTS_SUPPORT_CORE_H
#define TOKENBUCKET_TESTS_SUPPORT_CORE_H

#include <gtest/gtest.h>

#include "core/limiter/limiter.h"

namespace tb_test {

inline constexpr int64_t kSecond = 1000000000;

inline tb::Limit limit_of(double capacity, double rate, int64_t period_ns = kSecond) {
    tb::Limit limit{};
    EXPECT_EQ(tb::make_limit({capacity, rate, period_ns}, &limit), tb::Status::success);
    return limit;
}

// A limiter on a manual clock of its own, which starts at 0. The rate is per second.
class ManualLimiter {
  public:
    ManualLimiter(double capacity, double rate, double held)
        : clock(0),
          limit_(limit_of(capacity, rate)),
          limiter({capacity, rate, kSecond}, limit_, units(held), on_clock()) {}

    tb::Reservation reserve(double n) {
        tb::Reservation r{};
        EXPECT_EQ(limiter.reserve(n, INT64_MAX, &r), tb::Status::success);
        return r;
    }

    tb::Clock clock;

  private:
    int64_t units(double held) const {
        return held == 0 ? 0 : static_cast<int64_t>(tb::to_units(limit_.units.scale, held, TBU_DOWN));
    }
    tb::LimiterOptions on_clock() {
        tb::LimiterOptions options;
        options.clock = &clock;
        return options;
    }

    const tb::Limit limit_;

  public:
    tb::Limiter limiter;
};

}  // namespace tb_test

#endif
