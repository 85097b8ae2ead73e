// What core/platform/platform.h promises of its sleeper and its lock, on whichever platform this is built for.
#include "core/platform/platform.h"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

std::atomic<bool> out_of_memory;

}  // namespace

// In place of the C library's, which this finds: where it fails, a sleeper has nothing to sleep on.
extern "C" int pthread_cond_init(pthread_cond_t *condition, const pthread_condattr_t *attributes) {
    using Function = int (*)(pthread_cond_t *, const pthread_condattr_t *);
    static const auto real = reinterpret_cast<Function>(dlsym(RTLD_NEXT, "pthread_cond_init"));
    return out_of_memory ? ENOMEM : real(condition, attributes);
}

namespace {

using namespace tb::platform;

constexpr int64_t kMillisecond = 1000000;

// Long enough never to be reached.
int64_t far_away() {
    return monotonic_ns() + 3600 * 1000 * kMillisecond;
}

void sleep_until_raised(Sleeper *sleeper) {
    while (sleeper->word() == 0) sleeper->sleep_while(0, INT64_MAX);
}

class Sleepers : public testing::TestWithParam<bool> {
  protected:
    void SetUp() override { out_of_memory = GetParam(); }
    void TearDown() override { out_of_memory = false; }
};
INSTANTIATE_TEST_SUITE_P(WithAndWithoutMemory, Sleepers, testing::Bool());

int64_t cpu_time_ns() {
    timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

TEST_P(Sleepers, SleepUntilTheDeadlineAndNotLonger) {
    Sleeper sleeper;
    const int64_t cpu_time = cpu_time_ns();
    const int64_t deadline = monotonic_ns() + 200 * kMillisecond;
    int sleeps = 0;
    for (; monotonic_ns() < deadline; ++sleeps) sleeper.sleep_while(0, deadline);
    EXPECT_GT(sleeps, 0);
    EXPECT_LE(sleeps, GetParam() ? 1000 : 10) << "it sleeps, and does not spin";
    EXPECT_LT(cpu_time_ns() - cpu_time, 100 * kMillisecond);
}

TEST_P(Sleepers, DoNotSleepAtAnotherWordNorPastADeadline) {
    Sleeper sleeper;
    sleeper.sleep_while(0, monotonic_ns() - 1);
    sleeper.sleep_while(0, 0);
    sleeper.add_and_wake(3);
    EXPECT_EQ(sleeper.word(), 3u);
    sleeper.sleep_while(0, far_away());
    sleeper.sleep_while(2, INT64_MAX);
}

TEST_P(Sleepers, AreWokenByTheFirstWhoAdds) {
    for (int i = 0; i < 200; ++i) {
        Sleeper sleeper;
        std::thread adder([&] { sleeper.add_and_wake(1); });
        sleep_until_raised(&sleeper);
        adder.join();
    }
}

// The thread goes, and its memory with it, while whoever woke it is still on its way out.
TEST_P(Sleepers, MayBeDestroyedAsSoonAsTheWordIsSeen) {
    constexpr int kSleepers = 2000;
    std::atomic<Sleeper *> asleep{nullptr};
    std::thread adder([&] {
        for (int i = 0; i < kSleepers; ++i) {
            Sleeper *next = nullptr;
            while ((next = asleep.exchange(nullptr)) == nullptr) std::this_thread::yield();
            next->add_and_wake(1);
        }
    });
    for (int i = 0; i < kSleepers; ++i) {
        const auto sleeper = std::make_unique<Sleeper>();
        asleep = sleeper.get();
        if (i % 2 == 0) {
            sleep_until_raised(sleeper.get());
        } else {
            while (sleeper->word() == 0) std::this_thread::yield();
        }
    }
    adder.join();
}

TEST_P(Sleepers, LeaveErrnoAlone) {
    errno = EDOM;
    {
        Sleeper sleeper;
        sleeper.sleep_while(0, monotonic_ns() + kMillisecond);
        sleeper.add_and_wake(1);
        sleeper.sleep_while(0, INT64_MAX);
        ForkSafeLock lock;
        const LockGuard guard(&lock);
        for (int round = 0; round < 20; ++round) back_off(round);
    }
    EXPECT_EQ(errno, EDOM);
}

// Neither the sleep nor the long rounds of backing off act on a request to cancel, and it stays in force.
TEST_P(Sleepers, AreNoCancellationPoints) {
    std::atomic<bool> asked_to_end{false};
    std::atomic<bool> over{false};
    std::thread thread([&] {
        while (!asked_to_end) std::this_thread::yield();
        Sleeper sleeper;
        sleeper.sleep_while(0, monotonic_ns() + kMillisecond);
        for (int round = 0; round < 20; ++round) back_off(round);
        over = true;
// The first takes the stack of a thread that is cancelled for overwritten; the second crashes as it unwinds the stack.
#if defined(__SANITIZE_ADDRESS__) || defined(_LIBCPP_VERSION)
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, nullptr);
#else
        pthread_testcancel();
        over = false;
#endif
    });
    EXPECT_EQ(pthread_cancel(thread.native_handle()), 0);
    asked_to_end = true;
    thread.join();
    EXPECT_TRUE(over);
}

std::atomic<int> handled;

// Until a signal ends its sleep, or for ever where none does.
TEST_P(Sleepers, SayWhetherASignalWokeThem) {
    struct sigaction action {};
    struct sigaction before {};
    action.sa_handler = [](int) { ++handled; };
    action.sa_flags = SA_RESTART;
    ASSERT_EQ(sigaction(SIGUSR1, &action, &before), 0);
    handled = 0;
    Sleeper sleeper;
    std::atomic<bool> signalled{false};
    std::thread thread([&] {
        while (!signalled && sleeper.word() == 0) signalled = sleeper.sleep_while(0, INT64_MAX) == Woken::by_signal;
    });
    while (kSignalsEndSleep ? !signalled : handled < 20) {
        pthread_kill(thread.native_handle(), SIGUSR1);
        std::this_thread::yield();
    }
    sleeper.add_and_wake(1);
    thread.join();
    EXPECT_EQ(signalled, kSignalsEndSleep);
    EXPECT_GT(handled, 0);
    sigaction(SIGUSR1, &before, nullptr);
}

// Does `body` in a child, made by `fork_one`, and tells what it returned.
template <class Fork, class Body>
int in_child(Fork fork_one, Body body) {
    const pid_t child = fork_one();
    if (child == 0) {
        alarm(60);
        _exit(body());
    }
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// What the C library does not hear of.
pid_t bare_fork() {
    return static_cast<pid_t>(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
}

// Asked of the kernel itself: not of one before 4.14, nor of an emulator.
bool kernel_empties_pages_in_children() {
    void *const page = mmap(nullptr, 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    auto *const byte = static_cast<volatile unsigned char *>(page);
    *byte = 1;
    madvise(page, 1, MADV_WIPEONFORK);
    const int seen = in_child(fork, [&] { return *byte; });
    munmap(page, 1);
    return seen == 0;
}

bool sees_bare_forks() {
    return std::string_view(TB_PLATFORM) == "linux" && kernel_empties_pages_in_children();
}

TEST(Generation, IsOneForAllThreadsOfAProcess) {
    const uint32_t mine = process_generation();
    EXPECT_NE(mine, 0u);
    std::thread([&] { EXPECT_EQ(process_generation(), mine); }).join();
    EXPECT_EQ(process_generation(), mine);
}

// Each child forks the next, and none asks for its number before it has the numbers of all before it.
template <class Fork>
int forks_down(Fork fork_one, std::set<uint32_t> ancestors, int depth) {
    if (!ancestors.insert(process_generation()).second) return 1;
    if (process_generation() == 0) return 2;
    return depth == 0 ? 0 : in_child(fork_one, [&] { return forks_down(fork_one, ancestors, depth - 1); });
}

TEST(Generation, IsAnotherInEachChildOfAChain) {
    EXPECT_EQ(forks_down(fork, {}, 30), 0);
}

TEST(Generation, IsAnotherAlsoWhereTheCLibraryDoesNotHearOfTheFork) {
    if (!sees_bare_forks()) GTEST_SKIP() << "only where the kernel can empty a page in children";
    EXPECT_EQ(forks_down(bare_fork, {}, 30), 0);
}

TEST(Generation, IsAnotherAfterForksThatNobodyAskedIn) {
    const uint32_t mine = process_generation();
    EXPECT_EQ(in_child(fork, [=] { return in_child(fork, [=] { return process_generation() == mine; }); }), 0);
}

// The first to ask in a child are many.
TEST(Generation, IsOneForThreadsThatAskAtOnce) {
    constexpr int kThreads = 4;
    const uint32_t before = process_generation();
    const auto all_agree = [=] {
        std::atomic<int> there{0};
        std::atomic<uint32_t> numbers[kThreads];
        std::vector<std::thread> threads;
        for (std::atomic<uint32_t> &number : numbers)
            threads.emplace_back([&] {
                for (++there; there < kThreads;) std::this_thread::yield();
                number = process_generation();
            });
        for (std::thread &t : threads) t.join();
        for (const std::atomic<uint32_t> &number : numbers)
            if (number != process_generation() || number == before) return 1;
        return 0;
    };
    for (int i = 0; i < 50; ++i) ASSERT_EQ(in_child(fork, all_agree), 0);
}

volatile uint32_t asked_in_handler;

// The first to ask in a child is a signal handler, which leaves errno alone.
TEST(Generation, MayBeAskedInASignalHandler) {
    const uint32_t before = process_generation();
    const auto ask = [=] {
        signal(SIGUSR1, [](int) { asked_in_handler = process_generation(); });
        errno = EDOM;
        raise(SIGUSR1);
        return errno == EDOM && asked_in_handler == process_generation() && asked_in_handler != before ? 0 : 1;
    };
    EXPECT_EQ(in_child(fork, ask), 0);
}

// As for the first process of a container that enters a new process id namespace: its child is the first there, too.
TEST(Generation, IsAnotherInAChildWithTheProcessIdOfItsParent) {
    constexpr int kNotPermitted = 77;
    const auto first_in_namespace = [](auto body) {
        return unshare(CLONE_NEWPID) != 0 ? kNotPermitted : in_child(fork, [=] { return getpid() == 1 ? body() : 3; });
    };
    const int result = in_child(fork, [=] {
        return first_in_namespace([=] {
            ForkSafeLock lock;
            const uint32_t mine = process_generation();
            if (!lock.try_lock()) return 2;
            return first_in_namespace([&] { return process_generation() == mine || !lock.try_lock() ? 1 : 0; });
        });
    });
    if (result == kNotPermitted) GTEST_SKIP() << "no permission for a process id namespace";
    EXPECT_EQ(result, 0);
}

// Each nap lasts at least its 50 microseconds, not only by the slack that timers have.
TEST(BackingOff, SleepsInLateRounds) {
    ExactTimers exact;
    exact.begin();
    const int64_t from = monotonic_ns();
    for (int i = 0; i < 100; ++i) back_off(1000);
    EXPECT_GE(monotonic_ns() - from, 100 * 50000);
}

TEST(Lock, IsHeldByOneAtATime) {
    constexpr int kThreads = 4;
    constexpr int kRounds = 5000;
    ForkSafeLock lock;
    int64_t count = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t)
        threads.emplace_back([&] {
            for (int i = 0; i < kRounds; ++i) {
                const LockGuard guard(&lock);
                ++count;
            }
        });
    for (std::thread &t : threads) t.join();
    EXPECT_EQ(count, kThreads * kRounds);
}

// In strict mode the kernel kills who makes a system call other than read, write and exit.
TEST(Lock, MakesNoSystemCallWithoutContention) {
    constexpr int kNoStrictMode = 77;
    const int result = in_child(bare_fork, [] {
        ForkSafeLock lock;
        if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0) return kNoStrictMode;
        int missed = 0;
        for (int i = 0; i < 1000; ++i) {
            const LockGuard guard(&lock);
            if (lock.try_lock()) ++missed;
        }
        syscall(SYS_exit, missed == 0 ? 0 : 1);
        return 2;
    });
    if (result == kNoStrictMode) GTEST_SKIP() << "no strict mode of seccomp";
    EXPECT_EQ(result, 0);
}

TEST(Lock, IsFreeInAChildIfItWasHeldAtTheFork) {
    ForkSafeLock lock;
    ASSERT_TRUE(lock.try_lock());
    EXPECT_FALSE(lock.try_lock());
    const auto take_and_leave = [&] {
        { const LockGuard guard(&lock); }
        return lock.try_lock() && !lock.try_lock() ? 0 : 1;
    };
    EXPECT_EQ(in_child(fork, take_and_leave), 0);
    if (sees_bare_forks()) {
        EXPECT_EQ(in_child(bare_fork, take_and_leave), 0);
    }
    EXPECT_FALSE(lock.try_lock());
    lock.unlock();
    EXPECT_TRUE(lock.try_lock());
}

// Of two who hold it in common neither holds it alone. It ends with its holder.
TEST(SharedLock, IsHeldByOneAloneOrBySeveralInCommon) {
    if (!tb::platform::kSharesMemory) GTEST_SKIP() << "no shared memory here";
    constexpr unsigned kLock = 7;
    const std::string path = "/dev/shm/tokenbucket-test-lock-" + std::to_string(getpid());
    tb::platform::SharedMemory one;
    tb::platform::SharedMemory other;
    ASSERT_EQ(one.create(path.c_str(), 4096), tb::platform::SharedMemory::Fault::none);
    ASSERT_EQ(one.publish(path.c_str()), tb::platform::SharedMemory::Fault::none);
    ASSERT_EQ(other.open(path.c_str(), 4096), tb::platform::SharedMemory::Fault::none);
    unlink(path.c_str());
    EXPECT_TRUE(one.try_lock(kLock));
    EXPECT_FALSE(other.try_lock(kLock));
    one.lock_in_common(kLock);
    other.lock_in_common(kLock);
    EXPECT_FALSE(one.try_lock(kLock));
    EXPECT_FALSE(other.try_lock(kLock));
    EXPECT_TRUE(one.try_lock(kLock + 1));
    other.unlock(kLock);
    EXPECT_TRUE(one.try_lock(kLock));
    one.unlock(kLock);
    const auto holds = [&] {
        other.lock_in_common(kLock);
        return one.try_lock(kLock) ? 1 : 0;
    };
    EXPECT_EQ(in_child(fork, holds), 0);
    EXPECT_TRUE(one.try_lock(kLock));
}

TEST(ThreadHint, TellsThreadsApart) {
    constexpr int kThreads = 8;
    unsigned numbers[kThreads];
    std::atomic<int> there{0};
    std::vector<std::thread> threads;
    for (unsigned &mine : numbers)
        threads.emplace_back([&] {
            mine = thread_hint();
            for (++there; there < kThreads;) std::this_thread::yield();
        });
    for (std::thread &t : threads) t.join();
    std::set<unsigned> lanes;
    for (const unsigned number : numbers) lanes.insert(number % 16);
    if (std::string_view(TB_PLATFORM) == "linux") {
        for (const unsigned number : numbers)
            EXPECT_LT(number, sysconf(_SC_NPROCESSORS_CONF)) << "a processor, and all may have run on one";
    } else {
        EXPECT_GT(lanes.size(), 1u);
        EXPECT_EQ(thread_hint(), thread_hint());
    }
}

// Where there is no file to read them from they come from a system call, or it is said why not.
TEST(Random, SaysWhyThereIsNone) {
    const pid_t child = fork();
    if (child == 0) {
        const rlimit none{0, 0};
        uint64_t bytes = 0;
        setrlimit(RLIMIT_NOFILE, &none);
        const int error = random_bytes(&bytes, sizeof bytes);
        _exit(error == (bytes == 0 ? EMFILE : 0) ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
}

}  // namespace
