#include "tests/bench/rounds.h"

#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <cstdio>

#include "core/platform/counter.h"

namespace bench {
namespace {

constexpr double kLeastShare = 0.95;
constexpr double kLeastOverlap = 0.7;
constexpr int kTries = 6;

int64_t clock_ns(clockid_t clock) {
    timespec t;
    clock_gettime(clock, &t);
    return int64_t{t.tv_sec} * 1000000000 + t.tv_nsec;
}

rusage usage_of_thread() {
    rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return usage;
}

}  // namespace

Lane lanes[kMaxThreads];

void Lane::begin(int threads) {
    static std::atomic<int> come[kMaxThreads + 1];
    const int everyone = (come[threads].fetch_add(1) / threads + 1) * threads;
    while (come[threads].load() < everyone) tb::platform::pause();
    const rusage usage = usage_of_thread();
    preempted_ = -usage.ru_nivcsw;
    slept_ = -usage.ru_nvcsw;
    cpu_ns_ = -clock_ns(CLOCK_THREAD_CPUTIME_ID);
    began_ns_ = clock_ns(CLOCK_MONOTONIC);
}

void Lane::end() {
    ended_ns_ = clock_ns(CLOCK_MONOTONIC);
    cpu_ns_ += clock_ns(CLOCK_THREAD_CPUTIME_ID);
    const rusage usage = usage_of_thread();
    preempted_ += usage.ru_nivcsw;
    slept_ += usage.ru_nvcsw;
}

bool Lane::undisturbed() const {
    const double share = static_cast<double>(cpu_ns_) / static_cast<double>(ended_ns_ - began_ns_);
    return preempted_ == 0 && (share >= kLeastShare || slept_ != 0);
}

Spread spread_of(std::vector<double> values) {
    if (values.empty()) return {0, 0, 0, 0};
    std::sort(values.begin(), values.end());
    const auto at = [&](std::size_t percent) { return values[(values.size() - 1) * percent / 100]; };
    return {at(10), at(50), at(90), static_cast<int>(values.size())};
}

double clean_wall_ns(int threads) {
    int64_t first = INT64_MAX, last = 0, all_from = 0, all_until = INT64_MAX;
    for (int i = 0; i < threads; ++i) {
        const Lane &lane = lanes[i];
        if (!lane.undisturbed()) return 0;
        first = std::min(first, lane.began_ns());
        all_from = std::max(all_from, lane.began_ns());
        all_until = std::min(all_until, lane.ended_ns());
        last = std::max(last, lane.ended_ns());
    }
    const double wall = static_cast<double>(last - first);
    if (static_cast<double>(all_until - all_from) < kLeastOverlap * wall) return 0;
    return wall;
}

void Rounds::run_case(const std::string &name, int threads) {
    const std::string pattern = "^" + name + "/.*threads:" + std::to_string(threads) + "$";
    for (int i = 0; i < kTries && !failed_ && samples(name, threads).count(round_) == 0; ++i)
        benchmark::RunSpecifiedBenchmarks(this, pattern);
}

void Rounds::run(const std::vector<std::string> &names, int rounds) {
    for (int round = -1; round < rounds; ++round) {
        round_ = round;
        for (int threads = 1; threads <= kMaxThreads; ++threads)
            for (const std::string &name : names) run_case(name, threads);
        if (round < 0) samples_.clear();
    }
    round_ = rounds;
}

void Rounds::ReportRuns(const std::vector<Run> &runs) {
    for (const Run &run : runs) {
        if (run.error_occurred) {
            std::fprintf(stderr, "%s: %s\n", run.benchmark_name().c_str(), run.error_message.c_str());
            failed_ = true;
            continue;
        }
        const int threads = static_cast<int>(run.threads);
        const double ns = clean_wall_ns(threads);
        const double operations = static_cast<double>(run.iterations);
        if (ns > 0) samples_[{run.run_name.function_name, threads}][round_] = ns / operations;
    }
}

const std::map<int, double> &Rounds::samples(const std::string &name, int threads) const {
    static const std::map<int, double> kNone;
    const auto found = samples_.find({name, threads});
    return found == samples_.end() ? kNone : found->second;
}

Spread Rounds::time(const std::string &name, int threads) const {
    std::vector<double> times;
    for (const auto &[round, ns] : samples(name, threads)) times.push_back(ns);
    return spread_of(times);
}

Spread Rounds::ratio(const std::string &name, int threads, const std::string &other, int other_threads) const {
    std::vector<double> ratios;
    const std::map<int, double> &others = samples(other, other_threads);
    for (const auto &[round, ns] : samples(name, threads))
        if (const auto found = others.find(round); found != others.end()) ratios.push_back(ns / found->second);
    return spread_of(ratios);
}

}  // namespace bench
