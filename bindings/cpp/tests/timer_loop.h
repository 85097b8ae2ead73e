// An event loop of nothing but timers, on a manual clock: it goes from one timer to the next without sleeping.
#ifndef TOKENBUCKET_CPP_TESTS_TIMER_LOOP_H
#define TOKENBUCKET_CPP_TESTS_TIMER_LOOP_H

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <utility>

#include "tokenbucket.hpp"

namespace tb_test {

class TimerLoop {
  public:
    using Time = std::chrono::steady_clock::time_point;

    // Timers of one time run in the order in which they were set. The number names the timer.
    std::uint64_t at(Time time, std::function<void()> work) {
        timers_.emplace(Key{time, ++newest_}, std::move(work));
        return newest_;
    }
    void disarm(std::uint64_t number) {
        for (auto timer = timers_.begin(); timer != timers_.end(); ++timer) {
            if (timer->first.second != number) continue;
            timers_.erase(timer);
            return;
        }
    }
    std::size_t armed() const { return timers_.size(); }

    void run() {
        while (!timers_.empty()) {
            const auto first = timers_.extract(timers_.begin());
            clock.set(first.key().first.time_since_epoch()).value();
            now_ = first.key().first.time_since_epoch();
            first.mapped()();
        }
    }
    std::chrono::nanoseconds now() const { return now_; }

    // A bucket on the loop's time.
    tokenbucket::Bucket bucket(double capacity, double per_second) const {
        tokenbucket::Config config;
        config.capacity = capacity;
        config.rate_tokens = per_second;
        config.clock = clock.get();
        return tokenbucket::Bucket(config);
    }

    tokenbucket::ManualClock clock;

  private:
    using Key = std::pair<Time, std::uint64_t>;

    std::map<Key, std::function<void()>> timers_;
    std::uint64_t newest_ = 0;
    std::chrono::nanoseconds now_{};
};

}  // namespace tb_test

#endif
