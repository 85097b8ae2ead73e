#include "tests/bench/latency.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

#include "core/platform/counter.h"
#include "tests/bench/rounds.h"

namespace bench {
namespace {

constexpr int kRuns = 200;
constexpr std::size_t kCalls = 10000;  // per thread

double ns_per_tick() {
    using Clock = std::chrono::steady_clock;
    const Clock::time_point began = Clock::now();
    const uint64_t ticks = tb::platform::read_counter();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    const std::chrono::duration<double, std::nano> passed = Clock::now() - began;
    return passed.count() / static_cast<double>(tb::platform::read_counter() - ticks);
}

void stamp_calls(const std::function<bool()> &call, Lane *lane, std::vector<uint32_t> *ticks) {
    lane->begin(kMaxThreads);
    uint64_t last = tb::platform::read_counter();
    for (uint32_t &passed : *ticks) {
        benchmark::DoNotOptimize(call());
        const uint64_t now = tb::platform::read_counter();
        passed = static_cast<uint32_t>(std::min<uint64_t>(now - last, UINT32_MAX));
        last = now;
    }
    lane->end();
}

// Sorted.
std::vector<uint32_t> run_once(const std::function<bool()> &call) {
    std::vector<uint32_t> mine(kCalls), other(kCalls);
    std::thread thread(stamp_calls, std::cref(call), &lanes[1], &other);
    stamp_calls(call, &lanes[0], &mine);
    thread.join();
    mine.insert(mine.end(), other.begin(), other.end());
    std::sort(mine.begin(), mine.end());
    return mine;
}

}  // namespace

Latency latency_of(const std::function<bool()> &call) {
    const double scale = ns_per_tick();
    std::vector<double> p50, p999, worst;
    for (int i = 0; i < kRuns; ++i) {
        const std::vector<uint32_t> ticks = run_once(call);
        if (clean_wall_ns(kMaxThreads) == 0) continue;
        p50.push_back(scale * ticks[ticks.size() / 2]);
        p999.push_back(scale * ticks[ticks.size() * 999 / 1000]);
        worst.push_back(scale * ticks.back());
    }
    return {spread_of(p50).median, spread_of(p999).median, spread_of(worst).median, spread_of(p50).samples};
}

}  // namespace bench
