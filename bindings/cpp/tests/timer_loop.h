// Event loops for tests: work that others post, and timers on a clock of the loop's own, which goes from one to the
// next without sleeping.
#ifndef TOKENBUCKET_CPP_TESTS_TIMER_LOOP_H
#define TOKENBUCKET_CPP_TESTS_TIMER_LOOP_H

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "tokenbucket.hpp"

namespace tb_test {

// For a bucket on a manual clock, which posts when somebody is due.
class PostLoop {
  public:
    using Work = std::function<void()>;

    void post(Work work) {
        const std::lock_guard<std::mutex> guard(mutex_);
        posted_.push_back(std::move(work));
    }
    void after(std::chrono::nanoseconds, const Work &) {}

    // Runs what was posted, and what that posts. The number of works.
    int run() {
        int count = 0;
        for (std::vector<Work> works = take(); !works.empty(); works = take())
            for (const Work &work : works) {
                work();
                ++count;
            }
        return count;
    }

  private:
    std::vector<Work> take() {
        const std::lock_guard<std::mutex> guard(mutex_);
        return std::exchange(posted_, {});
    }

    std::mutex mutex_;
    std::vector<Work> posted_;
};

class TimerLoop {
  public:
    using Work = std::function<void()>;

    // Disarms the timer with its own end.
    class Timer {
      public:
        Timer(TimerLoop &loop, std::uint64_t number) : loop_(&loop), number_(number) {}
        Timer(Timer &&other) noexcept : loop_(std::exchange(other.loop_, nullptr)), number_(other.number_) {}
        Timer &operator=(Timer &&) = delete;
        ~Timer() {
            if (loop_ != nullptr) loop_->disarm(number_);
        }

      private:
        TimerLoop *loop_;
        std::uint64_t number_;
    };

    void post(Work work) { posts_.post(std::move(work)); }
    // Timers of one time run in the order in which they were set.
    [[nodiscard]] Timer after(std::chrono::nanoseconds time, Work work) {
        timers_.emplace(Key{now_ + time, ++newest_}, std::move(work));
        return Timer(*this, newest_);
    }
    std::size_t armed() const { return timers_.size(); }
    std::chrono::nanoseconds now() const { return now_; }

    // Goes on to that time, or until nothing is left to do.
    void run(std::chrono::nanoseconds until = std::chrono::nanoseconds::max()) {
        posts_.run();
        while (!timers_.empty() && timers_.begin()->first.first <= until) {
            const auto first = timers_.extract(timers_.begin());
            if (first.key().first > now_) now_ = first.key().first;
            first.mapped()();
            posts_.run();
        }
        if (until != std::chrono::nanoseconds::max() && until > now_) now_ = until;
    }
    // So much time goes by in one piece of work.
    void block(std::chrono::nanoseconds time) { now_ += time; }

    // For an empty bucket on the loop's time.
    tokenbucket::Config config(double capacity, double per_second) const {
        tokenbucket::Config config;
        config.capacity = capacity;
        config.rate_tokens = per_second;
        config.initial_tokens = 0;
        config.clock = clock_.get();
        return config;
    }

  private:
    using Key = std::pair<std::chrono::nanoseconds, std::uint64_t>;

    void disarm(std::uint64_t number) {
        for (auto timer = timers_.begin(); timer != timers_.end(); ++timer) {
            if (timer->first.second != number) continue;
            timers_.erase(timer);
            return;
        }
    }
    static tokenbucket::CallbackClock clock_of(const std::function<std::chrono::nanoseconds()> &ask) {
        return tokenbucket::CallbackClock::create(ask).value();
    }

    std::chrono::nanoseconds now_{};
    std::function<std::chrono::nanoseconds()> ask_ = [this] { return now_; };
    tokenbucket::CallbackClock clock_ = clock_of(ask_);
    PostLoop posts_;
    std::map<Key, Work> timers_;
    std::uint64_t newest_ = 0;
};

}  // namespace tb_test

#endif
