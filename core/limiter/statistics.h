// The counters of a bucket, in stripes, so that threads on different processors mostly do not share a cache line.
#ifndef TOKENBUCKET_CORE_LIMITER_STATISTICS_H
#define TOKENBUCKET_CORE_LIMITER_STATISTICS_H

#include <atomic>
#include <cstdint>

#include "core/status.h"

namespace tb {

struct Totals {
    int64_t granted;
    int64_t denied;
    int64_t timed_out;
    int64_t cancelled;
    int64_t waits;
    int64_t total_wait_ns;
    int64_t longest_wait_ns;
    double tokens_taken;
    double tokens_given_back;
};

class Statistics {
  public:
    void count_granted(double tokens);
    void count_refused(Status why);
    // A wait that slept; its tokens count as taken whatever the outcome.
    void count_wait(Status outcome, double tokens, int64_t waited_ns);
    void count_cancelled();
    void count_given_back(double tokens);

    // The sum over all stripes; each counter as of some time during the call.
    Totals totals() const;

  private:
    static constexpr unsigned kStripes = 16;

    struct alignas(128) Stripe {
        std::atomic<int64_t> granted{0};
        std::atomic<int64_t> denied{0};
        std::atomic<int64_t> timed_out{0};
        std::atomic<int64_t> cancelled{0};
        std::atomic<int64_t> waits{0};
        std::atomic<int64_t> total_wait_ns{0};
        std::atomic<int64_t> longest_wait_ns{0};
        std::atomic<double> tokens_taken{0};
        std::atomic<double> tokens_given_back{0};
    };

    Stripe *mine();

    Stripe stripes_[kStripes];
};

}  // namespace tb

#endif
