#include "core/platform/unix/common.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "core/platform/counter.h"

namespace tb::platform {

int64_t monotonic_ns() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<int64_t>(t.tv_sec) * kNanosecondsPerSecond + t.tv_nsec;
}

// holder_ is 0 or the generation of the holder's process, with kContended if a thread may sleep until it is free. A
// generation counts the forks from the first process on, so it never has that bit.
namespace {
constexpr uint32_t kContended = uint32_t{1} << 31;
}

// errno is the one object of each thread that needs no thread-local storage of this library's own.
uintptr_t this_thread() {
    return reinterpret_cast<uintptr_t>(&errno);
}

int random_bytes(void *bytes, std::size_t size) {
    const ErrnoKept kept;
    if (ask_for_random_bytes(bytes, size)) return 0;
    const int file = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    if (file < 0) return errno;
    const ssize_t length = read(file, bytes, size);
    close(file);
    return length == static_cast<ssize_t>(size) ? 0 : EIO;
}

void *map_zeroed(std::size_t size) {
    const ErrnoKept kept;
    void *const memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return nullptr;
    prefer_large_pages(memory, size);
    return memory;
}

void unmap(void *memory, std::size_t size) {
    const ErrnoKept kept;
    munmap(memory, size);
}

bool ForkSafeLock::try_lock() {
    const uint32_t here = process_generation();
    uint32_t holder = holder_.load(std::memory_order_relaxed);
    return (holder & ~kContended) != here && holder_.compare_exchange_strong(holder, here, std::memory_order_acquire);
}

void ForkSafeLock::lock() {
    constexpr int kSpins = 10;
    for (int round = 0; round < kSpins; ++round) {
        if (try_lock()) return;
        back_off(round);
    }
    // From here on the lock is taken as contended, since other threads may sleep on it.
    const uint32_t here = process_generation();
    const ErrnoKept kept;
    for (;;) {
        uint32_t holder = holder_.load(std::memory_order_relaxed);
        if ((holder & ~kContended) != here) {
            if (holder_.compare_exchange_weak(holder, here | kContended, std::memory_order_acquire)) return;
        } else if (holder == (here | kContended) || holder_.compare_exchange_weak(holder, here | kContended)) {
            sleep_on(&holder_, here | kContended);
        }
    }
}

void ForkSafeLock::unlock() {
    if ((holder_.exchange(0, std::memory_order_release) & kContended) != 0) wake_one(&holder_);
}

void back_off(int round) {
    constexpr int kPauseRounds = 6;
    constexpr int kYieldRounds = 16;
    constexpr int64_t kNapNs = 50000;
    if (round < kPauseRounds) {
        for (int i = 0; i < 1 << round; ++i) pause();
        return;
    }
    const ErrnoKept kept;
    if (round < kYieldRounds) {
        sched_yield();
        return;
    }
    nap(kNapNs);
}

}  // namespace tb::platform
