// What waiting costs, through the shared library, as ratios to the least that a waiter can do on this machine and to
// the polling that one would write by hand. Each round measures every case once, so that what is set against each other
// was measured within the same few seconds.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "capi/include/tokenbucket.h"
#include "tests/bench/rounds.h"
#include "tests/bench/waiters.h"

namespace bench {
namespace {

constexpr int kWaitRounds = 7;

enum Design { kPolling, kBareSleep, kWait, kPreciseWait };

struct Load {
    int waiters;
    int64_t period_ns;
    std::vector<Design> designs;
};

const std::vector<Load> &loads() {
    static const std::vector<Load> all = {
        {2, 1000000, {kPolling, kBareSleep, kWait, kPreciseWait}},
        {10, 1000000, {kPolling, kBareSleep, kWait}},
        {100, 1000000, {kPolling, kBareSleep, kWait}},
        {1000, 500000, {kPolling, kBareSleep, kWait}},
    };
    return all;
}

const char *name_of(Design design) {
    constexpr const char *kNames[] = {"polling, 1 ms", "bare sleep", "tb_wait", "tb_wait, precise"};
    return kNames[design];
}

std::unique_ptr<Granter> make(Design design, int64_t period_ns) {
    if (design == kPolling) return polling(period_ns);
    if (design == kBareSleep) return bare_sleep(period_ns);
    return library(period_ns, design == kPreciseWait ? TB_PRECISE_WAIT : 0);
}

double percentile(const std::vector<double> &sorted, double percent) {
    return sorted[static_cast<std::size_t>(static_cast<double>(sorted.size() - 1) * percent / 100)];
}

double processor(const Usage &u) {
    return u.processor_share;
}

double switches(const Usage &u) {
    return u.switches_per_grant;
}

double median_overshoot(const Usage &u) {
    return percentile(u.overshoots_us, 50);
}

using Figure = double (*)(const Usage &);

class Results {
  public:
    void measure(const Load &load, Design design) {
        const std::unique_ptr<Granter> granter = make(design, load.period_ns);
        usages_[{load.waiters, design}].push_back(usage_of(granter.get(), load.waiters, load.period_ns));
    }

    Spread spread(int waiters, Design design, Figure figure) const {
        std::vector<double> values;
        for (const Usage &u : usages(waiters, design)) values.push_back(figure(u));
        return spread_of(values);
    }

    // Round by round.
    Spread ratio(int waiters, Design design, Design other, Figure figure) const {
        std::vector<double> ratios;
        const std::vector<Usage> &mine = usages(waiters, design), &others = usages(waiters, other);
        for (std::size_t i = 0; i < mine.size(); ++i) ratios.push_back(figure(mine[i]) / figure(others[i]));
        return spread_of(ratios);
    }

    // Of the grants of all rounds, sorted.
    std::vector<double> overshoots(int waiters, Design design) const {
        std::vector<double> all;
        for (const Usage &u : usages(waiters, design))
            all.insert(all.end(), u.overshoots_us.begin(), u.overshoots_us.end());
        std::sort(all.begin(), all.end());
        return all;
    }

  private:
    const std::vector<Usage> &usages(int waiters, Design design) const { return usages_.at({waiters, design}); }

    std::map<std::pair<int, Design>, std::vector<Usage>> usages_;
};

void print_spread(const Spread &s, const char *format) {
    const auto print = [format](double value) { std::printf(format, value); };
    std::printf("  ");
    print(s.median);
    std::printf(" (");
    print(s.p10);
    std::printf("..");
    print(s.p90);
    std::printf(")");
}

void print_row(const Results &r, int waiters, Design design) {
    const std::vector<double> overshoots = r.overshoots(waiters, design);
    std::printf("%-17s", name_of(design));
    print_spread(r.spread(waiters, design, processor), "%5.3f");
    print_spread(r.ratio(waiters, design, kPolling, processor), "%5.3f");
    print_spread(r.spread(waiters, design, switches), "%6.2f");
    print_spread(r.spread(waiters, design, median_overshoot), "%6.1f");
    print_spread(r.ratio(waiters, design, kBareSleep, median_overshoot), "%5.2f");
    std::printf(" %8.0f %8.0f %6zu\n", percentile(overshoots, 99), percentile(overshoots, 99.9), overshoots.size());
}

void print_load(const Results &r, const Load &load) {
    const std::string title = std::to_string(load.waiters) + " waiters";
    std::printf("\n%s, %d tokens per second\n", title.c_str(), static_cast<int>(1000000000 / load.period_ns));
    std::printf("%-17s  %-21s  %-21s  %-24s  %-24s  %-21s %8s %8s %6s\n", "", "CPU s per s", "x polling",
                "switches per grant", "overshoot us, p50", "x bare sleep", "p99", "p99.9", "grants");
    for (const Design design : load.designs) print_row(r, load.waiters, design);
}

void print_goal(const std::string &what, double reached, double limit) {
    std::printf("%-62s <= %5.3f: %5.3f, %s\n", what.c_str(), limit, reached, reached <= limit ? "reached" : "MISSED");
}

void print_goals(const Results &r) {
    std::printf("\nGoals\n");
    print_goal("1000 waiters: processor time, x polling", r.ratio(1000, kWait, kPolling, processor).median, 1.0 / 12);
    for (const Load &load : loads()) {
        const std::string who = std::to_string(load.waiters) + " waiters: ";
        print_goal(who + "context switches per grant", r.spread(load.waiters, kWait, switches).median, 1.1);
        print_goal(who + "overshoot p50, x bare sleep",
                   r.ratio(load.waiters, kWait, kBareSleep, median_overshoot).median, 1.3);
    }
    print_goal("2 waiters, precise: overshoot p50, us", r.spread(2, kPreciseWait, median_overshoot).median, 2);
}

// Grants in a second on a bucket of one token that gains 20,000 a second, as a share of 20,000.
double throughput(int threads, int64_t max_lateness_ns) {
    constexpr int64_t kSecond = 1000000000;
    constexpr double kRate = 20000;
    tb_config config;
    tb_config_init(&config, sizeof config);
    config.capacity = 1;
    config.rate_tokens = kRate;
    config.max_lateness_ns = max_lateness_ns;
    tb_bucket *bucket = nullptr;
    if (tb_create_with(&config, &bucket) != TB_SUCCESS) std::exit(1);
    std::atomic<int64_t> grants{0};
    std::vector<std::thread> all;
    for (int i = 0; i < threads; ++i)
        all.emplace_back([&] {
            while (tb_wait(bucket, 1) == TB_SUCCESS) ++grants;
        });
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    const auto began = std::chrono::steady_clock::now();
    const int64_t before = grants;
    std::this_thread::sleep_for(std::chrono::seconds(1));
    const int64_t counted = grants - before;
    const auto took = std::chrono::steady_clock::now() - began;
    tb_close(bucket);
    for (std::thread &t : all) t.join();
    tb_destroy(bucket);
    const double seconds = static_cast<double>(std::chrono::nanoseconds(took).count()) / kSecond;
    return static_cast<double>(counted) / (kRate * seconds);
}

void print_throughput() {
    std::printf(
        "\nThroughput at 20,000 a second, capacity 1, share of the rate: default lateness; unlimited (goal >= 0.95)\n");
    for (const int threads : {1, 2, 100}) {
        const double share = throughput(threads, 0);
        std::printf("%4d threads %6.3f %6.3f  %s\n", threads, share, throughput(threads, INT64_MAX),
                    share >= 0.95 ? "reached" : "MISSED");
    }
}

double machine_load() {
    double load = 0;
    getloadavg(&load, 1);
    return load;
}

int run() {
    std::printf("load before: %.2f\n", machine_load());
    Results results;
    for (int round = 0; round < kWaitRounds; ++round)
        for (const Load &load : loads())
            for (const Design design : load.designs) results.measure(load, design);
    std::printf(
        "Median of %d rounds (10th..90th percentile); p99 and p99.9: of the grants of all rounds. Overshoot: from "
        "when\n"
        "the token was there until its thread went on. Polling keeps no order: its k-th grant is set against the k-th\n"
        "token, though its thread may have asked much later than others.\n",
        kWaitRounds);
    for (const Load &load : loads()) print_load(results, load);
    print_goals(results);
    print_throughput();
    return 0;
}

}  // namespace
}  // namespace bench

int main() {
    return bench::run();
}
