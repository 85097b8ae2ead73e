// Processes that share an object are killed at random instants of every operation. Afterwards nothing hangs, and what
// they have got and what is left are together no more than was put in: that is counted before the call, what is got
// after it, so the bound holds wherever a kill falls, whatever rule the object follows.
#ifndef TOKENBUCKET_TESTS_SHARED_KILLS_H
#define TOKENBUCKET_TESTS_SHARED_KILLS_H

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <functional>
#include <new>
#include <string>
#include <vector>

#include "capi/include/tokenbucket.h"
#include "core/platform/counter.h"
#include "core/platform/platform.h"
#include "tests/support/effort.h"
#include "tests/support/trace.h"

namespace tb_test {

constexpr double kHardlyAnyRate = 1e-6;  // next to nothing accrues during a test

// Tokens, by all processes.
class Ledger {
  public:
    explicit Ledger(double initial) : put_in_(sixteenths(initial)) {}

    void put(double n) { put_in_.fetch_add(sixteenths(n)); }
    void grant(double n) { got_.fetch_add(sixteenths(n)); }
    void count_call() { calls_.fetch_add(1, std::memory_order_relaxed); }

    double put_in() const { return static_cast<double>(put_in_.load()) / 16; }
    double got() const { return static_cast<double>(got_.load()) / 16; }
    int64_t calls() const { return calls_.load(); }

  private:
    static int64_t sixteenths(double n) { return static_cast<int64_t>(16 * n); }

    std::atomic<int64_t> put_in_;
    std::atomic<int64_t> got_{0};
    std::atomic<int64_t> calls_{0};
};

inline void spin(int64_t ns) {
    const int64_t until = tb::platform::monotonic_ns() + ns;
    while (tb::platform::monotonic_ns() < until) tb::platform::pause();
}

class KillTest : public testing::Test {
  protected:
    using Call = std::function<void(int64_t kind)>;
    static constexpr unsigned kHangSeconds = 5;

    // The n-th object, new, with a new ledger; the number of the kinds of calls of it.
    virtual int64_t open(uint64_t n) = 0;
    // What a process does; a patient one may wait until another puts tokens in.
    virtual Call caller(uint64_t seed, bool is_patient) = 0;
    virtual double left() = 0;

    void SetUp() override {
        if (tb_has_feature("shared_memory") == 0) GTEST_SKIP() << "no shared memory here";
        memory_ = ::mmap(nullptr, sizeof(Ledger), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        ASSERT_NE(memory_, MAP_FAILED);
    }
    void TearDown() override {
        if (memory_ != nullptr) ::munmap(memory_, sizeof(Ledger));
    }
    void open_ledger(double initial) { ledger_ = new (memory_) Ledger(initial); }

    // Runs f() again and again until it is killed. It has begun by the time this returns.
    template <class F>
    static pid_t start(F f) {
        int pipe[2];
        EXPECT_EQ(::pipe(pipe), 0);
        const pid_t child = ::fork();
        if (child == 0) {
            if (::write(pipe[1], "x", 1) != 1) ::_exit(1);
            for (;;) f();
        }
        char begun = 0;
        EXPECT_EQ(::read(pipe[0], &begun, 1), 1);
        ::close(pipe[0]);
        ::close(pipe[1]);
        return child;
    }
    static int end_of(pid_t child) {
        int status = 0;
        EXPECT_EQ(::waitpid(child, &status, 0), child);
        return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
    }
    static void kill(pid_t child) {
        ::kill(child, SIGKILL);
        EXPECT_EQ(end_of(child), -SIGKILL);
    }

    // Read in this order while others go on: what is taken meanwhile counts as neither got nor left, and what is put in
    // counts before it is left.
    void expect_bounded() {
        const double got = ledger_->got();
        const double left_now = left();
        const double put_in = ledger_->put_in();
        EXPECT_LE(got + left_now, put_in + 0.001);
    }

    void kill_at_random() {
        constexpr std::size_t kChildren = 3;
        constexpr std::size_t kVictims = 2;  // at once; the others go on
        constexpr uint64_t kRounds = 50;     // of an object
        const uint64_t objects = support::effort("TB_KILLS", 2500, 400) / (kRounds * kVictims);
        const uint64_t seed = support::effort("TB_KILLS_SEED", 1, 1);
        Trace trace(seed);
        int64_t slowest_ns = 0;
        int64_t calls = 0;
        double got = 0;
        for (uint64_t n = 0; n < objects && !HasFailure(); ++n) {
            SCOPED_TRACE("seed " + std::to_string(seed) + ", object " + std::to_string(n));
            const int64_t kinds = open(n);
            const auto start_any = [&] {
                const uint64_t of_child = trace.draw();
                return start([call = caller(of_child, true), choice = Trace(of_child + 1), kinds]() mutable {
                    call(choice.below(kinds));
                });
            };
            const Call own = caller(trace.draw(), false);
            std::vector<pid_t> children;
            for (std::size_t i = 0; i < kChildren; ++i) children.push_back(start_any());
            for (uint64_t round = 0; round < kRounds && !HasFailure(); ++round) {
                spin(trace.below(100000));
                for (std::size_t i = 0; i < kVictims; ++i) ::kill(children[i], SIGKILL);
                ::alarm(kHangSeconds);  // nothing catches it
                for (int64_t kind = 0; kind < kinds; ++kind) {
                    const int64_t before = tb::platform::monotonic_ns();
                    own(kind);
                    slowest_ns = std::max(slowest_ns, tb::platform::monotonic_ns() - before);
                }
                ::alarm(0);
                for (std::size_t i = 0; i < kVictims; ++i) EXPECT_EQ(end_of(children[i]), -SIGKILL);
                expect_bounded();
                for (std::size_t i = 0; i < kVictims; ++i) children[i] = start_any();
                std::rotate(children.begin(), children.begin() + 1, children.end());
            }
            for (const pid_t child : children) kill(child);
            expect_bounded();
            calls += ledger_->calls();
            got += ledger_->got();
        }
        std::printf("slowest call %.3f ms of %lld, %.0f tokens\n", static_cast<double>(slowest_ns) / 1e6,
                    static_cast<long long>(calls), got);
    }

    Ledger *ledger_ = nullptr;

  private:
    void *memory_ = nullptr;
};

}  // namespace tb_test

#endif
