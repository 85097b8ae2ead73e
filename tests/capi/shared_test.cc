// Buckets in memory that processes share: what opens, what does not and why, and what processes do to each other.
#include "tests/support/shared.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/api.h"
#include "tests/support/effort.h"

namespace {

using namespace tb_test;

class Shared : public SharedTest {
  protected:
    void SetUp() override {
        if (tb_has_feature("shared_memory") != 0) return;
        tb_bucket *bucket = nullptr;
        const tb_config config = config_of(10, 1, nullptr);
        EXPECT_EQ(tb_shared_open(&config, nullptr, 0, &bucket, nullptr), TB_E_UNSUPPORTED);
        EXPECT_EQ(tb_shared_remove("x", nullptr), TB_E_UNSUPPORTED);
        GTEST_SKIP() << "no shared memory here";
    }

    static BucketHandle open(const tb_config &config, uint32_t flags = 0, const char *named = nullptr) {
        tb_bucket *bucket = nullptr;
        int32_t fault = 0;
        const std::string usual = name();
        EXPECT_EQ(tb_shared_open(&config, named == nullptr ? usual.c_str() : named, flags, &bucket, &fault), TB_SUCCESS)
            << fault;
        return BucketHandle(bucket);
    }
    static BucketHandle open_nameless(const tb_config &config) {
        tb_bucket *bucket = nullptr;
        EXPECT_EQ(tb_shared_open(&config, nullptr, 0, &bucket, nullptr), TB_SUCCESS);
        return BucketHandle(bucket);
    }
    // Why it does not open; 0 if it does.
    static int32_t fault_of(const tb_config &config) {
        tb_bucket *bucket = nullptr;
        int32_t fault = 0;
        const tb_status s = tb_shared_open(&config, name().c_str(), 0, &bucket, &fault);
        EXPECT_EQ(s, fault == 0 ? TB_SUCCESS : TB_E_MISMATCH);
        EXPECT_EQ(bucket != nullptr, fault == 0);
        tb_destroy(bucket);
        return fault;
    }

    const tb_config slow = config_of(10, 1e-6, nullptr);  // next to nothing accrues during a test
};

TEST_F(Shared, TokensAreThoseOfAllWhoHaveIt) {
    const BucketHandle a = open(slow);
    const BucketHandle b = open(slow);
    EXPECT_EQ(tb_allow(a.get(), 4), TB_SUCCESS);
    EXPECT_EQ(result_of(in_child([&] { return tb_allow(a.get(), 2) + tb_allow(b.get(), 3); })), TB_SUCCESS);
    EXPECT_EQ(tb_allow(b.get(), 2), TB_DENIED);
    EXPECT_EQ(tb_allow(b.get(), 1), TB_SUCCESS);
}

TEST_F(Shared, NamelessOneIsThatOfTheChildren) {
    const BucketHandle bucket = open_nameless(slow);
    std::vector<pid_t> children(4);
    for (pid_t &child : children)
        child = in_child([&] {
            int taken = 0;
            while (tb_allow(bucket.get(), 1) == TB_SUCCESS) ++taken;
            return taken;
        });
    int taken = 0;
    for (const pid_t child : children) taken += result_of(child);
    EXPECT_EQ(taken, 10);
}

TEST_F(Shared, ChangesHoldForAll) {
    const BucketHandle a = open(slow);
    const BucketHandle b = open(slow);
    tb_config limit = config_of(1, 1, nullptr);
    EXPECT_EQ(tb_set_rate(a.get(), 2), TB_SUCCESS);
    EXPECT_EQ(result_of(in_child([&] { return tb_set_capacity(b.get(), 20); })), TB_SUCCESS);
    EXPECT_EQ(tb_get_limit(b.get(), &limit), TB_SUCCESS);
    EXPECT_EQ(limit.rate_tokens, 2);
    EXPECT_EQ(limit.capacity, 20);
    tb_reservation r;
    EXPECT_EQ(tb_reserve(a.get(), 20, TB_FOREVER, &r), TB_SUCCESS);
    EXPECT_EQ(tb_cancel(b.get(), &r), TB_SUCCESS);
    EXPECT_EQ(tb_reset(b.get(), 5), TB_SUCCESS);
    EXPECT_EQ(tb_allow(a.get(), 5), TB_SUCCESS);
    EXPECT_EQ(tb_close(b.get()), TB_SUCCESS);
    EXPECT_EQ(tb_allow(a.get(), 1), TB_CLOSED);
}

TEST_F(Shared, AReservationCanBeCancelledInAnotherProcess) {
    const BucketHandle bucket = open_nameless(slow);
    EXPECT_EQ(tb_allow(bucket.get(), 10), TB_SUCCESS);
    tb_reservation first;
    tb_reservation second;
    ASSERT_EQ(tb_reserve(bucket.get(), 3, TB_FOREVER, &first), TB_SUCCESS);
    ASSERT_EQ(tb_reserve(bucket.get(), 4, TB_FOREVER, &second), TB_SUCCESS);
    EXPECT_NEAR(available(bucket.get()), -7, 1e-3);
    EXPECT_EQ(result_of(in_child([&] { return tb_cancel(bucket.get(), &first); })), TB_SUCCESS);
    EXPECT_NEAR(available(bucket.get()), -4, 1e-3);
}

TEST_F(Shared, WaitersOfAllProcessesStandInOneQueue) {
    const BucketHandle bucket = open_nameless(slow);
    EXPECT_EQ(tb_allow(bucket.get(), 10), TB_SUCCESS);
    expect_served_in_order([&] { return tb_wait(bucket.get(), 2); }, [&] { return available(bucket.get()); },
                           [&] { return tb_refund(bucket.get(), 2); });
}

TEST_F(Shared, CloseEndsTheWaitsOfAllProcesses) {
    const BucketHandle bucket = open_nameless(slow);
    EXPECT_EQ(tb_allow(bucket.get(), 10), TB_SUCCESS);
    const pid_t child = in_child([&] { return tb_wait(bucket.get(), 5); });
    while (available(bucket.get()) > -4) ::usleep(1000);
    EXPECT_EQ(tb_close(bucket.get()), TB_SUCCESS);
    EXPECT_EQ(result_of(child), TB_CLOSED);
}

TEST_F(Shared, DestroyEndsTheWaitsOfItsProcessAlone) {
    const BucketHandle other = open(slow);
    BucketHandle own = open(slow);
    EXPECT_EQ(tb_allow(own.get(), 10), TB_SUCCESS);
    uint64_t waiter = 0;
    int64_t wait_ns = 0;
    EXPECT_EQ(tb_enqueue(own.get(), 3, TB_FOREVER, 0, 0, &waiter, &wait_ns), TB_PENDING);
    const pid_t child = in_child([&] { return tb_wait(other.get(), 2); });
    while (available(other.get()) > -4) ::usleep(1000);
    tb_status ended = TB_SUCCESS;
    tb_bucket *const handle = own.get();
    std::thread thread([&] { ended = tb_wait(handle, 4); });
    while (available(other.get()) > -8) ::usleep(1000);
    own.reset();
    thread.join();
    EXPECT_EQ(ended, TB_CLOSED);
    EXPECT_NEAR(available(other.get()), -2, 1e-3);  // the other two gave their tokens back
    EXPECT_EQ(tb_refund(other.get(), 2), TB_SUCCESS);
    EXPECT_EQ(result_of(child), TB_SUCCESS);
}

// It is late twice, then the tokens are those of the next.
TEST_F(Shared, AKilledWaiterGivesUpItsPlaceWhenItsTurnComes) {
    const BucketHandle bucket = open_nameless(slow);
    EXPECT_EQ(tb_allow(bucket.get(), 10), TB_SUCCESS);
    const pid_t child = in_child([&] { return tb_wait(bucket.get(), 10); });
    while (available(bucket.get()) > -9) ::usleep(1000);
    ::kill(child, SIGKILL);
    EXPECT_EQ(result_of(child), -SIGKILL);
    EXPECT_EQ(tb_refund(bucket.get(), 10), TB_SUCCESS);
    EXPECT_EQ(tb_wait_for(bucket.get(), 10, 0), TB_TIMED_OUT);
    int rounds = 0;
    while (tb_wait_for(bucket.get(), 10, 0) != TB_SUCCESS && ++rounds < 10000) ::usleep(1000);
    EXPECT_LT(rounds, 10000);
    EXPECT_NEAR(available(bucket.get()), 0, 1e-3);
}

// A waiter that is no thread loses nothing to those of other handles, whose calls move it.
TEST_F(Shared, WaitersWithoutThreads) {
    const BucketHandle a = open(slow);
    const BucketHandle b = open(slow);
    EXPECT_EQ(tb_allow(a.get(), 10), TB_SUCCESS);
    uint64_t first = 0;
    uint64_t second = 0;
    int64_t wait_ns = 0;
    EXPECT_EQ(tb_enqueue(a.get(), 3, TB_FOREVER, 0, 0, &first, &wait_ns), TB_PENDING);
    EXPECT_EQ(tb_enqueue(b.get(), 3, TB_FOREVER, 0, 0, &second, &wait_ns), TB_PENDING);
    EXPECT_EQ(tb_waiter_leave(a.get(), second), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_refund(b.get(), 3), TB_SUCCESS);
    EXPECT_EQ(tb_waiter_check(a.get(), first, &wait_ns), TB_SUCCESS);
    EXPECT_EQ(tb_waiter_check(b.get(), second, &wait_ns), TB_PENDING);
    EXPECT_EQ(tb_waiter_leave(b.get(), second), TB_SUCCESS);
    EXPECT_NEAR(available(a.get()), 0, 1e-3);
}

TEST_F(Shared, PlacesAreBounded) {
    const BucketHandle bucket = open_nameless(slow);
    tb_reservation r;
    EXPECT_EQ(tb_allow(bucket.get(), 10), TB_SUCCESS);
    for (int i = 0; i < 1000; ++i) ASSERT_EQ(tb_reserve(bucket.get(), 1, TB_FOREVER, &r), TB_SUCCESS) << i;
    tb_reservation none;
    EXPECT_EQ(tb_reserve(bucket.get(), 1, TB_FOREVER, &none), TB_E_OUT_OF_MEMORY);
    EXPECT_EQ(tb_wait_for(bucket.get(), 1, TB_FOREVER), TB_E_OUT_OF_MEMORY);
    EXPECT_EQ(tb_cancel(bucket.get(), &r), TB_SUCCESS);
    EXPECT_EQ(tb_reserve(bucket.get(), 1, TB_FOREVER, &r), TB_SUCCESS);
    EXPECT_NEAR(available(bucket.get()), -1000, 1e-3);
}

TEST_F(Shared, JoinsDecisionsButNotWaits) {
    const BucketHandle a = open(slow);
    const BucketHandle b = bucket_of(slow);
    const tb_member members[] = {{a.get(), nullptr, nullptr, 0, 10}, {b.get(), nullptr, nullptr, 0, 10}};
    tb_refusal refusal;
    EXPECT_EQ(tb_allow_all(members, 2, &refusal), TB_SUCCESS);
    EXPECT_EQ(tb_allow_all(members, 2, &refusal), TB_DENIED);
    EXPECT_EQ(tb_wait_all(members, 2, TB_FOREVER, 0, &refusal), TB_E_UNSUPPORTED);
    EXPECT_EQ(tb_refund(a.get(), 10), TB_SUCCESS);
    EXPECT_EQ(tb_wait_all(members, 1, TB_FOREVER, 0, &refusal), TB_E_UNSUPPORTED);
    tb_waiter_all *waiter = nullptr;
    int64_t wait_ns = 0;
    EXPECT_EQ(tb_enqueue_all(members, 1, TB_FOREVER, 0, 0, &waiter, &wait_ns, &refusal), TB_E_UNSUPPORTED);
    EXPECT_EQ(tb_allow(a.get(), 10), TB_SUCCESS);
    const BucketHandle again = open(slow);
    const tb_member twice[] = {{a.get(), nullptr, nullptr, 0, 1}, {again.get(), nullptr, nullptr, 0, 1}};
    EXPECT_EQ(tb_allow_all(twice, 2, &refusal), TB_E_INVALID_ARGUMENT);
    EXPECT_NEAR(available(b.get()), 0, 1e-3);
    EXPECT_NEAR(available(a.get()), 0, 1e-3);
}

// ---- Opening ----

TEST_F(Shared, WhatIsNoFileOfItsOwnDoesNotOpen) {
    const auto faults = [&](int32_t expected) {
        EXPECT_EQ(fault_of(slow), expected) << tb_shared_fault_message(expected);
        std::filesystem::remove_all(path());
    };
    std::filesystem::create_directory(path());
    faults(TB_SHARED_KIND);
    ASSERT_EQ(::mkfifo(path().c_str(), 0600), 0);
    faults(TB_SHARED_KIND);
    std::filesystem::create_symlink("/dev/shm/" + name() + "-target", path());
    faults(TB_SHARED_KIND);
    write("short", 0);
    faults(TB_SHARED_SIZE);
    write("x", 1 << 20);
    faults(TB_SHARED_LAYOUT);
    open(slow);
    ASSERT_EQ(::chmod(path().c_str(), 0644), 0);
    faults(TB_SHARED_MODE);
    if (::geteuid() != 0) return;
    open(slow);
    ASSERT_EQ(::chown(path().c_str(), 65534, 65534), 0);
    faults(TB_SHARED_OWNER);
}

TEST_F(Shared, TheHeaderTellsTheLayoutAndTheClock) {
    constexpr off_t kMagic = 0, kLayout = 8, kEntries = 12, kSize = 16, kBoot = 24, kTimeNamespace = 40;
    constexpr off_t kPlans[] = {80, 200}, kCapacity = 88;
    const struct {
        off_t at;
        int32_t fault;
    } rows[] = {{kMagic, TB_SHARED_LAYOUT}, {kLayout, TB_SHARED_LAYOUT}, {kEntries, TB_SHARED_LAYOUT},
                {kSize, TB_SHARED_LAYOUT},  {kBoot, TB_SHARED_BOOT},     {kTimeNamespace, TB_SHARED_CLOCK}};
    for (const auto &row : rows) {
        open(slow);
        write(std::string(8, '\xff'), row.at);
        EXPECT_EQ(fault_of(slow), row.fault) << row.at;
        std::filesystem::remove_all(path());
    }
    open(slow);
    for (const off_t plan : kPlans) write(std::string(8, '\xff'), plan + kCapacity);
    EXPECT_EQ(fault_of(slow), TB_SHARED_DAMAGED);
}

TEST_F(Shared, AnotherLimitIsRefusedOrAdopted) {
    const BucketHandle bucket = open(config_of(10, 1, nullptr));
    EXPECT_EQ(fault_of(config_of(11, 1, nullptr)), TB_SHARED_CAPACITY);
    EXPECT_EQ(fault_of(config_of(10, 2, nullptr)), TB_SHARED_RATE);
    tb_config same = config_of(10, 60, nullptr);
    same.rate_period_ns = 60 * kSecond;
    EXPECT_EQ(fault_of(same), 0);
    const BucketHandle adopted = open(config_of(99, 99, nullptr), TB_SHARED_ADOPT);
    tb_config limit = config_of(1, 2, nullptr);
    EXPECT_EQ(tb_get_limit(adopted.get(), &limit), TB_SUCCESS);
    EXPECT_EQ(limit.capacity, 10);
    EXPECT_EQ(limit.rate_tokens, 1);
    EXPECT_EQ(tb_set_capacity(bucket.get(), 11), TB_SUCCESS);
    EXPECT_EQ(fault_of(config_of(11, 1, nullptr)), 0);
}

TEST_F(Shared, ARemovedNameIsFreeForANewBucket) {
    const BucketHandle old = open(slow);
    EXPECT_EQ(tb_allow(old.get(), 10), TB_SUCCESS);
    EXPECT_EQ(tb_shared_remove(name().c_str(), nullptr), TB_SUCCESS);
    EXPECT_EQ(tb_shared_remove(name().c_str(), nullptr), TB_SUCCESS);
    const BucketHandle fresh = open(slow);
    EXPECT_EQ(tb_allow(fresh.get(), 10), TB_SUCCESS);
    EXPECT_EQ(tb_allow(old.get(), 1), TB_DENIED);
}

TEST_F(Shared, WhatIsNeitherBucketNorTableIsNotRemoved) {
    const auto stays = [&](int32_t expected) {
        int32_t fault = 0;
        EXPECT_EQ(tb_shared_remove(name().c_str(), &fault), TB_E_MISMATCH);
        EXPECT_EQ(fault, expected);
        EXPECT_TRUE(std::filesystem::exists(std::filesystem::symlink_status(path())));
        std::filesystem::remove_all(path());
    };
    std::filesystem::create_directory(path());
    stays(TB_SHARED_KIND);
    ASSERT_EQ(::mkfifo(path().c_str(), 0600), 0);
    stays(TB_SHARED_KIND);
    std::filesystem::create_symlink("/dev/shm/" + name() + "-target", path());
    stays(TB_SHARED_KIND);
    write("", 0);
    stays(TB_SHARED_SIZE);
    write("the user's own data", 0);
    stays(TB_SHARED_LAYOUT);
    open(slow);
    ASSERT_EQ(::chmod(path().c_str(), 0644), 0);
    write("x", 8);  // the layout
    EXPECT_EQ(tb_shared_remove(name().c_str(), nullptr), TB_SUCCESS);
    EXPECT_FALSE(std::filesystem::exists(path()));
}

TEST_F(Shared, AClosedOneDoesNotOpenUntilItsNameIsRemoved) {
    const BucketHandle bucket = open(slow);
    EXPECT_EQ(tb_close(bucket.get()), TB_SUCCESS);
    tb_bucket *another = nullptr;
    for (const uint32_t flags : {uint32_t{0}, TB_SHARED_ADOPT})
        EXPECT_EQ(tb_shared_open(&slow, name().c_str(), flags, &another, nullptr), TB_CLOSED);
    EXPECT_EQ(another, nullptr);
    EXPECT_EQ(tb_shared_remove(name().c_str(), nullptr), TB_SUCCESS);
    EXPECT_EQ(tb_allow(open(slow).get(), 1), TB_SUCCESS);
}

TEST_F(Shared, InitialTokensAreForANewBucket) {
    tb_config config = slow;
    config.initial_tokens = 3;
    const BucketHandle first = open(config);
    config.initial_tokens = 9;
    const BucketHandle second = open(config);
    EXPECT_NEAR(available(second.get()), 3, 1e-3);
}

TEST_F(Shared, BadArguments) {
    tb_bucket *bucket = nullptr;
    int32_t fault = 0;
    const std::string long_name(2000, 'x');
    for (const char *const bad : {"", ".", "..", "a/b", "/", "/dev/shm/", long_name.c_str()}) {
        EXPECT_EQ(tb_shared_open(&slow, bad, 0, &bucket, &fault), TB_E_INVALID_ARGUMENT) << bad;
        EXPECT_EQ(tb_shared_remove(bad, &fault), TB_E_INVALID_ARGUMENT) << bad;
    }
    EXPECT_EQ(tb_shared_open(nullptr, "x", 0, &bucket, &fault), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_shared_open(&slow, "x", 0, nullptr, &fault), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_shared_open(&slow, "x", 2, &bucket, &fault), TB_E_UNSUPPORTED);
    EXPECT_EQ(tb_shared_remove(nullptr, &fault), TB_E_INVALID_ARGUMENT);
    const ClockHandle clock = manual_clock();
    const tb_config timed = config_of(10, 1, clock.get());
    EXPECT_EQ(tb_shared_open(&timed, "x", 0, &bucket, &fault), TB_E_UNSUPPORTED);
    const tb_config wrong = config_of(-1, 1, nullptr);
    EXPECT_EQ(tb_shared_open(&wrong, "x", 0, &bucket, &fault), TB_E_OUT_OF_RANGE);
    EXPECT_EQ(fault, 0);
    EXPECT_EQ(tb_shared_open(&slow, "/no/such/folder", 0, &bucket, &fault), TB_E_SYSTEM);
    EXPECT_EQ(fault, ENOENT);
    EXPECT_EQ(bucket, nullptr);
}

TEST_F(Shared, ManyOpenedAtOnceAreOne) {
    std::vector<pid_t> children(16);
    for (pid_t &child : children)
        child = in_child([&] {
            tb_bucket *bucket = nullptr;
            if (tb_shared_open(&slow, name().c_str(), 0, &bucket, nullptr) != TB_SUCCESS) return 100;
            return tb_allow(bucket, 1) == TB_SUCCESS ? 1 : 0;
        });
    int taken = 0;
    for (const pid_t child : children) taken += result_of(child);
    EXPECT_EQ(taken, 10);
}

// Address space runs out in one step of an open after the other.
TEST_F(Shared, WhereMemoryIsShortNothingOpensAndNothingIsLost) {
#ifdef TOKENBUCKET_TESTS_SANITIZED
    GTEST_SKIP() << "sanitizers need their own address space";
#endif
    const BucketHandle bucket = open(slow);
    EXPECT_EQ(tb_allow(bucket.get(), 10), TB_SUCCESS);
    tb_reservation r;
    EXPECT_EQ(tb_reserve(bucket.get(), 10, TB_FOREVER, &r), TB_SUCCESS);
    rlim_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    constexpr rlim_t kStep = 16384;
    int refused = 0;
    bool opened = false;
    for (rlim_t room = 0; !opened && room < 200 * kStep; room += kStep) {
        const int s = result_of(in_child([&] {
            const rlim_t most = pages * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE)) + room;
            const rlimit limit{most, most};
            ::setrlimit(RLIMIT_AS, &limit);
            tb_bucket *other = nullptr;
            const tb_status status = tb_shared_open(&slow, name().c_str(), 0, &other, nullptr);
            tb_destroy(other);
            return status == TB_SUCCESS ? 0 : status == TB_E_OUT_OF_MEMORY || status == TB_E_SYSTEM ? 1 : 2;
        }));
        EXPECT_TRUE(s == 0 || s == 1) << s;
        opened = s == 0;
        refused += s;
    }
    EXPECT_TRUE(opened);
    EXPECT_GT(refused, 3);
    EXPECT_NEAR(available(bucket.get()), -10, 1e-3);
    EXPECT_EQ(tb_cancel(bucket.get(), &r), TB_SUCCESS);
    EXPECT_NEAR(available(bucket.get()), 0, 1e-3);
}

// So do descriptors, and then it is said that they do.
TEST_F(Shared, WhereDescriptorsAreShortItIsSaidSo) {
    const BucketHandle bucket = open(slow);
    for (const std::string &file : {name(), name() + "-new"}) {
        int refused = 0;
        bool opened = false;
        for (int free = 0; !opened && free < 10; ++free) {
            const int s = result_of(in_child([&] {
                const auto used = static_cast<rlim_t>(::dup(0));  // the lowest that is free
                const rlimit limit{used + static_cast<rlim_t>(free), used + static_cast<rlim_t>(free)};
                ::close(static_cast<int>(used));
                ::setrlimit(RLIMIT_NOFILE, &limit);
                tb_bucket *other = nullptr;
                int32_t fault = 0;
                const tb_status status = tb_shared_open(&slow, file.c_str(), 0, &other, &fault);
                return status == TB_SUCCESS ? 0 : status == TB_E_SYSTEM && fault == EMFILE ? 1 : 2;
            }));
            EXPECT_TRUE(s == 0 || s == 1) << free << " free: " << s;
            opened = s == 0;
            refused += s;
        }
        EXPECT_TRUE(opened);
        EXPECT_GT(refused, 1);
        EXPECT_EQ(tb_shared_remove(file.c_str(), nullptr), TB_SUCCESS);
    }
}

TEST_F(Shared, NoDescriptorAndNoMappingStays) {
    const auto count = [] {
        return std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                             std::filesystem::directory_iterator());
    };
    open(slow);
    const auto before = count();
    for (int i = 0; i < 200; ++i) {
        open(slow);
        open_nameless(slow);
        fault_of(config_of(7, 1, nullptr));
    }
    EXPECT_EQ(count(), before);
}

}  // namespace
