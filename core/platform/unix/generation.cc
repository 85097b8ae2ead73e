// process_generation: a number that turns to 0 in the child of a fork, and is chosen anew there. Two things turn it to
// 0, because neither does so everywhere:
//   - the kernel empties the page that the number is in: in every child, also in that of a bare system call, but only
//     on some systems, and not under an emulator that ignores the request, as qemu-user 7.2 does;
//   - the C library calls forget: wherever there is pthread_atfork, but only for its own fork().
// Where neither works, which is in the child of a bare system call without the first, the child takes itself for its
// parent.
#include <pthread.h>
#include <sys/mman.h>

#include "core/platform/platform.h"
#include "core/platform/unix/common.h"

namespace tb::platform {
namespace {

using Number = std::atomic<uint32_t>;

// This process's number is in *current, 0 until it is chosen: in a page that stays mapped for ever, or in no_page where
// the system gave none. Null before the first call.
std::atomic<Number *> current;
Number no_page;

// The highest number chosen here or in an ancestor; raised before that number is stored.
Number highest;

void forget() {
    if (Number *const number = current.load(std::memory_order_relaxed)) number->store(0, std::memory_order_relaxed);
}

// Threads that come here at once, or a child forked meanwhile, register forget twice, which does no harm.
Number *first_number() {
    pthread_atfork(nullptr, nullptr, forget);
    void *const page = mmap(nullptr, sizeof(Number), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
    Number *const made = page == MAP_FAILED ? &no_page : static_cast<Number *>(page);
    Number *found = nullptr;
    if (current.compare_exchange_strong(found, made, std::memory_order_acq_rel)) return made;
    if (page != MAP_FAILED) munmap(page, sizeof(Number));
    return found;
}

// zero_in_children between the two writes waits for a fork that another thread has under way. So a child that was
// copied with the old `highest`, which may choose the same number, holds nothing that was done under it.
uint32_t choose() {
    const ErrnoKept kept;
    Number *number = current.load(std::memory_order_acquire);
    if (number == nullptr) number = first_number();
    for (;;) {
        if (const uint32_t chosen = number->load(std::memory_order_relaxed)) return chosen;
        const uint32_t next = highest.fetch_add(1, std::memory_order_relaxed) + 1;
        if (number != &no_page) zero_in_children(number, sizeof(Number));
        uint32_t none = 0;
        number->compare_exchange_strong(none, next, std::memory_order_relaxed);
    }
}

}  // namespace

uint32_t process_generation() {
    const Number *const number = current.load(std::memory_order_acquire);
    const uint32_t chosen = number != nullptr ? number->load(std::memory_order_relaxed) : 0;
    return chosen != 0 ? chosen : choose();
}

}  // namespace tb::platform
