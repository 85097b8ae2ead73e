#include "core/clock/system_clock.h"

#include "core/units/wide.h"

namespace tb {
namespace {

constexpr uint64_t kFirstValid = 100000000;
constexpr uint64_t kValid = 1000000000;
constexpr int64_t kFirstBaseline = 10000000;
// CLOCK_MONOTONIC itself is steered by at most 500 parts per million; more means that the counter lost its meaning.
constexpr uint64_t kOddPartsPerMillion = 1000;
constexpr uint64_t kSteerPartsPerMillion = 500;
constexpr uint64_t kMillion = 1000000;
// Rounds in which a reader waits for a writer to finish; a writer that does not was lost in a fork.
constexpr int kPatience = 1000;

uint64_t scaled_quotient(uint64_t ns, uint64_t ticks, unsigned bits) {
    return tbu_divide(tbu_shl({0, ns}, bits), {0, ticks}).quotient.lo;
}

}  // namespace

// The tightest of three brackets of a clock reading between two counter readings: an interrupt in between is seen as a
// wide one.
SystemClock::Sample SystemClock::sample() {
    Sample best{0, 0};
    uint64_t narrowest = UINT64_MAX;
    for (int i = 0; i < 3; ++i) {
        const uint64_t before = platform::read_counter();
        const int64_t time_ns = platform::monotonic_ns();
        const uint64_t width = platform::read_counter() - before;
        if (width >= narrowest) continue;
        narrowest = width;
        best = {before + width / 2, time_ns};
    }
    return best;
}

SystemClock::Anchor SystemClock::anchor() const {
    for (int round = 0;; ++round) {
        const uint64_t finished = finished_.load(std::memory_order_acquire);
        const Anchor a{counter_.load(std::memory_order_acquire), time_ns_.load(std::memory_order_acquire),
                       slope_.load(std::memory_order_acquire), span_.load(std::memory_order_acquire)};
        if (started_.load(std::memory_order_relaxed) == finished) return a;
        if (round == kPatience) return {0, 0, 0, 0};
        platform::pause();
    }
}

void SystemClock::publish(const Sample &sample, uint64_t slope, uint64_t valid_ns) {
    const uint64_t version = started_.load(std::memory_order_relaxed) + 1;
    const uint64_t span = slope == 0 ? 0 : scaled_quotient(valid_ns, slope, kSlopeBits);
    started_.store(version, std::memory_order_relaxed);
    counter_.store(sample.counter, std::memory_order_release);
    time_ns_.store(static_cast<uint64_t>(sample.time_ns), std::memory_order_release);
    slope_.store(slope, std::memory_order_release);
    span_.store(span, std::memory_order_release);
    finished_.store(version, std::memory_order_release);
}

// Measures the slope since the last sample and sets the next anchor. Where the last one ended ahead of CLOCK_MONOTONIC
// the clock keeps that time and ticks slower, by at most 500 parts per million, so that it is level at the next end.
void SystemClock::anchor_anew(const Sample &now, const Anchor &last) {
    const int64_t floor_ns = now.time_ns > last.end() ? now.time_ns : last.end();
    const int64_t ticks = static_cast<int64_t>(now.counter - origin_.counter);
    const int64_t passed = now.time_ns - origin_.time_ns;
    if (origin_.time_ns == 0 || ticks <= 0) {
        origin_ = now;
        publish({now.counter, floor_ns}, 0, 0);
        return;
    }
    if (passed < kFirstBaseline) return;
    origin_ = now;
    const bool first = last.span == 0;
    const uint64_t measured = scaled_quotient(static_cast<uint64_t>(passed), static_cast<uint64_t>(ticks), kSlopeBits);
    const uint64_t tolerance = last.slope / kMillion * kOddPartsPerMillion;
    const bool odd = measured == 0 || (!first && measured - last.slope + tolerance > 2 * tolerance);
    if (odd) {
        publish({now.counter, floor_ns}, 0, 0);
        return;
    }
    const uint64_t valid = first ? kFirstValid : kValid;
    const uint64_t ahead = static_cast<uint64_t>(floor_ns - now.time_ns);
    const uint64_t most = valid / kMillion * kSteerPartsPerMillion;
    const uint64_t slope = tbu_divide(tbu_mul(measured, valid - (ahead < most ? ahead : most)), {0, valid}).quotient.lo;
    publish({now.counter, floor_ns}, slope, valid);
}

int64_t SystemClock::now_locked() {
    const Sample s = sample();
    const Anchor last = anchor();
    if (last.holds(s.counter)) return last.at(s.counter);
    anchor_anew(s, last);
    return s.time_ns > last.end() ? s.time_ns : last.end();
}

// Never waits: while another thread sets the anchor, or a signal handler interrupted one that does, CLOCK_MONOTONIC
// itself serves, held at the end of the anchor that has just run out.
int64_t SystemClock::now_beyond_anchor() {
    if (!use_counter_) return platform::monotonic_ns();
    if (lock_.try_lock()) {
        const int64_t now = now_locked();
        lock_.unlock();
        return now;
    }
    const Anchor last = anchor();
    const uint64_t counter = platform::read_counter();
    if (last.holds(counter)) return last.at(counter);
    const int64_t plain = platform::monotonic_ns();
    return plain > last.end() ? plain : last.end();
}

}  // namespace tb
