// A refusal must be true of some instant within the call. A bucket that fills in a microsecond, with more than its
// threads can take, is full whenever anybody looks: it never denies, however long a thread is held up in a call.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "capi/include/tokenbucket.h"
#include "tests/support/effort.h"

namespace {

constexpr int kThreads = 8;

template <class Call>
int refusals_in_threads(Call call) {
    const int calls = static_cast<int>(support::effort("TB_CALLS", 400000, 40000));
    std::atomic<int> refused{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i)
        threads.emplace_back([&] {
            for (int k = 0; k < calls; ++k) refused += call() != TB_SUCCESS;
        });
    for (std::thread &t : threads) t.join();
    return refused;
}

template <class Call>
int refusals(Call call) {
    tb_bucket *b = nullptr;
    EXPECT_EQ(tb_create(1000, 1e9, &b), TB_SUCCESS);
    const int refused = refusals_in_threads([=] { return call(b); });
    tb_destroy(b);
    return refused;
}

TEST(FullBucket, NeverDeniesAWholeAmount) {
    EXPECT_EQ(refusals([](tb_bucket *b) { return tb_allow(b, 1); }), 0);
}

TEST(FullBucket, NeverDeniesAFractionalAmount) {
    EXPECT_EQ(refusals([](tb_bucket *b) { return tb_allow(b, 0.5); }), 0);
}

TEST(FullBucket, NeverDeniesWithADecision) {
    EXPECT_EQ(refusals([](tb_bucket *b) {
                  tb_decision d;
                  return tb_take(b, 1, &d);
              }),
              0);
}

TEST(FullBucket, NeverDeniesAKey) {
    tb_table *t = nullptr;
    ASSERT_EQ(tb_table_create(1000, 1e9, 100, &t), TB_SUCCESS);
    EXPECT_EQ(refusals_in_threads([=] { return tb_table_allow(t, "k", 1, 1); }), 0);
    tb_table_destroy(t);
}

TEST(FullBucket, NeverTimesOut) {
    EXPECT_EQ(refusals([](tb_bucket *b) {
                  tb_reservation r;
                  return tb_reserve(b, 1, 0, &r);
              }),
              0);
}

TEST(FullBucket, NeverGivesLess) {
    EXPECT_EQ(refusals([](tb_bucket *b) {
                  double taken = 0;
                  const tb_status s = tb_take_up_to(b, 2, &taken);
                  return taken == 2 ? s : TB_DENIED;
              }),
              0);
}

}  // namespace
