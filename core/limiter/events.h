// Records what a bucket decides in statistics, a function of the user, or both. A bucket with neither has no observer.
#ifndef TOKENBUCKET_CORE_LIMITER_EVENTS_H
#define TOKENBUCKET_CORE_LIMITER_EVENTS_H

#include <cstdint>

#include "core/limiter/statistics.h"
#include "core/status.h"

namespace tb {

struct Event {
    Status status;
    double n;  // tokens
    int64_t waited_ns;
};

class Observer {
  public:
    using Function = void (*)(const Observer *observer, const Event &event);

    // Either may be null. The caller owns the statistics.
    Observer(Statistics *statistics, Function function) : statistics_(statistics), function_(function) {}

    Statistics *statistics() const { return statistics_; }

    // A request that was answered at once.
    void record(Status s, double n) const;
    void record_cancelled() const;
    // Tokens of a reservation that went back into the bucket.
    void record_returned(double tokens) const;
    // A wait in the queue that is over. Its tokens count as taken, and as given back if it was not granted.
    void record_wait(Status s, double n, int64_t waited_ns) const;

  private:
    void emit(Status s, double n, int64_t waited_ns) const;

    Statistics *const statistics_;
    const Function function_;
};

}  // namespace tb

#endif
