// The advice of bindings/TROUBLESHOOTING.md for servers that count windows: its table says how many requests pass in a
// minute at most, and here a client that saves up and then asks as often as it can gets that many.
#include <gtest/gtest.h>
#include <tokenbucket.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <fstream>
#include <string>
#include <vector>

namespace {

constexpr int64_t kMinute = INT64_C(60000000000);

struct Advice {
    double capacity;
    double per_minute;
    int most;
};

std::vector<Advice> table() {
    std::ifstream page(std::string(TB_SOURCE) + "/bindings/TROUBLESHOOTING.md");
    std::vector<Advice> rows;
    for (std::string line; std::getline(page, line);) {
        Advice row{};
        if (std::sscanf(line.c_str(), "| %lf | %lf | %d | ", &row.capacity, &row.per_minute, &row.most) == 3)
            rows.push_back(row);
    }
    return rows;
}

// The times at which a bucket that is full at 0 grants one token after the other, for three minutes.
std::vector<int64_t> greedy_requests(const Advice &advice) {
    tb_clock *clock = nullptr;
    tb_bucket *bucket = nullptr;
    tb_config config;
    tb_config_init(&config, sizeof config);
    tb_manual_clock_create(0, &clock);
    config.capacity = advice.capacity;
    config.rate_tokens = advice.per_minute;
    config.rate_period_ns = kMinute;
    config.clock = clock;
    EXPECT_EQ(tb_create_with(&config, &bucket), TB_SUCCESS);
    std::vector<int64_t> times;
    int64_t now = 0;
    while (now <= 3 * kMinute) {
        int64_t wait = 0;
        EXPECT_EQ(tb_time_until(bucket, 1, &wait), TB_SUCCESS);
        tb_manual_clock_advance(clock, wait);
        now += wait;
        EXPECT_EQ(tb_allow(bucket, 1), TB_SUCCESS);
        times.push_back(now);
    }
    tb_destroy(bucket);
    tb_clock_destroy(clock);
    return times;
}

// Both ends of a window count, as they do for a server that rounds times.
int most_in_a_minute(const std::vector<int64_t> &times) {
    size_t most = 0;
    std::deque<int64_t> window;
    for (const int64_t time : times) {
        window.push_back(time);
        while (window.front() < time - kMinute) window.pop_front();
        most = std::max(most, window.size());
    }
    return static_cast<int>(most);
}

TEST(ServerWindow, TheAdviceIsTrue) {
    const std::vector<Advice> rows = table();
    ASSERT_EQ(rows.size(), 4u);
    for (const Advice &advice : rows) {
        SCOPED_TRACE(testing::Message() << "capacity " << advice.capacity << ", " << advice.per_minute
                                        << " per minute");
        const int most = most_in_a_minute(greedy_requests(advice));
        EXPECT_LE(most, advice.most);
        // A bucket that holds one token only loses fractions of it between the nanoseconds.
        EXPECT_GE(most, advice.most - 1);
    }
}

}  // namespace
