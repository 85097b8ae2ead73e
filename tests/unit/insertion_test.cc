// All interleavings of threads that take one token each of the same key, which has no slot at first, down to single
// loads and compare-and-swaps. The threads run the code of insertion.h on slots that are simulated.
//
// What a thread does in a phase depends only on how the phase began and on what its loads and exchanges have returned
// since. So a state is the slots and, for each thread, that record; a step replays the record and adds to it. Tenancies
// count only by their distance from that of the slot now, so the states are finitely many.
#include "core/table/insertion.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string>
#include <unordered_set>
#include <vector>

namespace {

using tb::Found;
using tb::Head;
using tb::SlotValue;

constexpr int kThreads = 3;
constexpr int kSlots = 3;
constexpr uint8_t kKey = 1;
constexpr uint8_t kOther = 2;

// What the simulated slots make of the code, to show that its parts are needed.
enum class Fault {
    none,
    no_second_scan,   // it finds nothing
    never_tentative,  // a key is put in as a confirmed one
    same_tenancy,     // a slot's tenancy is always the same
};

enum class Phase : uint8_t { find, choose, confirm, granted, refused };

// A value of a slot in two bytes, for there are many states.
uint8_t short_head(Head head) {
    return static_cast<uint8_t>(head.bits >> Head::kFingerprintShift << 2 | (head.bits & 3));
}
Head long_head(uint8_t head) {
    return {uint64_t{head} >> 2 << Head::kFingerprintShift | (head & 3)};
}
struct Short {
    uint8_t head = 0;
    uint8_t state = 0;

    Short() = default;
    explicit Short(const SlotValue &value) : head(short_head(value.head)), state(static_cast<uint8_t>(value.state)) {}
    SlotValue value() const { return {long_head(head), state}; }
};

struct Thread {
    struct Seen {
        enum Kind : uint8_t { head, state, both, exchange };
        Kind kind;
        uint8_t slot;
        Short result;  // of an exchange: whether it was done
    };

    uint8_t key = kKey;
    Phase phase = Phase::find;
    int8_t into = -1;  // the slot that the thread has put its key into, -1: none
    uint8_t count = 0;
    Short put;
    std::array<Seen, 20> seen{};  // since the phase began
};

struct State {
    uint8_t slot_count = kSlots;
    uint8_t removals = 0;    // of confirmed slots of kKey, that may still happen at any time
    uint8_t doubts = 0;      // of tentative slots, and what takes doubted ones away, that may still happen at any time
    uint8_t forgotten[3]{};  // spent in slots that their keys have lost, by key
    std::array<Short, kSlots> slots{};
    std::array<Thread, kThreads> threads{};
};

uint64_t key_of(Head head) {
    return head.bits >> Head::kFingerprintShift;
}
bool is_confirmed(Head head) {
    return !head.is_empty() && !head.is_tentative();
}
uint64_t spent(const SlotValue &value) {
    return value.state >> tb::kGenerationBits;
}
void forget(const SlotValue &value, State *state) {
    uint8_t &sum = state->forgotten[key_of(value.head)];
    sum = static_cast<uint8_t>(sum + spent(value));
}

// One step of a thread.
class Step {
  public:
    Step(State *state, std::size_t thread, Fault fault)
        : state_(*state), thread_(state->threads[thread]), fault_(fault) {
        for (int8_t i = 0; i < state->slot_count; ++i) slots_[static_cast<std::size_t>(i)] = {this, i};
        const Next next = run();
        if (unfinished_) return;
        thread_.phase = next.phase;
        thread_.into = next.into;
        thread_.put = next.put;
        thread_.count = 0;
    }

  private:
    struct AnySlot {
        SlotValue read() const { return step->read(index); }
        Step *step;
        int8_t index;
    };
    struct Next {
        Phase phase;
        int8_t into = -1;
        Short put{};
    };
    using Kind = Thread::Seen::Kind;

    // What the thread has seen, then what it sees by this step, then nothing: what it makes of that is dropped.
    template <class F>
    SlotValue see(int8_t slot, Kind kind, F now) {
        if (at_ < thread_.count) return thread_.seen[at_++].result.value();
        if (stepped_) {
            unfinished_ = true;
            return {{0}, 0};
        }
        stepped_ = true;
        const Short seen(now(&state_.slots[static_cast<std::size_t>(slot)]));
        thread_.seen.at(at_++) = {kind, static_cast<uint8_t>(slot), seen};
        ++thread_.count;
        return seen.value();
    }
    SlotValue load(int8_t slot, Kind kind) {
        return see(slot, kind, [](const Short *now) { return now->value(); });
    }
    // As Slot::read(): two loads.
    SlotValue read(int8_t slot) {
        const bool is_second_scan = thread_.phase == Phase::confirm && reads_++ >= state_.slot_count;
        if (fault_ == Fault::no_second_scan && is_second_scan) return {{0}, 0};
        const uint64_t state = load(slot, Kind::state).state;
        return {load(slot, Kind::head).head, state};
    }
    bool exchange(int8_t slot, const SlotValue &from, const SlotValue &to) {
        const SlotValue done = see(slot, Kind::exchange, [&](Short *now) {
            if (now->value() != from) return SlotValue{{0}, 0};
            const bool is_lost = key_of(to.head) != key_of(from.head) || to.head.is_tentative();
            if (is_confirmed(from.head) && is_lost) forget(from, &state_);
            *now = Short(to);
            if (fault_ == Fault::same_tenancy) now->state &= static_cast<uint8_t>(~tb::kGenerationMask);
            return SlotValue{{0}, 1};
        });
        return done.state != 0;
    }

    Next run() {
        if (thread_.phase == Phase::find) return find();
        return thread_.phase == Phase::choose ? choose() : confirm();
    }
    // As Cells::find().
    Next find() {
        for (int8_t i = 0; i < state_.slot_count; ++i) {
            if (!load(i, Kind::head).head.is_of(thread_.key)) continue;
            const SlotValue value = read(i);
            const bool usable = value.head.is_of(thread_.key) && !value.head.is_tentative();
            return usable ? add(i, value) : Next{Phase::confirm};
        }
        return {Phase::choose};
    }
    // As Cells::choose() and the first half of Cells::insert(). The two loads of a read are one step here: the value is
    // only compared with.
    Next choose() {
        int8_t into = -1;
        SlotValue was{{0}, 0};
        for (int8_t i = 0; i < state_.slot_count; ++i) {
            const SlotValue value = load(i, Kind::both);
            if (value.head.is_tentative()) continue;
            const bool is_better = into < 0 || (!was.head.is_empty() && spent(value) < spent(was));
            if (!value.head.is_empty() && !is_better) continue;
            into = i;
            was = value;
        }
        if (into < 0) return {Phase::refused};
        SlotValue put = tb::tentative(was, thread_.key, 1);
        if (fault_ == Fault::never_tentative) put.head = put.head.without(Head::kTentative);
        if (fault_ == Fault::same_tenancy) put.state &= ~tb::kGenerationMask;
        if (!exchange(into, was, put)) return {Phase::find};
        if (fault_ == Fault::never_tentative) return {Phase::granted};
        return {Phase::confirm, into, Short(put)};
    }
    Next confirm() {
        tb::Candidates<AnySlot> all{thread_.key, state_.slot_count, {}};
        for (int i = 0; i < all.count; ++i) all.slots[i] = &slots_[static_cast<std::size_t>(i)];
        const auto by_step = [this](AnySlot *slot, const SlotValue &from, const SlotValue &to) {
            return exchange(slot->index, from, to);
        };
        const auto settled = [](const SlotValue &value) {
            return SlotValue{tb::confirmed(value.head, 0), value.state};
        };
        Found<AnySlot> place;
        if (!tb::try_confirm(all, by_step, settled, &place)) return {Phase::confirm, thread_.into, thread_.put};
        if (thread_.into < 0) return place.slot == nullptr ? Next{Phase::choose} : add(place.slot->index, place.value);
        const AnySlot *const own = &slots_[static_cast<std::size_t>(thread_.into)];
        return {tb::is_insertion(place, own, thread_.put.value()) ? Phase::granted : Phase::find};
    }
    Next add(int8_t slot, const SlotValue &value) {
        const SlotValue more{value.head, tb::word_at(spent(value) + 1, value.state)};
        return {exchange(slot, value, more) ? Phase::granted : Phase::find};
    }

    State &state_;
    Thread &thread_;
    const Fault fault_;
    std::array<AnySlot, kSlots> slots_{};
    std::size_t at_ = 0;
    int reads_ = 0;
    bool stepped_ = false;
    bool unfinished_ = false;
};

// Equal for states that go on alike: confirming, the code ignores the state of a slot of another key.
std::string name_of(const State &state) {
    const auto tenancy = [&](const Short &value, int slot) {
        const unsigned now = state.slots[static_cast<std::size_t>(slot)].state;
        return static_cast<char>((value.state & ~tb::kGenerationMask) | ((value.state - now) & tb::kGenerationMask));
    };
    std::array<std::string, kThreads> threads;
    for (std::size_t i = 0; i < kThreads; ++i) {
        const Thread &t = state.threads[i];
        std::string &name = threads[i];
        name += {static_cast<char>(t.key), static_cast<char>(t.phase), static_cast<char>(t.into),
                 static_cast<char>(t.count)};
        if (t.into >= 0) name += {static_cast<char>(t.put.head), tenancy(t.put, t.into)};
        for (std::size_t k = 0; k < t.count; ++k) {
            const Thread::Seen &seen = t.seen[k];
            if (seen.kind == Thread::Seen::exchange) {
                name += static_cast<char>(seen.result.state);
                continue;
            }
            const bool is_whole = seen.kind == Thread::Seen::both;
            const bool is_pair = seen.kind == Thread::Seen::state && k + 1 < t.count;
            const Thread::Seen &head = t.seen[is_pair ? ++k : k];
            if (seen.kind != Thread::Seen::state || is_pair) name += static_cast<char>(head.result.head);
            const bool counts = is_whole || !is_pair || key_of(long_head(head.result.head)) == t.key;
            if (seen.kind != Thread::Seen::head && counts) name += tenancy(seen.result, seen.slot);
        }
        name += '\xff';
    }
    std::sort(threads.begin(), threads.end());
    std::string name{static_cast<char>(state.removals), static_cast<char>(state.doubts),
                     static_cast<char>(state.forgotten[kKey]), static_cast<char>(state.forgotten[kOther])};
    for (int i = 0; i < state.slot_count; ++i) {
        const Short &value = state.slots[static_cast<std::size_t>(i)];
        name += {static_cast<char>(value.head), tenancy(value, i)};
    }
    for (const std::string &t : threads) name += t;
    return name;
}

struct Outcome {
    std::size_t states = 0;
    std::size_t ends = 0;
    std::size_t two_confirmed = 0;
    std::size_t lost = 0;   // ends at which less is spent than was granted
    std::size_t twice = 0;  // ends at which more is spent than was granted
};

uint64_t confirmed_slots(const State &state, uint64_t key, uint64_t *units) {
    uint64_t count = 0;
    for (const Short &slot : state.slots) {
        const SlotValue value = slot.value();
        if (!is_confirmed(value.head) || key_of(value.head) != key) continue;
        ++count;
        *units += spent(value);
    }
    return count;
}

void judge(const State &state, Outcome *outcome) {
    bool is_end = true;
    for (const Thread &t : state.threads) is_end = is_end && t.phase >= Phase::granted;
    outcome->ends += is_end;
    for (const uint8_t key : {kKey, kOther}) {
        uint64_t counted = state.forgotten[key];
        outcome->two_confirmed += confirmed_slots(state, key, &counted) > 1;
        uint64_t granted = 0;
        for (const Thread &t : state.threads) granted += t.key == key && t.phase == Phase::granted;
        outcome->lost += is_end && counted < granted;
        outcome->twice += is_end && counted > granted;
    }
}

Outcome explore(const State &start, Fault fault) {
    Outcome outcome;
    std::unordered_set<std::string> known{name_of(start)};
    std::vector<State> open{start};
    const auto reach = [&](const State &state) {
        if (known.insert(name_of(state)).second) open.push_back(state);
    };
    while (!open.empty()) {
        const State state = open.back();
        open.pop_back();
        judge(state, &outcome);
        for (std::size_t i = 0; i < state.threads.size(); ++i) {
            if (state.threads[i].phase >= Phase::granted) continue;
            State next = state;
            Step(&next, i, fault);
            reach(next);
        }
        for (std::size_t i = 0; state.removals > 0 && i < kSlots; ++i) {
            const SlotValue value = state.slots[i].value();
            if (!is_confirmed(value.head) || key_of(value.head) != kKey) continue;
            State next = state;
            next.slots[i] = Short(SlotValue{{0}, tb::next_generation(value.state)});
            forget(value, &next);
            --next.removals;
            reach(next);
        }
        for (std::size_t i = 0; state.doubts > 0 && i < kSlots; ++i) {
            const SlotValue value = state.slots[i].value();
            if (!value.head.is_tentative()) continue;
            const SlotValue doubted{value.head.with(Head::kPinned), value.state};
            const SlotValue lost{{0}, tb::next_generation(value.state)};
            State next = state;
            next.slots[i] = Short(value.head.is_doubted() ? lost : doubted);
            --next.doubts;
            reach(next);
        }
    }
    outcome.states = known.size();
    return outcome;
}

State empty_slots(uint8_t count) {
    State start;
    start.slot_count = count;
    return start;
}

// Three slots, of which another key must be driven out of one.
State with_another_key() {
    State start;
    start.slots[2] = Short(SlotValue{Head::make(kOther, 0), 0});
    return start;
}

TEST(Insertion, GivesAKeyOneSlotAndCountsEachTakeOnce) {
    const Outcome outcome = explore(with_another_key(), Fault::none);
    EXPECT_GT(outcome.ends, 0u);
    EXPECT_EQ(outcome.two_confirmed, 0u);
    EXPECT_EQ(outcome.lost, 0u);
    EXPECT_EQ(outcome.twice, 0u);
}

TEST(Insertion, LosesNoTakeOfKeysThatDriveEachOtherOut) {
    State start = empty_slots(2);
    start.threads[2].key = kOther;
    const Outcome outcome = explore(start, Fault::none);
    EXPECT_GT(outcome.ends, 0u);
    EXPECT_EQ(outcome.two_confirmed, 0u);
    EXPECT_EQ(outcome.lost, 0u);
}

TEST(Insertion, LosesNoTakeOfAKeyThatIsRemovedMeanwhile) {
    State start = empty_slots(2);
    start.removals = 1;
    const Outcome outcome = explore(start, Fault::none);
    EXPECT_GT(outcome.ends, 0u);
    EXPECT_EQ(outcome.two_confirmed, 0u);
    EXPECT_EQ(outcome.lost, 0u);
}

// Two threads, so that none can be left behind by as many tenancies as there are numbers for.
TEST(Insertion, LosesNoTakeOfAKeyWhoseSlotIsTakenForAbandoned) {
    State start = empty_slots(2);
    start.threads[2].phase = Phase::refused;
    start.doubts = 4;
    const Outcome outcome = explore(start, Fault::none);
    EXPECT_GT(outcome.ends, 0u);
    EXPECT_EQ(outcome.two_confirmed, 0u);
    EXPECT_EQ(outcome.lost, 0u);
    EXPECT_EQ(outcome.twice, 0u);
}

TEST(Insertion, NeedsItsSecondScan) {
    EXPECT_GT(explore(with_another_key(), Fault::no_second_scan).two_confirmed, 0u);
}

TEST(Insertion, NeedsTentativeSlots) {
    EXPECT_GT(explore(with_another_key(), Fault::never_tentative).two_confirmed, 0u);
}

TEST(Insertion, NeedsTenancies) {
    EXPECT_GT(explore(with_another_key(), Fault::same_tenancy).lost, 0u);
}

}  // namespace
