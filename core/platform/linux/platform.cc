#include "core/platform/platform.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/platform/counter.h"
#include "core/platform/unix/common.h"

namespace tb::platform {
namespace {

// What SYS_futex and SYS_clock_nanosleep read, also where the C library's time_t is wider than a long. The last time
// that fits stands for all later ones: with 32-bit longs, 68 years after the system's start.
struct KernelTime {
    long seconds;
    long nanoseconds;
};

KernelTime to_kernel_time(int64_t ns) {
    const int64_t seconds = ns / kNanosecondsPerSecond;
    if (seconds > LONG_MAX) return {LONG_MAX, 0};
    return {static_cast<long>(seconds), static_cast<long>(ns % kNanosecondsPerSecond)};
}

}  // namespace

unsigned thread_hint() {
    const ErrnoKept kept;
    const int cpu = sched_getcpu();
    return cpu < 0 ? 0 : static_cast<unsigned>(cpu);
}

void zero_in_children(void *bytes, std::size_t size) {
    madvise(bytes, size, MADV_WIPEONFORK);
}

void prefer_large_pages(void *memory, std::size_t size) {
    madvise(memory, size, MADV_HUGEPAGE);
}

// Not at a time so early that the kernel has no randomness yet: the file does not block.
bool ask_for_random_bytes(void *bytes, std::size_t size) {
    constexpr unsigned kNonBlocking = 1;
    return syscall(SYS_getrandom, bytes, size, kNonBlocking) == static_cast<long>(size);
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

// Under a real-time policy there is no slack, and the kernel answers 0.
void ExactTimers::begin() {
    if (state_.slack_before_ns != 0) return;
    const ErrnoKept kept;
    const long slack = syscall(SYS_prctl, PR_GET_TIMERSLACK, 0, 0, 0, 0);
    if (slack <= 1) return;
    state_.slack_before_ns = slack;
    syscall(SYS_prctl, PR_SET_TIMERSLACK, 1, 0, 0, 0);
}

void ExactTimers::end() {
    if (state_.slack_before_ns == 0) return;
    const ErrnoKept kept;
    syscall(SYS_prctl, PR_SET_TIMERSLACK, state_.slack_before_ns, 0, 0, 0);
    state_.slack_before_ns = 0;
}

Woken Sleeper::sleep_while(uint32_t expected, int64_t deadline_ns) {
    const ErrnoKept kept;
    const KernelTime deadline = to_kernel_time(deadline_ns);
    // Always with a timeout: without one the kernel resumes the sleep after a handler installed with SA_RESTART. The
    // system call is made directly, which also keeps this from being a cancellation point.
    const int scope = word_ == &own_ ? FUTEX_PRIVATE_FLAG : 0;
    const long result =
        syscall(SYS_futex, word_, FUTEX_WAIT_BITSET | scope, expected, &deadline, nullptr, FUTEX_BITSET_MATCH_ANY);
    return result != 0 && errno == EINTR ? Woken::by_signal : Woken::by_wake_or_timeout;
}

// The wake needs the word's address alone: the memory may be gone by then.
void Sleeper::add_and_wake(uint32_t amount) {
    const ErrnoKept kept;
    std::atomic<uint32_t> *const slept_on = word_;
    const int scope = slept_on == &own_ ? FUTEX_PRIVATE_FLAG : 0;
    slept_on->fetch_add(amount, std::memory_order_acq_rel);
    syscall(SYS_futex, slept_on, FUTEX_WAKE | scope, 1, nullptr, nullptr, 0);
}

void sleep_on(std::atomic<uint32_t> *word, uint32_t expected) {
    syscall(SYS_futex, word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, expected, nullptr, nullptr, 0);
}

void wake_one(std::atomic<uint32_t> *word) {
    const ErrnoKept kept;
    syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, nullptr, nullptr, 0);
}

// Not nanosleep(): that is a cancellation point.
void nap(int64_t duration_ns) {
    const KernelTime duration = to_kernel_time(duration_ns);
    syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &duration, nullptr);
}

}  // namespace tb::platform
