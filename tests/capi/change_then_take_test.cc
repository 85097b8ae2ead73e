// A take from a full bucket stores a word anew, not as a difference to the last one: it must leave the limit in force
// that a change of the limit has just set, in each of the generations that the word counts.
#include <gtest/gtest.h>

#include "capi/include/tokenbucket.h"

namespace {

constexpr int64_t kSecond = 1000000000;
constexpr int kChanges = 20;

TEST(ChangeThenTake, KeepsTheNewLimit) {
    tb_clock *clock = nullptr;
    ASSERT_EQ(tb_manual_clock_create(0, &clock), TB_SUCCESS);
    tb_config config;
    ASSERT_EQ(tb_config_init(&config, sizeof config), TB_SUCCESS);
    config.capacity = 10;
    config.rate_tokens = 100;
    config.clock = clock;
    tb_bucket *b = nullptr;
    ASSERT_EQ(tb_create_with(&config, &b), TB_SUCCESS);
    for (int i = 1; i <= kChanges; ++i) {
        SCOPED_TRACE(i);
        const double capacity = 10 + i;
        ASSERT_EQ(tb_set_capacity(b, capacity), TB_SUCCESS);
        ASSERT_EQ(tb_manual_clock_advance(clock, kSecond), TB_SUCCESS);
        ASSERT_EQ(tb_allow(b, 1), TB_SUCCESS);
        ASSERT_EQ(tb_allow(b, capacity - 1), TB_SUCCESS);
        ASSERT_EQ(tb_allow(b, 1), TB_DENIED);
        ASSERT_EQ(tb_get_limit(b, &config), TB_SUCCESS);
        ASSERT_EQ(config.capacity, capacity);
    }
    tb_destroy(b);
    tb_clock_destroy(clock);
}

}  // namespace
