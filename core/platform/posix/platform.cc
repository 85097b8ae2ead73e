#include "core/platform/platform.h"

#include <errno.h>
#include <sys/mman.h>
#include <time.h>

#include <algorithm>

#include "core/platform/unix/common.h"

namespace tb::platform {
namespace {

// POSIX does not say that pthread_setcancelstate may be called in a signal handler, but all it does is to set a field
// of the thread.
class NotCancelled {
  public:
    NotCancelled() { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before_); }
    ~NotCancelled() { pthread_setcancelstate(before_, &before_); }
    NotCancelled(const NotCancelled &) = delete;
    NotCancelled &operator=(const NotCancelled &) = delete;

  private:
    int before_ = PTHREAD_CANCEL_ENABLE;
};

timespec to_timespec(int64_t ns) {
    return {static_cast<time_t>(ns / kNanosecondsPerSecond), static_cast<long>(ns % kNanosecondsPerSecond)};
}

bool make_condition(pthread_cond_t *condition) {
    pthread_condattr_t attributes;
    if (pthread_condattr_init(&attributes) != 0) return false;
    const bool made =
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 && pthread_cond_init(condition, &attributes) == 0;
    pthread_condattr_destroy(&attributes);
    return made;
}

}  // namespace

unsigned thread_hint() {
    constexpr uint64_t kGoldenRatio = 0x9e3779b97f4a7c15;
    // An integer on some systems, a pointer on others, and then often a multiple of a large power of two.
    const uint64_t thread = (uintptr_t)pthread_self();
    return static_cast<unsigned>(thread * kGoldenRatio >> 48);
}

// FreeBSD has the first name, NetBSD and OpenBSD the second.
void zero_in_children([[maybe_unused]] void *bytes, [[maybe_unused]] std::size_t size) {
#if defined(INHERIT_ZERO)
    minherit(bytes, size, INHERIT_ZERO);
#elif defined(MAP_INHERIT_ZERO)
    minherit(bytes, size, MAP_INHERIT_ZERO);
#endif
}

void prefer_large_pages(void *, std::size_t) {}

bool ask_for_random_bytes(void *, std::size_t) {
    return false;
}

bool counter_is_trusted() {
    return false;
}

void ExactTimers::begin() {}
void ExactTimers::end() {}

SleeperState::SleeperState() : made(false) {
    if (pthread_mutex_init(&mutex, nullptr) != 0) return;
    made = make_condition(&changed);
    if (!made) pthread_mutex_destroy(&mutex);
}

// The thread sees the word without the mutex, so the thread that added last may still hold it.
SleeperState::~SleeperState() {
    if (!made) return;
    pthread_mutex_lock(&mutex);
    pthread_mutex_unlock(&mutex);
    pthread_cond_destroy(&changed);
    pthread_mutex_destroy(&mutex);
}

// Signals cannot be blocked up to the moment of the sleep, as with sigsuspend, so a handler may run while the thread
// holds the mutex. It can take tokens, which waits for no lock.
Woken Sleeper::sleep_while(uint32_t expected, int64_t deadline_ns) {
    // Systems differ in how far ahead a deadline may lie.
    constexpr int64_t kLongest = 86400 * kNanosecondsPerSecond;
    constexpr int64_t kNap = 1000000;
    const ErrnoKept kept;
    const NotCancelled not_cancelled;
    const int64_t now = monotonic_ns();
    const int64_t left = deadline_ns > now ? deadline_ns - now : 0;
    if (!state_.made) {
        if (word() == expected) nap(std::min(left, kNap));
        return Woken::by_wake_or_timeout;
    }
    const timespec until = to_timespec(now + std::min(left, kLongest));
    pthread_mutex_lock(&state_.mutex);
    if (word() == expected) pthread_cond_timedwait(&state_.changed, &state_.mutex, &until);
    pthread_mutex_unlock(&state_.mutex);
    return Woken::by_wake_or_timeout;
}

void Sleeper::add_and_wake(uint32_t amount) {
    const ErrnoKept kept;
    if (!state_.made) {
        word_->fetch_add(amount, std::memory_order_acq_rel);
        return;
    }
    pthread_mutex_lock(&state_.mutex);
    word_->fetch_add(amount, std::memory_order_acq_rel);
    pthread_cond_signal(&state_.changed);
    pthread_mutex_unlock(&state_.mutex);
}

void nap(int64_t duration_ns) {
    const NotCancelled not_cancelled;
    const timespec duration = to_timespec(duration_ns);
    nanosleep(&duration, nullptr);
}

void sleep_on(std::atomic<uint32_t> *word, uint32_t expected) {
    constexpr int64_t kNapNs = 50000;
    if (word->load(std::memory_order_relaxed) == expected) nap(kNapNs);
}

void wake_one([[maybe_unused]] std::atomic<uint32_t> *word) {}

bool SharedMemory::find_path(const char *, char *, std::size_t) {
    return false;
}
SharedMemory::Fault SharedMemory::create(const char *, std::size_t) {
    return Fault::unsupported;
}
SharedMemory::Fault SharedMemory::publish(const char *) {
    return Fault::unsupported;
}
SharedMemory::Fault SharedMemory::open(const char *, std::size_t) {
    return Fault::unsupported;
}
SharedMemory::Fault SharedMemory::read_start(const char *, void *, std::size_t, int *) {
    return Fault::unsupported;
}
SharedMemory::Fault SharedMemory::remove(const char *, int *) {
    return Fault::unsupported;
}
void SharedMemory::close() {}
bool SharedMemory::acquire(unsigned, Hold, bool) {
    return false;
}
void SharedMemory::unlock(unsigned) const {}

int read_clock_identity(ClockIdentity *) {
    return ENOSYS;
}

}  // namespace tb::platform
