// What a call costs, through the shared library, as ratios to the least that such a bucket can cost on this machine and
// to the bucket that one would write by hand. Ratios of one run travel between machines; nanoseconds do not.
#include <benchmark/benchmark.h>
#include <malloc.h>
#include <time.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "capi/include/tokenbucket.h"
#include "core/platform/counter.h"
#include "tests/bench/latency.h"
#include "tests/bench/mutex_bucket.h"
#include "tests/bench/rounds.h"

namespace bench {
namespace {

constexpr int kRounds = 61;
constexpr double kBatch = 8;

// What all others are set against: a, b, c.
const char *const kCounterSwap = "a: counter read, compare-and-swap";
const char *const kClockSwap = "b: clock_gettime, compare-and-swap";
const char *const kMutexAllow = "c: mutex and double, allow";
const char *const kMutexDeny = "c: mutex and double, deny";

constexpr double kHour = 3600;
constexpr double kVast = 1e9;  // tokens: neither empty nor full in the time this program runs

struct DestroyBucket {
    void operator()(tb_bucket *b) const { tb_destroy(b); }
};
struct DestroyClock {
    void operator()(tb_clock *c) const { tb_clock_destroy(c); }
};
using Bucket = std::unique_ptr<tb_bucket, DestroyBucket>;
using Clock = std::unique_ptr<tb_clock, DestroyClock>;

void require(bool held, const char *what) {
    if (held) return;
    std::fprintf(stderr, "bench: %s\n", what);
    std::exit(1);
}

Bucket bucket_of(double capacity, double per_second, double initial, tb_clock *clock = nullptr) {
    tb_config config;
    tb_config_init(&config, sizeof config);
    config.capacity = capacity;
    config.rate_tokens = per_second;
    config.initial_tokens = initial;
    config.clock = clock;
    tb_bucket *b = nullptr;
    require(tb_create_with(&config, &b) == TB_SUCCESS, "cannot create a bucket");
    return Bucket(b);
}

Clock manual_clock() {
    tb_clock *c = nullptr;
    require(tb_manual_clock_create(0, &c) == TB_SUCCESS, "cannot create a clock");
    return Clock(c);
}

// The least a bucket does: look at the time and change shared state, again if another thread was faster.
bool swap_in(std::atomic<uint64_t> *word, uint64_t time) {
    uint64_t seen = word->load(std::memory_order_relaxed);
    while (!word->compare_exchange_strong(seen, time, std::memory_order_acq_rel, std::memory_order_relaxed)) {
    }
    return true;
}

uint64_t clock_ns() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<uint64_t>(t.tv_sec) * 1000000000 + static_cast<uint64_t>(t.tv_nsec);
}

struct alignas(64) Word {
    std::atomic<uint64_t> value{0};
};

struct Buckets {
    Word word;
    MutexBucket mutex_full{1000, 1e9, 1000};
    MutexBucket mutex_drained{1, 1 / kHour, 0};
    Clock clock = manual_clock();
    Bucket full = bucket_of(1000, 1e9, TB_INITIALLY_FULL);
    Bucket partly = bucket_of(kVast, 1e6, kVast / 2);
    Bucket drained = bucket_of(1, 1 / kHour, 0);
    Bucket slow = bucket_of(kVast, 333, kVast / 2);
    Bucket manual = bucket_of(kVast, 1e6, kVast / 2, clock.get());
    Bucket manual_drained = bucket_of(1, 1 / kHour, 0, clock.get());
};

void add_allow(const std::string &name, int threads, tb_bucket *b, double n) {
    add_case(name, threads, [=] { return tb_allow(b, n) == TB_SUCCESS; });
}

void add_deny(const std::string &name, int threads, tb_bucket *b) {
    add_case(name, threads, [=] { return tb_allow(b, 1) == TB_DENIED; });
}

void add_take(const std::string &name, int threads, tb_bucket *b, tb_status expected) {
    add_case(name, threads, [=] {
        tb_decision d;
        return tb_take(b, 1, &d) == expected;
    });
}

void add_cases(Buckets *all, int threads) {
    std::atomic<uint64_t> *const word = &all->word.value;
    add_case(kCounterSwap, threads, [=] { return swap_in(word, tb::platform::read_counter()); });
    add_allow("allow 1, always full", threads, all->full.get(), 1);
    add_allow("allow 1, partly full", threads, all->partly.get(), 1);
    add_deny("allow 1, denied", threads, all->drained.get());
    add_allow("allow 0.5", threads, all->partly.get(), 0.5);
    add_allow("allow 1 of 1e9, 333 per second", threads, all->slow.get(), 1);
    add_take("take 1, granted", threads, all->partly.get(), TB_SUCCESS);
    add_take("take 1, denied", threads, all->drained.get(), TB_DENIED);
    add_case("reserve 1, due at once", threads, [b = all->partly.get()] {
        tb_reservation r;
        return tb_reserve(b, 1, 0, &r) == TB_SUCCESS;
    });
    add_case("take up to 8", threads, [b = all->partly.get()] {
        double taken = 0;
        return tb_take_up_to(b, kBatch, &taken) == TB_SUCCESS && taken == kBatch;
    });
    add_case(kClockSwap, threads, [=] { return swap_in(word, clock_ns()); });
    add_case(kMutexAllow, threads, [=] { return all->mutex_full.allow(1); });
    add_case(kMutexDeny, threads, [=] { return !all->mutex_drained.allow(1); });
    add_allow("allow 1/3, rounded up", threads, all->partly.get(), 1.0 / 3);
    add_allow("allow 1, manual clock", threads, all->manual.get(), 1);
    add_deny("allow 1, denied, manual clock", threads, all->manual_drained.get());
    add_case("reserve and cancel", threads, [b = all->partly.get()] {
        tb_reservation r;
        return tb_reserve(b, 1, 0, &r) == TB_SUCCESS && tb_cancel(b, &r) == TB_SUCCESS;
    });
}

struct Goal {
    const char *text;
    double (*reached)(const Rounds &, const std::string &name);  // nullptr: no goal
    bool at_least;
    double limit;
};

struct Row {
    std::string name;
    const char *by_hand;  // the mutex bucket's case of the same kind
    Goal one_thread, two_threads;
};

double to_counter_swap_1(const Rounds &r, const std::string &name) {
    return r.ratio(name, 1, kCounterSwap, 1).median;
}

double to_counter_swap_2(const Rounds &r, const std::string &name) {
    return r.ratio(name, 2, kCounterSwap, 2).median;
}

double speed_up(const Rounds &r, const std::string &name) {
    return r.ratio(name, 1, name, 2).median;
}

std::vector<Row> rows() {
    const Goal none{"", nullptr, false, 0};
    const Goal allow_1{"<= 1.10 x a", to_counter_swap_1, false, 1.1};
    const Goal deny_1{"<= 1.05 x a", to_counter_swap_1, false, 1.05};
    const Goal other_1{"<= 1.35 x a", to_counter_swap_1, false, 1.35};
    const Goal full_1{"<= 1.80 x a", to_counter_swap_1, false, 1.8};
    const Goal full_deny_1{"<= 2.20 x a", to_counter_swap_1, false, 2.2};
    const Goal allow_2{"<= 1.00 x a", to_counter_swap_2, false, 1};
    const Goal deny_2{">= 1.8 x one thread", speed_up, true, 1.8};
    return {
        {kCounterSwap, nullptr, none, none},
        {"allow 1, always full", kMutexAllow, allow_1, allow_2},
        {"allow 1, partly full", kMutexAllow, allow_1, allow_2},
        {"allow 1, denied", kMutexDeny, deny_1, deny_2},
        {"allow 0.5", kMutexAllow, other_1, none},
        {"allow 1 of 1e9, 333 per second", kMutexAllow, other_1, none},
        {"take 1, granted", kMutexAllow, full_1, none},
        {"take 1, denied", kMutexDeny, full_deny_1, none},
        {"reserve 1, due at once", kMutexAllow, full_1, none},
        {"take up to 8", kMutexAllow, full_1, none},
        {kClockSwap, nullptr, none, none},
        {kMutexAllow, kMutexAllow, none, none},
        {kMutexDeny, kMutexDeny, none, none},
        {"allow 1/3, rounded up", kMutexAllow, none, none},
        {"allow 1, manual clock", kMutexAllow, none, none},
        {"allow 1, denied, manual clock", kMutexDeny, none, none},
        {"reserve and cancel", kMutexAllow, none, none},
    };
}

void print_ratio(const Spread &s) {
    if (s.samples == 0)
        std::printf("         -         ");
    else
        std::printf(" %5.2f (%5.2f..%5.2f)", s.median, s.p10, s.p90);
}

void print_goal(const char *text, bool met) {
    std::printf("  %s: %s", text, met ? "reached" : "MISSED");
}

void print_goal(const Rounds &r, const std::string &name, const Goal &goal) {
    if (goal.reached == nullptr) return;
    const double reached = goal.reached(r, name);
    print_goal(goal.text, reached > 0 && (goal.at_least ? reached >= goal.limit : reached <= goal.limit));
}

void print_row(const Rounds &r, const Row &row, int threads) {
    const Spread time = r.time(row.name, threads);
    std::printf("%-35s %8.2f", row.name.c_str(), time.median);
    print_ratio(r.ratio(row.name, threads, kCounterSwap, threads));
    print_ratio(r.ratio(row.name, threads, kClockSwap, threads));
    print_ratio(row.by_hand == nullptr ? Spread{} : r.ratio(row.name, threads, row.by_hand, threads));
    if (threads == 2)
        std::printf(" %5.2f", speed_up(r, row.name));
    else
        std::printf("     -");
    std::printf(" %3d", time.samples);
    print_goal(r, row.name, threads == 2 ? row.two_threads : row.one_thread);
    std::printf("\n");
}

void print_table(const Rounds &r) {
    std::printf(
        "ns: wall time / operations of all threads. x a, x b, x c: ratio to that case with as many threads, median\n"
        "(10th..90th percentile) of %d rounds. s-up: throughput of 2 threads / of 1. n: clean samples.\n",
        r.rounds());
    for (int threads = 1; threads <= kMaxThreads; ++threads) {
        const std::string title = std::to_string(threads) + (threads == 1 ? " thread" : " threads");
        std::printf("\n%-35s %8s %-20s %-20s %-20s %4s %3s  goal\n", title.c_str(), "ns", "  x a", "  x b", "  x c",
                    "s-up", "n");
        for (const Row &row : rows()) print_row(r, row, threads);
    }
}

// The p99.9.
double print_latency(const char *name, const std::function<bool()> &call) {
    const Latency l = latency_of(call);
    if (l.runs == 0)
        std::printf("%-35s %8s %8s %10s %3d", name, "-", "-", "-", l.runs);
    else
        std::printf("%-35s %8.0f %8.0f %10.0f %3d", name, l.p50, l.p999, l.worst, l.runs);
    return l.p999;
}

void print_latencies(Buckets *all) {
    std::printf("\nOne call while 2 threads call, ns: medians of n clean runs, one counter read included\n\n");
    std::printf("%-35s %8s %8s %10s %3s  goal for p99.9\n", "case", "p50", "p99.9", "worst", "n");
    const double least =
        print_latency(kCounterSwap, [=] { return swap_in(&all->word.value, tb::platform::read_counter()); });
    std::printf("\n");
    print_latency(kMutexAllow, [=] { return all->mutex_full.allow(1); });
    for (const auto &[name, b] :
         {std::pair{"allow 1, always full", &all->full}, {"allow 1, partly full", &all->partly}}) {
        std::printf("\n");
        const double p999 = print_latency(name, [b = b->get()] { return tb_allow(b, 1) == TB_SUCCESS; });
        print_goal("<= 0.80 x a", p999 > 0 && p999 <= 0.8 * least);
    }
    std::printf("\n");
    print_latency("allow 1, denied", [b = all->drained.get()] { return tb_allow(b, 1) == TB_DENIED; });
    std::printf("\n");
}

void print_memory() {
    constexpr std::size_t kBuckets = 10000;
    std::vector<Bucket> buckets(kBuckets);
    const std::size_t before = mallinfo2().uordblks;
    for (Bucket &b : buckets) b = bucket_of(100, 50, TB_INITIALLY_FULL);
    const double each = static_cast<double>(mallinfo2().uordblks - before) / kBuckets;
    std::printf("\nBytes of heap per bucket in which nobody has waited: %.0f", each);
    print_goal("<= 400", each <= 400);
    std::printf("\n");
}

int run(int argc, char **argv) {
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
    Buckets all;
    for (int threads = 1; threads <= kMaxThreads; ++threads) add_cases(&all, threads);
    Rounds rounds;
    std::vector<std::string> names;
    for (const Row &row : rows()) names.push_back(row.name);
    rounds.run(names, kRounds);
    if (rounds.failed()) return 1;
    print_table(rounds);
    print_latencies(&all);
    print_memory();
    return 0;
}

}  // namespace
}  // namespace bench

int main(int argc, char **argv) {
    return bench::run(argc, argv);
}
