// A limiter whose state is shared does what any limiter does: random traces on both, where each operation on the shared
// one is done through one of two limiters that have the memory open, and finds all that its process knew forgotten.
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "core/limiter/limiter.h"
#include "tests/shared/processes.h"
#include "tests/support/core.h"
#include "tests/support/effort.h"
#include "tests/support/trace.h"

namespace {

using tb::Status;
using namespace tb_test;

struct Waiting {
    uint64_t alone;
    uint64_t shared;
};
struct Reserved {
    tb::Reservation alone;
    tb::Reservation shared;
};

class Traces {
  public:
    explicit Traces(uint64_t seed)
        : trace_(seed),
          spec_{static_cast<double>(trace_.between(1, 20)), static_cast<double>(trace_.between(1, 50)), kSecond},
          units_(trace_.one_in(2) ? 0 : static_cast<int64_t>(limit_of(spec_.capacity, spec_.rate_tokens).capacity)),
          clock_(0),
          name_("tokenbucket-test-" + std::to_string(::getpid())),
          alone_(spec_, limit_of(spec_.capacity, spec_.rate_tokens), units_, options()),
          a_(name_, spec_, units_, &clock_),
          b_(name_, spec_, units_, &clock_) {
        tb_test::remove_shared(name_);
    }

    void run(int steps) {
        for (int i = 0; i < steps && !testing::Test::HasFailure(); ++i) step();
        while (!waiting_.empty()) leave();
    }

  private:
    tb::LimiterOptions options() {
        wait_options_.max_waiters = 6;
        tb::LimiterOptions o;
        o.clock = &clock_;
        o.waiting = &wait_options_;
        return o;
    }
    BucketProcess &any() { return trace_.one_in(2) ? a_ : b_; }
    double tokens() {
        return trace_.one_in(3) ? static_cast<double>(trace_.between(1, 400)) / 10
                                : static_cast<double>(trace_.between(1, 8));
    }
    int64_t patience() { return trace_.one_in(3) ? INT64_MAX : trace_.between(0, 2 * kSecond); }

    void same(Status alone, Status shared, const char *what) {
        EXPECT_EQ(alone, shared) << what << " after " << trace_.text();
    }
    template <class T>
    void same_value(T alone, T shared, const char *what) {
        EXPECT_EQ(alone, shared) << what << " after " << trace_.text();
    }

    void step() {
        const double n = tokens();
        const int64_t tenths = static_cast<int64_t>(n * 10);
        switch (trace_.below(17)) {
            case 0:
            case 1:
                trace_.note("allow", tenths), same(alone_.allow(n), any()->allow(n), "allow");
                break;
            case 2:
                up_to(n);
                break;
            case 3:
            case 4:
                reserve(n);
                break;
            case 5:
                cancel();
                break;
            case 6:
                settle(n);
                break;
            case 7:
                change(n);
                break;
            case 8:
                trace_.note("refund", tenths), same(alone_.refund(n), any()->refund(n), "refund");
                break;
            case 9:
                charge(n);
                break;
            case 10:
            case 11:
                enqueue(n);
                break;
            case 12:
            case 13:
                check();
                break;
            case 14:
                leave();
                break;
            default:
                advance();
                break;
        }
        look();
    }

    void look() {
        same_value(alone_.available(), any()->available(), "available");
        same_value(alone_.waiting(), any()->waiting(), "waiting");
        int64_t alone = 0;
        int64_t shared = 0;
        same(alone_.time_until(1, &alone), any()->time_until(1, &shared), "time_until");
        same_value(alone, shared, "time until 1");
    }
    void advance() {
        const int64_t ns = trace_.one_in(4) ? trace_.between(0, 3 * kSecond) : trace_.between(0, kSecond / 5);
        trace_.note("advance", ns);
        EXPECT_EQ(clock_.advance(ns), Status::success);
    }
    void up_to(double most) {
        double alone = 0;
        double shared = 0;
        trace_.note("take_up_to", static_cast<int64_t>(most * 10));
        same(alone_.take_up_to(most, &alone), any()->take_up_to(most, &shared), "take_up_to");
        same_value(alone, shared, "taken");
    }
    void reserve(double n) {
        const int64_t most = patience();
        trace_.note("reserve", static_cast<int64_t>(n * 10), most);
        Reserved r{};
        const Status alone = alone_.reserve(n, most, &r.alone);
        same(alone, any()->reserve(n, most, &r.shared), "reserve");
        if (alone != Status::success) return;
        same_value(r.alone.wait_ns, r.shared.wait_ns, "wait");
        same_value(r.alone.ready_at_ns, r.shared.ready_at_ns, "ready");
        reserved_.push_back(r);
    }
    Reserved take_reserved() {
        const std::size_t i = static_cast<std::size_t>(trace_.below(static_cast<int64_t>(reserved_.size())));
        const Reserved r = reserved_[i];
        reserved_.erase(reserved_.begin() + static_cast<std::ptrdiff_t>(i));
        return r;
    }
    void cancel() {
        if (reserved_.empty()) return;
        const Reserved r = take_reserved();
        trace_.note("cancel", r.alone.ready_at_ns);
        same(alone_.cancel(r.alone), any()->cancel(r.shared), "cancel");
    }
    void settle(double n) {
        if (reserved_.empty()) return;
        const Reserved r = take_reserved();
        const double actual = trace_.one_in(3) ? 0 : n;
        trace_.note("settle", r.alone.ready_at_ns, static_cast<int64_t>(actual * 10));
        same(alone_.settle(r.alone, actual), any()->settle(r.shared, actual), "settle");
    }
    void charge(double n) {
        int64_t alone = 0;
        int64_t shared = 0;
        trace_.note("charge", static_cast<int64_t>(n * 10));
        same(alone_.charge(n, &alone), any()->charge(n, &shared), "charge");
        same_value(alone, shared, "repaid after");
    }
    void change(double n) {
        trace_.note("change", static_cast<int64_t>(n * 10));
        switch (trace_.below(4)) {
            case 0:
                same(alone_.set_rate(n), any()->set_rate(n), "set_rate");
                break;
            case 1:
                same(alone_.set_capacity(n), any()->set_capacity(n), "set_capacity");
                break;
            case 2:
                same(alone_.set_tokens(n), any()->set_tokens(n), "set_tokens");
                break;
            default:
                same(alone_.reset(n), any()->reset(n), "reset");
                break;
        }
        uint64_t alone = 0;
        uint64_t shared = 0;
        const tb::LimitSpec one = alone_.limit(&alone);
        const tb::LimitSpec other = any()->limit(&shared);
        EXPECT_TRUE(alone == shared && one.capacity == other.capacity && one.rate_tokens == other.rate_tokens);
    }

    // Waiters are those of one process.
    void enqueue(double n) {
        const int64_t most = patience();
        const int32_t priority = static_cast<int32_t>(trace_.between(-1, 1));
        trace_.note("enqueue", static_cast<int64_t>(n * 10), most);
        tb::QueuePlace alone;
        tb::QueuePlace shared;
        const Status s = alone_.enqueue(n, most, priority, 0, &alone);
        same(s, a_->enqueue(n, most, priority, 0, &shared), "enqueue");
        if (s != Status::waiting) return;
        same_value(alone.wait_ns, shared.wait_ns, "wait of a waiter");
        waiting_.push_back({alone.waiter, shared.waiter});
    }
    Waiting take_waiting() {
        const std::size_t i = static_cast<std::size_t>(trace_.below(static_cast<int64_t>(waiting_.size())));
        const Waiting w = waiting_[i];
        waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(i));
        return w;
    }
    void check() {
        if (waiting_.empty()) return;
        const Waiting w = take_waiting();
        int64_t alone = 0;
        int64_t shared = 0;
        trace_.note("check", static_cast<int64_t>(waiting_.size()));
        const Status s = alone_.check(w.alone, &alone);
        same(s, a_->check(w.shared, &shared), "check");
        same_value(alone, shared, "wait still");
        if (s == Status::waiting) waiting_.push_back(w);
    }
    void leave() {
        if (waiting_.empty()) return;
        const Waiting w = take_waiting();
        trace_.note("leave", static_cast<int64_t>(waiting_.size()));
        same(alone_.leave(w.alone), a_->leave(w.shared), "leave");
    }

    Trace trace_;
    const tb::LimitSpec spec_;
    const int64_t units_;
    tb::Clock clock_;
    const std::string name_;
    tb::WaitOptions wait_options_;
    tb::Limiter alone_;
    BucketProcess a_;
    BucketProcess b_;
    std::vector<Reserved> reserved_;
    std::vector<Waiting> waiting_;
};

TEST(SharedLimiter, DoesWhatALimiterOfOneProcessDoes) {
    if (!tb::platform::kSharesMemory) GTEST_SKIP() << "no shared memory here";
    const uint64_t traces = support::effort("TB_TRACES", 1500, 150);
    for (uint64_t seed = 1; seed <= traces && !HasFailure(); ++seed) {
        SCOPED_TRACE(seed);
        Traces(seed).run(60);
    }
}

}  // namespace
