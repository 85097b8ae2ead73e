// Whatever the memory of a shared bucket holds, and however it changes, no function crashes or hangs. A child writes
// page after page through a mapping of its own and calls every function on each; its parent sees how it ends.
#include "tests/shared/hostile.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <vector>

#include "core/platform/counter.h"
#include "core/shared/shared_state.h"
#include "tests/support/api.h"
#include "tests/support/trace.h"

namespace {

using namespace tb_test;

constexpr std::size_t kWords = sizeof(tb::SharedPage) / sizeof(uint64_t);
constexpr std::size_t kCell = offsetof(tb::SharedPage, cell) / sizeof(uint64_t);
constexpr std::size_t kQueue = offsetof(tb::SharedPage, queue) / sizeof(uint64_t);
constexpr std::size_t kQueueWords = tb::SharedQueue::size(tb::SharedPage::kMostEntries) / sizeof(uint64_t);
constexpr std::size_t kFixedWords = sizeof(tb::SharedQueue) / sizeof(uint64_t);
constexpr std::size_t kEntryWords = sizeof(tb::EntryImage) / sizeof(uint64_t);
constexpr std::size_t kUsedEntries = 40;  // more than a template has

std::string name() {
    return hostile_name(::getppid());
}
std::string path() {
    return "/dev/shm/" + name();
}

// One bucket, through two handles, and its page by a third mapping.
class Victim {
  public:
    explicit Victim(Trace *trace) : trace_(*trace) {
        ::unlink(path().c_str());
        tb_config config = config_of(10, trace_.pick(std::vector<double>{1e-3, 1, 1000, 1e6, 1e9}), nullptr);
        config.max_lateness_ns = trace_.one_in(2) ? 0 : 1000;
        config.on_wake = [](void *, uint64_t) {};
        config.flags = TB_STATISTICS;
        for (tb_bucket *&b : buckets_)
            if (tb_shared_open(&config, name().c_str(), 0, &b, nullptr) != TB_SUCCESS) std::abort();
        const int file = ::open(path().c_str(), O_RDWR);
        words_ =
            static_cast<Word *>(::mmap(nullptr, sizeof(tb::SharedPage), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
        ::close(file);
        own_ = bucket_of(config_of(1e9, 1e9, nullptr)).release();
        fill(0, kUsedEntries / 2);
        copy_out();
    }
    ~Victim() {
        for (tb_bucket *const b : buckets_) tb_destroy(b);
        tb_destroy(own_);
        ::munmap(words_, sizeof(tb::SharedPage));
        ::unlink(path().c_str());
    }
    Victim(const Victim &) = delete;
    Victim &operator=(const Victim &) = delete;

    // A page: mostly a possible one with some words changed.
    void spoil() {
        restore();
        switch (trace_.below(16)) {
            case 0:
                for (int i = 0; i < 2; ++i) randomize(static_cast<std::size_t>(trace_.below(kWords)), 1000);
                break;
            case 1:
                randomize(kCell, sizeof(tb::Cell) / sizeof(uint64_t));
                break;
            case 2:
                randomize(in_force(), kFixedWords);
                break;
            case 3:
                randomize(in_force() + kFixedWords, kEntryWords * kUsedEntries / 2);
                break;
            default:
                for (int64_t i = trace_.between(1, 5); i > 0; --i) change_word(&trace_, &words_[any_word()]);
                break;
        }
        if (trace_.one_in(4)) set(in_force(), trace_.draw());  // a change that nobody has loaded
    }
    // All functions, or a few of them.
    void call_some() {
        constexpr int64_t kCalls = 24;
        const int64_t first = trace_.below(kCalls);
        const int64_t count = trace_.one_in(8) ? kCalls : 6;
        for (int64_t i = 0; i < count; ++i) call((first + i) % kCalls);
    }
    // For another thread.
    void change_while(const std::atomic<bool> *goes_on, uint64_t seed) {
        Trace trace(seed);
        while (goes_on->load(std::memory_order_relaxed)) {
            const std::size_t queue = kQueue + (trace.one_in(2) ? kQueueWords : 0);
            const std::size_t at = trace.one_in(2) ? kCell + static_cast<std::size_t>(trace.below(32))
                                                   : queue + static_cast<std::size_t>(trace.below(400));
            const uint64_t target = trace.one_in(2) ? trace.pick(kTargets) : words_[at] ^ (1u << trace.below(20));
            words_[at].store(target, std::memory_order_relaxed);
            for (int i = 0; i < 20; ++i) tb::platform::pause();
        }
    }

  private:
    tb_bucket *any() { return buckets_[trace_.below(2)]; }
    double tokens() { return trace_.one_in(4) ? 0.3 : static_cast<double>(trace_.between(1, 11)); }
    std::size_t in_force() const { return kQueue + (words_[kCell] % 2 == 0 ? 0 : kQueueWords); }
    void set(std::size_t at, uint64_t value) { words_[at % kWords].store(value, std::memory_order_relaxed); }
    void randomize(std::size_t from, std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) set(from + i, trace_.draw());
    }
    std::size_t any_word() {
        switch (trace_.below(4)) {
            case 0:
                return static_cast<std::size_t>(trace_.below(8));
            case 1:
                return kCell + static_cast<std::size_t>(trace_.below(sizeof(tb::Cell) / sizeof(uint64_t)));
            case 2:
                return in_force() + static_cast<std::size_t>(trace_.below(kFixedWords));
            default:
                return in_force() + kFixedWords + static_cast<std::size_t>(trace_.below(kEntryWords * kUsedEntries));
        }
    }
    // Reservations and waiters, some of which are due, late or over.
    void fill(int64_t least, int64_t most) {
        tb_set_tokens(buckets_[0], 0);
        for (int64_t i = trace_.between(least, most); i > 0; --i) {
            uint64_t waiter = 0;
            int64_t wait_ns = 0;
            tb_reservation r{};
            if (trace_.one_in(2)) {
                if (tb_reserve(any(), tokens(), TB_FOREVER, &r) == TB_SUCCESS) reserved_.push_back(r);
            } else {
                tb_bucket *const b = any();
                const int64_t timeout_ns = trace_.one_in(2) ? TB_FOREVER : trace_.between(1, kSecond);
                const int32_t priority = static_cast<int32_t>(trace_.between(-1, 1));
                if (tb_enqueue(b, tokens(), timeout_ns, priority, 0, &waiter, &wait_ns) == TB_PENDING)
                    waiters_.push_back({b, waiter});
            }
            if (trace_.one_in(8)) tb_refund(any(), tokens());
            if (trace_.one_in(16)) tb_set_capacity(any(), static_cast<double>(trace_.between(5, 15)));
        }
    }
    // What is beyond the entries in use stays as it was spoilt.
    void copy_out() {
        for (std::size_t i = 0; i < kWords; ++i) kept_[i] = words_[i].load(std::memory_order_relaxed);
    }
    void restore() {
        const auto some = [this](std::size_t from, std::size_t to) {
            for (std::size_t i = from; i < to; ++i) set(i, kept_[i]);
        };
        some(0, kQueue + kFixedWords + kEntryWords * kUsedEntries);
        some(kQueue + kQueueWords, kQueue + kQueueWords + kFixedWords + kEntryWords * kUsedEntries);
    }

    void call(int64_t which) {
        tb_bucket *const b = any();
        const double n = tokens();
        const int64_t wait_ns = trace_.one_in(2) ? TB_FOREVER : trace_.between(0, kMillisecond);
        tb_decision decision;
        tb_config config;
        tb_refusal refusal;
        double x = 0;
        int64_t ns = 0;
        const tb_member members[] = {{own_, nullptr, nullptr, 0, n}, {b, nullptr, nullptr, 0, n}};
        switch (which) {
            case 0:
                tb_allow(b, n);
                break;
            case 1:
                tb_take(b, n, &decision);
                break;
            case 2:
                tb_take_up_to(b, n, &x);
                break;
            case 3:
            case 4: {
                tb_reservation r{};
                if (tb_reserve(b, n, wait_ns, &r) == TB_SUCCESS && reserved_.size() < 100) reserved_.push_back(r);
                break;
            }
            case 5:
            case 6:
                if (tb_reservation *const r = any_reservation()) tb_cancel(b, r);
                break;
            case 7:
                if (tb_reservation *const r = any_reservation()) tb_settle(b, r, n);
                break;
            case 8:
                tb_charge(b, n, &ns);
                break;
            case 9:
                tb_refund(b, n);
                break;
            case 10:
                if (trace_.one_in(16)) tb_wait_with(b, n, trace_.between(0, 20000), 1);
                break;
            case 11: {
                uint64_t waiter = 0;
                if (tb_enqueue(b, n, wait_ns, 0, 0, &waiter, &ns) == TB_PENDING) waiters_.push_back({b, waiter});
                break;
            }
            case 12:
            case 13:
                check();
                break;
            case 14:
                if (waiters_.empty()) break;
                tb_waiter_leave(waiters_.back().bucket, waiters_.back().number);
                waiters_.pop_back();
                break;
            case 15:
                tb_set_rate(b, trace_.one_in(2) ? 1e-3 : static_cast<double>(trace_.between(1, 1000000000)));
                break;
            case 16:
                tb_set_capacity(b, n);
                break;
            case 17:
                if (trace_.one_in(4)) tb_set_tokens(b, n);
                break;
            case 18:
                if (trace_.one_in(8)) tb_reset(b, n);
                break;
            case 19:
                tb_available(b, &x);
                break;
            case 20:
                tb_time_until(b, n, &ns);
                break;
            case 21:
                tb_config_init(&config, sizeof config);
                tb_get_limit(b, &config);
                break;
            case 22:
                tb_allow_all(members, 2, &refusal);
                break;
            default:
                if (trace_.one_in(8)) attach();
                if (trace_.one_in(64)) tb_close(b);
                break;
        }
    }
    void attach() {
        tb_bucket *opened = nullptr;
        int32_t fault = 0;
        const tb_config config = config_of(10, 1, nullptr);
        const uint32_t flags = trace_.one_in(2) ? TB_SHARED_ADOPT : 0;
        if (tb_shared_open(&config, name().c_str(), flags, &opened, &fault) != TB_SUCCESS) return;
        tb_allow(opened, 1);
        tb_destroy(opened);
    }
    void check() {
        if (waiters_.empty()) return;
        const std::size_t i = static_cast<std::size_t>(trace_.below(static_cast<int64_t>(waiters_.size())));
        int64_t wait_ns = 0;
        if (tb_waiter_check(waiters_[i].bucket, waiters_[i].number, &wait_ns) == TB_PENDING) return;
        waiters_[i] = waiters_.back();
        waiters_.pop_back();
    }
    tb_reservation *any_reservation() {
        return reserved_.empty()
                   ? nullptr
                   : &reserved_[static_cast<std::size_t>(trace_.below(static_cast<int64_t>(reserved_.size())))];
    }

    struct Number {
        tb_bucket *bucket;
        uint64_t number;
    };
    Trace &trace_;
    tb_bucket *buckets_[2] = {};
    tb_bucket *own_ = nullptr;
    Word *words_ = nullptr;
    std::vector<uint64_t> kept_ = std::vector<uint64_t>(kWords);
    std::vector<tb_reservation> reserved_;
    std::vector<Number> waiters_;
};

TEST(Hostile, NoContentMakesAFunctionCrashOrHang) {
    if (!tb::platform::kSharesMemory) GTEST_SKIP() << "no shared memory here";
    expect_no_harm<Victim>();
}

}  // namespace
