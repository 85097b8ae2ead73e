// The promises of tests/model/promises.h, on every short trace and on random ones.
#include "tests/model/promises.h"

#include <gtest/gtest.h>

#include <functional>
#include <iostream>
#include <random>
#include <vector>

#include "tests/support/effort.h"

namespace {

using namespace promises;

std::string fault_of(const Trace &trace, Options options) {
    Trial trial(trace.start, options);
    for (const Op &op : trace.ops)
        if (!trial.apply(op)) return trial.fault();
    trial.finish();
    return trial.fault();
}

// Without every step that the fault does not need.
Trace shrunk(Trace trace, Options options) {
    const std::string kind = fault_of(trace, options).substr(0, 4);
    for (bool smaller = true; smaller;) {
        smaller = false;
        for (std::size_t i = trace.ops.size(); i-- > 0;) {
            Trace less{trace.start, {}};
            for (std::size_t j = 0; j < trace.ops.size(); ++j)
                if (j != i) less.ops.push_back(trace.ops[j]);
            if (fault_of(less, options).substr(0, 4) != kind) continue;
            trace = less;
            smaller = true;
        }
    }
    return trace;
}

// Nothing if every promise is kept.
std::string broken_by(const Trace &trace, Options options) {
    if (fault_of(trace, options).empty()) return "";
    const Trace least = shrunk(trace, options);
    return fault_of(least, options) + "\n" + text(least) +
           (options.notices ? "with tb_get_stats after each take\n" : "") +
           (options.touches ? "with the limit set again after each step\n" : "");
}

// ---- Named traces

constexpr int64_t operator""_t(long double n) {
    return static_cast<int64_t>(n * static_cast<long double>(kToken) + 0.5L);
}
constexpr int64_t operator""_s(long double n) {
    return static_cast<int64_t>(n * 1000000000.0L + 0.5L);
}

struct Named {
    const char *name;
    Trace trace;
};

const std::vector<Named> kNamed{
    {"a reservation behind a cancelled one, and a third between them",
     {{10.0_t, kRate, 10.0_t},
      {{Op::allow, 10.0_t, 0},
       {Op::reserve, 8.0_t, 1},
       {Op::reserve, 8.0_t, 2},
       {Op::cancel, 0, 1},
       {Op::reserve, 1.0_t, 3},
       {Op::advance, 16.0_s, 0}}}},
    {"two cancelled, of three",
     {{2.0_t, 4 * kRate, 0},
      {{Op::reserve, 1.5_t, 1},
       {Op::reserve, 0.5_t, 2},
       {Op::reserve, 0.5_t, 3},
       {Op::cancel, 0, 1},
       {Op::reserve, 0.5_t, 4},
       {Op::cancel, 0, 2}}}},
    {"a capacity that changes among reservations",
     {{1.0_t, kRate, 1.0_t},
      {{Op::reserve, 0.2_t, 1},
       {Op::charge, 1.0_t, 0},
       {Op::refund, 0.3_t, 0},
       {Op::reserve, 0.2_t, 2},
       {Op::set_capacity, 5.0_t, 0},
       {Op::reserve, 0.3_t, 3},
       {Op::refund, 5.1_t, 0},
       {Op::set_capacity, 3.7_t, 0},
       {Op::reserve, 3.7_t, 4},
       {Op::set_capacity, 1.1_t, 0},
       {Op::cancel, 0, 3},
       {Op::charge, 0.1_t, 0},
       {Op::cancel, 0, 4},
       {Op::allow, 0.3_t, 0}}}},
    {"a smaller capacity before a far reservation",
     {{2.0_t, kRate, 0},
      {{Op::reserve, 0.5_t, 1}, {Op::reserve, 1.0_t, 2}, {Op::cancel, 0, 1}, {Op::set_capacity, 1.0_t, 0}}}},
    {"a capacity below a reservation's cost",
     {{5.0_t, 2 * kRate, 5.0_t},
      {{Op::reserve, 1.0_t, 1}, {Op::reserve, 5.0_t, 2}, {Op::set_capacity, 2.0_t, 0}, {Op::reserve, 0.5_t, 3}}}},
    {"a reservation that is due at once, cancelled twice at the same instant",
     {{10.0_t, kRate, 10.0_t},
      {{Op::reserve, 3.0_t, 1}, {Op::cancel, 0, 1}, {Op::allow, 3.0_t, 0}, {Op::cancel_copy, 0, 1}}}},
    {"a reservation cancelled when it is just due",
     {{1.0_t, kRate, 0}, {{Op::reserve, 1.0_t, 1}, {Op::advance_to, 0, 1}, {Op::cancel, 0, 1}}}},
    {"less than reserved, settled before its time but after its tokens came in",
     {{10.0_t, kRate, 0},
      {{Op::reserve, 10.0_t, 1}, {Op::set_rate, 2 * kRate, 0}, {Op::advance, 6.0_s, 0}, {Op::settle, 2.0_t, 1}}}},
    {"a rate that rises before a reservation",
     {{1.0_t, kRate, 0},
      {{Op::reserve, 1.0_t, 1}, {Op::set_rate, 2 * kRate, 0}, {Op::advance_to, 0, 1}, {Op::allow, 1.0_t, 0}}}},
    {"a charge between two reservations, the first cancelled",
     {{1.0_t, kRate, 0},
      {{Op::reserve, 1.0_t, 1}, {Op::reserve, 0.5_t, 2}, {Op::charge, 0.5_t, 0}, {Op::cancel, 0, 1}}}},
    {"a refund before a reservation, for which there is no room by then",
     {{1.0_t, kRate, 0},
      {{Op::reserve, 1.0_t, 1}, {Op::refund, 1.0_t, 0}, {Op::advance_to, 0, 1}, {Op::allow, 1.0_t, 0}}}},
    {"what is due settled for nothing, before another",
     {{1.0_t, 2 * kRate, 1.0_t},
      {{Op::reserve, 1.0_t, 1},
       {Op::reserve, 1.0_t, 2},
       {Op::settle, 0, 1},
       {Op::advance_to, 0, 2},
       {Op::allow, 1.0_t, 0}}}},
};

TEST(Promises, AreKeptInNamedTraces) {
    for (const Named &named : kNamed)
        for (const Options options : {Options{true, false}, Options{true, true}, Options{false, false}})
            EXPECT_EQ(fault_of(named.trace, options), "") << named.name << ": " << text(named.trace);
}

TEST(Promises, AreKeptInNamedTracesWithWaits) {
    TB_TEST_NEEDS_FEATURE("interruptible_wait");
    const tb_test::QuietHandler handler(SIGUSR1);
    const std::vector<Named> waits{
        {"a wait behind one that leaves, with a reservation between them",
         {{5.0_t, 2 * kRate, 0},
          {{Op::wait, 5.0_t, 1}, {Op::reserve, 2.0_t, 2}, {Op::wait, 3.0_t, 3}, {Op::interrupt, 0, 1}}}},
        {"a take behind a reservation and a wait that left",
         {{5.0_t, 4 * kRate, 0},
          {{Op::wait, 5.0_t, 1}, {Op::reserve, 2.0_t, 2}, {Op::interrupt, 0, 1}, {Op::take_when_told, 2.0_t, 0}}}},
    };
    for (const Named &named : waits)
        EXPECT_EQ(fault_of(named.trace, {true, true}), "") << named.name << ": " << text(named.trace);
}

// Without this a judge that sees nothing would pass everything.
TEST(Promises, TheJudgeSeesABrokenWindow) {
    const auto grant = [](int64_t at, int64_t n, std::size_t i) { return Event{at, n, 0, i, 2.0_t, kRate}; };
    std::vector<Event> events{grant(0, 0, 0), grant(0, 2.0_t, 1), grant(1.0_s, 1.0_t, 2)};
    EXPECT_EQ(check_windows(events, 0), "");
    events.push_back(grant(1.0_s, 1, 3));
    EXPECT_NE(check_windows(events, 0), "");
    EXPECT_EQ(check_windows(events, 1), "");
    events.insert(events.end() - 1, {1.0_s, 0, 1, 3, 2.0_t, kRate});
    EXPECT_EQ(check_windows(events, 0), "") << "a refund between them";
}

// ---- Random traces

// Numbers that meet each other often.
struct Grid {
    std::vector<int64_t> capacities;
    std::vector<int64_t> rates;
    std::vector<int64_t> amounts;
    std::vector<int64_t> durations;
};

// All instants and tokens are whole: in these steps a rate of 1, 2 or 4 meets no rounding.
const Grid kHalves{{kToken, 2 * kToken, 5 * kToken},
                   {kRate, 2 * kRate, 4 * kRate},
                   {kToken / 2, kToken, kToken * 3 / 2, 2 * kToken, 3 * kToken, 5 * kToken},
                   {250000000, 500000000, 1000000000, 2000000000, 5000000000}};
// Waits end between two nanoseconds, and changes of the rate between two units.
const Grid kTenths{{kToken, kToken * 11 / 10, kToken * 37 / 10, 5 * kToken},
                   {1, 3, 7, kRate},
                   {kToken / 10, kToken / 5, kToken * 3 / 10, kToken, kToken * 11 / 10, kToken * 37 / 10},
                   {100000000, 300000000, 1000000000, 3700000000}};

class Dice {
  public:
    explicit Dice(uint64_t seed) : random_(seed) {}
    uint64_t below(uint64_t n) { return random_() % n; }
    template <class T>
    const T &one_of(const std::vector<T> &all) {
        return all[static_cast<std::size_t>(below(all.size()))];
    }

  private:
    std::mt19937_64 random_;
};

const std::vector<Op::Kind> kCalls{
    Op::allow,       Op::allow,          Op::take_when_told, Op::take_up_to,  Op::reserve, Op::reserve,
    Op::reserve,     Op::reserve,        Op::reserve_within, Op::cancel,      Op::cancel,  Op::cancel,
    Op::cancel_copy, Op::settle,         Op::settle,         Op::settle_copy, Op::advance, Op::advance,
    Op::advance_to,  Op::advance_before, Op::charge,         Op::refund,      Op::refund,  Op::reset,
    Op::set_rate,    Op::set_rate,       Op::set_capacity,   Op::set_capacity};

Op random_op(Dice *dice, const std::vector<Op::Kind> &kinds, const Grid &grid, int *labels) {
    Op op{dice->one_of(kinds), dice->one_of(grid.amounts), 0};
    switch (op.kind) {
        case Op::reserve:
        case Op::reserve_within:
        case Op::wait:
            op.label = ++*labels;
            return op;
        case Op::settle:
        case Op::reset:
            if (dice->below(3) == 0) op.amount = 0;
            break;
        case Op::advance:
            op.amount = dice->one_of(grid.durations);
            break;
        case Op::set_rate:
            op.amount = dice->one_of(grid.rates);
            break;
        case Op::set_capacity:
            op.amount = dice->one_of(grid.capacities);
            break;
        default:
            break;
    }
    // More often one of the last.
    for (int i = 0; i < 2 && *labels > 0; ++i)
        op.label = std::max(op.label, 1 + static_cast<int>(dice->below(static_cast<uint64_t>(*labels))));
    return op;
}

Trace random_trace(Dice *dice, const std::vector<Op::Kind> &kinds, const Grid &grid) {
    Trace trace{{dice->one_of(grid.capacities), dice->one_of(grid.rates), 0}, {}};
    if (dice->below(4) == 0) trace.start.level = trace.start.capacity;
    int labels = 0;
    for (uint64_t left = 8 + dice->below(9); left > 0; --left)
        trace.ops.push_back(random_op(dice, kinds, grid, &labels));
    return trace;
}

struct Tally {
    uint64_t left = 0;  // traces in which something left and the tokens were compared to the end
    uint64_t late = 0;
};

void run_random_traces(const std::vector<Op::Kind> &kinds, uint64_t traces, uint64_t seed, Tally *tally) {
    Dice dice(seed);
    for (uint64_t i = 0; i < traces; ++i) {
        const Options options{dice.below(4) != 0, dice.below(4) == 0};
        const Trace trace = random_trace(&dice, kinds, dice.below(4) == 0 ? kTenths : kHalves);
        Trial trial(trace.start, options);
        bool sound = true;
        for (const Op &op : trace.ops) sound = sound && trial.apply(op);
        sound = sound && trial.finish();
        if (!sound) FAIL() << broken_by(trace, options) << "trace " << i << ", seed " << seed;
        tally->left += trial.compared_after_leaving() ? 1 : 0;
        tally->late += trial.noticed_late() ? 1 : 0;
    }
    std::cout << "traces " << traces << ", " << tally->left << " compared after some left, " << tally->late
              << " noticed late, seed " << seed << "\n";
}

TEST(Promises, AreKeptInRandomTraces) {
    const uint64_t traces = support::effort("TB_TRACES", 1000000, 20000);
    Tally tally;
    run_random_traces(kCalls, traces, 20250601, &tally);
    EXPECT_GT(tally.left, traces / 6);
}

// Each wait is a thread.
TEST(Promises, AreKeptInRandomTracesWithWaits) {
    const uint64_t traces = support::effort("TB_WAIT_TRACES", 5000, 200);
    const tb_test::QuietHandler handler(SIGUSR1);
    std::vector<Op::Kind> kinds = kCalls;
    kinds.insert(kinds.end(), 8, Op::wait);
    if (tb_test::signals_end_waits()) kinds.insert(kinds.end(), 4, Op::interrupt);
    Tally tally;
    run_random_traces(kinds, traces, 20250602, &tally);
    // Where signals end no waits, only reservations leave.
    EXPECT_GT(tally.left, traces / (tb_test::signals_end_waits() ? 6 : 10));
}

// ---- All short traces

struct Letter {
    Op::Kind kind;
    int64_t amount;
};

// Every trace of so many letters; what it begins with is checked on the way. A letter that means a reservation means
// the oldest or the newest that is there.
class EveryTrace {
  public:
    EveryTrace(const Start &start, std::size_t length) : trace_{start, {}}, length_(length) {}

    uint64_t run() {
        extend();
        return traces_;
    }

  private:
    void extend() {
        if (testing::Test::HasFailure()) return;
        if (trace_.ops.size() == length_) {
            ++traces_;
            if (!fault_of(trace_, {true, false}).empty()) ADD_FAILURE() << broken_by(trace_, {true, false});
            return;
        }
        const int64_t one = kToken;
        for (const Op::Kind kind : {Op::allow, Op::charge, Op::refund}) attempt({kind, one, 0});
        attempt({Op::advance, 1000000000, 0});
        for (const int64_t n : {one, 2 * one}) attempt({Op::reserve, n, static_cast<int>(labels_.size()) + 1});
        attempt({Op::set_rate, rate_ == kRate ? 2 * kRate : kRate, 0});
        attempt({Op::set_capacity, capacity_ == one ? 2 * one : one, 0});
        for (const bool oldest : {true, false}) {
            const int label = meant(oldest);
            if (label == 0) return;
            attempt({Op::cancel, 0, label});
            if (oldest) attempt({Op::settle, one, label});
        }
    }

    // The label of the oldest or the newest that stands; 0 if none does, or if it is the same.
    int meant(bool oldest) const {
        int first = 0, last = 0;
        for (std::size_t i = 0; i < labels_.size(); ++i) {
            if (!labels_[i]) continue;
            last = static_cast<int>(i) + 1;
            if (first == 0) first = last;
        }
        return oldest ? first : last == first ? 0 : last;
    }

    void attempt(const Op &op) {
        const int64_t rate = rate_, capacity = capacity_;
        if (op.kind == Op::reserve) labels_.push_back(true);
        if (op.kind == Op::cancel || op.kind == Op::settle) labels_[static_cast<std::size_t>(op.label) - 1] = false;
        if (op.kind == Op::set_rate) rate_ = op.amount;
        if (op.kind == Op::set_capacity) capacity_ = op.amount;
        trace_.ops.push_back(op);
        extend();
        trace_.ops.pop_back();
        rate_ = rate;
        capacity_ = capacity;
        if (op.kind == Op::reserve) labels_.pop_back();
        if (op.kind == Op::cancel || op.kind == Op::settle) labels_[static_cast<std::size_t>(op.label) - 1] = true;
    }

    Trace trace_;
    const std::size_t length_;
    std::vector<bool> labels_;  // does the reservation stand?
    int64_t rate_ = kRate;
    int64_t capacity_ = 2 * kToken;
    uint64_t traces_ = 0;
};

TEST(Promises, AreKeptInEveryShortTrace) {
    const auto length = static_cast<std::size_t>(support::effort("TB_TRACE_LENGTH", 6, 4));
    uint64_t traces = 0;
    for (const int64_t level : {int64_t{0}, 2 * kToken}) traces += EveryTrace({2 * kToken, kRate, level}, length).run();
    std::cout << "traces " << traces << "\n";
}

}  // namespace
