// Buckets in memory that processes share: what opens, what does not and why, and waits that other processes end.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tokenbucket.hpp"

namespace {

using namespace std::chrono_literals;
using tokenbucket::Bucket;
using tokenbucket::Config;
using tokenbucket::Difference;
using tokenbucket::Limits;
using tokenbucket::SharedFault;
using tokenbucket::Status;
using tokenbucket::Waited;

// Next to nothing comes in during a test.
Config slow(double capacity = 10) {
    Config config;
    config.capacity = capacity;
    config.rate_tokens = 1e-6;
    return config;
}

class CppShared : public testing::Test {
  protected:
    void SetUp() override {
        if (tokenbucket::has_feature("shared_memory")) return;
        EXPECT_EQ(Bucket::open_shared(nullptr, slow()).status(), Status::unsupported);
        EXPECT_EQ(tokenbucket::remove_shared("x").status(), Status::unsupported);
        GTEST_SKIP() << "no shared memory here";
    }
    void TearDown() override { (void)tokenbucket::remove_shared(name.c_str()); }
    Bucket open() const { return Bucket::open_shared(name.c_str(), slow()).value(); }

    const std::string name = "tokenbucket-cpp-" + std::to_string(::getpid());
};

TEST_F(CppShared, TokensAreThoseOfAll) {
    Bucket one = open();
    Bucket other = open();
    EXPECT_TRUE(one.allow(4));
    const pid_t child = ::fork();
    if (child == 0) ::_exit(open().allow(3) ? 0 : 1);
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(other.allow(4).status(), Status::denied);
    EXPECT_TRUE(other.allow(3));
}

TEST_F(CppShared, ANamelessOneIsThatOfTheChildren) {
    Bucket bucket = Bucket::open_shared(nullptr, slow()).value();
    const pid_t child = ::fork();
    if (child == 0) ::_exit(bucket.allow(4) ? 0 : 1);
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    EXPECT_TRUE(bucket.allow(6));
    EXPECT_FALSE(bucket.allow());
}

TEST_F(CppShared, AnotherLimitIsAMismatch) {
    const Bucket first = open();
    SharedFault fault;
    EXPECT_EQ(Bucket::open_shared(name.c_str(), slow(11), &fault).status(), Status::mismatch);
    EXPECT_EQ(fault.difference, Difference::capacity);
    EXPECT_STREQ(message(fault.difference), "the shared limit has another capacity");
    const auto adopted = Bucket::adopt_shared(name.c_str(), slow(11), &fault);
    ASSERT_TRUE(adopted);
    EXPECT_EQ(fault.difference, Difference{});
    EXPECT_EQ(adopted->limit()->capacity, 10);
}

TEST_F(CppShared, ARemovedNameIsFree) {
    Bucket one = open();
    EXPECT_TRUE(tokenbucket::remove_shared(name.c_str()));
    EXPECT_TRUE(tokenbucket::remove_shared(name.c_str()));
    Bucket other = open();
    EXPECT_TRUE(one.allow(10));
    EXPECT_TRUE(other.allow(10));
}

TEST_F(CppShared, Failures) {
    SharedFault fault;
    EXPECT_EQ(Bucket::open_shared("/no/such/folder/bucket", slow(), &fault).status(), Status::system_error);
    EXPECT_EQ(fault.error_number, ENOENT);
    EXPECT_EQ(Bucket::open_shared("", slow(), &fault).status(), Status::invalid_argument);
    EXPECT_EQ(fault.error_number, 0);
    EXPECT_EQ(tokenbucket::remove_shared("a/b", &fault).status(), Status::invalid_argument);
    const tokenbucket::ManualClock clock;
    Config config = slow();
    config.clock = clock.get();
    EXPECT_EQ(Bucket::open_shared(name.c_str(), config).status(), Status::unsupported);
    Bucket bucket = open();
    EXPECT_TRUE(Limits(bucket.member(10)).allow());
    EXPECT_EQ(Limits(bucket.member()).wait().status(), Status::unsupported);
}

tokenbucket::TableConfig of_keys(std::int64_t max_keys) {
    tokenbucket::TableConfig config;
    config.max_keys = max_keys;
    return config;
}

TEST_F(CppShared, ATableIsThatOfAll) {
    using tokenbucket::Table;
    if (!tokenbucket::has_feature("lock_free_table")) {
        EXPECT_EQ(Table::open_shared(nullptr, slow(), of_keys(100)).status(), Status::unsupported);
        GTEST_SKIP() << "no shared tables here";
    }
    Table one = Table::open_shared(name.c_str(), slow(), of_keys(100)).value();
    SharedFault fault;
    EXPECT_EQ(Table::open_shared(name.c_str(), slow(), of_keys(200), &fault).status(), Status::mismatch);
    EXPECT_EQ(fault.difference, Difference::places);
    EXPECT_EQ(Bucket::open_shared(name.c_str(), slow(), &fault).status(), Status::mismatch);
    EXPECT_EQ(fault.difference, Difference::object);
    Table other = Table::adopt_shared(name.c_str(), slow(11), of_keys(200), &fault).value();
    EXPECT_EQ(other.limit()->capacity, 10);
    EXPECT_TRUE(one.allow("alice", 4));
    const pid_t child = ::fork();
    if (child == 0) ::_exit(one.allow("alice", 3) ? 0 : 1);
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(other.allow("alice", 4).status(), Status::denied);
    EXPECT_TRUE(other.allow("alice", 3));
    auto reserved = one.reserve("alice", 2);
    EXPECT_NEAR(*other.available("alice"), -2, 1e-3);
    reserved->cancel();
    EXPECT_NEAR(*other.available("alice"), 0, 1e-3);
    std::thread refunding([&] {
        while (*other.available("alice") > -2) std::this_thread::sleep_for(1ms);
        EXPECT_TRUE(other.refund("alice", 3));
    });
    EXPECT_TRUE(one.wait("alice", 3));
    refunding.join();
    EXPECT_EQ(Limits(one.member("bob")).wait().status(), Status::unsupported);
    EXPECT_EQ(Limits(one.member("bob"), other.member("bob")).allow().status(), Status::invalid_argument);
}

// Keeps what it is to run next, and how long it was told to wait for it.
struct OneTimer {
    using Work = std::function<void()>;
    void post(Work next) { posted.push_back(std::move(next)); }
    void after(std::chrono::nanoseconds time, Work next) {
        told = time;
        work = std::move(next);
    }
    std::vector<Work> posted;
    std::chrono::nanoseconds told{0};
    Work work;
};

template <class Limit, class... Key>
void expect_to_ask(Limit &one, Limit &other, Key... key) {
    EXPECT_TRUE(one.allow(key..., 10));
    OneTimer loop;
    std::optional<Status> ended;
    const auto call = one.call_when_granted(key..., loop, [&](const Waited &waited) { ended = waited.status(); });
    EXPECT_EQ(loop.told, 100ms);
    loop.work();
    EXPECT_EQ(ended, std::nullopt);
    other.close();
    loop.work();
    EXPECT_EQ(ended, Status::closed);
}

TEST_F(CppShared, AWaitOnALoopAsksWhatOthersDid) {
    Bucket one = open();
    Bucket other = open();
    expect_to_ask(one, other);
}

TEST_F(CppShared, SoDoesTheWaitOfAKey) {
    using tokenbucket::Table;
    if (!tokenbucket::has_feature("lock_free_table")) GTEST_SKIP() << "no shared tables here";
    Table one = Table::open_shared(name.c_str(), slow(), of_keys(100)).value();
    Table other = Table::open_shared(name.c_str(), slow(), of_keys(100)).value();
    expect_to_ask(one, other, "alice");
}

TEST_F(CppShared, AThreadThatWaitsLearnsOfAClose) {
    Bucket one = open();
    Bucket other = open();
    EXPECT_TRUE(one.allow(10));
    std::thread closing([&] {
        std::this_thread::sleep_for(20ms);
        other.close();
    });
    EXPECT_EQ(one.wait().status(), Status::closed);
    closing.join();
}

}  // namespace
