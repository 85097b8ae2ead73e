#include "core/shared/shared_state.h"

#include <cstddef>
#include <new>

#include "core/shared/possible.h"

namespace tb {
namespace {

constexpr uint32_t kLayout = 2;  // another one with each change of SharedPage
constexpr SharedHeader kObject{kBucketMagic, kLayout, SharedPage::kMostEntries, sizeof(SharedPage), {}};

static_assert(sizeof(Plan) == 112 && sizeof(Cell) % 8 == 0);
static_assert(offsetof(SharedPage, cell) == 64);

}  // namespace

// ---- Opening ----

Status SharedState::open(const char *name, const Terms &terms, Difference *difference, int *error) {
    if (!images_.make(SharedPage::kMostEntries)) return Status::out_of_memory;
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
    WaitQueue empty({});
    empty.chain().set_capacity(static_cast<int64_t>(terms.limit.capacity));
    images_.use(&page_->queue);
    images_.begin(page_->cell.word(), empty, {terms.spec, 0});
    return publish_shared(&memory_, path, error);
}

Status SharedState::attach(const Terms &terms, Difference *difference) {
    page_ = static_cast<SharedPage *>(memory_.memory());
    if (page_->header.size != sizeof(SharedPage)) *difference = Difference::layout;
    if (memory_.size() < sizeof(SharedPage)) *difference = Difference::size;
    if (*difference != Difference::none) return Status::mismatch;
    uint64_t word = 0;
    const Plan plan = page_->cell.read(&word);
    images_.use(&page_->queue);
    const LimitSpec &spec = images_.read(image_of(word)).spec;
    images_.forget();
    tbu_fraction rate;
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

// The image in force is written by none, unless the generation goes on twice meanwhile.
void SharedState::load(WaitQueue *queue, LimitSpec *spec) {
    constexpr int kRounds = 1000;
    for (int round = 0; round < kRounds; ++round) {
        const uint64_t word = page_->cell.word();
        if (images_.is_loaded(image_of(word))) return;
        *spec = images_.read(image_of(word)).spec;
        if (((page_->cell.word() ^ word) & kGenerationMask) == 0) break;
    }
    images_.restore(queue);
}

}  // namespace tb
