// At least 10^7 decisions of random buckets, each compared with both models of tests/model.
// TB_DECISIONS asks for another number, TB_SEED for other ones.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <iostream>
#include <memory>
#include <random>

#include "tests/model/duel.h"
#include "tests/support/effort.h"

namespace {

using model::Duel;
using model::Tally;

constexpr int64_t kSecond = 1000000000;
constexpr int64_t kYear = int64_t{31556952} * kSecond;
constexpr int64_t kEnd = int64_t{1} << 62;  // of what a bucket promises to count
constexpr double kRates[] = {1e-9, 1e-5, 1.0 / 3, 3, 7, 1e6, 3e8, 7e8, 1e10};
constexpr double kCapacities[] = {1e-6, 0.001, 0.5, 1, 1.23456789012, 10, 1000.5, 1e6, 1e9, 123456789012.5, 1e15};
constexpr double kAmounts[] = {1, 2, 3, 7, 10, 0.1, 0.25, 0.3, 2.5, 1e-3, 1e-6, 1e-9, 1.0 / 3, 1e3, 12345.678};
constexpr int64_t kPeriods[] = {kSecond, kSecond, 1000000, 60 * kSecond, 3600 * kSecond, 999999937};

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
    void takes(uint64_t count, Tally *tally) {
        const std::unique_ptr<Duel> duel = create(tally);
        const uint64_t end = tally->decisions + count;
        while (tally->decisions < end && duel->now() < kEnd - kYear) {
            wander(duel.get());
            take(duel.get());
        }
    }

    // Everything that a bucket can do without a queue, in any order.
    void mixed(uint64_t count, Tally *tally) {
        const std::unique_ptr<Duel> duel = create(tally);
        const uint64_t end = tally->decisions + count;
        while (tally->decisions < end && duel->now() < kEnd - kYear) {
            wander(duel.get());
            take(duel.get());
            if (below(4) == 0) adjust(duel.get());
        }
    }

  private:
    using Step = void (Player::*)(Duel *);

    uint64_t below(uint64_t n) { return random_() % n; }
    bool one_in(uint64_t n) { return below(n) == 0; }
    template <class T, std::size_t N>
    T pick(const T (&list)[N]) {
        return list[below(N)];
    }

    // Of the whole range, as likely of any order of magnitude.
    double log_uniform(double least, double most) {
        const double x = static_cast<double>(random_() >> 11) / 9007199254740992.0;
        return std::fmin(most, std::fmax(least, least * std::pow(most / least, x)));
    }

    // A decimal of up to 15 digits and up to 18 places.
    double decimal(double least, double most) {
        const double x = log_uniform(least, most);
        const int places = 18 + static_cast<int>(std::floor(std::log10(x)));
        const int digits = static_cast<int>(below(static_cast<uint64_t>(std::min(15, places))));
        char text[40];
        std::snprintf(text, sizeof text, "%.*e", digits, x);
        return std::fmin(most, std::fmax(least, std::strtod(text, nullptr)));
    }

    double quotient() { return static_cast<double>(1 + below(2000)) / static_cast<double>(1 + below(2000)); }

    double rate() { return one_in(2) ? pick(kRates) : one_in(2) ? quotient() : decimal(1e-9, 1e10); }
    double capacity() {
        return one_in(2) ? pick(kCapacities) : one_in(2) ? log_uniform(1e-6, 1e15) : decimal(1e-6, 1e15);
    }
    double amount_below(double most) {
        if (one_in(3)) return pick(kAmounts);
        return one_in(2) ? most * quotient() / 2000 : decimal(std::fmin(1e-9, most), most);
    }

    tb::LimitSpec limit() {
        for (;;) {
            const tb::LimitSpec spec{capacity(), rate(), pick(kPeriods)};
            tb::Limit limit{};
            if (tb::make_limit(spec, &limit) == tb::Status::success && Duel::is_exact(spec)) return spec;
        }
    }

    std::unique_ptr<Duel> create(Tally *tally) {
        const tb::LimitSpec spec = limit();
        const double full = spec.capacity;
        std::vector<double> amounts{full, std::nextafter(full, 0), std::nextafter(full, HUGE_VAL), full / 4, full / 3};
        while (amounts.size() < 12) amounts.push_back(amount_below(full));
        amounts.push_back(log_uniform(1e-9, 1e16));
        const Age age = pick(kAges);
        const double held = one_in(2) ? full : one_in(2) ? 0 : full / 2;
        auto duel = std::make_unique<Duel>(spec, held, amounts, age.created, tally);
        duel->advance(age.created + age.lived);
        usual_ = static_cast<std::size_t>(3 + below(amounts.size() - 4));
        return duel;
    }

    std::size_t amount(const Duel &duel) {
        return one_in(4) ? static_cast<std::size_t>(below(duel.amounts())) : usual_;
    }

    // Moves the clock as if four times as much were asked for as comes in; at times to where the answer changes, or to
    // after a silence.
    void wander(Duel *duel) {
        const double gap = std::fmin(duel->amount(usual_), duel->capacity()) / duel->rate() * 1e9;
        double step = gap / 2048 * static_cast<double>(below(1025));
        if (one_in(64)) step = duel->capacity() / duel->rate() * 1e9 / 512 * static_cast<double>(below(1025));
        if (one_in(64)) step = gap * 20;
        if (one_in(4096)) step = static_cast<double>(kYear) * static_cast<double>(below(1025)) / 512;
        const int64_t room = kEnd - duel->now();
        int64_t ns = static_cast<int64_t>(std::fmin(step, 1e18));
        const int64_t told = duel->last_wait();
        if (one_in(4) && told > 0 && told < room) ns = told - 1 + static_cast<int64_t>(below(3));
        if (ns < room) duel->advance(duel->now() + ns);
    }

    void take(Duel *duel) {
        static constexpr Step kTakes[] = {&Player::allow,      &Player::allow,      &Player::allow,
                                          &Player::take_fully, &Player::take_fully, &Player::reserve,
                                          &Player::wait,       &Player::take_up_to, &Player::take_when_told};
        (this->*pick(kTakes))(duel);
    }
    void adjust(Duel *duel) {
        static constexpr Step kAdjustments[] = {&Player::charge,   &Player::refund,       &Player::refund,
                                                &Player::set_rate, &Player::set_capacity, &Player::reset};
        (this->*pick(kAdjustments))(duel);
    }

    void allow(Duel *duel) { duel->allow(amount(*duel)); }
    void take_fully(Duel *duel) { duel->take(amount(*duel)); }
    void take_when_told(Duel *duel) { duel->take_when_told(amount(*duel)); }
    void reserve(Duel *duel) { duel->reserve_at_once(amount(*duel)); }
    void wait(Duel *duel) { duel->wait_for_nothing(amount(*duel)); }
    void take_up_to(Duel *duel) { duel->take_up_to(one_in(2) ? 1e18 : 0.5 + static_cast<double>(below(9)) / 2); }
    void charge(Duel *duel) { duel->charge(amount(*duel)); }
    void refund(Duel *duel) { duel->refund(amount(*duel)); }
    void reset(Duel *duel) {
        const double tokens[] = {tb::Limiter::kFull, 0, duel->capacity() * 0.25, duel->capacity() * 2};
        duel->reset(pick(tokens));
    }
    void set_rate(Duel *duel) {
        const double next = rate();
        if (duel->stays_exact(next)) duel->set_rate(next);
    }
    void set_capacity(Duel *duel) { duel->set_capacity(one_in(2) ? duel->capacity() * quotient() : capacity()); }

    std::mt19937_64 random_;
    std::size_t usual_ = 0;
};

void report(const char *what, uint64_t seed, const Tally &tally) {
    std::cout << what << ": " << tally.decisions << " decisions, " << tally.exact << " granted in whole units, "
              << tally.operations << " comparisons, " << tally.waits << " waits, " << tally.mismatches
              << " mismatches, seed " << seed << "\n";
    testing::Test::RecordProperty("decisions", std::to_string(tally.decisions));
    testing::Test::RecordProperty("mismatches", std::to_string(tally.mismatches));
    EXPECT_EQ(tally.mismatches, 0u);
}

uint64_t decisions() {
    return support::effort("TB_DECISIONS", 10500000, 400000);
}

TEST(Exactness, TakingUnderAFixedLimit) {
    const uint64_t seed = support::effort("TB_SEED", 1, 1);
    Player player(seed);
    Tally tally;
    while (tally.decisions < decisions() * 3 / 4) player.takes(2000, &tally);
    report("fixed limits", seed, tally);
    EXPECT_GE(tally.exact, tally.decisions / 10);
}

TEST(Exactness, EveryOperationInAnyOrder) {
    const uint64_t seed = support::effort("TB_SEED", 1, 1) + 1000000;
    Player player(seed);
    Tally tally;
    while (tally.decisions < decisions() / 4) player.mixed(500, &tally);
    report("all operations", seed, tally);
    EXPECT_GE(tally.exact, tally.decisions / 50);
}

}  // namespace
