// A file on a memory file system, or one without a name. The locks are those of open file descriptions: the kernel
// releases them when the last descriptor of the description is closed, so also when the process is killed. A child of
// a fork shares its parent's description, so it opens the file anew: at once, because its parent may be killed while it
// holds a lock, and because the child may give up the right to open it; or where that failed, before its first lock.
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/platform/platform.h"
#include "core/platform/unix/common.h"

namespace tb::platform {
namespace {

using Fault = SharedMemory::Fault;

// Large enough for "/proc/self/fd/" and a number.
struct DescriptorPath {
    explicit DescriptorPath(int file) { static_cast<void>(snprintf(text, sizeof text, "/proc/self/fd/%d", file)); }
    char text[32];
};

// The system calls themselves where the C library's functions are newer than the oldest one that the library is for.
#if defined(SYS_fcntl64)
constexpr long kFcntl = SYS_fcntl64;  // the one for 64-bit offsets, where there are two
#else
constexpr long kFcntl = SYS_fcntl;
#endif

int look_at(int folder, const char *path, int flags, struct statx *status) {
    return static_cast<int>(syscall(SYS_statx, folder, path, flags, STATX_BASIC_STATS, status));
}

int open_memory() {
    return static_cast<int>(syscall(SYS_memfd_create, "tokenbucket", MFD_CLOEXEC | MFD_ALLOW_SEALING));
}

// A file in the folder of `path` that has no name yet; -1 and errno if there is none.
int open_nameless(const char *path) {
    char folder[SharedMemory::kLongestPath];
    const char *const slash = strrchr(path, '/');
    const size_t length = static_cast<size_t>(slash - path);  // an absolute path has one
    if (length >= sizeof folder) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(folder, path, length + 1);
    folder[length == 0 ? 1 : length] = '\0';
    return open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, S_IRUSR | S_IWUSR);
}

// A pipe in the place of the file must not block it.
int open_file(const char *path, int access) {
    return open(path, access | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
}

bool is_not_a_file(int error) {
    return error == ELOOP || error == EISDIR || error == ENXIO;
}

int change_lock(int file, unsigned number, short type, bool waits) {
    struct flock64 range {};
    range.l_type = type;
    range.l_whence = SEEK_SET;
    range.l_start = static_cast<off64_t>(number);
    range.l_len = 1;
    return static_cast<int>(syscall(kFcntl, file, waits ? F_OFD_SETLKW : F_OFD_SETLK, &range));
}

// What is mapped in this process, under the lock, which a fork holds so that the child finds the list in order.
constinit ForkSafeLock list_lock{ForkSafeLock::Static::lock};
SharedMemory *first_mapped = nullptr;
std::atomic<uintptr_t> forking_thread;  // the one that holds the lock for its fork

}  // namespace

// Gives up after a while: a signal handler that forks may have interrupted the holder.
void SharedMemory::before_fork() {
    constexpr int kRounds = 32;
    for (int round = 0; round < kRounds; ++round) {
        if (list_lock.try_lock()) {
            forking_thread.store(this_thread(), std::memory_order_relaxed);
            return;
        }
        back_off(round);
    }
}

void SharedMemory::after_fork() {
    if (forking_thread.load(std::memory_order_relaxed) != this_thread()) return;
    forking_thread.store(0, std::memory_order_relaxed);
    list_lock.unlock();
}

void SharedMemory::after_fork_in_child() {
    if (forking_thread.load(std::memory_order_relaxed) != this_thread()) return;
    const ErrnoKept kept;
    for (SharedMemory *m = first_mapped; m != nullptr; m = m->next_) m->own_locks(false);
    after_fork();
}

void SharedMemory::list() {
    static std::atomic<bool> follows_forks;
    if (!follows_forks.exchange(true)) pthread_atfork(before_fork, after_fork, after_fork_in_child);
    const LockGuard guard(&list_lock);
    next_ = first_mapped;
    first_mapped = this;
}

void SharedMemory::unlist() {
    const LockGuard guard(&list_lock);
    SharedMemory **link = &first_mapped;
    while (*link != nullptr && *link != this) link = &(*link)->next_;
    if (*link != nullptr) *link = next_;
}

bool SharedMemory::find_path(const char *name, char *path, std::size_t room) {
    const bool is_path = name[0] == '/';
    if (name[0] == '\0' || name[0] == '.' || (!is_path && strchr(name, '/') != nullptr)) return false;
    const int length = snprintf(path, room, "%s%s", is_path ? "" : "/dev/shm/", name);
    return length > 0 && static_cast<size_t>(length) < room && path[length - 1] != '/';
}

Fault SharedMemory::refuse() {
    error_ = errno;
    close();
    return error_ == ENOENT ? Fault::absent : error_ == EEXIST ? Fault::exists : Fault::refused;
}

Fault SharedMemory::map(std::size_t size) {
    if (!own_locks(true)) return refuse();
    struct statx status {};
    if (look_at(file_, "", AT_EMPTY_PATH, &status) != 0) return refuse();
    device_ = uint64_t{status.stx_dev_major} << 32 | status.stx_dev_minor;
    inode_ = status.stx_ino;
    void *const memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file_, 0);
    if (memory == MAP_FAILED) return refuse();
    memory_ = memory;
    size_ = size;
    list();
    return Fault::none;
}

Fault SharedMemory::create(const char *path, std::size_t size) {
    const ErrnoKept kept;
    file_ = path == nullptr ? open_memory() : open_nameless(path);
    if (file_ < 0) return refuse();
    // Space that is not there would be missed as a bus error later.
    if (const int error = posix_fallocate(file_, 0, static_cast<off_t>(size))) {
        errno = error;
        return refuse();
    }
    if (fchmod(file_, S_IRUSR | S_IWUSR) != 0) return refuse();
    constexpr unsigned kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
    if (path == nullptr && syscall(kFcntl, file_, F_ADD_SEALS, kSeals) != 0) return refuse();
    return map(size);
}

Fault SharedMemory::publish(const char *path) {
    const ErrnoKept kept;
    const DescriptorPath file(file_);
    return linkat(AT_FDCWD, file.text, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0 ? Fault::none : refuse();
}

Fault SharedMemory::open(const char *path, std::size_t size) {
    const ErrnoKept kept;
    file_ = open_file(path, O_RDWR);
    if (file_ < 0 && is_not_a_file(errno)) {
        error_ = errno;
        return Fault::not_a_file;
    }
    if (file_ < 0) return refuse();
    struct statx status {};
    if (look_at(file_, "", AT_EMPTY_PATH, &status) != 0) return refuse();
    Fault fault = Fault::none;
    if (!S_ISREG(status.stx_mode)) {
        fault = Fault::not_a_file;
    } else if (status.stx_uid != geteuid()) {
        fault = Fault::foreign;
    } else if ((status.stx_mode & (S_IRWXG | S_IRWXO)) != 0) {
        fault = Fault::open;
    } else if (status.stx_size < size) {
        fault = Fault::truncated;
    }
    if (fault != Fault::none) {
        close();
        return fault;
    }
    return map(static_cast<std::size_t>(status.stx_size));
}

void SharedMemory::close() {
    const ErrnoKept kept;
    unlist();
    if (memory_ != nullptr) munmap(memory_, size_);
    if (locks_ >= 0) ::close(locks_);
    if (file_ >= 0) ::close(file_);
    memory_ = nullptr;
    file_ = locks_ = -1;
}

Fault SharedMemory::read_start(const char *path, void *bytes, std::size_t size, int *error) {
    const ErrnoKept kept;
    const int file = open_file(path, O_RDONLY);
    *error = errno;
    if (file < 0) return *error == ENOENT ? Fault::absent : is_not_a_file(*error) ? Fault::not_a_file : Fault::refused;
    struct statx status {};
    Fault fault = Fault::none;
    if (look_at(file, "", AT_EMPTY_PATH, &status) != 0) {
        *error = errno;
        fault = Fault::refused;
    } else if (!S_ISREG(status.stx_mode)) {
        fault = Fault::not_a_file;
    } else if (pread(file, bytes, size, 0) != static_cast<ssize_t>(size)) {
        fault = Fault::truncated;
    }
    ::close(file);
    return fault;
}

Fault SharedMemory::remove(const char *path, int *error) {
    const ErrnoKept kept;
    if (unlink(path) == 0) return Fault::none;
    *error = errno;
    return errno == ENOENT ? Fault::absent : Fault::refused;
}

bool SharedMemory::own_locks(bool waits) {
    if (!waits && !opening_.try_lock()) return false;
    if (waits) opening_.lock();
    const uint32_t here = process_generation();
    if (locks_ < 0 || process_ != here) {
        if (locks_ >= 0) ::close(locks_);  // first, so that a descriptor is free
        const DescriptorPath file(file_);
        locks_ = ::open(file.text, O_RDWR | O_CLOEXEC);
        if (locks_ >= 0) process_ = here;
    }
    opening_.unlock();
    return process_ == here;
}

// In a child that has no descriptor left for its locks, it waits until there is one. What else can refuse a lock, such
// as a full table of the kernel, passes, too.
bool SharedMemory::acquire(unsigned number, Hold hold, bool waits) {
    constexpr int64_t kNapNs = 1000000;
    const short type = hold == Hold::alone ? F_WRLCK : F_RDLCK;
    const ErrnoKept kept;
    for (;;) {
        if (own_locks(waits) && change_lock(locks_, number, type, waits) == 0) return true;
        if (!waits) return false;
        if (errno != EINTR) nap(kNapNs);
    }
}

void SharedMemory::unlock(unsigned number) const {
    const ErrnoKept kept;
    change_lock(locks_, number, F_UNLCK, false);
}

int read_clock_identity(ClockIdentity *identity) {
    const ErrnoKept kept;
    const int file = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (file < 0) return errno;
    char text[36];
    const ssize_t length = read(file, text, sizeof text);
    close(file);
    if (length != static_cast<ssize_t>(sizeof text)) return EIO;
    unsigned digit = 0;
    *identity = {};
    for (const char c : text) {
        if (c == '-' || digit == 2 * sizeof identity->boot) continue;
        const int value = c <= '9' ? c - '0' : c - 'a' + 10;
        identity->boot[digit / 2] = static_cast<unsigned char>(identity->boot[digit / 2] << 4 | (value & 0xf));
        ++digit;
    }
    // Kernels before 5.6 have no such namespaces.
    struct statx status {};
    if (look_at(AT_FDCWD, "/proc/self/ns/time", 0, &status) == 0) identity->time_namespace = status.stx_ino;
    return digit == 2 * sizeof identity->boot ? 0 : EIO;
}

}  // namespace tb::platform
