// What entering, cancelling and leaving cost while many others are pending, in processor time of the calling thread, so
// that what else the machine does is not in it. On a manual clock; the waiters are no threads.
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "capi/include/tokenbucket.h"
#include "tests/bench/rounds.h"

namespace bench {
namespace {

constexpr int kRounds = 3;
constexpr int kOperationsOfKind = 5000;
constexpr int64_t kSecond = 1000000000;
// Of processor time: for the operations of a kind, and until all are pending. Else there are fewer.
constexpr int64_t kLongest = 300000000;
constexpr int64_t kLongestFilling = 3 * kSecond;
constexpr double kGoal = 20;  // us on average
constexpr int kCapacity = 10;

void require(bool held, const char *what) {
    if (held) return;
    std::fprintf(stderr, "bench_chain: %s\n", what);
    std::exit(1);
}

int64_t processor_ns() {
    timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return int64_t{t.tv_sec} * kSecond + t.tv_nsec;
}

// Gaps: 10 and 5 in turn, and then all of 5 are cancelled, which leaves gaps before reservations that are too small for
// a waiter of 10.
enum Costs { kEqual, kMixed, kWhole, kGaps };
enum Who { kReservations, kOneWaiter, kHalfWaiters, kWaiters };

// What is pending, in the order in which it entered until one in the middle is cancelled.
class Pending {
  public:
    Pending(Who who, Costs costs) : who_(who), costs_(costs) {
        require(tb_manual_clock_create(0, &clock_) == TB_SUCCESS, "cannot create a clock");
        tb_config config;
        tb_config_init(&config, sizeof config);
        config.capacity = kCapacity;
        config.rate_tokens = 1;
        config.initial_tokens = 0;
        config.clock = clock_;
        config.on_wake = [](void *self, uint64_t) { ++static_cast<Pending *>(self)->wakes_; };
        config.wake_user = this;
        require(tb_create_with(&config, &bucket_) == TB_SUCCESS, "cannot create a bucket");
    }
    ~Pending() {
        tb_destroy(bucket_);
        tb_clock_destroy(clock_);
    }
    Pending(const Pending &) = delete;
    Pending &operator=(const Pending &) = delete;

    std::size_t size() const { return entries_.size(); }
    // on_wake's calls since the last time.
    int wakes() { return std::exchange(wakes_, 0); }
    uint32_t random_below(std::size_t limit) { return static_cast<uint32_t>(random_() % limit); }

    void enter() {
        Entry e{};
        const bool waits = who_ == kWaiters || (who_ == kHalfWaiters && turn_ % 2 == 0);
        const double n = next_cost();
        if (waits) {
            enqueue(n, &e);
        } else {
            require(tb_reserve(bucket_, n, TB_FOREVER, &e.reservation) == TB_SUCCESS, "cannot reserve");
            e.due_ns = e.reservation.ready_at_ns;
        }
        entries_.push_back(e);
    }
    void enqueue_one() {
        Entry e{};
        enqueue(kCapacity, &e);
    }
    void cancel(std::size_t i) {
        Entry e = entries_[i];
        if (i == 0) {
            entries_.pop_front();
        } else {
            entries_[i] = entries_.back();
            entries_.pop_back();
        }
        give_up(&e);
    }
    // The first leaves when it is next looked at, and to cancel it is just that look.
    void let_first_be_due() {
        Entry &first = entries_.front();
        int64_t wait_ns = 0;
        if (first.waiter != 0) tb_waiter_check(bucket_, first.waiter, &wait_ns);
        now_ns_ = first.waiter == 0 ? first.due_ns : now_ns_ + wait_ns;
        tb_manual_clock_set(clock_, now_ns_);
    }
    void cancel_every_second() {
        std::deque<Entry> kept;
        for (std::size_t i = 0; i < entries_.size(); ++i) {
            if (i % 2 == 0) kept.push_back(entries_[i]);
            if (i % 2 != 0) give_up(&entries_[i]);
        }
        entries_ = kept;
    }
    void let_all_be_due() {
        tb_manual_clock_set(clock_, entries_.back().due_ns);
        entries_.resize(1);
    }
    void set_rate(double tokens_per_second) {
        require(tb_set_rate(bucket_, tokens_per_second) == TB_SUCCESS, "cannot set the rate");
    }
    void set_capacity(double tokens) {
        require(tb_set_capacity(bucket_, tokens) == TB_SUCCESS, "cannot set the capacity");
    }

  private:
    struct Entry {
        uint64_t waiter;  // 0: a reservation
        tb_reservation reservation;
        int64_t due_ns;
    };

    double next_cost() {
        const uint32_t turn = turn_++;
        if (costs_ == kGaps) return turn % 2 == 0 ? 10 : 5;
        return costs_ == kEqual ? 1 : costs_ == kWhole ? kCapacity : random_below(kCapacity) + 1;
    }
    void enqueue(double n, Entry *e) {
        int64_t wait_ns = 0;
        const tb_status s = tb_enqueue(bucket_, n, TB_FOREVER, 0, 0, &e->waiter, &wait_ns);
        require(s == TB_PENDING || s == TB_SUCCESS, "cannot enqueue");
    }
    void give_up(Entry *e) {
        // A waiter is gone if it was due when let_first_be_due() asked.
        if (e->waiter != 0) tb_waiter_leave(bucket_, e->waiter);
        if (e->waiter == 0) require(tb_cancel(bucket_, &e->reservation) == TB_SUCCESS, "cannot cancel");
    }

    const Who who_;
    const Costs costs_;
    tb_clock *clock_ = nullptr;
    tb_bucket *bucket_ = nullptr;
    std::deque<Entry> entries_;
    int64_t now_ns_ = 0;
    int wakes_ = 0;
    uint32_t turn_ = 0;
    std::minstd_rand random_{1};
};

// Times of one kind of operation in one round; one reading of the processor time is included.
class Times {
  public:
    template <class Operation>
    void time(Operation operation) {
        const int64_t began = processor_ns();
        operation();
        const int64_t took = processor_ns() - began;
        sum_ns_ += took;
        worst_ns_ = std::max(worst_ns_, took);
        ++count_;
    }
    int64_t sum_ns() const { return sum_ns_; }
    double average_us() const { return static_cast<double>(sum_ns_) / count_ / 1000; }
    double worst_us() const { return static_cast<double>(worst_ns_) / 1000; }

  private:
    int64_t sum_ns_ = 0, worst_ns_ = 0;
    int count_ = 0;
};

// In the order in which they are measured: the first is the first that is due only until one before it is cancelled.
enum Kind { kEnter, kYoungest, kDue, kOldest, kRandom, kMix, kKinds };
constexpr const char *kKindNames[] = {"enter",         "cancel youngest", "leave, due",
                                      "cancel oldest", "cancel random",   "mix"};

struct Case {
    int pending;
    Who who;
    Costs costs;
};

void fill(Pending *all, int pending) {
    const int64_t until = processor_ns() + kLongestFilling;
    for (int i = 0; i < pending && processor_ns() < until; ++i) all->enter();
}

std::unique_ptr<Pending> make(const Case &c) {
    auto all = std::make_unique<Pending>(c.who, c.costs);
    fill(all.get(), c.costs == kGaps ? 2 * c.pending : c.pending);
    if (c.costs == kGaps) all->cancel_every_second();
    if (c.who == kOneWaiter) all->enqueue_one();
    return all;
}

// One leaves, one enters; but in a mix it is left to chance which.
void operate(Pending *all, Kind kind, std::size_t pending, Times *of_kind, Times *of_enter) {
    if (kind == kDue) all->let_first_be_due();
    const std::size_t last = all->size() - 1;
    const std::size_t which = kind == kYoungest ? last : kind < kRandom ? 0 : all->random_below(last + 1);
    const bool either = all->size() > pending / 2 && all->size() < 2 * pending;
    const bool leaves = kind != kMix || (either ? all->random_below(2) == 0 : all->size() >= 2 * pending);
    if (leaves) of_kind->time([&] { all->cancel(which); });
    if (kind != kMix || !leaves) of_enter->time([&] { all->enter(); });
}

struct Samples {
    std::size_t pending;
    std::vector<double> average_us[kKinds], worst_us[kKinds];
};

void measure(const Case &c, Samples *samples) {
    const std::unique_ptr<Pending> all = make(c);
    samples->pending = all->size();
    Times times[kKinds];
    for (int kind = kYoungest; kind < kKinds; ++kind) {
        Times *const of_enter = &times[kind == kMix ? kMix : kEnter];
        const int64_t entering_ns = of_enter->sum_ns();
        for (int i = 0; i < kOperationsOfKind; ++i) {
            operate(all.get(), static_cast<Kind>(kind), samples->pending, &times[kind], of_enter);
            if (times[kind].sum_ns() + of_enter->sum_ns() - entering_ns > kLongest) break;
        }
    }
    for (int kind = 0; kind < kKinds; ++kind) {
        samples->average_us[kind].push_back(times[kind].average_us());
        samples->worst_us[kind].push_back(times[kind].worst_us());
    }
}

void print_row(const Case &c, const Samples &samples) {
    constexpr const char *kWho[] = {"reservations", "and one waiter", "half waiters", "waiters"};
    constexpr const char *kCosts[] = {"1", "1 to 10", "10", "10, small gaps"};
    double worst_average = 0;
    std::printf("%6zu %-14s %-14s", samples.pending, kWho[c.who], kCosts[c.costs]);
    for (int kind = 0; kind < kKinds; ++kind) {
        const double average = spread_of(samples.average_us[kind]).median;
        std::printf(" %7.2f /%7.0f", average, spread_of(samples.worst_us[kind]).median);
        worst_average = std::max(worst_average, average);
    }
    std::printf("  %s\n", samples.pending == static_cast<std::size_t>(c.pending) && worst_average <= kGoal ? "reached"
                                                                                                           : "MISSED");
}

void print_chains() {
    std::printf(
        "us, average / worst, medians of %d rounds; one reading of the thread's processor time is included.\n"
        "Capacity 10. Goal: at most %.0f us on average, of each kind. A number that is not\n"
        "a power of ten could not be reached within %d s.\n\n%6s %-14s %-14s",
        kRounds, kGoal, static_cast<int>(kLongestFilling / kSecond), "number", "pending", "costs");
    for (const char *name : kKindNames) std::printf(" %16s", name);
    std::printf("  goal\n");
    for (const int pending : {10, 1000, 100000}) {
        for (const Who who : {kReservations, kOneWaiter, kHalfWaiters, kWaiters}) {
            for (const Costs costs : {kEqual, kMixed, kWhole, kGaps}) {
                if (costs == kGaps && who != kOneWaiter) continue;
                Samples samples;
                for (int i = 0; i < kRounds; ++i) measure({pending, who, costs}, &samples);
                print_row({pending, who, costs}, samples);
            }
        }
    }
}

template <class Operation>
void print_change(const char *name, Operation operation) {
    std::vector<double> averages, worsts;
    for (int i = 0; i < kRounds; ++i) {
        Pending all(kReservations, kMixed);
        for (int k = 0; k < 100000; ++k) all.enter();
        Times times;
        operation(&all, &times);
        averages.push_back(times.average_us() / 1000);
        worsts.push_back(times.worst_us() / 1000);
    }
    std::printf("%-40s %6.2f / %6.2f\n", name, spread_of(averages).median, spread_of(worsts).median);
}

void print_changes() {
    constexpr int kChanges = 20;
    std::printf("\n100000 reservations of 1 to 10 pending, ms a call, average / worst\n");
    print_change("set the rate", [](Pending *all, Times *times) {
        for (int i = 0; i < kChanges; ++i) times->time([&] { all->set_rate(2 + i % 2); });
    });
    print_change("set the capacity", [](Pending *all, Times *times) {
        for (int i = 0; i < kChanges; ++i) times->time([&] { all->set_capacity(kCapacity + i % 2); });
    });
    print_change("look when all are due", [](Pending *all, Times *times) {
        all->let_all_be_due();
        times->time([&] { all->cancel(0); });
    });
}

// All enter, then all are cancelled.
void print_all_cancelled() {
    constexpr int kAll = 100000;
    constexpr double kSeconds = 2;
    std::printf("\n%d waiters enter and are cancelled, s; wakes: the most that one cancel made (goal %.0f s, 1 wake)\n",
                kAll, kSeconds);
    for (const Kind order : {kOldest, kYoungest, kRandom}) {
        Pending all(kWaiters, kMixed);
        Times times;
        int most = 0;
        times.time([&] {
            for (int i = 0; i < kAll; ++i) all.enter();
            while (all.size() != 0) {
                const std::size_t last = all.size() - 1;
                all.cancel(order == kOldest ? 0 : order == kYoungest ? last : all.random_below(last + 1));
                most = std::max(most, all.wakes());
            }
        });
        const double seconds = static_cast<double>(times.sum_ns()) / kSecond;
        std::printf("%-16s %6.2f, %d wakes  %s\n", kKindNames[order], seconds, most,
                    seconds <= kSeconds && most <= 1 ? "reached" : "MISSED");
    }
}

// For who counts what it asks of the kernel: on the system clock.
void reserve_and_cancel(int times) {
    tb_bucket *b = nullptr;
    require(tb_create(kCapacity, 1, &b) == TB_SUCCESS, "cannot create a bucket");
    tb_reservation r;
    require(tb_reserve(b, kCapacity, 0, &r) == TB_SUCCESS, "cannot empty the bucket");
    for (int i = 0; i < times; ++i) {
        const tb_status s = tb_reserve(b, kCapacity, TB_FOREVER, &r);
        require(s == TB_SUCCESS && r.wait_ns > 0 && tb_cancel(b, &r) == TB_SUCCESS, "cannot reserve and cancel");
    }
    tb_destroy(b);
}

}  // namespace
}  // namespace bench

int main(int argc, char **argv) {
    if (argc == 2) {
        bench::reserve_and_cancel(std::atoi(argv[1]));
    } else {
        bench::print_all_cancelled();
        bench::print_chains();
        bench::print_changes();
    }
    return 0;
}
