// What the core needs from the operating system: the one interface, which each system's folder beside this file
// implements. The build picks one folder, by the system's name where there is one of that name, else posix:
//
//   linux  futexes, the thread's timer slack, the kernel's own choice of a time counter
//   posix  what POSIX has anywhere: mutexes, condition variables on CLOCK_MONOTONIC
//
// In a folder, sources.txt lists the sources of its build, some of which may lie in unix, libs.txt what else to link;
// state.h says what the objects declared here hold: the folder is on the include path. No other file names a folder.
// Where two promise different things, that is said below and in the constants of state.h.
#ifndef TOKENBUCKET_CORE_PLATFORM_PLATFORM_H
#define TOKENBUCKET_CORE_PLATFORM_PLATFORM_H

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "state.h"

namespace tb::platform {

// CLOCK_MONOTONIC in nanoseconds.
int64_t monotonic_ns();

// Does the kernel itself keep time by the counter that read_counter (counter.h) reads? Then it ticks evenly, equally on
// all cores and in all power states. posix: nobody can tell, so no.
bool counter_is_trusted();

// A number for this process, never 0: the same from the first call to the end, and after a fork one in the child that
// no ancestor had. So two equal numbers mean that there was no fork between, while a process id may be used again.
// The first call in a program may allocate, all others may be made in a signal handler; only the first one in
// each process makes system calls.
// linux: in every child. posix: where the kernel cannot empty a page in children, only in those of the C library's
// fork(). The same holds on Linux before 4.14 and under an emulator that cannot.
uint32_t process_generation();

// Tells the calling thread from all others that run at the same time; never 0.
uintptr_t this_thread();

// A number that mostly differs between threads that run at the same time. linux: the processor, now or a moment ago;
// posix: one for each thread.
unsigned thread_hint();

// Lets this thread's timers fire as exactly as the kernel can, from begin() until end() or the end of its life. Both
// may be called again and again. posix: does nothing.
class ExactTimers {
  public:
    ExactTimers() = default;
    ~ExactTimers() { end(); }
    ExactTimers(const ExactTimers &) = delete;
    ExactTimers &operator=(const ExactTimers &) = delete;

    void begin();
    void end();

  private:
    [[no_unique_address]] TimerState state_;
};

// Fills the bytes with random ones that nobody can guess: 0, or an errno if the system gives none.
int random_bytes(void *bytes, std::size_t size);

// Zeroed memory of its own pages, large ones where the system has them; null if there is none.
void *map_zeroed(std::size_t size);
void unmap(void *memory, std::size_t size);

enum class Woken { by_wake_or_timeout, by_signal };

// A word on which one thread sleeps, and to which others add. That thread makes and destroys it.
//
// linux: takes nothing but memory, so it may be made anywhere. posix: making it may allocate, where the system's
// mutexes do. Where that fails the thread sleeps all the same, in naps of a millisecond. A fork in a signal handler
// that interrupts the sleep leaves the child's copy of the thread asleep, at the worst for ever.
class Sleeper {
  public:
    Sleeper() = default;
    Sleeper(const Sleeper &) = delete;
    Sleeper &operator=(const Sleeper &) = delete;

    uint32_t word() const { return word_->load(std::memory_order_acquire); }

    // linux: sleeps on a word of shared memory from now on, to which other processes add by a sleeper of their own.
    // posix: there is none.
    void share(std::atomic<uint32_t> *word) { word_ = word; }

    // For its own thread: sleeps while the word is as expected, at the latest until deadline_ns on the monotonic clock;
    // may return early. Not a cancellation point.
    // linux: returns by_signal after any signal handler, with or without SA_RESTART. posix: never does, the handler
    // runs and the sleep goes on; one that runs just before or after the sleep holds up who wakes the thread until it
    // returns.
    Woken sleep_while(uint32_t expected, int64_t deadline_ns);

    // For others: adds to the word and wakes the thread. The thread may destroy the sleeper as soon as it sees the new
    // word, so this may be the last that the caller does with it.
    void add_and_wake(uint32_t amount);

  private:
    std::atomic<uint32_t> own_{0};
    std::atomic<uint32_t> *word_ = &own_;
    [[no_unique_address, maybe_unused]] SleeperState state_;
};

// A lock for short work: without contention a compare-and-swap and an exchange. What another process held when it
// forked is free in the child. linux: a thread that waits long sleeps until it is woken; posix: in naps. A signal
// handler may try it, but not wait for it: the thread that it interrupted may be the holder.
class ForkSafeLock {
  public:
    // Not in a signal handler: asks for the first process_generation of the program.
    ForkSafeLock() { process_generation(); }
    // Of static storage: another one must have been made before it is used.
    enum class Static { lock };
    constexpr explicit ForkSafeLock(Static) {}
    ForkSafeLock(const ForkSafeLock &) = delete;
    ForkSafeLock &operator=(const ForkSafeLock &) = delete;

    bool try_lock();
    void lock();
    void unlock();

  private:
    std::atomic<uint32_t> holder_{0};
};

template <class Lock>
class LockGuard {
  public:
    explicit LockGuard(Lock *lock) : lock_(lock) { lock_->lock(); }
    ~LockGuard() { lock_->unlock(); }
    LockGuard(const LockGuard &) = delete;
    LockGuard &operator=(const LockGuard &) = delete;

  private:
    Lock *lock_;
};

// Memory that processes share, and locks between them. A lock ends with its holder, however that dies. But if the
// holder has children that were not made by the C library's fork() and never locked anything here, then with the last
// of these. posix: has none.
class SharedMemory {
  public:
    enum class Fault {
        none,
        refused,      // by the system, see error()
        unsupported,  // by this platform
        exists,       // the name
        absent,
        not_a_file,  // such as a symbolic link
        foreign,     // belongs to another user
        open,        // others may read or write it
        truncated,   // shorter than asked for
    };

    SharedMemory() = default;
    ~SharedMemory() { close(); }
    SharedMemory(const SharedMemory &) = delete;
    SharedMemory &operator=(const SharedMemory &) = delete;

    // The path of a name: in the system's folder of shared memory, unless it is one itself. False if it is neither.
    static bool find_path(const char *name, char *path, std::size_t room);
    static constexpr std::size_t kLongestPath = 1024;

    // Zeroed memory that nobody else has, but the children of this process. A path is that of a file which does not
    // exist yet; publish() gives the memory that name.
    Fault create(const char *path, std::size_t size);
    Fault publish(const char *path);
    // At least `size` bytes.
    Fault open(const char *path, std::size_t size);
    void close();
    // The first bytes of a file; nothing is mapped or locked. absent, not_a_file, truncated; refused: *error is an
    // errno.
    static Fault read_start(const char *path, void *bytes, std::size_t size, int *error);
    static Fault remove(const char *path, int *error);

    void *memory() const { return memory_; }
    std::size_t size() const { return size_; }  // of the file when it was opened
    bool is_same_file(const SharedMemory &other) const { return device_ == other.device_ && inode_ == other.inode_; }
    int error() const { return error_; }  // errno

    // Locks number 0, 1, ..., each for one thread at a time of this process. try_lock does not wait. Several processes
    // can hold a lock in common; then none can hold it alone. Who holds it in one way holds it in the other after the
    // call for that. Async-signal-safe.
    void lock(unsigned number) { acquire(number, Hold::alone, true); }
    bool try_lock(unsigned number) { return acquire(number, Hold::alone, false); }
    void lock_in_common(unsigned number) { acquire(number, Hold::in_common, true); }
    void unlock(unsigned number) const;

  private:
    Fault refuse();
    Fault map(std::size_t size);
    enum class Hold { alone, in_common };
    bool acquire(unsigned number, Hold hold, bool waits);
    bool own_locks(bool waits);
    static void before_fork();
    static void after_fork();
    static void after_fork_in_child();
    void list();
    void unlist();

    void *memory_ = nullptr;
    std::size_t size_ = 0;
    int file_ = -1;
    int locks_ = -1;  // the file once more: what is locked by it is this process's alone
    uint64_t device_ = 0;
    uint64_t inode_ = 0;
    int error_ = 0;
    uint32_t process_ = 0;  // the one that opened locks_
    ForkSafeLock opening_;
    SharedMemory *next_ = nullptr;  // in the list of what is mapped
};

// Tells this boot of the machine from others, and the offset of CLOCK_MONOTONIC that the process sees.
struct ClockIdentity {
    unsigned char boot[16];
    uint64_t time_namespace;
};
// 0, or an errno.
int read_clock_identity(ClockIdentity *identity);

// One round of waiting for another thread that is about to finish: a few pauses, later rounds give up the processor.
void back_off(int round);

}  // namespace tb::platform

#endif
