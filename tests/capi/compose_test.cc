// Several limits in one decision: all grant, or nothing is taken.
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "capi/include/tokenbucket.h"
#include "tests/support/api.h"

namespace {

using tb_test::kSecond;

tb_member bucket_member(tb_bucket *bucket, double n) {
    return {bucket, nullptr, nullptr, 0, n};
}
tb_member key_member(tb_table *table, const char *key, double n) {
    return {nullptr, table, key, 1, n};
}

// Requests, 10 per second, and tokens, 1000 with 100 per second, and one bucket for each user, 5 with 1 per second.
class Compose : public testing::Test {
  protected:
    Compose() {
        members = {bucket_member(requests.get(), 1), bucket_member(tokens.get(), 100), key_member(users.get(), "a", 1)};
    }

    tb_status allow() { return tb_allow_all(members.data(), members.size(), &refusal); }
    tb_status reserve(int64_t max_wait_ns = TB_FOREVER) {
        reserved.resize(members.size());
        return tb_reserve_all(members.data(), members.size(), max_wait_ns, reserved.data(), &wait_ns, &refusal);
    }
    tb_status cancel() { return tb_cancel_all(members.data(), members.size(), reserved.data()); }
    void advance(int64_t ns) { ASSERT_EQ(tb_manual_clock_advance(clock.get(), ns), TB_SUCCESS); }
    double left_of_user(const char *key) {
        double left = 0;
        EXPECT_EQ(tb_table_available(users.get(), key, 1, &left), TB_SUCCESS);
        return left;
    }
    void expect_left(double requests_left, double tokens_left, double user_left) {
        EXPECT_EQ(tb_test::available(requests.get()), requests_left);
        EXPECT_EQ(tb_test::available(tokens.get()), tokens_left);
        EXPECT_EQ(left_of_user("a"), user_left);
    }
    void expect_refusal(int member, int64_t retry_after_ns) {
        EXPECT_EQ(refusal.member, member);
        EXPECT_EQ(refusal.retry_after_ns, retry_after_ns);
    }

    const tb_test::ClockHandle clock = tb_test::manual_clock();
    const tb_test::BucketHandle requests = tb_test::bucket_of(tb_test::config_of(10, 10, clock.get()));
    const tb_test::BucketHandle tokens = tb_test::bucket_of(tb_test::config_of(1000, 100, clock.get()));
    const tb_test::TableHandle users = tb_test::table_of(tb_test::config_of(5, 1, clock.get()), 100);
    std::vector<tb_member> members;
    std::vector<tb_reservation> reserved;
    int64_t wait_ns = -1;
    tb_refusal refusal{-1, 0, -1};
};

TEST_F(Compose, TakesFromAll) {
    EXPECT_EQ(allow(), TB_SUCCESS);
    expect_left(9, 900, 4);
    EXPECT_EQ(left_of_user("b"), 5);
    EXPECT_EQ(refusal.member, -1);
}

TEST_F(Compose, TakesNothingIfOneRefuses) {
    for (int i = 0; i < 5; ++i) EXPECT_EQ(allow(), TB_SUCCESS);
    EXPECT_EQ(allow(), TB_DENIED);
    expect_refusal(2, kSecond);
    expect_left(5, 500, 0);
    members[2].key = "b";
    EXPECT_EQ(allow(), TB_SUCCESS);
    expect_left(4, 400, 0);
}

TEST_F(Compose, NamesTheMemberThatTakesLongest) {
    EXPECT_EQ(tb_allow(requests.get(), 10), TB_SUCCESS);
    EXPECT_EQ(tb_allow(tokens.get(), 1000), TB_SUCCESS);
    EXPECT_EQ(allow(), TB_DENIED);
    expect_refusal(1, kSecond);
    members[1].n = 5;
    EXPECT_EQ(allow(), TB_DENIED);
    expect_refusal(0, kSecond / 10);
}

TEST_F(Compose, NamesTheMemberThatCanNeverGrant) {
    EXPECT_EQ(tb_allow(requests.get(), 10), TB_SUCCESS);
    members[1].n = 1001;
    EXPECT_EQ(allow(), TB_EXCEEDS_CAPACITY);
    expect_refusal(1, TB_FOREVER);
    EXPECT_EQ(reserve(), TB_EXCEEDS_CAPACITY);
    expect_refusal(1, TB_FOREVER);
    members[1].n = 1;
    EXPECT_EQ(tb_close(tokens.get()), TB_SUCCESS);
    EXPECT_EQ(allow(), TB_CLOSED);
    expect_refusal(1, TB_FOREVER);
    EXPECT_EQ(left_of_user("a"), 5);
}

TEST_F(Compose, BadMembersAreRefused) {
    EXPECT_EQ(tb_allow_all(nullptr, 1, &refusal), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_allow_all(members.data(), 0, &refusal), TB_E_INVALID_ARGUMENT);
    const std::vector<tb_member> many(TB_MAX_MEMBERS + 1, members[0]);
    EXPECT_EQ(tb_allow_all(many.data(), many.size(), &refusal), TB_E_INVALID_ARGUMENT);
    const auto refused = [this](tb_member bad) {
        const std::vector<tb_member> with{members[0], bad};
        return tb_allow_all(with.data(), with.size(), &refusal) == TB_E_INVALID_ARGUMENT;
    };
    EXPECT_TRUE(refused({}));
    EXPECT_TRUE(refused({tokens.get(), users.get(), "a", 1, 1}));
    EXPECT_TRUE(refused({nullptr, users.get(), nullptr, 1, 1}));
    EXPECT_TRUE(refused({nullptr, users.get(), "a", TB_MAX_KEY_SIZE + 1, 1}));
    EXPECT_TRUE(refused(bucket_member(tokens.get(), 0)));
    EXPECT_TRUE(refused(bucket_member(requests.get(), 2)));
    EXPECT_EQ(refusal.member, -1);
    expect_left(10, 1000, 5);
    EXPECT_EQ(tb_allow_all(members.data(), 3, nullptr), TB_SUCCESS);
}

TEST_F(Compose, SixteenMembers) {
    const std::string keys = "abcdefghijklmnop";
    std::vector<tb_member> all;
    for (const char &key : keys) all.push_back(key_member(users.get(), &key, 5));
    EXPECT_EQ(tb_allow_all(all.data(), all.size(), &refusal), TB_SUCCESS);
    EXPECT_EQ(tb_allow_all(all.data(), all.size(), &refusal), TB_DENIED);
    for (const char &key : keys) EXPECT_EQ(left_of_user(&key), 0);
}

TEST_F(Compose, ReservesForTheLatestOfAll) {
    EXPECT_EQ(tb_allow(tokens.get(), 1000), TB_SUCCESS);
    EXPECT_EQ(reserve(), TB_SUCCESS);
    EXPECT_EQ(wait_ns, kSecond);
    EXPECT_EQ(reserved[0].wait_ns, 0);
    EXPECT_EQ(reserved[1].wait_ns, kSecond);
    expect_left(9, -100, 4);
    EXPECT_EQ(reserve(kSecond), TB_TIMED_OUT);
    expect_refusal(1, 2 * kSecond);
    expect_left(9, -100, 4);
}

// C1 and C2 of the faults that were found: what was cancelled while another limit was waited for was lost.
TEST_F(Compose, CancelledWhileOneIsPendingGivesAllBack) {
    EXPECT_EQ(tb_allow(tokens.get(), 1000), TB_SUCCESS);
    for (int i = 0; i < 10; ++i) {
        EXPECT_EQ(reserve(), TB_SUCCESS);
        EXPECT_EQ(cancel(), TB_SUCCESS);
        EXPECT_EQ(reserved[0].tokens, 0);
    }
    expect_left(10, 0, 5);
}

TEST_F(Compose, CancelledOnceAllAreDueGivesNothingBack) {
    EXPECT_EQ(tb_allow(tokens.get(), 1000), TB_SUCCESS);
    EXPECT_EQ(reserve(), TB_SUCCESS);
    advance(kSecond);
    EXPECT_EQ(cancel(), TB_SUCCESS);
    expect_left(10, 0, 5);
    EXPECT_EQ(reserve(0), TB_TIMED_OUT);
    EXPECT_EQ(cancel(), TB_E_INVALID_ARGUMENT);
}

TEST_F(Compose, ReservesNothingIfTheLastRefuses) {
    EXPECT_EQ(tb_allow(requests.get(), 10), TB_SUCCESS);
    EXPECT_EQ(tb_table_charge(users.get(), "a", 1, 9, nullptr), TB_SUCCESS);
    EXPECT_EQ(reserve(4 * kSecond), TB_TIMED_OUT);
    expect_refusal(2, 5 * kSecond);
    expect_left(0, 1000, -4);
}

// There is room before a reservation, which a take does not see.
TEST_F(Compose, ReservesWhereThereIsRoom) {
    EXPECT_EQ(tb_allow(requests.get(), 10), TB_SUCCESS);
    tb_reservation r[3];
    for (tb_reservation &one : r) EXPECT_EQ(tb_reserve(requests.get(), 3, TB_FOREVER, &one), TB_SUCCESS);
    EXPECT_EQ(tb_cancel(requests.get(), &r[0]), TB_SUCCESS);
    EXPECT_EQ(tb_cancel(requests.get(), &r[1]), TB_SUCCESS);
    EXPECT_EQ(reserve(kSecond / 10 - 1), TB_TIMED_OUT);
    expect_refusal(0, kSecond / 10);
    EXPECT_EQ(reserve(kSecond / 10), TB_SUCCESS);
    EXPECT_EQ(wait_ns, kSecond / 10);
}

TEST_F(Compose, ReservesNothingFromWhatIsClosed) {
    EXPECT_EQ(tb_allow(requests.get(), 10), TB_SUCCESS);
    EXPECT_EQ(tb_allow(tokens.get(), 1000), TB_SUCCESS);
    EXPECT_EQ(tb_close(requests.get()), TB_SUCCESS);
    EXPECT_EQ(reserve(0), TB_CLOSED);
    expect_refusal(0, TB_FOREVER);
    members[0].n = 11;
    EXPECT_EQ(reserve(), TB_CLOSED);
}

// The members' takes are counted as those of others.
TEST_F(Compose, IsCounted) {
    tb_config config = tb_test::config_of(1, 1, clock.get());
    config.flags = TB_STATISTICS;
    const tb_test::BucketHandle counted = tb_test::bucket_of(config);
    members = {members[0], bucket_member(counted.get(), 1)};
    EXPECT_EQ(allow(), TB_SUCCESS);
    EXPECT_EQ(allow(), TB_DENIED);
    tb_stats stats;
    stats.struct_size = sizeof stats;
    EXPECT_EQ(tb_get_stats(counted.get(), &stats), TB_SUCCESS);
    EXPECT_EQ(stats.granted, 1);
    EXPECT_EQ(stats.denied, 1);
    EXPECT_EQ(stats.tokens_taken, 1);
    EXPECT_EQ(reserve(0), TB_TIMED_OUT);
    EXPECT_EQ(reserve(), TB_SUCCESS);
    EXPECT_EQ(cancel(), TB_SUCCESS);
    EXPECT_EQ(tb_get_stats(counted.get(), &stats), TB_SUCCESS);
    EXPECT_EQ(stats.granted, 2);
    EXPECT_EQ(stats.timed_out, 1);
    EXPECT_EQ(stats.cancelled, 1);
    EXPECT_EQ(stats.tokens_taken, 2);
    EXPECT_EQ(stats.tokens_given_back, 1);
}

// The last members lie on a clock that does something when it is read: between the look at a member and the take of it.
class Interrupted : public Compose {
  protected:
    Interrupted() {
        tb_clock *made = nullptr;
        EXPECT_EQ(tb_callback_clock_create(read, this, &made), TB_SUCCESS);
        callback.reset(made);
        last = tb_test::bucket_of(tb_test::config_of(1, 1, callback.get()));
        end = tb_test::bucket_of(tb_test::config_of(1, 1, callback.get()));
        members = {bucket_member(requests.get(), 10), key_member(users.get(), "a", 5)};
        reads = 0;
    }
    static int64_t read(void *user) {
        Interrupted *const self = static_cast<Interrupted *>(user);
        ++self->reads;
        if (self->at_read) self->at_read(self->reads);
        return 0;
    }

    std::function<void(int)> at_read;
    int reads = 0;
    tb_test::ClockHandle callback;
    tb_test::BucketHandle last;
    tb_test::BucketHandle end;
};

TEST_F(Interrupted, GivesBackWhatItTookIfAnotherWasFaster) {
    members.push_back(bucket_member(tokens.get(), 1000));
    members.push_back(bucket_member(last.get(), 1));
    at_read = [this](int) { tb_allow(tokens.get(), 1); };
    EXPECT_EQ(allow(), TB_DENIED);
    expect_refusal(2, kSecond / 100);
    expect_left(10, 999, 5);
    EXPECT_EQ(tb_test::available(last.get()), 1);
}

TEST_F(Interrupted, TakesAllTheSameIfThereIsEnough) {
    members.push_back(bucket_member(tokens.get(), 999));
    members.push_back(bucket_member(last.get(), 1));
    at_read = [this](int) { tb_allow(tokens.get(), 1); };
    EXPECT_EQ(allow(), TB_SUCCESS);
    expect_left(0, 0, 0);
}

// The clock is read for the last member, for the end, by the take in that reading, and when the last is looked at
// again. Requests and the user's tokens are full again by then: all that was taken of them has overflowed.
TEST_F(Interrupted, GivesBackNoMoreThanHasNotOverflowed) {
    members.push_back(bucket_member(last.get(), 1));
    members.push_back(bucket_member(end.get(), 1));
    at_read = [this](int read) {
        if (read == 2) tb_allow(last.get(), 1);
        if (read != 4) return;
        advance(10 * kSecond);
        tb_allow(requests.get(), 4);
        tb_table_allow(users.get(), "a", 1, 2);
    };
    EXPECT_EQ(allow(), TB_DENIED);
    EXPECT_EQ(refusal.member, 2);
    expect_left(6, 1000, 3);
}

// What was taken before a reset is not given back after it.
TEST_F(Interrupted, GivesNothingBackAfterAReset) {
    members = {bucket_member(requests.get(), 10), bucket_member(tokens.get(), 1000), bucket_member(last.get(), 1)};
    members.push_back(bucket_member(end.get(), 1));
    at_read = [this](int read) {
        if (read == 2) tb_allow(last.get(), 1);
        if (read == 4) tb_reset(requests.get(), 0);
    };
    EXPECT_EQ(allow(), TB_DENIED);
    EXPECT_EQ(refusal.member, 2);
    expect_left(0, 1000, 5);
}

}  // namespace
