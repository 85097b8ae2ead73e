#include "tests/bench/waiters.h"

#include <linux/futex.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "capi/include/tokenbucket.h"
#include "tests/bench/mutex_bucket.h"

namespace bench {
namespace {

constexpr int64_t kSecond = 1000000000;
constexpr int64_t kMeasured = kSecond;
constexpr int64_t kSettling = 300000000;
constexpr double kNeverFull = 1e6;  // tokens

int64_t ns_of(clockid_t clock) {
    timespec t;
    clock_gettime(clock, &t);
    return int64_t{t.tv_sec} * kSecond + t.tv_nsec;
}

int64_t now_ns() {
    return ns_of(CLOCK_MONOTONIC);
}

double per_second(int64_t period_ns) {
    return static_cast<double>(kSecond) / static_cast<double>(period_ns);
}

void require(bool held, const char *what) {
    if (held) return;
    std::fprintf(stderr, "bench_wait: %s\n", what);
    std::exit(1);
}

class Polling : public Granter {
  public:
    explicit Polling(int64_t period_ns)
        : period_ns_(period_ns), began_ns_(now_ns()), bucket_(kNeverFull, per_second(period_ns), 0) {}

    bool wait(Grant *grant) override {
        grant->asked_ns = now_ns();
        while (!bucket_.allow(1)) {
            if (stopped_.load(std::memory_order_relaxed)) return false;
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        grant->running_ns = now_ns();
        return !stopped_.load(std::memory_order_relaxed);
    }

    void stop() override { stopped_.store(true); }

    void assign_tokens(std::vector<Grant> *grants) override {
        std::sort(grants->begin(), grants->end(),
                  [](const Grant &a, const Grant &b) { return a.running_ns < b.running_ns; });
        int64_t due = began_ns_;
        for (Grant &g : *grants) g.due_ns = due += period_ns_;
    }

  private:
    const int64_t period_ns_;
    const int64_t began_ns_;
    std::atomic<bool> stopped_{false};
    MutexBucket bucket_;
};

class BareSleep : public Granter {
  public:
    explicit BareSleep(int64_t period_ns) : period_ns_(period_ns), began_ns_(now_ns()) {}

    void prepare_thread() override { prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0); }

    bool wait(Grant *grant) override {
        grant->asked_ns = now_ns();
        grant->due_ns = began_ns_ + (taken_.fetch_add(1) + 1) * period_ns_;
        const timespec due{grant->due_ns / kSecond, grant->due_ns % kSecond};
        syscall(SYS_futex, &stopped_, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, 0, &due, nullptr, FUTEX_BITSET_MATCH_ANY);
        grant->running_ns = now_ns();
        return stopped_.load(std::memory_order_relaxed) == 0;
    }

    void stop() override {
        stopped_.store(1);
        syscall(SYS_futex, &stopped_, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, INT32_MAX, nullptr, nullptr, 0);
    }

  private:
    const int64_t period_ns_;
    const int64_t began_ns_;
    std::atomic<int64_t> taken_{0};
    std::atomic<uint32_t> stopped_{0};
};

class Library : public Granter {
  public:
    Library(int64_t period_ns, uint32_t flags) : period_ns_(period_ns) {
        tb_config config;
        tb_config_init(&config, sizeof config);
        config.capacity = kNeverFull;
        config.rate_tokens = per_second(period_ns);
        config.initial_tokens = 0;
        config.flags = flags;
        require(tb_create_with(&config, &bucket_) == TB_SUCCESS, "cannot create a bucket");
        find_beginning();
    }
    ~Library() override { tb_destroy(bucket_); }
    Library(const Library &) = delete;
    Library &operator=(const Library &) = delete;

    bool wait(Grant *grant) override {
        grant->asked_ns = now_ns();
        const tb_status s = tb_wait(bucket_, 1);
        grant->running_ns = now_ns();
        return s == TB_SUCCESS;
    }

    void stop() override { tb_close(bucket_); }

    // Of two threads that asked at almost the same time the later may have come first. It shows by a thread that went
    // on before its token was there, and is put right.
    void assign_tokens(std::vector<Grant> *grants) override {
        constexpr int64_t kClocksDiffer = 5000;
        std::vector<Grant> &all = *grants;
        std::sort(all.begin(), all.end(), [](const Grant &a, const Grant &b) { return a.asked_ns < b.asked_ns; });
        const auto due = [this](std::size_t i) { return began_ns_ + static_cast<int64_t>(i + 1) * period_ns_; };
        for (std::size_t i = 0; i < all.size(); ++i)
            for (std::size_t j = i; j > 0 && all[j].running_ns < due(j) - kClocksDiffer; --j)
                std::swap(all[j], all[j - 1]);
        for (std::size_t i = 0; i < all.size(); ++i) all[i].due_ns = due(i);
    }

  private:
    // A reservation says when a token will be there; the one that took the least time says it most exactly.
    void find_beginning() {
        constexpr int64_t kToken = 1000;
        int64_t least = INT64_MAX;
        for (int i = 0; i < 100; ++i) {
            tb_reservation r;
            const int64_t before = now_ns();
            const tb_status reserved = tb_reserve(bucket_, kToken, TB_FOREVER, &r);
            const int64_t took = now_ns() - before;
            require(reserved == TB_SUCCESS && tb_cancel(bucket_, &r) == TB_SUCCESS, "cannot reserve");
            if (took < least) began_ns_ = before + took / 2 + r.wait_ns - kToken * period_ns_;
            least = std::min(least, took);
        }
    }

    const int64_t period_ns_;
    int64_t began_ns_ = 0;
    tb_bucket *bucket_ = nullptr;
};

struct Reading {
    int64_t at_ns, processor_ns;
    int64_t switches;
};

Reading read_usage() {
    rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return {now_ns(), ns_of(CLOCK_PROCESS_CPUTIME_ID), usage.ru_nvcsw + usage.ru_nivcsw};
}

void wait_again_and_again(Granter *granter, std::vector<Grant> *grants) {
    granter->prepare_thread();
    for (Grant g{}; granter->wait(&g);) grants->push_back(g);
}

Usage evaluate(const std::vector<Grant> &grants, const Reading &from, const Reading &until) {
    Usage usage;
    for (const Grant &g : grants)
        if (g.running_ns >= from.at_ns && g.running_ns < until.at_ns)
            usage.overshoots_us.push_back(static_cast<double>(g.running_ns - g.due_ns) / 1000);
    require(!usage.overshoots_us.empty(), "nobody was granted anything");
    std::sort(usage.overshoots_us.begin(), usage.overshoots_us.end());
    const auto share = [](int64_t a, int64_t b) { return static_cast<double>(a) / static_cast<double>(b); };
    usage.processor_share = share(until.processor_ns - from.processor_ns, until.at_ns - from.at_ns);
    usage.switches_per_grant = share(until.switches - from.switches, static_cast<int64_t>(usage.overshoots_us.size()));
    return usage;
}

}  // namespace

std::unique_ptr<Granter> polling(int64_t period_ns) {
    return std::make_unique<Polling>(period_ns);
}

std::unique_ptr<Granter> bare_sleep(int64_t period_ns) {
    return std::make_unique<BareSleep>(period_ns);
}

std::unique_ptr<Granter> library(int64_t period_ns, uint32_t flags) {
    return std::make_unique<Library>(period_ns, flags);
}

Usage usage_of(Granter *granter, int waiters, int64_t period_ns) {
    const int64_t lasts = kSettling + waiters * period_ns + kMeasured;
    std::vector<std::vector<Grant>> grants(static_cast<std::size_t>(waiters));
    // Room for what a thread may get where no order is kept.
    for (auto &of_one : grants) of_one.reserve(64 + static_cast<std::size_t>(8 * lasts / period_ns / waiters));
    std::vector<std::thread> threads;
    for (auto &of_one : grants) threads.emplace_back(wait_again_and_again, granter, &of_one);
    std::this_thread::sleep_for(std::chrono::nanoseconds(lasts - kMeasured));
    const Reading from = read_usage();
    std::this_thread::sleep_for(std::chrono::nanoseconds(kMeasured));
    const Reading until = read_usage();
    granter->stop();
    for (std::thread &t : threads) t.join();
    std::vector<Grant> all;
    for (const auto &of_one : grants) all.insert(all.end(), of_one.begin(), of_one.end());
    granter->assign_tokens(&all);
    return evaluate(all, from, until);
}

}  // namespace bench
