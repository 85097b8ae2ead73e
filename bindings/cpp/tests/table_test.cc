// The C++ class of a table: what each call answers for a key, and what a key may be.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "tokenbucket.hpp"

namespace {

using namespace std::chrono_literals;
using tokenbucket::address_key;
using tokenbucket::AddressKey;
using tokenbucket::Batch;
using tokenbucket::Config;
using tokenbucket::Decision;
using tokenbucket::Key;
using tokenbucket::kForever;
using tokenbucket::ManualClock;
using tokenbucket::Reservation;
using tokenbucket::Result;
using tokenbucket::Status;
using tokenbucket::Table;
using tokenbucket::TableConfig;
using tokenbucket::TableStats;
using tokenbucket::WhenFull;

static_assert(std::is_nothrow_move_constructible_v<Table> && std::is_nothrow_move_assignable_v<Table> &&
              !std::is_copy_constructible_v<Table> && !std::is_default_constructible_v<Table>);
static_assert(sizeof(Table) == 2 * sizeof(tb_table *) && sizeof(Key) == 2 * sizeof(void *));
static_assert(!std::is_convertible_v<std::vector<int>, Key> && !std::is_convertible_v<int, Key>);

Config limit_on(const ManualClock &clock) {
    Config limit;
    limit.capacity = 10;
    limit.rate_tokens = 1;
    limit.clock = clock.get();
    return limit;
}

TableConfig for_keys(std::int64_t most, WhenFull when_full = WhenFull::evict_fullest) {
    TableConfig config;
    config.max_keys = most;
    config.when_full = when_full;
    return config;
}

// Ten tokens for each key, one a second, on a manual clock that stands at 0.
class CppTable : public testing::Test {
  protected:
    double left(Key key) const { return *table.available(key); }

    ManualClock clock;
    Table table{limit_on(clock), for_keys(100)};
};

TEST_F(CppTable, EachKeyHasABucketOfItsOwn) {
    EXPECT_TRUE(table.allow("a"));
    EXPECT_TRUE(table.allow("a", 9));
    EXPECT_EQ(table.allow("a").status(), Status::denied);
    EXPECT_TRUE(table.allow("b", 10));
    EXPECT_EQ(table.allow("c", 11).status(), Status::exceeds_capacity);
    EXPECT_EQ(table.allow("c", std::nan("")).status(), Status::invalid_argument);
    EXPECT_EQ(left("c"), 10);
}

TEST_F(CppTable, TakeTellsWhatIsLeftAndWhenToComeBack) {
    const Decision granted = table.take("a", 8);
    EXPECT_TRUE(granted);
    EXPECT_EQ(granted.remaining, 2);
    EXPECT_EQ(granted.retry_after, 0s);
    EXPECT_EQ(granted.reset_after, 8s);

    const Decision denied = table.take("a", 5);
    EXPECT_EQ(denied.status, Status::denied);
    EXPECT_EQ(denied.remaining, 2);
    EXPECT_EQ(denied.retry_after, 3s);
    EXPECT_EQ(table.take("a", 11).retry_after, kForever);
    EXPECT_EQ(table.take("a", -1).status, Status::invalid_argument);
    EXPECT_EQ(table.take("b").remaining, 9);
}

TEST_F(CppTable, TakesWhatIsThere) {
    EXPECT_EQ(*table.take_up_to("a", 7), 7);
    EXPECT_EQ(*table.take_up_to("a", 7), 3);
    EXPECT_EQ(*table.take_up_to("a", 7), 0);
    EXPECT_EQ(*table.take_up_to("b", 7), 7);
    EXPECT_EQ(table.take_up_to("a", -1).status(), Status::invalid_argument);
}

TEST_F(CppTable, ManyKeysAreAnsweredInOneCall) {
    Batch batch;
    EXPECT_TRUE(table.allow_many(batch));
    batch.add("a", 6);
    batch.add("b");
    batch.add("a", 6);
    batch.add("a", 11);
    batch.add("", 2);
    EXPECT_EQ(batch.size(), 5u);
    EXPECT_EQ(batch[1], Status::invalid_argument) << "not asked yet";
    EXPECT_TRUE(table.allow_many(batch));
    const std::vector<Status> expected{Status::success, Status::success, Status::denied, Status::exceeds_capacity,
                                       Status::success};
    for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(batch[i], expected[i]) << i;
    EXPECT_EQ(left("a"), 4);
    EXPECT_EQ(left("b"), 9);
    EXPECT_EQ(left(""), 8);

    batch.clear();
    EXPECT_EQ(batch.size(), 0u);
    batch.add("b", 9);
    EXPECT_TRUE(table.allow_many(batch));
    EXPECT_EQ(batch[0], Status::success);
    EXPECT_EQ(left("b"), 0);

    batch.add(std::string(TB_MAX_KEY_SIZE + 1, 'x'));
    EXPECT_EQ(table.allow_many(batch).status(), Status::invalid_argument);
}

TEST_F(CppTable, AKeyIsBytesOfAnyKind) {
    const std::string text = "user 7";
    const std::vector<std::byte> bytes(reinterpret_cast<const std::byte *>(text.data()),
                                       reinterpret_cast<const std::byte *>(text.data() + text.size()));
    const std::array<std::uint8_t, 6> numbers{'u', 's', 'e', 'r', ' ', '7'};
    EXPECT_TRUE(table.allow(text));
    EXPECT_TRUE(table.allow("user 7"));
    EXPECT_TRUE(table.allow(text.c_str()));
    EXPECT_TRUE(table.allow(std::string_view("user 7 is it").substr(0, 6)));
    EXPECT_TRUE(table.allow(bytes));
    EXPECT_TRUE(table.allow(numbers));
    EXPECT_TRUE(table.allow(std::span<const std::byte>(bytes)));
    EXPECT_TRUE(table.allow({text.data(), text.size()}));
    EXPECT_EQ(left(text), 2);

    EXPECT_TRUE(table.allow(std::string_view("user 7\0a", 8)));
    EXPECT_TRUE(table.allow(std::string("user 7\0b", 8), 2));
    EXPECT_EQ(left(std::string_view("user 7\0a", 8)), 9);
    EXPECT_EQ(left(std::string_view("user 7\0b", 8)), 8);
    EXPECT_EQ(left("user 7"), 2) << "a zero is a byte like others";
}

TEST_F(CppTable, AKeyMayBeEmptyAndLongButNotTooLong) {
    const std::string longest(TB_MAX_KEY_SIZE, 'x');
    const std::string too_long(TB_MAX_KEY_SIZE + 1, 'x');
    EXPECT_TRUE(table.allow("", 3));
    EXPECT_TRUE(table.allow(std::string_view(), 3));
    EXPECT_EQ(left(""), 4);
    EXPECT_TRUE(table.allow(longest, 4));
    EXPECT_EQ(left(longest), 6);
    EXPECT_EQ(left(std::string_view(longest).substr(1)), 10);
    EXPECT_EQ(table.reserve(longest, 7)->delay(), 1s);
    EXPECT_EQ(table.reserve("", 5)->delay(), 1s);

    EXPECT_EQ(table.allow(too_long).status(), Status::invalid_argument);
    EXPECT_EQ(table.take(too_long).status, Status::invalid_argument);
    EXPECT_EQ(table.take_up_to(too_long, 1).status(), Status::invalid_argument);
    EXPECT_EQ(table.wait(too_long).status(), Status::invalid_argument);
    EXPECT_EQ(table.enqueue(too_long, 1).status(), Status::invalid_argument);
    EXPECT_EQ(table.reserve(too_long).status(), Status::invalid_argument);
    EXPECT_EQ(table.charge(too_long, 1).status(), Status::invalid_argument);
    EXPECT_EQ(table.refund(too_long, 1).status(), Status::invalid_argument);
    EXPECT_EQ(table.remove(too_long).status(), Status::invalid_argument);
    EXPECT_EQ(table.available(too_long).status(), Status::invalid_argument);
    EXPECT_EQ(table.time_until(too_long, 1).status(), Status::invalid_argument);
}

TEST_F(CppTable, AnAddressIsAKey) {
    const auto bytes = [](const Result<AddressKey> &key) {
        return std::vector<int>(key->data(), key->data() + key->size());
    };
    EXPECT_EQ(bytes(address_key("192.0.2.1:80")), (std::vector<int>{192, 0, 2, 1}));
    EXPECT_EQ(bytes(address_key("[2001:db8::1]:80")),
              (std::vector<int>{0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}));
    EXPECT_EQ(bytes(address_key("2001:db8::1", 128)).back(), 1);
    EXPECT_EQ(address_key("no address").status(), Status::invalid_argument);
    EXPECT_EQ(address_key("").status(), Status::invalid_argument);
    EXPECT_EQ(address_key("192.0.2.1", 129).status(), Status::invalid_argument);

    EXPECT_TRUE(table.allow(*address_key("192.0.2.1"), 4));
    EXPECT_EQ(left(*address_key("::ffff:192.0.2.1")), 6);
    EXPECT_EQ(left(*address_key("192.0.2.2")), 10);
}

TEST_F(CppTable, ChargeRefundAndRemove) {
    EXPECT_EQ(*table.charge("a", 12), 2s);
    EXPECT_EQ(left("a"), -2);
    EXPECT_EQ(*table.time_until("a", 3), 5s);
    EXPECT_TRUE(table.refund("a", 3));
    EXPECT_EQ(left("a"), 1);
    EXPECT_TRUE(table.remove("a"));
    EXPECT_EQ(left("a"), 10);
    EXPECT_EQ(left("b"), 10);
    EXPECT_EQ(table.charge("a", -1).status(), Status::invalid_argument);
    EXPECT_EQ(table.refund("a", 0).status(), Status::invalid_argument);
    EXPECT_EQ(table.time_until("a", 11).status(), Status::exceeds_capacity);
}

TEST_F(CppTable, AReservationThatEndsGivesItsTokensBackToItsKey) {
    table.allow("a", 10).value();
    std::string name = "a";
    {
        const Result<Reservation> promise = table.reserve(name, 4);
        name = "b";
        ASSERT_TRUE(promise);
        EXPECT_EQ(promise->tokens(), 4);
        EXPECT_EQ(promise->delay(), 4s);
        EXPECT_EQ(promise->ready_at().time_since_epoch(), 4s);
        EXPECT_EQ(left("a"), -4);
        EXPECT_EQ(left("b"), 10);
    }
    EXPECT_EQ(left("a"), 0);
    EXPECT_EQ(table.reserve("a", 2, 1999ms).status(), Status::timed_out);
    EXPECT_EQ(table.reserve("a", 11).status(), Status::exceeds_capacity);

    Reservation kept = table.reserve("a", 3).value();
    kept.commit();
    kept.cancel();
    EXPECT_EQ(left("a"), -3);
    Reservation settled = table.reserve("a", 3).value();
    EXPECT_EQ(settled.settle(-1).status(), Status::invalid_argument);
    EXPECT_TRUE(settled.settle(1));
    EXPECT_EQ(settled.settle(1).status(), Status::invalid_argument);
    EXPECT_EQ(left("a"), -4);
    Reservation first = table.reserve("b", 10).value();
    Reservation second = table.reserve("a", 1).value();
    second = std::move(first);  // that of a goes back
    EXPECT_EQ(left("a"), -4);
    EXPECT_TRUE(second.settle(0));
    EXPECT_EQ(left("b"), 10);
}

TEST_F(CppTable, OneLimitForAllKeys) {
    table.allow("a", 8).value();
    EXPECT_TRUE(table.set_capacity(4));
    EXPECT_TRUE(table.set_rate(2));
    EXPECT_EQ(left("a"), 2);
    EXPECT_EQ(*table.time_until("a", 4), 1s);
    EXPECT_EQ(left("b"), 4);
    EXPECT_EQ(table.set_rate(0).status(), Status::out_of_range);
    EXPECT_EQ(table.set_capacity(0).status(), Status::out_of_range);

    const Config limit = table.limit().value();
    EXPECT_EQ(limit.capacity, 4);
    EXPECT_EQ(limit.rate_tokens / std::chrono::duration<double>(limit.rate_period).count(), 2);
    EXPECT_EQ(limit.clock, clock.get());
    EXPECT_EQ(limit.unit, 1e-9);
    EXPECT_EQ(limit.on_wake, nullptr) << "that of the table's own loops serves no other table";
    EXPECT_EQ(limit.wake_user, nullptr);
}

TEST_F(CppTable, CountsItsKeys) {
    const TableStats empty = table.stats().value();
    EXPECT_GE(empty.places, 100);
    EXPECT_EQ(empty.occupied, 0);
    table.allow("a", 2).value();
    table.allow("b", 10).value();
    EXPECT_EQ(table.stats()->occupied, 2);
    clock.advance(2s).value();
    EXPECT_EQ(table.stats()->occupied, 1);
    EXPECT_EQ(table.stats()->evicted, 0);
    EXPECT_EQ(table.stats()->tokens_forgiven, 0);
}

// A table of few places, each with a key that has taken one token.
struct FullTable {
    explicit FullTable(WhenFull when_full) : table(limit_on(clock), config(when_full)) {
        const std::int64_t places = table.stats()->places;
        for (std::int64_t i = 0; i < places; ++i) table.allow(std::to_string(i)).value();
        EXPECT_EQ(table.stats()->occupied, places);
    }
    static TableConfig config(WhenFull when_full) {
        TableConfig config;
        config.max_bytes = 64;
        config.when_full = when_full;
        return config;
    }

    ManualClock clock;
    Table table;
};

TEST(CppFullTable, Denies) {
    FullTable full(WhenFull::deny);
    Table &table = full.table;
    EXPECT_EQ(table.allow("new").status(), Status::table_full);
    EXPECT_EQ(table.take("new").status, Status::table_full);
    EXPECT_EQ(table.take("new").retry_after, 0s);
    EXPECT_EQ(table.take_up_to("new", 1).status(), Status::table_full);
    EXPECT_EQ(table.wait("new").status(), Status::table_full);
    EXPECT_EQ(table.enqueue("new", 1).status(), Status::table_full);
    EXPECT_EQ(table.reserve("new").status(), Status::table_full);
    EXPECT_EQ(table.charge("new", 1).status(), Status::table_full);
    Batch batch;
    batch.add("new");
    batch.add("0");
    EXPECT_TRUE(table.allow_many(batch));
    EXPECT_EQ(batch[0], Status::table_full);
    EXPECT_EQ(batch[1], Status::success);
    EXPECT_THROW(table.allow("new").value(), tokenbucket::Error);
    full.clock.advance(2s).value();
    EXPECT_TRUE(table.allow("new")) << "full keys make room";
    EXPECT_EQ(table.stats()->tokens_forgiven, 0);
}

TEST(CppFullTable, AdmitsWithoutRemembering) {
    FullTable full(WhenFull::admit);
    EXPECT_TRUE(full.table.allow("new", 7));
    EXPECT_EQ(*full.table.available("new"), 10);
    EXPECT_EQ(full.table.stats()->tokens_forgiven, 7);
    EXPECT_EQ(full.table.stats()->evicted, 0);
}

TEST(CppFullTable, EvictsTheFullestKey) {
    FullTable full(WhenFull::evict_fullest);
    const std::int64_t places = full.table.stats()->places;
    for (std::int64_t i = 1; i < places; ++i) full.table.allow(std::to_string(i)).value();
    EXPECT_TRUE(full.table.allow("new", 5));
    EXPECT_EQ(*full.table.available("new"), 5);
    EXPECT_EQ(*full.table.available("0"), 10);
    EXPECT_EQ(full.table.stats()->evicted, 1);
    EXPECT_EQ(full.table.stats()->tokens_forgiven, 1);
}

TEST_F(CppTable, AClosedTableCanBeLookedAt) {
    Reservation promise = table.reserve("a", 4).value();
    table.close();
    table.close();
    EXPECT_EQ(table.allow("a").status(), Status::closed);
    EXPECT_EQ(table.take("b").status, Status::closed);
    EXPECT_EQ(table.wait("a").status(), Status::closed);
    EXPECT_EQ(table.reserve("a").status(), Status::closed);
    EXPECT_EQ(promise.settle(1).status(), Status::closed);
    EXPECT_EQ(left("a"), 6);
}

TEST_F(CppTable, AMovedFromTableRefuses) {
    Table moved = std::move(table);
    EXPECT_TRUE(moved.allow("a", 10));
    EXPECT_EQ(table.get(), nullptr);
    EXPECT_EQ(table.allow("a").status(), Status::invalid_argument);
    EXPECT_EQ(table.take("a").status, Status::invalid_argument);
    EXPECT_EQ(table.reserve("a").status(), Status::invalid_argument);
    EXPECT_EQ(table.enqueue("a", 1).status(), Status::invalid_argument);
    EXPECT_EQ(table.limit().status(), Status::invalid_argument);
    EXPECT_EQ(table.stats().status(), Status::invalid_argument);
    table.close();
    table = std::move(moved);
    EXPECT_EQ(table.allow("a").status(), Status::denied);
}

TEST(CppTableConfig, IsHandedOn) {
    ManualClock clock;
    const auto wake = [](std::uint64_t) {};
    Config limit = limit_on(clock);
    limit.max_waiters = 5;
    limit.max_lateness = 7ms;
    limit.precise_wait = true;
    limit.wake_by(wake);
    const Table table(limit, for_keys(10));
    const Config found = table.limit().value();
    EXPECT_EQ(found.max_waiters, 5);
    EXPECT_EQ(found.max_lateness, 7ms);
    EXPECT_TRUE(found.precise_wait);
    EXPECT_EQ(found.on_wake, limit.on_wake);
    EXPECT_EQ(found.wake_user, &wake);
    TableConfig by_bytes;
    by_bytes.max_bytes = 4096;
    EXPECT_EQ(Table(limit, by_bytes).stats()->places, 4096 / 16);
}

TEST(CppTableConfig, IsRefused) {
    ManualClock clock;
    EXPECT_TRUE(Table::create(10, 5, 1000));
    EXPECT_EQ(Table::create(10, 5, 0).status(), Status::invalid_argument);
    EXPECT_EQ(Table::create(0, 5, 10).status(), Status::out_of_range);
    EXPECT_EQ(Table::create(limit_on(clock), TableConfig{}).status(), Status::invalid_argument);
    EXPECT_EQ(Table::create(limit_on(clock), for_keys(10, WhenFull{7})).status(), Status::unsupported);
    Config limit = limit_on(clock);
    limit.statistics = true;
    EXPECT_EQ(Table::create(limit, for_keys(10)).status(), Status::unsupported);
    limit = limit_on(clock);
    limit.initial_tokens = 5;
    EXPECT_EQ(Table::create(limit, for_keys(10)).status(), Status::unsupported);
    EXPECT_THROW(Table(10, 5, 0), tokenbucket::Error);
    tb_table_config c;
    ASSERT_EQ(tb_table_config_init(&c, sizeof c), TB_SUCCESS);
    EXPECT_EQ(static_cast<std::int32_t>(TableConfig{}.when_full), c.when_full);
}

// Sixteen threads ask for three times what there is of each key, half of them with batches.
TEST(CppTables, ThreadsGetWhatIsThereAndNoMore) {
    constexpr int kThreads = 16;
    constexpr int kKeys = 500;
    ManualClock clock;
    Config limit = limit_on(clock);
    limit.capacity = 32;
    Table table(limit, for_keys(40 * kKeys));
    std::array<std::atomic<int>, kKeys> granted{};
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t)
        threads.emplace_back([&, t] {
            Batch batch;
            for (int round = 0; round < 6; ++round) {
                batch.clear();
                for (int k = 0; k < kKeys; ++k) {
                    const int key = (k + 31 * t) % kKeys;
                    if (t % 2 == 0) {
                        granted[static_cast<std::size_t>(key)] += bool(table.allow(std::to_string(key)));
                    } else {
                        batch.add(std::to_string(key));
                    }
                }
                EXPECT_TRUE(table.allow_many(batch));
                for (std::size_t i = 0; i < batch.size(); ++i)
                    granted[(i + 31 * static_cast<std::size_t>(t)) % kKeys] += batch[i] == Status::success;
            }
        });
    for (std::thread &thread : threads) thread.join();
    for (int k = 0; k < kKeys; ++k) {
        EXPECT_EQ(granted[static_cast<std::size_t>(k)], 32) << k;
        EXPECT_EQ(*table.available(std::to_string(k)), 0) << k;
    }
    EXPECT_EQ(table.stats()->occupied, kKeys);
    EXPECT_EQ(table.stats()->evicted, 0);
}

}  // namespace
