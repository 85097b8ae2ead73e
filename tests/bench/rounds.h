// Samples taken in rounds: every round runs each case once, a fraction of a millisecond long, so that figures which are
// set against each other were taken within the same fraction of a second. A sample in which a thread did not have its
// core to itself, or in which the threads did not run side by side, is thrown away and tried again, a few times.
#ifndef TOKENBUCKET_TESTS_BENCH_ROUNDS_H
#define TOKENBUCKET_TESTS_BENCH_ROUNDS_H

#include <benchmark/benchmark.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace bench {

inline constexpr int kMaxThreads = 2;
inline constexpr int kOperations = 10000;  // per thread and sample, unless a case says otherwise

// What one thread did in one sample.
class alignas(64) Lane {
  public:
    // Waits until as many threads have come.
    void begin(int threads);
    void end();

    int64_t began_ns() const { return began_ns_; }
    int64_t ended_ns() const { return ended_ns_; }
    // Nothing else ran on its core. A thread that went to sleep by itself, on a lock, did not use all of it.
    bool undisturbed() const;

  private:
    int64_t began_ns_ = 0;
    int64_t ended_ns_ = 0;
    int64_t cpu_ns_ = 0;
    long preempted_ = 0;
    long slept_ = 0;
};

extern Lane lanes[kMaxThreads];

// From the first thread's beginning to the last one's end, in ns; 0 if the sample is not clean.
double clean_wall_ns(int threads);

// The body of a benchmark that runs `operation`, which says whether it went as expected, on every thread.
template <class Operation>
void sample(benchmark::State &state, Operation operation) {
    Lane &lane = lanes[state.thread_index()];
    bool as_expected = true;
    while (state.KeepRunningBatch(state.max_iterations)) {
        lane.begin(state.threads());
        for (benchmark::IterationCount i = 0; i < state.max_iterations; ++i) as_expected &= operation();
        lane.end();
    }
    if (!as_expected) state.SkipWithError("an operation went another way than the case is about");
}

// The name must hold nothing that is special in a regular expression.
template <class Operation>
void add_case(const std::string &name, int threads, Operation operation) {
    benchmark::RegisterBenchmark(name.c_str(), [operation](benchmark::State &s) { sample(s, operation); })
        ->Threads(threads)
        ->Iterations(kOperations)
        ->UseRealTime();
}

struct Spread {
    double p10, median, p90;
    int samples;  // 0: nothing was measured
};

Spread spread_of(std::vector<double> values);

class Rounds : public benchmark::BenchmarkReporter {
  public:
    // Runs all cases, of 1 thread and of 2; the first round only warms up.
    void run(const std::vector<std::string> &names, int rounds);
    bool failed() const { return failed_; }

    // ns per operation, all threads together: wall time / operations of all.
    Spread time(const std::string &name, int threads) const;
    // Of two cases' times, round by round.
    Spread ratio(const std::string &name, int threads, const std::string &other, int other_threads) const;
    int rounds() const { return round_; }

    bool ReportContext(const Context &) override { return true; }
    void ReportRuns(const std::vector<Run> &runs) override;

  private:
    using Case = std::pair<std::string, int>;

    void run_case(const std::string &name, int threads);
    const std::map<int, double> &samples(const std::string &name, int threads) const;

    std::map<Case, std::map<int, double>> samples_;  // by round
    int round_ = 0;
    bool failed_ = false;
};

}  // namespace bench

#endif
