// At least 10^7 decisions of random buckets, each compared with both models of tests/model.
// TB_DECISIONS asks for another number, TB_SEED for other ones.
#include <gtest/gtest.h>

#include <cmath>
#include <iostream>
#include <memory>
#include <random>

#include "tests/model/duel.h"
#include "tests/support/effort.h"

namespace {

using model::Duel;
using model::Tally;

constexpr int64_t kYear = int64_t{31556952} * 1000000000;
constexpr int64_t kEnd = int64_t{1} << 62;  // of what a bucket promises to count
constexpr double kRates[] = {1e-5, 1.0 / 3, 3, 7, 1e6, 3e8, 7e8, 1e10};
constexpr double kCapacities[] = {0.001, 0.5, 1, 1.23456789012, 10, 1000.5, 1e6, 1e9, 123456789012.5, 1e15};
constexpr double kAmounts[] = {1, 2, 3, 7, 10, 0.1, 0.25, 0.3, 2.5, 1e-3, 1e-6, 1e-9, 1.0 / 3, 1e3, 12345.678};

// A bucket's age: when it was created, and how long it has lived when the first decision falls.
struct Age {
    int64_t created;
    int64_t lived;
};
constexpr Age kAges[] = {{0, 0}, {10 * kYear, 0}, {0, 10 * kYear}, {12345, 100 * kYear}};

class Player {
  public:
    explicit Player(uint64_t seed) : random_(seed) {}

    // Decisions of one bucket under a fixed limit: overload, boundary instants, on-off bursts.
    void takes(double rate, uint64_t count, Tally *tally) {
        const std::unique_ptr<Duel> duel = create(rate, tally);
        const uint64_t end = tally->decisions + count;
        while (tally->decisions < end && duel->now() < kEnd - kYear) {
            wander(duel.get());
            take(duel.get());
        }
    }

    // Everything that a bucket can do, in any order.
    void mixed(double rate, uint64_t count, Tally *tally) {
        const std::unique_ptr<Duel> duel = create(rate, tally);
        const uint64_t end = tally->operations + count;
        while (tally->operations < end && duel->now() < kEnd - kYear) {
            wander(duel.get());
            if (below(2) == 0)
                take(duel.get());
            else
                adjust(duel.get());
        }
    }

    uint64_t below(uint64_t n) { return random_() % n; }

  private:
    std::unique_ptr<Duel> create(double rate, Tally *tally) {
        const double capacity = pick(kCapacities);
        std::vector<double> amounts{capacity, capacity * 2, capacity / 4, capacity / 3, capacity / 1000};
        while (amounts.size() < 9) amounts.push_back(pick(kAmounts));
        const Age age = pick(kAges);
        const double held = below(2) == 0 ? capacity : below(2) == 0 ? 0 : capacity / 2;
        auto duel = std::make_unique<Duel>(capacity, rate, held, amounts, age.created, tally);
        duel->advance(age.created + age.lived);
        usual_ = 2 + below(amounts.size() - 2);
        return duel;
    }

    template <class T, std::size_t N>
    T pick(const T (&list)[N]) {
        return list[below(N)];
    }

    std::size_t amount(const Duel &duel) { return below(4) != 0 ? usual_ : below(duel.amounts()); }

    // Moves the clock as if four times as much were asked for as comes in; at times to where the answer changes, or to
    // after a silence.
    void wander(Duel *duel) {
        const double gap = std::fmin(duel->amount(usual_), duel->capacity()) / duel->rate() * 1e9;
        const uint64_t draw = below(64);
        double step = gap / 2 * static_cast<double>(below(1025)) / 1024;
        if (draw == 0) step = duel->capacity() / duel->rate() * 1e9 * static_cast<double>(below(1025)) / 512;
        if (draw == 1) step = gap * 20;
        const int64_t room = kEnd - duel->now();
        int64_t ns = static_cast<int64_t>(std::fmin(step, 1e18));
        const int64_t told = duel->last_wait();
        if (draw >= 48 && told > 0 && told < room) ns = told - 1 + static_cast<int64_t>(draw % 3);
        if (ns < room) duel->advance(duel->now() + ns);
    }

    void take(Duel *duel) {
        switch (below(8)) {
            case 0:
            case 1:
                return duel->take(amount(*duel));
            case 2:
                return duel->take_when_told(amount(*duel));
            case 3:
                return duel->take_up_to(below(2) == 0 ? 1e18 : 1 + static_cast<double>(below(9)) / 2);
            case 4:
                return duel->reserve(amount(*duel), below(2) == 0 ? 0 : duel->last_wait());
            default:
                return duel->allow(amount(*duel));
        }
    }

    void adjust(Duel *duel) {
        const uint64_t draw = below(100);
        if (draw < 30) return duel->reserve(amount(*duel), below(4) == 0 ? duel->last_wait() : INT64_MAX);
        if (draw < 55) {
            if (duel->reservations() != 0) duel->cancel(duel->reservations() - 1 - below(duel->reservations()) / 2);
            return;
        }
        if (draw < 65) return duel->charge(amount(*duel));
        if (draw < 80) return duel->refund(amount(*duel));
        if (draw < 84) return duel->reset(below(2) == 0 ? tb::Bucket::kFull : duel->capacity() * 0.25);
        if (draw < 92) return duel->set_rate(pick(kRates));
        return duel->set_capacity(below(2) == 0 ? duel->capacity() : pick(kCapacities));
    }

    std::mt19937_64 random_;
    std::size_t usual_ = 0;
};

void report(const char *what, uint64_t seed, const Tally &tally) {
    std::cout << what << ": " << tally.decisions << " decisions, " << tally.operations << " operations, " << tally.waits
              << " waits, " << tally.mismatches << " mismatches, seed " << seed << "\n";
    testing::Test::RecordProperty("decisions", std::to_string(tally.decisions));
    testing::Test::RecordProperty("mismatches", std::to_string(tally.mismatches));
    EXPECT_EQ(tally.mismatches, 0u);
}

uint64_t decisions() {
    return support::effort("TB_DECISIONS", 10500000, 600000);
}

TEST(Exactness, TakingUnderAFixedLimit) {
    const uint64_t seed = support::effort("TB_SEED", 1, 1);
    Player player(seed);
    Tally tally;
    for (uint64_t round = 0; tally.decisions < decisions() * 9 / 10; ++round)
        player.takes(kRates[round % std::size(kRates)], 5000, &tally);
    report("fixed limits", seed, tally);
    EXPECT_GE(tally.decisions, decisions() * 9 / 10);
}

TEST(Exactness, EveryOperationInAnyOrder) {
    const uint64_t seed = support::effort("TB_SEED", 1, 1) + 1000000;
    Player player(seed);
    Tally tally;
    for (uint64_t round = 0; tally.decisions < decisions() / 10; ++round)
        player.mixed(kRates[round % std::size(kRates)], 1000, &tally);
    report("all operations", seed, tally);
    EXPECT_GE(tally.decisions, decisions() / 10);
}

}  // namespace
