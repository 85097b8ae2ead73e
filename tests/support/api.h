// Buckets and clocks that end with the test, through the public header only.
#ifndef TOKENBUCKET_TESTS_SUPPORT_API_H
#define TOKENBUCKET_TESTS_SUPPORT_API_H

#include <gtest/gtest.h>

#include <memory>

#include "capi/include/tokenbucket.h"

namespace tb_test {

inline constexpr int64_t kMillisecond = 1000000;
inline constexpr int64_t kSecond = 1000000000;

struct Destroy {
    void operator()(tb_bucket *bucket) const { tb_destroy(bucket); }
    void operator()(tb_clock *clock) const { tb_clock_destroy(clock); }
    void operator()(tb_table *table) const { tb_table_destroy(table); }
    void operator()(tb_remote *remote) const { tb_remote_destroy(remote); }
};
using BucketHandle = std::unique_ptr<tb_bucket, Destroy>;
using TableHandle = std::unique_ptr<tb_table, Destroy>;
using RemoteHandle = std::unique_ptr<tb_remote, Destroy>;
using ClockHandle = std::unique_ptr<tb_clock, Destroy>;

inline ClockHandle manual_clock(int64_t start_ns = 0) {
    tb_clock *clock = nullptr;
    EXPECT_EQ(tb_manual_clock_create(start_ns, &clock), TB_SUCCESS);
    return ClockHandle(clock);
}

inline tb_config config_of(double capacity, double per_second, tb_clock *clock) {
    tb_config config;
    EXPECT_EQ(tb_config_init(&config, sizeof config), TB_SUCCESS);
    config.capacity = capacity;
    config.rate_tokens = per_second;
    config.clock = clock;
    return config;
}

inline BucketHandle bucket_of(const tb_config &config) {
    tb_bucket *bucket = nullptr;
    EXPECT_EQ(tb_create_with(&config, &bucket), TB_SUCCESS);
    return BucketHandle(bucket);
}

inline TableHandle table_of(const tb_config &limit, int64_t max_keys) {
    tb_table_config config;
    EXPECT_EQ(tb_table_config_init(&config, sizeof config), TB_SUCCESS);
    config.max_keys = max_keys;
    tb_table *table = nullptr;
    EXPECT_EQ(tb_table_create_with(&limit, &config, &table), TB_SUCCESS);
    return TableHandle(table);
}

inline RemoteHandle remote_of(const tb_config &limit, int64_t max_wait_ns) {
    tb_remote *remote = nullptr;
    EXPECT_EQ(tb_remote_create(&limit, max_wait_ns, &remote), TB_SUCCESS);
    return RemoteHandle(remote);
}

inline double available(tb_bucket *bucket) {
    double tokens = 0;
    EXPECT_EQ(tb_available(bucket, &tokens), TB_SUCCESS);
    return tokens;
}

// A bucket on a manual clock of its own, which starts at 0.
class ManualBucket : public testing::Test {
  protected:
    void start(double capacity, double per_second) {
        clock = manual_clock();
        bucket = bucket_of(config_of(capacity, per_second, clock.get()));
    }
    void advance(int64_t ns) { ASSERT_EQ(tb_manual_clock_advance(clock.get(), ns), TB_SUCCESS); }
    tb_status allow(double n) { return tb_allow(bucket.get(), n); }
    double left() { return available(bucket.get()); }

    ClockHandle clock;
    BucketHandle bucket;
};

}  // namespace tb_test

#endif
