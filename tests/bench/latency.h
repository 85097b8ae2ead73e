// How long single calls take when two threads share one bucket: throughput alone hides a thread that starves.
#ifndef TOKENBUCKET_TESTS_BENCH_LATENCY_H
#define TOKENBUCKET_TESTS_BENCH_LATENCY_H

#include <functional>

namespace bench {

// Nanoseconds, the cost of the time stamps (one counter read a call) included.
struct Latency {
    double p50, p999, worst;
    int runs;  // that were clean; 0: nothing was measured
};

// The medians over the clean runs of two threads, each thread's calls taken together.
Latency latency_of(const std::function<bool()> &call);

}  // namespace bench

#endif
