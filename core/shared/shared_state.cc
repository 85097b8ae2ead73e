#include "core/shared/shared_state.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstring>
#include <new>

namespace tb {
namespace {

using platform::SharedMemory;
using Fault = SharedMemory::Fault;
using Word = std::atomic<uint64_t>;

constexpr uint64_t kMagic = 0x74656b6355424274;
constexpr uint32_t kLayout = 1;  // another one with each change of SharedPage
constexpr std::size_t kFixedWords = (offsetof(SharedQueue, image) + offsetof(QueueImage, entries)) / sizeof(uint64_t);
constexpr std::size_t kEntryWords = sizeof(EntryImage) / sizeof(uint64_t);

static_assert(sizeof(SharedHeader) == 48 && sizeof(Plan) == 112 && sizeof(Cell) % 8 == 0);
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

Difference difference_of(Fault fault) {
    switch (fault) {
        case Fault::not_a_file:
            return Difference::kind;
        case Fault::foreign:
            return Difference::owner;
        case Fault::open:
            return Difference::mode;
        case Fault::truncated:
            return Difference::size;
        default:
            return Difference::none;
    }
}

bool is_same_rate(const LimitSpec &a, const LimitSpec &b) {
    tbu_fraction x, y;
    if (read_limit(a, &x) != Status::success || read_limit(b, &y) != Status::success) return false;
    return x.numerator.hi == y.numerator.hi && x.numerator.lo == y.numerator.lo &&
           x.denominator.hi == y.denominator.hi && x.denominator.lo == y.denominator.lo;
}

}  // namespace

// ---- Opening ----

Status SharedState::open(const char *name, const Terms &terms, Difference *difference, int *error) {
    constexpr int kRounds = 100;  // others may create and remove it meanwhile
    *difference = Difference::none;
    buffer_ = static_cast<SharedQueue *>(std::calloc(1, sizeof(SharedQueue)));
    if (buffer_ == nullptr) return Status::out_of_memory;
    char path[SharedMemory::kLongestPath];
    if (!platform::kSharesMemory) return Status::unsupported;
    if (name == nullptr) return create(nullptr, terms, error);
    if (!SharedMemory::find_path(name, path, sizeof path)) return Status::invalid_argument;
    for (int round = 0; round < kRounds; ++round) {
        const Fault fault = memory_.open(path, sizeof(SharedPage));
        *difference = difference_of(fault);
        *error = memory_.error();
        if (fault == Fault::none) return attach(terms, difference);
        if (fault == Fault::refused) return Status::system;
        if (fault != Fault::absent) return Status::mismatch;
        const Status s = create(path, terms, error);
        if (s != Status::stale) return s;
    }
    return Status::system;
}

Status SharedState::remove(const char *name, int *error) {
    char path[SharedMemory::kLongestPath];
    if (!platform::kSharesMemory) return Status::unsupported;
    if (!SharedMemory::find_path(name, path, sizeof path)) return Status::invalid_argument;
    const Fault fault = SharedMemory::remove(path, error);
    return fault == Fault::none || fault == Fault::absent ? Status::success : Status::system;
}

// stale: another process was first.
Status SharedState::create(const char *path, const Terms &terms, int *error) {
    Fault fault = memory_.create(path, sizeof(SharedPage));
    if (fault == Fault::none) {
        const Plan plan = make_plan(terms.limit, terms.now_ns, {0, {0, 0}});
        page_ = new (memory_.memory()) SharedPage(plan, terms.initial_units);
        page_->header = {kMagic, kLayout, QueueImage::kMostEntries, sizeof(SharedPage), {}};
        if (!platform::read_clock_identity(&page_->header.clock)) return Status::system;
        *buffer_ = {};
        buffer_->change = 1;
        buffer_->spec = terms.spec;
        buffer_->image.capacity = static_cast<int64_t>(terms.limit.capacity);
        buffer_->image.last_word = page_->cell.word();
        if (!platform::random_bytes(&buffer_->image.arrivals, sizeof buffer_->image.arrivals)) return Status::system;
        buffer_->image.arrivals >>= Chain::kIndexBits;
        buffer_->image.serial =
            static_cast<uint32_t>(buffer_->image.arrivals >> (64 - Chain::kIndexBits - Chain::kSerialBits));
        copy(buffer_, kFixedWords, page_->queues[0]);
        if (path != nullptr) fault = memory_.publish(path);
    }
    *error = memory_.error();
    if (fault == Fault::exists) return Status::stale;
    return fault == Fault::none ? Status::success : Status::system;
}

Status SharedState::attach(const Terms &terms, Difference *difference) {
    page_ = static_cast<SharedPage *>(memory_.memory());
    const SharedHeader header = page_->header;
    platform::ClockIdentity here;
    if (!platform::read_clock_identity(&here)) return Status::system;
    const bool is_layout = header.magic == kMagic && header.layout == kLayout && header.size == sizeof(SharedPage) &&
                           header.most_entries == QueueImage::kMostEntries;
    uint64_t word = 0;
    const Plan plan = page_->cell.read(&word);
    read(word, buffer_);
    tbu_fraction rate;
    const LimitSpec &spec = buffer_->spec;
    if (!is_layout) {
        *difference = Difference::layout;
    } else if (std::memcmp(header.clock.boot, here.boot, sizeof here.boot) != 0) {
        *difference = Difference::boot;
    } else if (header.clock.time_namespace != here.time_namespace) {
        *difference = Difference::time_namespace;
    } else if (!is_possible(plan, INT64_MAX) || read_limit(spec, &rate) != Status::success) {
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

// ---- Plans that were read ----

bool is_possible(const Plan &plan, int64_t now) {
    constexpr uint64_t kMostPlaces = 9;
    constexpr uint64_t kMostElapsed = uint64_t{1} << 62;
    constexpr uint64_t kLeastElapsed = uint64_t{1} << 19;  // nanoseconds; no scale and rate make it shorter
    const bool has_units = plan.scale != 0 && plan.scale < uint64_t{1} << 53 && plan.refinement() != 0 &&
                           plan.places() <= kMostPlaces &&
                           plan.scale == tbu_power_of_ten(static_cast<int>(plan.places())) * plan.refinement();
    const bool has_capacity = plan.capacity != 0 && plan.capacity <= kMaxCapacityUnits;
    const bool has_amount =
        plan.is_closed() ? plan.largest_amount == 0 : is_amount(std::bit_cast<double>(plan.largest_amount));
    const bool has_time = plan.base_ns >= 0 && plan.base_ns <= now && plan.elapsed_limit >= kLeastElapsed &&
                          plan.elapsed_limit <= kMostElapsed;
    const bool has_rate = tbu_gain(&plan.rate, {0, {0, 0}}, plan.elapsed_limit) <= kMaxGrowthUnits;
    return has_units && has_capacity && has_amount && has_time && has_rate;
}

Plan closed_plan() {
    Limit limit;
    make_limit({1, 1, 1000000000}, &limit);
    Plan plan = make_plan(limit, 0, {0, {0, 0}});
    plan.close();
    return plan;
}

}  // namespace tb
