#include "capi/redis/src/process.h"

#include <sys/mman.h>

#include <new>

namespace tb::redis {
namespace {

constexpr std::size_t kPage = 4096;  // or what the system makes of it

}  // namespace

std::atomic<int64_t> *ProcessCheck::map_mark() {
#if defined(MADV_WIPEONFORK)
    void *const page = ::mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return nullptr;
    if (::madvise(page, kPage, MADV_WIPEONFORK) == 0) return new (page) std::atomic<int64_t>(0);
    ::munmap(page, kPage);
#endif
    return nullptr;
}

ProcessCheck::~ProcessCheck() {
    if (mark_ != nullptr) ::munmap(mark_, kPage);
}

}  // namespace tb::redis
