#include "core/platform/platform.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/platform/counter.h"

namespace tb::platform {
namespace {

constexpr int64_t kNanosecondsPerSecond = 1000000000;

timespec to_timespec(int64_t ns) {
    return {static_cast<time_t>(ns / kNanosecondsPerSecond), static_cast<long>(ns % kNanosecondsPerSecond)};
}

// errno belongs to the caller: a take may run in a signal handler.
class ErrnoKept {
  public:
    ErrnoKept() : errno_(errno) {}
    ~ErrnoKept() { errno = errno_; }
    ErrnoKept(const ErrnoKept &) = delete;
    ErrnoKept &operator=(const ErrnoKept &) = delete;

  private:
    int errno_;
};

// The kernel's own signal set is 64 bits; sigset_t has room for more, so the system call is made directly.
uint64_t swap_blocked_signals(uint64_t blocked) {
    uint64_t before = 0;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &blocked, &before, sizeof blocked);
    return before;
}

}  // namespace

uint32_t process_id() {
    return static_cast<uint32_t>(getpid());
}

unsigned processor() {
    const ErrnoKept kept;
    const int cpu = sched_getcpu();
    return cpu < 0 ? 0 : static_cast<unsigned>(cpu);
}

// Under a real-time policy there is no slack, and the kernel answers 0.
void ExactTimers::begin() {
    if (slack_before_ns_ != 0) return;
    const ErrnoKept kept;
    const long slack = syscall(SYS_prctl, PR_GET_TIMERSLACK, 0, 0, 0, 0);
    if (slack <= 1) return;
    slack_before_ns_ = slack;
    syscall(SYS_prctl, PR_SET_TIMERSLACK, 1, 0, 0, 0);
}

void ExactTimers::end() {
    if (slack_before_ns_ == 0) return;
    const ErrnoKept kept;
    syscall(SYS_prctl, PR_SET_TIMERSLACK, slack_before_ns_, 0, 0, 0);
    slack_before_ns_ = 0;
}

int64_t monotonic_ns() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<int64_t>(t.tv_sec) * kNanosecondsPerSecond + t.tv_nsec;
}

bool counter_is_trusted() {
#if defined(__x86_64__)
    const char *const expected = "tsc\n";
#else
    const char *const expected = "arch_sys_counter\n";
#endif
    if (!kHasCounter) return false;
    const ErrnoKept kept;
    const int file = open("/sys/devices/system/clocksource/clocksource0/current_clocksource", O_RDONLY | O_CLOEXEC);
    if (file < 0) return false;
    char name[32];
    const ssize_t length = read(file, name, sizeof name);
    close(file);
    return length == static_cast<ssize_t>(strlen(expected)) && memcmp(name, expected, static_cast<size_t>(length)) == 0;
}

Woken sleep_while(std::atomic<uint32_t> *word, uint32_t expected, int64_t deadline_ns) {
    const ErrnoKept kept;
    const timespec deadline = to_timespec(deadline_ns);
    // Always with a timeout: without one the kernel resumes the sleep after a handler installed with SA_RESTART. The
    // system call is made directly, which also keeps this from being a cancellation point.
    const long result = syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected, &deadline, nullptr,
                                FUTEX_BITSET_MATCH_ANY);
    return result != 0 && errno == EINTR ? Woken::by_signal : Woken::by_wake_or_timeout;
}

void wake_all(std::atomic<uint32_t> *word) {
    const ErrnoKept kept;
    constexpr int kEveryone = 0x7fffffff;
    syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, kEveryone, nullptr, nullptr, 0);
}

bool RareLock::try_lock() {
    const uint32_t me = process_id();
    uint32_t owner = owner_.load(std::memory_order_relaxed);
    return owner != me && owner_.compare_exchange_strong(owner, me, std::memory_order_acquire);
}

void RareLock::unlock() {
    owner_.store(0, std::memory_order_release);
}

RareLockGuard::RareLockGuard(RareLock *lock) : lock_(lock), blocked_before_(0) {
    const ErrnoKept kept;
    blocked_before_ = swap_blocked_signals(~uint64_t{0});
    for (int round = 0; !lock_->try_lock(); ++round) back_off(round);
}

RareLockGuard::~RareLockGuard() {
    const ErrnoKept kept;
    lock_->unlock();
    swap_blocked_signals(blocked_before_);
}

void back_off(int round) {
    constexpr int kPauseRounds = 6;
    constexpr int kYieldRounds = 16;
    if (round < kPauseRounds) {
        for (int i = 0; i < 1 << round; ++i) pause();
        return;
    }
    const ErrnoKept kept;
    if (round < kYieldRounds) {
        sched_yield();
        return;
    }
    // Not nanosleep(): that is a cancellation point.
    const timespec nap = to_timespec(50000);
    syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &nap, nullptr);
}

}  // namespace tb::platform
