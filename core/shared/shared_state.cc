#include "core/shared/shared_state.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <new>

#include "core/shared/possible.h"

namespace tb {
namespace {

using Word = std::atomic<uint64_t>;

constexpr uint32_t kLayout = 1;  // another one with each change of SharedPage
constexpr SharedHeader kObject{kBucketMagic, kLayout, QueueImage::kMostEntries, sizeof(SharedPage), {}};
constexpr std::size_t kFixedWords = (offsetof(SharedQueue, image) + offsetof(QueueImage, entries)) / sizeof(uint64_t);
constexpr std::size_t kEntryWords = sizeof(EntryImage) / sizeof(uint64_t);

static_assert(sizeof(Plan) == 112 && sizeof(Cell) % 8 == 0);
static_assert(offsetof(SharedPage, cell) == 64 && std::atomic<uint64_t>::is_always_lock_free);
static_assert(sizeof(SharedQueue) == 32 + sizeof(QueueImage));

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

std::size_t words_of(uint32_t reached) {
    return kFixedWords + kEntryWords * std::min(reached, QueueImage::kMostEntries);
}

}  // namespace

// ---- Opening ----

Status SharedState::open(const char *name, const Terms &terms, Difference *difference, int *error) {
    buffer_ = static_cast<SharedQueue *>(std::calloc(1, sizeof(SharedQueue)));
    if (buffer_ == nullptr) return Status::out_of_memory;
    const auto created = [&](const char *path) { return create(path, terms, error); };
    bool is_new = false;
    const Status s = open_shared(&memory_, name, kObject, created, &is_new, difference, error);
    return s != Status::success || is_new ? s : attach(terms, difference);
}

// stale: another process was first.
Status SharedState::create(const char *path, const Terms &terms, int *error) {
    if (const Status s = create_shared(&memory_, path, kObject, error); s != Status::success) return s;
    const SharedHeader header = *static_cast<SharedHeader *>(memory_.memory());
    page_ = new (memory_.memory())
        SharedPage(header, make_plan(terms.limit, terms.now_ns, {0, {0, 0}}), terms.initial_units);
    *buffer_ = {};
    buffer_->change = 1;
    buffer_->spec = terms.spec;
    buffer_->image.capacity = static_cast<int64_t>(terms.limit.capacity);
    buffer_->image.last_word = page_->cell.word();
    *error = platform::random_bytes(&buffer_->image.arrivals, sizeof buffer_->image.arrivals);
    if (*error != 0) return Status::system;
    buffer_->image.arrivals >>= Chain::kIndexBits;
    buffer_->image.serial =
        static_cast<uint32_t>(buffer_->image.arrivals >> (64 - Chain::kIndexBits - Chain::kSerialBits));
    copy(buffer_, kFixedWords, page_->queues[0]);
    return publish_shared(&memory_, path, error);
}

Status SharedState::attach(const Terms &terms, Difference *difference) {
    page_ = static_cast<SharedPage *>(memory_.memory());
    if (page_->header.size != sizeof(SharedPage)) *difference = Difference::layout;
    if (memory_.size() < sizeof(SharedPage)) *difference = Difference::size;
    if (*difference != Difference::none) return Status::mismatch;
    uint64_t word = 0;
    const Plan plan = page_->cell.read(&word);
    read(word, buffer_);
    tbu_fraction rate;
    const LimitSpec &spec = buffer_->spec;
    if (!is_possible(plan, INT64_MAX) || read_limit(spec, &rate) != Status::success) {
        *difference = Difference::damaged;
    } else if (!terms.adopts && spec.capacity != terms.spec.capacity) {
        *difference = Difference::capacity;
    } else if (!terms.adopts && !is_same_rate(spec, terms.spec)) {
        *difference = Difference::rate;
    }
    if (*difference != Difference::none) return Status::mismatch;
    return plan.is_closed() ? Status::closed : Status::success;
}

// ---- The queue ----

// Of the slot of that word; its change.
uint64_t SharedState::read(uint64_t word, SharedQueue *queue) const {
    const Word *const words = page_->queues[word & 1];
    copy(words, kFixedWords, queue);
    copy(words + kFixedWords, words_of(queue->image.reached) - kFixedWords, queue->image.entries);
    return queue->change;
}

// The slot in force is written by none, unless the generation goes on twice meanwhile.
void SharedState::load(WaitQueue *queue, LimitSpec *spec) {
    constexpr int kRounds = 1000;
    for (int round = 0; round < kRounds; ++round) {
        const uint64_t word = page_->cell.word();
        if (page_->queues[word & 1][0].load(std::memory_order_relaxed) == loaded_ && loaded_ != 0) return;
        loaded_ = read(word, buffer_);
        if (((page_->cell.word() ^ word) & kGenerationMask) == 0) break;
    }
    queue->restore(buffer_->image);
    *spec = buffer_->spec;
}

void SharedState::save(uint64_t word, uint64_t next, const WaitQueue &queue, const LimitSpec &spec) {
    written_ = page_->queues[word & 1][0].load(std::memory_order_relaxed) + 1;
    buffer_->change = written_;
    buffer_->spec = spec;
    queue.save(&buffer_->image, next);
    copy(buffer_, words_of(buffer_->image.reached), page_->queues[~word & 1]);
}

// The buffer is the account's. A take that moves the base may run in a signal handler, on a small stack.
void SharedState::carry(uint64_t word) {
    constexpr std::size_t kReached =
        (offsetof(SharedQueue, image) + offsetof(QueueImage, reached)) / sizeof(uint64_t) * sizeof(uint64_t);
    static_assert(kReached == offsetof(SharedQueue, image) + offsetof(QueueImage, reached));
    const Word *const from = page_->queues[word & 1];
    Word *const to = page_->queues[~word & 1];
    uint32_t reached = 0;
    const uint64_t fixed = from[kReached / sizeof(uint64_t)].load(std::memory_order_relaxed);
    std::memcpy(&reached, &fixed, sizeof reached);
    const std::size_t count = words_of(reached);
    for (std::size_t i = 0; i < count; ++i)
        to[i].store(from[i].load(std::memory_order_relaxed), std::memory_order_release);
}

}  // namespace tb
