// A table whose memory is shared does what any table does: random traces on both, where each operation on the shared
// one is done through one of two tables that have the memory open. Both hash keys alike, so they also forget the same
// ones. Where keys have queues no key is forgotten: those of one process keep a place for longer.
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "core/table/table.h"
#include "tests/shared/processes.h"
#include "tests/support/effort.h"
#include "tests/support/trace.h"

namespace {

using tb::Status;
using tb_test::TableProcess;
using tb_test::Trace;

constexpr int64_t kSecond = 1000000000;
constexpr int64_t kKeys = 60;  // more than there is room for

tb::Limit limit_of(const tb::LimitSpec &spec) {
    tb::Limit limit{};
    EXPECT_EQ(tb::make_limit(spec, &limit, tb::kTableGrowth), Status::success);
    return limit;
}

struct Waiting {
    uint64_t key;
    uint64_t alone;
    uint64_t shared;
};
struct Reserved {
    uint64_t key;
    tb::Reservation alone;
    tb::Reservation shared;
};

class Traces {
  public:
    Traces(uint64_t seed, bool with_queues)
        : trace_(seed),
          keys_(with_queues ? 3 : kKeys),
          kinds_(with_queues ? 20 : 12),
          spec_{static_cast<double>(trace_.between(1, 20)), static_cast<double>(trace_.between(1, 50)), kSecond},
          lines_(with_queues ? 100 : static_cast<uint64_t>(trace_.between(1, 12))),
          when_full_(static_cast<tb::WhenFull>(trace_.below(3))),
          clock_(trace_.below(kSecond)),
          name_("tokenbucket-test-table-" + std::to_string(::getpid())),
          a_(name_, spec_, lines_, when_full_, &clock_),
          b_(name_, spec_, lines_, when_full_, &clock_),
          alone_(spec_, limit_of(spec_), options()) {
        tb_test::remove_shared(name_);
    }

    void run(int steps) {
        for (int i = 0; i < steps && !testing::Test::HasFailure(); ++i) step();
        while (!waiting_.empty()) leave();
    }
    uint64_t waited() const { return waited_; }

  private:
    tb::TableOptions options() {
        tb::TableOptions o;
        o.clock = &clock_;
        o.lines = lines_;
        o.when_full = when_full_;
        o.secret = a_.secret();
        wait_options_.max_waiters = TableProcess::kMaxWaiters;
        o.waiting = &wait_options_;
        return o;
    }
    TableProcess &any() { return trace_.one_in(2) ? a_ : b_; }
    double tokens() {
        return trace_.one_in(3) ? static_cast<double>(trace_.between(1, 200)) / 10
                                : static_cast<double>(trace_.between(1, 4));
    }

    template <class T>
    void same(T alone, T shared, const char *what) {
        EXPECT_EQ(alone, shared) << what << " after " << trace_.text();
    }

    void step() {
        const int64_t number = trace_.below(keys_);
        const uint64_t key = alone_.hash(&number, sizeof number);
        same(key, any()->hash(&number, sizeof number), "hash");
        const double n = tokens();
        trace_.note("key", number, static_cast<int64_t>(n * 10));
        switch (trace_.below(kinds_)) {
            case 0:
                take(key, n);
                break;
            case 1:
                up_to(key, n);
                break;
            case 2:
                many(n);
                break;
            case 3:
                charge(key, n);
                break;
            case 4:
                trace_.note("refund", 0), same(alone_.refund(key, n), any()->refund(key, n), "refund");
                break;
            case 5:
                trace_.note("remove", 0), same(alone_.remove(key), any()->remove(key), "remove");
                break;
            case 6:
                change(n);
                break;
            case 7:
            case 8:
                advance();
                break;
            case 12:
            case 13:
                reserve(key, n);
                break;
            case 14:
                cancel();
                break;
            case 15:
                settle(n);
                break;
            case 16:
            case 17:
                enqueue(key, n);
                break;
            case 18:
                check();
                break;
            case 19:
                leave();
                break;
            default:
                trace_.note("allow", 0), same(alone_.allow(key, n), any()->allow(key, n), "allow");
                break;
        }
        look(key);
        if (kinds_ > 12) look_at_queues();
    }

    void look(uint64_t key) {
        same(alone_.available(key), any()->available(key), "available");
        int64_t alone = 0;
        int64_t shared = 0;
        same(alone_.time_until(key, 1, &alone), any()->time_until(key, 1, &shared), "time_until");
        same(alone, shared, "time until 1");
        const tb::TableCounts one = alone_.counts();
        const tb::TableCounts other = any()->counts();
        same(one.slots, other.slots, "slots");
        same(one.occupied, other.occupied, "occupied");
        same(one.evicted, other.evicted, "evicted");
        same(one.tokens_forgiven, other.tokens_forgiven, "forgiven");
    }
    // What overflows is found when somebody looks, so both are looked at as often.
    void look_at_queues() {
        for (int64_t number = 0; number < keys_; ++number) {
            const uint64_t key = alone_.hash(&number, sizeof number);
            int64_t alone = 0;
            int64_t shared = 0;
            same(alone_.probe(key, 1, 0, 0, &alone), any()->probe(key, 1, 0, 0, &shared), "probe");
            same(alone, shared, "a waiter's wait");
        }
    }
    void advance() {
        const int64_t ns = trace_.one_in(16) ? trace_.between(0, int64_t{40} * 86400 * kSecond)
                                             : trace_.between(0, trace_.one_in(4) ? 3 * kSecond : kSecond / 20);
        trace_.note("advance", ns);
        EXPECT_EQ(clock_.advance(ns), Status::success);
    }
    void take(uint64_t key, double n) {
        trace_.note("take", 0);
        tb::Answer alone{};
        tb::Answer shared{};
        same(alone_.take(key, n, &alone), any()->take(key, n, &shared), "take");
        same(alone.remaining, shared.remaining, "remaining");
        same(alone.retry_after_ns, shared.retry_after_ns, "retry after");
        same(alone.reset_after_ns, shared.reset_after_ns, "reset after");
    }
    void up_to(uint64_t key, double most) {
        trace_.note("take_up_to", 0);
        double alone = 0;
        double shared = 0;
        same(alone_.take_up_to(key, most, &alone), any()->take_up_to(key, most, &shared), "take_up_to");
        same(alone, shared, "taken");
    }
    void many(double n) {
        constexpr std::size_t kCount = 20;
        trace_.note("many", 0);
        uint64_t keys[kCount];
        double amounts[kCount];
        Status alone[kCount];
        Status shared[kCount];
        for (std::size_t i = 0; i < kCount; ++i) {
            const int64_t number = trace_.below(keys_);
            keys[i] = alone_.hash(&number, sizeof number);
            amounts[i] = n + static_cast<double>(i % 3);
        }
        alone_.allow_many(keys, amounts, kCount, alone);
        any()->allow_many(keys, amounts, kCount, shared);
        for (std::size_t i = 0; i < kCount; ++i) same(alone[i], shared[i], "allow_many");
    }
    void charge(uint64_t key, double n) {
        trace_.note("charge", 0);
        int64_t alone = 0;
        int64_t shared = 0;
        same(alone_.charge(key, 3 * n, &alone), any()->charge(key, 3 * n, &shared), "charge");
        same(alone, shared, "repaid after");
    }
    void change(double n) {
        trace_.note("change", static_cast<int64_t>(n * 10));
        if (trace_.one_in(2)) {
            same(alone_.set_rate(n * 3), any()->set_rate(n * 3), "set_rate");
        } else {
            same(alone_.set_capacity(n), any()->set_capacity(n), "set_capacity");
        }
        if (trace_.one_in(40)) same(alone_.close(), any()->close(), "close");
        uint64_t alone = 0;
        uint64_t shared = 0;
        const tb::LimitSpec one = alone_.limit(&alone);
        const tb::LimitSpec other = any()->limit(&shared);
        same(alone, shared, "scale");
        same(one.capacity, other.capacity, "capacity");
        same(one.rate_tokens, other.rate_tokens, "rate");
    }

    int64_t patience() { return trace_.one_in(3) ? INT64_MAX : trace_.between(0, 2 * kSecond); }
    void reserve(uint64_t key, double n) {
        const int64_t most = patience();
        trace_.note("reserve", most);
        Reserved r{key, {}, {}};
        const Status s = alone_.reserve(key, n, most, &r.alone);
        same(s, any()->reserve(key, n, most, &r.shared), "reserve");
        if (s != Status::success) return;
        same(r.alone.wait_ns, r.shared.wait_ns, "wait");
        same(r.alone.ready_at_ns, r.shared.ready_at_ns, "ready");
        reserved_.push_back(r);
    }
    template <class T>
    T take_from(std::vector<T> *all) {
        const std::size_t i = static_cast<std::size_t>(trace_.below(static_cast<int64_t>(all->size())));
        const T one = (*all)[i];
        all->erase(all->begin() + static_cast<std::ptrdiff_t>(i));
        return one;
    }
    void cancel() {
        if (reserved_.empty()) return;
        const Reserved r = take_from(&reserved_);
        trace_.note("cancel", r.alone.ready_at_ns);
        same(alone_.cancel(r.key, r.alone), any()->cancel(r.key, r.shared), "cancel");
    }
    void settle(double n) {
        if (reserved_.empty()) return;
        const Reserved r = take_from(&reserved_);
        const double actual = trace_.one_in(3) ? 0 : n;
        trace_.note("settle", r.alone.ready_at_ns, static_cast<int64_t>(actual * 10));
        same(alone_.settle(r.key, r.alone, actual), any()->settle(r.key, r.shared, actual), "settle");
    }
    // Waiters are those of one process.
    void enqueue(uint64_t key, double n) {
        const int64_t most = patience();
        const int32_t priority = static_cast<int32_t>(trace_.between(-1, 1));
        trace_.note("enqueue", most, priority);
        tb::QueuePlace alone;
        tb::QueuePlace shared;
        const Status s = alone_.enqueue(key, n, most, priority, 0, &alone);
        same(s, a_->enqueue(key, n, most, priority, 0, &shared), "enqueue");
        if (s != Status::waiting) return;
        ++waited_;
        same(alone.wait_ns, shared.wait_ns, "wait of a waiter");
        waiting_.push_back({key, alone.waiter, shared.waiter});
    }
    void check() {
        if (waiting_.empty()) return;
        const Waiting w = take_from(&waiting_);
        int64_t alone = 0;
        int64_t shared = 0;
        trace_.note("check", static_cast<int64_t>(waiting_.size()));
        const Status s = alone_.check(w.key, w.alone, &alone);
        same(s, a_->check(w.key, w.shared, &shared), "check");
        same(alone, shared, "wait still");
        if (s == Status::waiting) waiting_.push_back(w);
    }
    void leave() {
        if (waiting_.empty()) return;
        const Waiting w = take_from(&waiting_);
        trace_.note("leave", static_cast<int64_t>(waiting_.size()));
        same(alone_.leave(w.key, w.alone), a_->leave(w.key, w.shared), "leave");
    }

    Trace trace_;
    const int64_t keys_;
    const int64_t kinds_;
    const tb::LimitSpec spec_;
    const uint64_t lines_;
    const tb::WhenFull when_full_;
    tb::Clock clock_;
    const std::string name_;
    tb::WaitOptions wait_options_;
    TableProcess a_;
    TableProcess b_;
    tb::Table alone_;
    std::vector<Reserved> reserved_;
    std::vector<Waiting> waiting_;
    uint64_t waited_ = 0;
};

void run_traces(bool with_queues) {
    if (!tb::platform::kSharesMemory || !tb::platform::kHasPairExchange) GTEST_SKIP() << "no shared tables here";
    const uint64_t traces = support::effort("TB_TRACES", 1500, 150);
    uint64_t waited = 0;
    for (uint64_t seed = 1; seed <= traces && !testing::Test::HasFailure(); ++seed) {
        SCOPED_TRACE(seed);
        Traces t(seed, with_queues);
        t.run(150);
        waited += t.waited();
    }
    EXPECT_EQ(waited > traces, with_queues);
}

TEST(SharedTableTraces, DoWhatATableOfOneProcessDoes) {
    run_traces(false);
}

TEST(SharedTableTraces, WaitAndReserveAsATableOfOneProcessDoes) {
    run_traces(true);
}

}  // namespace
