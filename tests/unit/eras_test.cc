// However long a key was idle, it is what a bucket of the same limit would be.
#include "core/table/eras.h"

#include <gtest/gtest.h>

#include <string>

#include "core/table/table.h"
#include "tests/support/core.h"
#include "tests/support/trace.h"

namespace {

using tb::Status;
using tb_test::kSecond;

constexpr uint64_t kKey = 12345;
constexpr int64_t kYear = 365 * 24 * 3600 * kSecond;
constexpr double kRates[] = {1e-9, 1e-3, 1.0 / 3, 1, 64, 1e3, 64e3, 1e6, 1e9, 1e10};
constexpr double kCapacities[] = {1e-6, 1e-3, 1, 1000, 1e9, 1e15};

bool read_limit(double capacity, double rate, tb::Limit *limit) {
    return tb::make_limit({capacity, rate, kSecond}, limit, tb::kTableGrowth) == Status::success;
}

// A table and a bucket with the same limit, units and clock.
class Pair {
  public:
    Pair(double capacity, double rate, const tb::Limit &limit)
        : table({capacity, rate, kSecond}, limit, on_clock()),
          bucket({capacity, rate, kSecond}, limit, static_cast<int64_t>(limit.capacity), {&clock, false}),
          tokens_(tb::to_tokens(limit.units.scale, 1)) {}

    void expect_equal(const std::string &when) {
        EXPECT_EQ(table.available(kKey), bucket.available()) << when;
        int64_t table_ns = 0;
        int64_t bucket_ns = 0;
        EXPECT_EQ(table.time_until(kKey, tokens_, &table_ns), bucket.time_until(tokens_, &bucket_ns)) << when;
        EXPECT_EQ(table_ns, bucket_ns) << when;
    }

    tb::Clock clock{0};
    tb::Table table;
    tb::Limiter bucket;

  private:
    tb::TableOptions on_clock() {
        tb::TableOptions options;
        options.clock = &clock;
        return options;
    }

    const double tokens_;
};

template <class F>
void for_each_limit(F f) {
    int count = 0;
    for (const double rate : kRates)
        for (const double capacity : kCapacities) {
            tb::Limit limit{};
            if (!read_limit(capacity, rate, &limit)) continue;
            SCOPED_TRACE(std::to_string(capacity) + " tokens, " + std::to_string(rate) + " per second");
            f(capacity, rate, limit);
            ++count;
        }
    EXPECT_GT(count, 50);
}

// In nanoseconds, at least 1 and at most a year.
int64_t era_of(const tb::Limit &limit) {
    const int64_t ns = tbu_time_to(&limit.rate, {0, 0}, uint64_t{1} << tb::kEraUnitBits);
    return ns < kYear ? ns : kYear;
}

TEST(Eras, AKeyIsFullAfterYears) {
    for_each_limit([](double capacity, double rate, const tb::Limit &limit) {
        for (const int years : {1, 10, 100}) {
            Pair pair(capacity, rate, limit);
            ASSERT_EQ(pair.table.allow(kKey, capacity), Status::success);
            ASSERT_EQ(pair.bucket.allow(capacity), Status::success);
            pair.clock.set(years * kYear);
            pair.expect_equal(std::to_string(years) + " years");
            if (rate * 3600 * 24 * 365 * years < capacity) continue;
            EXPECT_EQ(pair.table.available(kKey),
                      tb::to_tokens(limit.units.scale, static_cast<int64_t>(limit.capacity)));
            EXPECT_EQ(pair.table.allow(kKey, capacity), Status::success);
            EXPECT_EQ(pair.table.allow(kKey, capacity), Status::denied);
        }
    });
}

// Others are asked for meanwhile, so that the table passes through the eras one by one.
TEST(Eras, AKeyIsFullWhileTheTableIsInUse) {
    for_each_limit([](double capacity, double rate, const tb::Limit &limit) {
        Pair pair(capacity, rate, limit);
        ASSERT_EQ(pair.table.allow(kKey, capacity), Status::success);
        ASSERT_EQ(pair.bucket.allow(capacity), Status::success);
        for (int i = 1; i <= 100; ++i) {
            ASSERT_EQ(pair.clock.advance(era_of(limit) * 3 / 10), Status::success);
            pair.table.allow(kKey + 1, capacity);
            if (i == 1 || i == 10 || i == 100) pair.expect_equal(std::to_string(i));
        }
    });
}

TEST(Eras, TheGreatestDebtIsRepaidToTheNanosecond) {
    for_each_limit([](double capacity, double rate, const tb::Limit &limit) {
        Pair pair(capacity, rate, limit);
        int64_t ns = 0;
        int64_t bucket_ns = 0;
        const double most = tb::to_tokens(limit.units.scale, static_cast<int64_t>(tb::kMaxDebtUnits));
        for (const double part : {0.5, 0.25, 0.125, 0.0625, 0.06}) {
            ASSERT_EQ(pair.table.charge(kKey, most * part, &ns), Status::success);
            ASSERT_EQ(pair.bucket.charge(most * part, &bucket_ns), Status::success);
            EXPECT_EQ(ns, bucket_ns);
        }
        EXPECT_EQ(pair.table.charge(kKey, most, &ns), Status::out_of_range);
        pair.expect_equal("in debt");
        if (ns > 100 * kYear) return;
        pair.clock.set(ns - 1);
        pair.expect_equal("before the end");
        EXPECT_LT(pair.table.available(kKey), 0);
        pair.clock.set(ns);
        EXPECT_GE(pair.table.available(kKey), 0);
        pair.expect_equal("at the end");
        pair.clock.set(ns + era_of(limit));
        pair.expect_equal("an era later");
    });
}

// So much more that a word could not tell it from a debt.
TEST(Eras, RefundsAboveTheCapacityAreDropped) {
    for_each_limit([](double capacity, double rate, const tb::Limit &limit) {
        Pair pair(capacity, rate, limit);
        const double most = 3 * tb::to_tokens(limit.units.scale, static_cast<int64_t>(tb::kMaxDebtUnits));
        for (int i = 0; i < 9; ++i) {
            ASSERT_EQ(pair.table.allow(kKey, capacity), pair.bucket.allow(capacity));
            EXPECT_EQ(pair.table.refund(kKey, most), pair.bucket.refund(most));
            pair.expect_equal(std::to_string(i));
        }
    });
}

int64_t some_time(int64_t era, tb_test::Trace *trace) {
    switch (trace->below(4)) {
        case 0:
            return trace->below(1000);
        case 1:
            return trace->below(kSecond);
        case 2:
            return trace->below(era);
        default:
            return trace->between(0, 7) * era + trace->between(-2, 2);
    }
}

void change_both(Pair *pair, double capacity, tb_test::Trace *trace) {
    const double n = capacity * static_cast<double>(trace->between(1, 1000)) / 1000;
    int64_t table_ns = 0;
    int64_t bucket_ns = 0;
    double table_tokens = 0;
    double bucket_tokens = 0;
    switch (trace->below(8)) {
        case 0:
            EXPECT_EQ(pair->table.charge(kKey, n * 100, &table_ns), pair->bucket.charge(n * 100, &bucket_ns));
            EXPECT_EQ(table_ns, bucket_ns);
            break;
        case 1:
            EXPECT_EQ(pair->table.refund(kKey, n), pair->bucket.refund(n));
            break;
        case 2:
            EXPECT_EQ(pair->table.take_up_to(kKey, n, &table_tokens), pair->bucket.take_up_to(n, &bucket_tokens));
            EXPECT_EQ(table_tokens, bucket_tokens);
            break;
        default:
            EXPECT_EQ(pair->table.allow(kKey, n), pair->bucket.allow(n));
    }
}

TEST(Eras, RandomTracesDecideAsABucket) {
    for_each_limit([](double capacity, double rate, const tb::Limit &limit) {
        tb_test::Trace trace(7);
        Pair pair(capacity, rate, limit);
        for (int i = 0; i < 300 && !testing::Test::HasFailure(); ++i) {
            const int64_t ns = some_time(era_of(limit), &trace);
            if (ns > 0 && pair.clock.now() < 100 * kYear) pair.clock.set(pair.clock.now() + ns);
            for (int64_t changes = trace.below(4); changes > 0; --changes) change_both(&pair, capacity, &trace);
            pair.expect_equal("step " + std::to_string(i));
        }
    });
}

TEST(Eras, AreToldApartOverAllTheirNumbers) {
    constexpr uint64_t kCount = uint64_t{1} << tb::kEraBits;
    for (const uint64_t era : {uint64_t{0}, uint64_t{3}, kCount / 2, kCount - 1}) {
        for (uint64_t passed = 0; passed < kCount - 1; ++passed)
            ASSERT_EQ(tb::is_long_idle(era, (era + passed) % kCount), passed >= 6) << passed;
        EXPECT_FALSE(tb::is_long_idle((era + 1) % kCount, era));
        EXPECT_EQ(tb::later_era((era + 1) % kCount, era), (era + 1) % kCount);
        EXPECT_EQ(tb::later_era(era, era), era);
        EXPECT_EQ(tb::later_era(era, (era + 1) % kCount), (era + 1) % kCount);
    }
}

// The era's number is that of the accrued position, whether the plan was moved often or once.
TEST(Eras, AreCountedAlikeInOneMoveAndInMany) {
    for_each_limit([](double, double, const tb::Limit &limit) {
        const tb::Plan start = tb::in_era(tb::make_plan(limit, 0, {0, {0, 0}}), 0);
        const int64_t era = era_of(limit);
        tb::Plan moved = start;
        for (int64_t i = 1; i <= 200; ++i) {
            const int64_t now = i * (era / 7) + i % 3;
            moved = tb::in_era(moved, now);
            const tb::Plan once = tb::in_era(start, now);
            ASSERT_EQ(moved.era(), once.era()) << i;
            ASSERT_EQ(moved.base.units, once.base.units) << i;
            ASSERT_EQ(moved.era(), once.base.units >> tb::kEraUnitBits) << i;
            ASSERT_EQ(tb::in_era(moved, now + static_cast<int64_t>(moved.elapsed_limit)).era(), moved.era()) << i;
        }
    });
}

// At the highest rate a table can be given, the eras' numbers are nearly used up in a century.
TEST(Eras, AKeyIsFullAtTheEndOfAllTime) {
    tb::Limit limit{};
    ASSERT_TRUE(read_limit(1000, 60, &limit));
    const double fastest = 8190.9999 / static_cast<double>(limit.units.scale) * 1e9;
    Pair pair(1000, 60, limit);
    ASSERT_EQ(pair.table.set_rate(fastest), Status::success);
    ASSERT_EQ(pair.table.allow(kKey, 1000), Status::success);
    const int64_t era = (int64_t{1} << tb::kEraUnitBits) / 8191;
    for (const int64_t eras : {7, 1000, 200000, 2, 2, 2}) {
        ASSERT_EQ(pair.clock.advance(eras * era), Status::success);
        EXPECT_EQ(pair.table.available(kKey), 1000);
    }
    for (const int eras_left : {9, 5, 3, 2, 1, 0}) {
        pair.clock.set((int64_t{1} << 62) - eras_left * era);
        EXPECT_EQ(pair.table.available(kKey), 1000) << eras_left;
    }
}

}  // namespace
