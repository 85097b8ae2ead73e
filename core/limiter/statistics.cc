#include "core/limiter/statistics.h"

#include "core/platform/platform.h"

namespace tb {
namespace {

void add(std::atomic<int64_t> *counter, int64_t amount) {
    counter->fetch_add(amount, std::memory_order_relaxed);
}

// Not fetch_add, which libc++ before 18 does not have for doubles.
void add(std::atomic<double> *sum, double amount) {
    double seen = sum->load(std::memory_order_relaxed);
    while (!sum->compare_exchange_weak(seen, seen + amount, std::memory_order_relaxed)) {
    }
}

void raise(std::atomic<int64_t> *longest, int64_t ns) {
    int64_t seen = longest->load(std::memory_order_relaxed);
    while (ns > seen && !longest->compare_exchange_weak(seen, ns, std::memory_order_relaxed)) {
    }
}

}  // namespace

Statistics::Stripe *Statistics::mine() {
    return &stripes_[platform::thread_hint() % kStripes];
}

void Statistics::count_granted(double tokens) {
    Stripe *const s = mine();
    add(&s->granted, 1);
    add(&s->tokens_taken, tokens);
}

void Statistics::count_refused(Status why) {
    if (why == Status::denied) add(&mine()->denied, 1);
    if (why == Status::timed_out) add(&mine()->timed_out, 1);
}

void Statistics::count_wait(Status outcome, double tokens, int64_t waited_ns) {
    Stripe *const s = mine();
    const bool granted = outcome == Status::success;
    const bool timed_out = outcome == Status::timed_out;
    add(granted ? &s->granted : timed_out ? &s->timed_out : &s->cancelled, 1);
    add(&s->waits, 1);
    add(&s->total_wait_ns, waited_ns);
    add(&s->tokens_taken, tokens);
    raise(&s->longest_wait_ns, waited_ns);
}

void Statistics::count_cancelled() {
    add(&mine()->cancelled, 1);
}

void Statistics::count_given_back(double tokens) {
    if (tokens != 0) add(&mine()->tokens_given_back, tokens);
}

Totals Statistics::totals() const {
    Totals t{};
    for (const Stripe &s : stripes_) {
        const int64_t longest = s.longest_wait_ns.load(std::memory_order_relaxed);
        t.granted += s.granted.load(std::memory_order_relaxed);
        t.denied += s.denied.load(std::memory_order_relaxed);
        t.timed_out += s.timed_out.load(std::memory_order_relaxed);
        t.cancelled += s.cancelled.load(std::memory_order_relaxed);
        t.waits += s.waits.load(std::memory_order_relaxed);
        t.total_wait_ns += s.total_wait_ns.load(std::memory_order_relaxed);
        t.longest_wait_ns = longest > t.longest_wait_ns ? longest : t.longest_wait_ns;
        t.tokens_taken += s.tokens_taken.load(std::memory_order_relaxed);
        t.tokens_given_back += s.tokens_given_back.load(std::memory_order_relaxed);
    }
    return t;
}

}  // namespace tb
