#include "core/shared/queue_images.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace tb {
namespace {

using Word = std::atomic<uint64_t>;

constexpr std::size_t kFixedWords = sizeof(SharedQueue) / sizeof(uint64_t);
constexpr std::size_t kEntryWords = sizeof(EntryImage) / sizeof(uint64_t);

static_assert(sizeof(SharedQueue) == 40 + sizeof(QueueImage) && Word::is_always_lock_free);

// Others may change the words meanwhile, so each is read once. Who reads one that was written here also sees the last
// change of the state word that the writer saw. Each access says so itself: ThreadSanitizer knows no fences.
void copy(const Word *from, std::size_t count, void *to) {
    unsigned char *bytes = static_cast<unsigned char *>(to);
    for (std::size_t i = 0; i < count; ++i, bytes += sizeof(uint64_t)) {
        const uint64_t word = from[i].load(std::memory_order_acquire);
        std::memcpy(bytes, &word, sizeof word);
    }
}
void copy(const void *from, std::size_t count, Word *to) {
    const unsigned char *bytes = static_cast<const unsigned char *>(from);
    for (std::size_t i = 0; i < count; ++i, bytes += sizeof(uint64_t)) {
        uint64_t word = 0;
        std::memcpy(&word, bytes, sizeof word);
        to[i].store(word, std::memory_order_release);
    }
}

}  // namespace

QueueImages::~QueueImages() {
    std::free(copy_);
}

bool QueueImages::make(uint32_t most) {
    copy_ = static_cast<SharedQueue *>(std::calloc(1, SharedQueue::size(most)));
    most_ = most;
    return copy_ != nullptr;
}

std::size_t QueueImages::words_of(uint32_t reached) const {
    return kFixedWords + kEntryWords * std::min(reached, most_);
}

bool QueueImages::is_loaded(unsigned in_force) const {
    return loaded_ != 0 && words_[in_force][0].load(std::memory_order_relaxed) == loaded_;
}

const PlannedFor &QueueImages::read(unsigned in_force) {
    const Word *const words = words_[in_force];
    copy(words, kFixedWords, copy_);
    copy(words + kFixedWords, words_of(copy_->image.reached) - kFixedWords, copy_->image.entries());
    loaded_ = copy_->change;
    return copy_->limit;
}

void QueueImages::restore(WaitQueue *queue) {
    queue->restore(copy_->image);
}

void QueueImages::put(unsigned image, uint64_t word, const WaitQueue &queue, const PlannedFor &limit) {
    copy_->change = written_;
    copy_->limit = limit;
    queue.save(&copy_->image, word);
    copy(copy_, words_of(copy_->image.reached), words_[image]);
}

void QueueImages::begin(uint64_t word, const WaitQueue &empty, const PlannedFor &limit) {
    written_ = 1;
    for (unsigned image : {0u, 1u}) put(image, word, empty, limit);
    forget();
}

void QueueImages::write(unsigned in_force, uint64_t next, const WaitQueue &queue, const PlannedFor &limit) {
    written_ = words_[in_force][0].load(std::memory_order_relaxed) + 1;
    put(in_force ^ 1, next, queue, limit);
}

// A take that moves the base may run in a signal handler, on a small stack.
void QueueImages::carry(unsigned in_force) {
    constexpr std::size_t kReached = (offsetof(SharedQueue, image) + offsetof(QueueImage, reached)) / sizeof(uint64_t);
    static_assert(offsetof(QueueImage, reached) % sizeof(uint64_t) == 0);
    const Word *const from = words_[in_force];
    uint32_t reached = 0;
    const uint64_t fixed = from[kReached].load(std::memory_order_relaxed);
    std::memcpy(&reached, &fixed, sizeof reached);
    const std::size_t count = words_of(reached);
    for (std::size_t i = 0; i < count; ++i)
        words_[in_force ^ 1][i].store(from[i].load(std::memory_order_relaxed), std::memory_order_release);
}

}  // namespace tb
