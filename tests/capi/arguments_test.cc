// Bad input to every function: the documented status, the bucket and the outputs untouched.
#include <gtest/gtest.h>

#include <cfloat>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "tests/support/api.h"

namespace {

using namespace tb_test;

const double kInfinity = std::numeric_limits<double>::infinity();
const double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kDenormal = 4.9406564584124654e-324;
constexpr double k2To53 = 9007199254740992.0;

const std::vector<double> kNoAmounts{kNan, -kNan, kInfinity, -kInfinity, 0.0, -0.0, -1.0, -kDenormal, -DBL_MAX};

// All bytes of an output carry this before a call that must not write it.
template <class T>
T untouched() {
    T value;
    std::memset(static_cast<void *>(&value), 0x5a, sizeof value);
    return value;
}

template <class T>
bool is_untouched(const T &value) {
    const T expected = untouched<T>();
    return std::memcmp(&value, &expected, sizeof value) == 0;
}

struct Call {
    std::string name;
    std::function<tb_status(tb_bucket *, double)> call;  // asserts by itself that a failure wrote no output
};

// Every function that takes an amount of tokens.
const std::vector<Call> kAmountCalls{
    {"tb_allow", [](tb_bucket *b, double n) { return tb_allow(b, n); }},
    {"tb_try_consume", [](tb_bucket *b, double n) { return tb_try_consume(b, n); }},
    {"tb_take",
     [](tb_bucket *b, double n) {
         tb_decision d = untouched<tb_decision>();
         const tb_status s = tb_take(b, n, &d);
         EXPECT_TRUE(s >= 0 || is_untouched(d));
         return s;
     }},
    {"tb_take_up_to",
     [](tb_bucket *b, double n) {
         double taken = untouched<double>();
         const tb_status s = tb_take_up_to(b, n, &taken);
         EXPECT_TRUE(s == TB_SUCCESS || is_untouched(taken));
         return s;
     }},
    {"tb_wait", [](tb_bucket *b, double n) { return tb_wait(b, n); }},
    {"tb_wait_for", [](tb_bucket *b, double n) { return tb_wait_for(b, n, 0); }},
    {"tb_reserve",
     [](tb_bucket *b, double n) {
         tb_reservation r = untouched<tb_reservation>();
         const tb_status s = tb_reserve(b, n, 0, &r);
         EXPECT_TRUE(s == TB_SUCCESS || is_untouched(r));
         return s;
     }},
    {"tb_charge",
     [](tb_bucket *b, double n) {
         int64_t ns = untouched<int64_t>();
         const tb_status s = tb_charge(b, n, &ns);
         EXPECT_TRUE(s == TB_SUCCESS || is_untouched(ns));
         return s;
     }},
    {"tb_refund", [](tb_bucket *b, double n) { return tb_refund(b, n); }},
    {"tb_time_until",
     [](tb_bucket *b, double n) {
         int64_t ns = untouched<int64_t>();
         const tb_status s = tb_time_until(b, n, &ns);
         EXPECT_TRUE(s == TB_SUCCESS || is_untouched(ns));
         return s;
     }},
};

class Arguments : public ManualBucket {
  protected:
    void SetUp() override {
        start(10, 5);
        ASSERT_EQ(allow(3), TB_SUCCESS);
    }
    void TearDown() override { EXPECT_EQ(left(), 7) << "the bucket changed"; }
};

TEST_F(Arguments, AnAmountIsPositiveAndFinite) {
    for (const Call &c : kAmountCalls)
        for (const double n : kNoAmounts)
            EXPECT_EQ(c.call(bucket.get(), n), TB_E_INVALID_ARGUMENT) << c.name << " " << n;
}

TEST_F(Arguments, AHugeAmountIsAnsweredNotComputed) {
    for (const Call &c : kAmountCalls) {
        if (c.name == "tb_take_up_to" || c.name == "tb_refund") continue;  // huge is "all there is", "to the brim"
        const tb_status expected = c.name == "tb_charge" ? TB_E_OUT_OF_RANGE : TB_EXCEEDS_CAPACITY;
        for (const double n : {k2To53, k2To53 * 2 + 2, 9223372036854775808.0, 18446744073709551616.0, 1e300, DBL_MAX})
            EXPECT_EQ(c.call(bucket.get(), n), expected) << c.name << " " << n;
    }
}

TEST_F(Arguments, ADenormalCostsOneUnit) {
    for (const double n : {kDenormal, DBL_MIN, 1e-300, 1e-10}) {
        EXPECT_EQ(allow(n), TB_SUCCESS);
        EXPECT_EQ(left(), 7 - 1e-9);
        ASSERT_EQ(tb_reset(bucket.get(), 7), TB_SUCCESS);
    }
}

TEST_F(Arguments, ABucketIsNeeded) {
    for (const Call &c : kAmountCalls) EXPECT_EQ(c.call(nullptr, 1), TB_E_INVALID_ARGUMENT) << c.name;
    tb_reservation r = untouched<tb_reservation>();
    tb_config config = config_of(1, 1, nullptr);
    double tokens = untouched<double>();
    EXPECT_EQ(tb_close(nullptr), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_cancel(nullptr, &r), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_reset(nullptr, 1), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_set_rate(nullptr, 1), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_set_capacity(nullptr, 1), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_available(nullptr, &tokens), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_get_limit(nullptr, &config), TB_E_INVALID_ARGUMENT);
    EXPECT_TRUE(is_untouched(r) && is_untouched(tokens));
    EXPECT_EQ(config.capacity, 1);
    tb_destroy(nullptr);
}

TEST_F(Arguments, RequiredOutputsAreNeeded) {
    EXPECT_EQ(tb_take(bucket.get(), 1, nullptr), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_take_up_to(bucket.get(), 1, nullptr), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_reserve(bucket.get(), 1, 0, nullptr), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_cancel(bucket.get(), nullptr), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_available(bucket.get(), nullptr), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_time_until(bucket.get(), 1, nullptr), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_get_limit(bucket.get(), nullptr), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_create(1, 1, nullptr), TB_E_INVALID_ARGUMENT);
    const tb_config config = config_of(1, 1, nullptr);
    EXPECT_EQ(tb_create_with(&config, nullptr), TB_E_INVALID_ARGUMENT);
    tb_bucket *none = nullptr;
    EXPECT_EQ(tb_create_with(nullptr, &none), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(none, nullptr);
    EXPECT_EQ(tb_config_init(nullptr, sizeof config), TB_E_INVALID_ARGUMENT);
}

TEST_F(Arguments, ATimeoutIsNotNegative) {
    tb_reservation r = untouched<tb_reservation>();
    for (const int64_t ns : {int64_t{-1}, INT64_MIN}) {
        EXPECT_EQ(tb_wait_for(bucket.get(), 1, ns), TB_E_INVALID_ARGUMENT);
        EXPECT_EQ(tb_reserve(bucket.get(), 1, ns, &r), TB_E_INVALID_ARGUMENT);
        EXPECT_TRUE(is_untouched(r));
    }
}

TEST_F(Arguments, ResetTakesZeroToCapacityOrFull) {
    for (const double n : {kNan, kInfinity, -kInfinity, -0.5, -2.0, -DBL_MAX, -kDenormal})
        EXPECT_EQ(tb_reset(bucket.get(), n), TB_E_INVALID_ARGUMENT) << n;
    for (const double n : {10.0000001, k2To53, DBL_MAX}) EXPECT_EQ(tb_reset(bucket.get(), n), TB_EXCEEDS_CAPACITY) << n;
}

TEST_F(Arguments, AnotherLimitMustBeInRange) {
    for (const double x : {kNan, kInfinity, -kInfinity}) {
        EXPECT_EQ(tb_set_rate(bucket.get(), x), TB_E_INVALID_ARGUMENT) << x;
        EXPECT_EQ(tb_set_capacity(bucket.get(), x), TB_E_INVALID_ARGUMENT) << x;
    }
    for (const double x : {0.0, -0.0, -1.0, kDenormal, DBL_MIN, 0.99e-9, 1.0000001e10, 1e300, DBL_MAX})
        EXPECT_EQ(tb_set_rate(bucket.get(), x), TB_E_OUT_OF_RANGE) << x;
    for (const double x : {0.0, -0.0, -1.0, kDenormal, DBL_MIN, 0.99e-6, 1.0000001e15, 1e300, DBL_MAX})
        EXPECT_EQ(tb_set_capacity(bucket.get(), x), TB_E_OUT_OF_RANGE) << x;
    tb_config config = config_of(1, 1, nullptr);
    ASSERT_EQ(tb_get_limit(bucket.get(), &config), TB_SUCCESS);
    EXPECT_EQ(config.capacity, 10);
    EXPECT_EQ(config.rate_tokens, 5);
}

class Creation : public testing::Test {
  protected:
    static tb_status create(const tb_config &config) {
        tb_bucket *b = nullptr;
        const tb_status s = tb_create_with(&config, &b);
        EXPECT_EQ(b != nullptr, s == TB_SUCCESS);
        tb_destroy(b);
        return s;
    }
    static tb_status create(double capacity, double rate) {
        tb_bucket *b = nullptr;
        const tb_status s = tb_create(capacity, rate, &b);
        EXPECT_EQ(b != nullptr, s == TB_SUCCESS);
        tb_destroy(b);
        return s;
    }
};

TEST_F(Creation, RangesAreChecked) {
    for (const double x : {kNan, kInfinity, -kInfinity}) {
        EXPECT_EQ(create(x, 1), TB_E_INVALID_ARGUMENT) << x;
        EXPECT_EQ(create(1, x), TB_E_INVALID_ARGUMENT) << x;
    }
    for (const double x : {0.0, -0.0, -1.0, -DBL_MAX, kDenormal, DBL_MIN, 1e300, DBL_MAX}) {
        EXPECT_EQ(create(x, 1), TB_E_OUT_OF_RANGE) << x;
        EXPECT_EQ(create(1, x), TB_E_OUT_OF_RANGE) << x;
    }
    for (const double capacity : {1e-6, 1.0, k2To53 / 16, 1e15})
        for (const double rate : {1e-9, 1e-5, 1.0 / 3, 7.0, 1e10})
            EXPECT_EQ(create(capacity, rate), TB_SUCCESS) << capacity << " " << rate;
    EXPECT_EQ(create(std::nextafter(1e-6, 0), 1), TB_E_OUT_OF_RANGE);
    EXPECT_EQ(create(std::nextafter(1e15, 2e15), 1), TB_E_OUT_OF_RANGE);
    EXPECT_EQ(create(1, std::nextafter(1e10, 2e10)), TB_E_OUT_OF_RANGE);
    EXPECT_EQ(create(1, std::nextafter(1e-9, 0)), TB_E_OUT_OF_RANGE);
}

TEST_F(Creation, TheRateIsCheckedAsAFraction) {
    tb_config config = config_of(1, 1, nullptr);
    for (const int64_t period : {int64_t{0}, int64_t{-1}, INT64_MIN}) {
        config.rate_period_ns = period;
        EXPECT_EQ(create(config), TB_E_INVALID_ARGUMENT);
    }
    config.rate_period_ns = INT64_MAX;
    EXPECT_EQ(create(config), TB_E_OUT_OF_RANGE) << "1 in 292 years is below 1e-9 per second";
    config.rate_tokens = 1e15;
    EXPECT_EQ(create(config), TB_SUCCESS);
    config.rate_period_ns = 1;
    config.rate_tokens = 10;
    EXPECT_EQ(create(config), TB_SUCCESS) << "10 per nanosecond is 1e10 per second";
    config.rate_tokens = 10.000001;
    EXPECT_EQ(create(config), TB_E_OUT_OF_RANGE);
}

TEST_F(Creation, InitialTokensAreZeroToCapacityOrFull) {
    tb_config config = config_of(10, 1, nullptr);
    for (const double x : {kNan, kInfinity, -kInfinity, -0.5, -2.0, -kDenormal}) {
        config.initial_tokens = x;
        EXPECT_EQ(create(config), TB_E_INVALID_ARGUMENT) << x;
    }
    for (const double x : {10.5, 1e300}) {
        config.initial_tokens = x;
        EXPECT_EQ(create(config), TB_E_OUT_OF_RANGE) << x;
    }
    for (const double x : {-1.0, -0.0, 0.0, kDenormal, 2.5, 10.0}) {
        config.initial_tokens = x;
        EXPECT_EQ(create(config), TB_SUCCESS) << x;
    }
}

TEST_F(Creation, OptionsAreChecked) {
    tb_config config = config_of(10, 1, nullptr);
    for (const int64_t bad : {int64_t{-1}, INT64_MIN}) {
        config.max_waiters = bad;
        EXPECT_EQ(create(config), TB_E_INVALID_ARGUMENT);
    }
    config.max_waiters = INT64_MAX;
    config.flags = TB_PRECISE_WAIT | TB_STATISTICS;
    EXPECT_EQ(create(config), TB_SUCCESS);
    for (const uint32_t unknown : {4u, 0x80000000u}) {
        config.flags = unknown | TB_STATISTICS;
        EXPECT_EQ(create(config), TB_E_UNSUPPORTED);
    }
    config.flags = 0;
    config.reserved = 1;
    EXPECT_EQ(create(config), TB_E_UNSUPPORTED);
}

// A config as a program of another version of the library would pass it.
class StructSize : public Creation {
  protected:
    static constexpr size_t kShortest = offsetof(tb_config, initial_tokens);

    struct Bytes {
        tb_config config;
        unsigned char tail[4096 - sizeof(tb_config)];
    };

    StructSize() {
        std::memset(static_cast<void *>(&bytes), 0, sizeof bytes);
        bytes.config = config_of(10, 1, nullptr);
    }
    tb_status create_of_size(size_t size) {
        bytes.config.struct_size = size;
        return create(bytes.config);
    }

    Bytes bytes;
};

TEST_F(StructSize, AShortStructMeansDefaults) {
    std::memset(reinterpret_cast<unsigned char *>(&bytes.config) + kShortest, 0xee, sizeof(tb_config) - kShortest);
    EXPECT_EQ(create_of_size(kShortest), TB_SUCCESS);
    bytes.config.struct_size = kShortest;
    tb_bucket *b = nullptr;
    ASSERT_EQ(tb_create_with(&bytes.config, &b), TB_SUCCESS);
    EXPECT_EQ(available(b), 10);
    tb_destroy(b);
}

TEST_F(StructSize, ASizeOfNoVersionIsRefused) {
    for (const size_t size :
         {size_t{0}, size_t{3}, size_t{8}, kShortest - 1, kShortest - 8, kShortest + 1, sizeof(tb_config) - 1,
          sizeof(tb_config) + alignof(tb_config) / 2, size_t{4097}, size_t{4104}, SIZE_MAX}) {
        EXPECT_EQ(create_of_size(size), TB_E_INVALID_ARGUMENT) << size;
        EXPECT_EQ(tb_config_init(&bytes.config, size), TB_E_INVALID_ARGUMENT) << size;
        EXPECT_EQ(bytes.config.capacity, 10) << size;
    }
}

TEST_F(StructSize, ALongStructMayOnlyHaveAZeroTail) {
    EXPECT_EQ(create_of_size(sizeof(tb_config) + 8), TB_SUCCESS);
    EXPECT_EQ(create_of_size(4096), TB_SUCCESS);
    for (const size_t at : {size_t{0}, size_t{7}, sizeof bytes.tail - 1}) {
        bytes.tail[at] = 1;
        EXPECT_EQ(create_of_size(4096), TB_E_UNSUPPORTED) << at;
        bytes.tail[at] = 0;
    }
    bytes.tail[8] = 1;
    EXPECT_EQ(create_of_size(sizeof(tb_config) + 8), TB_SUCCESS) << "beyond the struct";
}

TEST_F(StructSize, InitFillsWhatItKnowsAndZeroesTheRest) {
    std::memset(static_cast<void *>(&bytes), 0xee, sizeof bytes);
    ASSERT_EQ(tb_config_init(&bytes.config, sizeof(tb_config) + 16), TB_SUCCESS);
    EXPECT_EQ(bytes.config.struct_size, sizeof(tb_config) + 16);
    EXPECT_EQ(bytes.config.rate_period_ns, kSecond);
    EXPECT_EQ(bytes.config.initial_tokens, TB_INITIALLY_FULL);
    EXPECT_EQ(bytes.config.clock, nullptr);
    EXPECT_EQ(bytes.config.capacity, 0);
    EXPECT_EQ(bytes.tail[15], 0);
    EXPECT_EQ(bytes.tail[16], 0xee);
}

TEST_F(StructSize, GetLimitSaysAllThatWasAskedFor) {
    int user = 0;
    tb_config config = config_of(10, 1, nullptr);
    config.max_waiters = 7;
    config.flags = TB_PRECISE_WAIT | TB_STATISTICS;
    config.on_event = [](void *, const tb_event *) {};
    config.event_user = &user;
    const BucketHandle b = bucket_of(config);
    tb_config read = config_of(1, 1, nullptr);
    ASSERT_EQ(tb_get_limit(b.get(), &read), TB_SUCCESS);
    EXPECT_EQ(read.max_waiters, 7);
    EXPECT_EQ(read.flags, config.flags);
    EXPECT_EQ(read.reserved, 0u);
    EXPECT_EQ(read.on_event, config.on_event);
    EXPECT_EQ(read.event_user, &user);
}

TEST_F(StructSize, GetLimitWritesNoFurther) {
    const BucketHandle b = bucket_of(config_of(10, 5, nullptr));
    std::memset(static_cast<void *>(&bytes), 0xee, sizeof bytes);
    EXPECT_EQ(tb_get_limit(b.get(), &bytes.config), TB_E_INVALID_ARGUMENT) << "struct_size is garbage";
    bytes.config.struct_size = kShortest;
    ASSERT_EQ(tb_get_limit(b.get(), &bytes.config), TB_SUCCESS);
    EXPECT_EQ(bytes.config.capacity, 10);
    const unsigned char *const after = reinterpret_cast<unsigned char *>(&bytes.config) + kShortest;
    for (size_t i = 0; i < sizeof bytes - kShortest; ++i) ASSERT_EQ(after[i], 0xee) << i;
}

TEST(ArgumentsOfClocks, AreChecked) {
    tb_clock *none = nullptr;
    for (const int64_t start : {int64_t{-1}, INT64_MIN})
        EXPECT_EQ(tb_manual_clock_create(start, &none), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_manual_clock_create(0, nullptr), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_callback_clock_create(nullptr, nullptr, &none), TB_E_INVALID_ARGUMENT);
    const tb_clock_fn zero = [](void *) { return int64_t{0}; };
    EXPECT_EQ(tb_callback_clock_create(zero, nullptr, nullptr), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(none, nullptr);
    EXPECT_EQ(tb_manual_clock_set(nullptr, 1), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_manual_clock_waiters(nullptr, nullptr, nullptr), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_manual_clock_advance(nullptr, 1), TB_E_INVALID_ARGUMENT);
    tb_clock_destroy(nullptr);

    const ClockHandle manual = manual_clock(5);
    EXPECT_EQ(tb_manual_clock_set(manual.get(), -1), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_manual_clock_advance(manual.get(), -1), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_manual_clock_advance(manual.get(), INT64_MAX), TB_E_OUT_OF_RANGE);
    const BucketHandle b = bucket_of(config_of(1, 1, manual.get()));
    tb_reservation r{};
    ASSERT_EQ(tb_reserve(b.get(), 1, 0, &r), TB_SUCCESS);
    EXPECT_EQ(r.ready_at_ns, 5) << "the refused calls did not move the clock";

    ASSERT_EQ(tb_callback_clock_create(zero, nullptr, &none), TB_SUCCESS);
    const ClockHandle callback(none);
    EXPECT_EQ(tb_manual_clock_set(callback.get(), 1), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_manual_clock_advance(callback.get(), 1), TB_E_INVALID_ARGUMENT);
    int64_t count = untouched<int64_t>();
    EXPECT_EQ(tb_manual_clock_waiters(callback.get(), &count, nullptr), TB_E_INVALID_ARGUMENT);
    EXPECT_TRUE(is_untouched(count));
    EXPECT_EQ(tb_manual_clock_waiters(manual.get(), nullptr, nullptr), TB_SUCCESS);
}

}  // namespace
