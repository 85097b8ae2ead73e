// Which slot a key gets, and how many rooms there are for queues.
#include "core/table/cells.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "core/table/key_rooms.h"
#include "core/table/keys.h"
#include "core/table/siphash.h"
#include "tests/support/trace.h"

namespace {

using tb::Cells;
using tb::Head;
using tb::KeyPlace;
using tb::Slot;
using tb::SlotValue;

constexpr uint64_t kKey = 0x123456789abcdef0;

// As if full buckets stood at position 0 in era 5.
SlotValue settled(const SlotValue &tentative) {
    const uint64_t cost = tentative.state >> tb::kGenerationBits;
    return {tb::confirmed(tentative.head, 5), tb::word_at(cost, tentative.state)};
}
SlotValue as_it_is(const SlotValue &tentative) {
    return {tentative.head.without(Head::kTentative), tentative.state};
}

template <class Settle>
bool insert(Cells *cells, uint64_t key, const KeyPlace &into, uint64_t cost, Settle settle) {
    return cells->put(key, into, cost) && cells->confirm_put(key, into, settle).slot != nullptr;
}

uint64_t line_of(const Slot *slot) {
    return reinterpret_cast<uintptr_t>(slot) / sizeof(tb::Line);
}

// A full table, each of whose slots holds a key of its own and so many units as its number is.
class Filled {
  public:
    explicit Filled(uint64_t count) : lines(static_cast<std::size_t>(count)), cells(lines.data(), count) {
        tb_test::Trace trace(1);
        while (slots.size() < cells.slots()) {
            int64_t holds = 0;
            const uint64_t key = trace.draw();
            const KeyPlace into = cells.choose(key, held, &holds);
            if (holds != Cells::kFree) continue;
            EXPECT_TRUE(insert(&cells, key, into, slots.size(), as_it_is));
            slots.push_back(into.slot);
        }
        int64_t holds = 0;
        cells.choose(
            kKey, [&](const SlotValue &value) { return candidates.push_back(slots[units(value)]), 0; }, &holds);
    }

    static std::size_t units(const SlotValue &value) {
        return static_cast<std::size_t>(value.state >> tb::kGenerationBits);
    }
    static int64_t held(const SlotValue &value) { return static_cast<int64_t>(units(value)); }

    void store(Slot *slot, const SlotValue &value) { ASSERT_TRUE(cells.exchange(slot, slot->read(), value)); }
    void clear(Slot *slot) { store(slot, {{0}, 0}); }
    void flag(Slot *slot, uint64_t flag) { store(slot, {slot->read().head.with(flag), slot->read().state}); }
    KeyPlace choose(int64_t *holds) const { return cells.choose(kKey, held, holds); }
    // Candidates by what they hold, most first.
    std::vector<Slot *> fullest_first() const {
        std::vector<Slot *> sorted = candidates;
        std::sort(sorted.begin(), sorted.end(), [](Slot *a, Slot *b) { return held(a->read()) > held(b->read()); });
        return sorted;
    }

    std::vector<tb::Line> lines;
    Cells cells;
    std::vector<Slot *> slots;
    std::vector<Slot *> candidates;  // of kKey
};

TEST(Cells, AKeyHasSixteenCandidatesInFourLines) {
    const Filled filled(64);
    std::set<uint64_t> lines;
    for (const Slot *slot : filled.candidates) lines.insert(line_of(slot));
    EXPECT_EQ(filled.candidates.size(), 16u);
    EXPECT_EQ(lines.size(), 4u);
}

// Those before it have one, those behind it three.
TEST(Cells, ChoosesAFreeSlotOfTheFirstLineThatHasTwo) {
    for (std::size_t best = 0; best < 4; ++best) {
        Filled filled(64);
        for (std::size_t line = 0; line < 4; ++line)
            for (std::size_t i = 0; i < (line < best ? 1u : line == best ? 2u : 3u); ++i)
                filled.clear(filled.candidates[4 * line + i]);
        int64_t holds = 0;
        const KeyPlace place = filled.choose(&holds);
        ASSERT_NE(place.slot, nullptr);
        EXPECT_EQ(holds, Cells::kFree);
        EXPECT_EQ(line_of(place.slot), line_of(filled.candidates[4 * best]));
        EXPECT_TRUE(place.value.head.is_empty());
    }
}

// A key that is full keeps its slot as long as there is an empty one in the line.
TEST(Cells, ChoosesAnEmptySlotBeforeAFullOne) {
    for (std::size_t empty = 0; empty < 4; ++empty) {
        Filled filled(64);
        filled.clear(filled.candidates[empty]);
        const auto all_full = [](const SlotValue &) { return Cells::kFree; };
        int64_t holds = 0;
        EXPECT_EQ(filled.cells.choose(kKey, all_full, &holds).slot, filled.candidates[empty]);
    }
}

TEST(Cells, ChoosesTheOnlyFreeSlot) {
    for (std::size_t i = 0; i < 16; ++i) {
        Filled filled(64);
        filled.clear(filled.candidates[i]);
        int64_t holds = 0;
        EXPECT_EQ(filled.choose(&holds).slot, filled.candidates[i]);
        EXPECT_EQ(holds, Cells::kFree);
    }
}

// But a tentative one says what it costs, and not what it holds.
TEST(Cells, CountsAFullSlotAsFree) {
    Filled filled(64);
    const auto held = [&](const SlotValue &value) {
        return filled.slots[Filled::units(value)] == filled.candidates[9] ? Cells::kFree : Filled::held(value);
    };
    int64_t holds = 0;
    EXPECT_EQ(filled.cells.choose(kKey, held, &holds).slot, filled.candidates[9]);
    EXPECT_EQ(holds, Cells::kFree);
    for (const uint64_t flag : {Head::kTentative, Head::kPinned}) {
        const SlotValue before = filled.candidates[9]->read();
        filled.flag(filled.candidates[9], flag);
        EXPECT_NE(filled.cells.choose(kKey, held, &holds).slot, filled.candidates[9]);
        EXPECT_NE(holds, Cells::kFree);
        filled.store(filled.candidates[9], before);
    }
}

TEST(Cells, EvictsTheFullestThatIsNeitherPinnedNorTentative) {
    Filled filled(64);
    const std::vector<Slot *> order = filled.fullest_first();
    for (std::size_t i = 0; i < order.size(); ++i) {
        int64_t holds = 0;
        const KeyPlace place = filled.choose(&holds);
        ASSERT_EQ(place.slot, order[i]);
        EXPECT_EQ(place.value, order[i]->read());
        EXPECT_EQ(holds, Filled::held(order[i]->read()));
        filled.flag(order[i], i % 2 == 0 ? Head::kPinned : Head::kTentative);
    }
    int64_t holds = 0;
    EXPECT_EQ(filled.choose(&holds).slot, nullptr);
}

// Whoever has put it in may be gone. It counts as free once it was met by a key that found no room.
TEST(Cells, GivesAwayATentativeSlotThatWasDoubted) {
    Filled filled(64);
    Slot *const slot = filled.candidates[9];
    filled.flag(slot, Head::kTentative);
    int64_t holds = 0;
    EXPECT_NE(filled.choose(&holds).slot, slot);
    filled.cells.doubt(kKey);
    const KeyPlace into = filled.choose(&holds);
    EXPECT_EQ(into.slot, slot);
    EXPECT_EQ(holds, Cells::kFree);
    EXPECT_TRUE(insert(&filled.cells, kKey, into, 1, settled));
    EXPECT_EQ(filled.cells.find(kKey, settled).slot, slot);
}

// One whose thread goes on in time is as any other.
TEST(Cells, ConfirmsADoubtedSlot) {
    Filled filled(64);
    int64_t holds = 0;
    const KeyPlace into = filled.choose(&holds);
    ASSERT_TRUE(filled.cells.put(kKey, into, 77));
    filled.cells.doubt(kKey);
    const KeyPlace place = filled.cells.confirm_put(kKey, into, settled);
    ASSERT_EQ(place.slot, into.slot);
    EXPECT_EQ(place.value.head, Head::make(kKey, 5));
    EXPECT_EQ(into.slot->read(), place.value);
}

TEST(Cells, NeverEvictsAKeyInDebt) {
    const Filled filled(64);
    const Slot *const fullest = filled.fullest_first()[0];
    const auto in_debt_but = [&](const Slot *solvent) {
        return [&filled, solvent](const SlotValue &v) { return filled.slots[Filled::units(v)] == solvent ? 0 : -1; };
    };
    int64_t holds = 0;
    EXPECT_EQ(filled.cells.choose(kKey, in_debt_but(fullest), &holds).slot, fullest);
    EXPECT_EQ(holds, 0);
    EXPECT_EQ(filled.cells.choose(kKey, in_debt_but(nullptr), &holds).slot, nullptr);
}

TEST(Cells, InsertsOnceAndInANewTenancy) {
    Filled filled(64);
    int64_t holds = 0;
    const KeyPlace into = filled.choose(&holds);
    ASSERT_TRUE(insert(&filled.cells, kKey, into, 77, settled));
    EXPECT_FALSE(insert(&filled.cells, kKey, into, 77, settled));
    const KeyPlace place = filled.cells.find(kKey, settled);
    ASSERT_EQ(place.slot, into.slot);
    EXPECT_EQ(place.value.head, Head::make(kKey, 5));
    EXPECT_EQ(place.value.state, tb::word_at(77, into.value.state + 1));
    EXPECT_FALSE(insert(&filled.cells, kKey, filled.choose(&holds), 78, settled)) << "it stands in another slot";
    EXPECT_EQ(filled.cells.find(kKey, settled).slot, into.slot);
}

// ---- Keys with structure ----

template <class T>
std::string bytes_of(T number) {
    return std::string(reinterpret_cast<const char *>(&number), sizeof number);
}

const struct {
    const char *name;
    std::string (*key)(uint32_t number);
} kStructures[] = {
    {"counted in decimal", [](uint32_t i) { return std::to_string(i); }},
    {"counted in binary", [](uint32_t i) { return bytes_of(i); }},
    {"counted by 2^20", [](uint32_t i) { return bytes_of(uint64_t{i} << 20); }},
    {"of growing length", [](uint32_t i) { return std::string(i / 256, 'a').append(1, static_cast<char>(i % 256)); }},
    {"with a common tail", [](uint32_t i) { return bytes_of(i).append(60, '\0'); }},
};

// The sum of the squares is that of a random spread: its mean is the number of lines less 1, its deviation the square
// root of twice that. Ten deviations are allowed.
TEST(Cells, SpreadsKeysWithStructureLikeRandomOnes) {
    constexpr uint32_t kKeys = 100000;
    constexpr std::size_t kLines = 1000;
    for (const auto &structure : kStructures) {
        std::vector<tb::Line> memory(kLines);
        const Cells cells(memory.data(), kLines);
        int64_t holds = 0;
        std::vector<uint64_t> lines;
        for (uint32_t i = 0; i < kKeys; ++i) {
            const std::string key = structure.key(i);
            const uint64_t hash = tb::siphash13({1, 2}, key.data(), key.size());
            lines.push_back(line_of(cells.choose(hash, Filled::held, &holds).slot));
        }
        const uint64_t first = *std::min_element(lines.begin(), lines.end());
        std::vector<double> counts(kLines);
        for (const uint64_t line : lines) ++counts.at(static_cast<std::size_t>(line - first));
        const double mean = static_cast<double>(kKeys) / kLines;
        double sum = 0;
        for (const double count : counts) sum += (count - mean) * (count - mean) / mean;
        EXPECT_LT(sum, kLines - 1 + 450) << structure.name;
        EXPECT_GT(sum, kLines - 1 - 450) << structure.name;
    }
}

// Of the keys for which a table is made, 1 of some 10,000 new ones evicts another when it is full, fewer before that.
TEST(Cells, FindRoomForAllKeysThatTheyAreMadeFor) {
    constexpr uint32_t kKeys = 20000;
    for (const auto &structure : kStructures) {
        std::vector<tb::Line> memory(static_cast<std::size_t>(tb::Keys::lines_for(kKeys)));
        Cells cells(memory.data(), memory.size());
        int without_room = 0;
        for (uint32_t i = 0; i < kKeys; ++i) {
            const std::string key = structure.key(i);
            const uint64_t hash = tb::siphash13({1, 2}, key.data(), key.size());
            int64_t holds = 0;
            const KeyPlace into = cells.choose(hash, Filled::held, &holds);
            without_room += holds != Cells::kFree;
            ASSERT_TRUE(insert(&cells, hash, into, 1, as_it_is)) << structure.name;
        }
        EXPECT_LT(without_room, 4) << structure.name;
    }
}

// As the public header says: one for each eight places, at least 16 and at most 512, of 24 KB.
TEST(KeyRooms, AreFewerThanThePlaces) {
    constexpr uint64_t kPlaces = tb::Line::kSlots;
    for (const uint64_t lines : {1u, 32u, 33u, 100u, 1000u, 1024u}) {
        const uint64_t most = std::max<uint64_t>(16, lines * kPlaces / 8);
        EXPECT_EQ(tb::KeyRooms::rooms_for(lines), std::min<uint64_t>(most, 512)) << lines;
    }
    EXPECT_EQ(tb::KeyRooms::rooms_for(uint64_t{1} << 40), 512u);
    EXPECT_LE(sizeof(tb::KeyRoom), 24u * 1024);
}

}  // namespace
