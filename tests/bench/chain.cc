// What entering, cancelling and leaving cost while many others are pending, in processor time of the calling thread, so
// that what else the machine does is not in it. Reservations go through the API, on a manual clock. Where half of the
// entries are waiters, which would take a thread each, the core's queue is driven as the limiter does under its lock.
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "capi/include/tokenbucket.h"
#include "core/bucket/cell.h"
#include "core/queue/wait_queue.h"
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
constexpr tb::LimitSpec kLimit = {kCapacity, 1, kSecond};

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
enum Who { kReservations, kOneWaiter, kHalfWaiters };

// What is pending, in the order in which it entered until one in the middle is cancelled.
class Pending {
  public:
    explicit Pending(Costs costs) : costs_(costs) {}
    virtual ~Pending() = default;
    virtual std::size_t size() const = 0;
    virtual void enter() = 0;
    virtual void cancel(std::size_t i) = 0;
    // The first leaves when it is next looked at, and to cancel it is just that look.
    virtual void let_first_be_due() = 0;

    uint32_t random_below(std::size_t limit) { return static_cast<uint32_t>(random_() % limit); }

  protected:
    double next_cost() {
        constexpr double kTurns[] = {10, 5};
        if (costs_ == kGaps) return kTurns[turn_++ % 2];
        return costs_ == kEqual ? 1 : costs_ == kWhole ? kCapacity : random_below(kCapacity) + 1;
    }
    template <class T>
    static T removed(std::deque<T> *entries, std::size_t i) {
        const T entry = (*entries)[i];
        if (i == 0) {
            entries->pop_front();
        } else {
            (*entries)[i] = entries->back();
            entries->pop_back();
        }
        return entry;
    }

  private:
    const Costs costs_;
    uint32_t turn_ = 0;
    std::minstd_rand random_{1};
};

class Reservations : public Pending {
  public:
    explicit Reservations(Costs costs) : Pending(costs) {
        require(tb_manual_clock_create(0, &clock_) == TB_SUCCESS, "cannot create a clock");
        tb_config config;
        tb_config_init(&config, sizeof config);
        config.capacity = kLimit.capacity;
        config.rate_tokens = kLimit.rate_tokens;
        config.initial_tokens = 0;
        config.clock = clock_;
        require(tb_create_with(&config, &bucket_) == TB_SUCCESS, "cannot create a bucket");
    }
    ~Reservations() override {
        tb_close(bucket_);
        if (waiter_.joinable()) waiter_.join();
        tb_destroy(bucket_);
        tb_clock_destroy(clock_);
    }
    Reservations(const Reservations &) = delete;
    Reservations &operator=(const Reservations &) = delete;

    std::size_t size() const override { return entries_.size(); }
    void enter() override {
        tb_reservation r;
        require(tb_reserve(bucket_, next_cost(), TB_FOREVER, &r) == TB_SUCCESS, "cannot reserve");
        entries_.push_back(r);
    }
    void cancel(std::size_t i) override {
        tb_reservation r = removed(&entries_, i);
        require(tb_cancel(bucket_, &r) == TB_SUCCESS, "cannot cancel");
    }
    void let_first_be_due() override { tb_manual_clock_set(clock_, entries_.front().ready_at_ns); }
    void add_waiter() {
        waiter_ = std::thread([this] {
            while (tb_wait(bucket_, kCapacity) == TB_SUCCESS) {
            }
        });
        for (int64_t waiters = 0; waiters == 0;) tb_manual_clock_waiters(clock_, &waiters, nullptr);
    }

    void cancel_every_second() {
        std::deque<tb_reservation> kept;
        for (std::size_t i = 0; i < entries_.size(); ++i) {
            if (i % 2 == 0) {
                kept.push_back(entries_[i]);
            } else {
                require(tb_cancel(bucket_, &entries_[i]) == TB_SUCCESS, "cannot cancel");
            }
        }
        entries_ = kept;
    }
    void let_all_be_due() {
        tb_manual_clock_set(clock_, entries_.back().ready_at_ns);
        entries_.resize(1);
    }
    void set_rate(double tokens_per_second) {
        require(tb_set_rate(bucket_, tokens_per_second) == TB_SUCCESS, "cannot set the rate");
    }
    void set_capacity(double tokens) {
        require(tb_set_capacity(bucket_, tokens) == TB_SUCCESS, "cannot set the capacity");
    }

  private:
    tb_clock *clock_ = nullptr;
    tb_bucket *bucket_ = nullptr;
    std::deque<tb_reservation> entries_;
    std::thread waiter_;
};

// Every second one is a waiter.
class HalfWaiters : public Pending {
  public:
    explicit HalfWaiters(Costs costs) : Pending(costs) {
        require(tb::make_limit(kLimit, &limit_) == tb::Status::success, "cannot make a limit");
        plan_ = tb::make_plan(limit_, 0, {0, {0, 0}});
    }

    std::size_t size() const override { return entries_.size(); }
    void enter() override {
        look();
        tb::Chain &chain = queue_.chain();
        const int64_t cost = static_cast<int64_t>(next_cost()) * static_cast<int64_t>(limit_.units.scale);
        const bool waits = entered_++ % 2 == 0;
        const tb::Cursor at = waits ? chain.place_waiter(chain.tail(), cost) : chain.place_reservation(cost);
        const int64_t due_ns = queue_.due_ns(observed_, at, cost);
        require(due_ns > now_ns_ && chain.reserve_room(), "cannot enter");
        publish(chain.end_with(at, cost));
        uint32_t index = 0;
        if (waits) {
            waiters_.push_back(std::make_unique<tb::Waiter>());
            queue_.enter(waiters_.back().get(), at, cost, due_ns, INT64_MAX);
            index = waiters_.back()->index;
        } else {
            index = chain.put_reservation(at, cost, due_ns);
        }
        entries_.push_back({index, chain[index].serial});
        unlock();
    }
    void cancel(std::size_t i) override {
        look();
        const Name name = removed(&entries_, i);
        if (queue_.chain().holds(name.index, name.serial)) {
            if (queue_.chain()[name.index].waiter != nullptr) {
                queue_.end_wait(name.index, tb::Status::interrupted);
            } else {
                queue_.chain().remove(name.index);
            }
            queue_.changed();
            publish(queue_.chain().end());
        }
        unlock();
    }
    void let_first_be_due() override {
        const Name name = entries_.front();
        require(queue_.chain().holds(name.index, name.serial), "another one than the first was due");
        const tb::Entry &first = queue_.chain()[name.index];
        now_ns_ = first.waiter == nullptr ? first.time_ns : first.waiter->alarm.due_ns.load();
    }

  private:
    struct Name {
        uint32_t index, serial;
    };

    void look() {
        observed_ = tb::Observation(word_, plan_, now_ns_);
        queue_.look(observed_);
    }
    void publish(uint64_t end) {
        word_ = tb::word_at(end, word_);
        observed_.word = word_;
        queue_.published(word_);
    }
    void unlock() {
        if (!queue_.chain().is_empty()) queue_.serve(observed_);
        if (!queue_.chain().is_empty()) publish(queue_.chain().end());
        queue_.tell_ended(now_ns_);
    }

    tb::Limit limit_{};
    tb::Plan plan_{};
    uint64_t word_ = 0;
    int64_t now_ns_ = 0;
    tb::Observation observed_;
    tb::WaitQueue queue_{nullptr};
    std::deque<Name> entries_;
    std::vector<std::unique_ptr<tb::Waiter>> waiters_;
    uint32_t entered_ = 0;
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
    if (c.who == kHalfWaiters) {
        auto all = std::make_unique<HalfWaiters>(c.costs);
        fill(all.get(), c.pending);
        return all;
    }
    auto all = std::make_unique<Reservations>(c.costs);
    fill(all.get(), c.costs == kGaps ? 2 * c.pending : c.pending);
    if (c.costs == kGaps) all->cancel_every_second();
    if (c.who == kOneWaiter) all->add_waiter();
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
    constexpr const char *kWho[] = {"reservations", "and one waiter", "half waiters"};
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
        for (const Who who : {kReservations, kOneWaiter, kHalfWaiters}) {
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
        Reservations all(kMixed);
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
    print_change("set the rate", [](Reservations *all, Times *times) {
        for (int i = 0; i < kChanges; ++i) times->time([&] { all->set_rate(2 + i % 2); });
    });
    print_change("set the capacity", [](Reservations *all, Times *times) {
        for (int i = 0; i < kChanges; ++i) times->time([&] { all->set_capacity(kCapacity + i % 2); });
    });
    print_change("look when all are due", [](Reservations *all, Times *times) {
        all->let_all_be_due();
        times->time([&] { all->cancel(0); });
    });
}

// For who counts what it asks of the kernel: on the system clock.
void reserve_and_cancel(int times) {
    tb_bucket *b = nullptr;
    require(tb_create(kLimit.capacity, kLimit.rate_tokens, &b) == TB_SUCCESS, "cannot create a bucket");
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
        bench::print_chains();
        bench::print_changes();
    }
    return 0;
}
