#include "core/table/shared_table.h"

#include <cstddef>
#include <new>

namespace tb {
namespace {

constexpr uint32_t kLayout = 2;  // another one with each change of SharedTablePage, or of what its slots mean

static_assert(offsetof(SharedTablePage, image) == 128 && sizeof(SharedTablePage) % sizeof(Line) == 0);
static_assert(alignof(KeyRoom) == sizeof(Line));

SharedHeader object_of(uint64_t lines) {
    const uint64_t size = sizeof(SharedTablePage) + lines * sizeof(Line) + KeyRooms::rooms_for(lines) * sizeof(KeyRoom);
    return {kTableMagic, kLayout, KeyRoom::kMostEntries, size, {}};
}

}  // namespace

Status SharedTable::open(const char *name, const Terms &terms, Difference *difference, int *error) {
    if (!platform::kHasPairExchange) return Status::unsupported;
    const auto created = [&](const char *path) { return create(path, terms, error); };
    bool is_new = false;
    const Status s = open_shared(&memory_, name, object_of(terms.lines), created, &is_new, difference, error);
    return s != Status::success || is_new ? s : attach(terms, difference);
}

// Of the lines, which are zero, all slots are free, and so are the rooms.
Status SharedTable::create(const char *path, const Terms &terms, int *error) {
    HashSecret secret;
    *error = platform::random_bytes(&secret, sizeof secret);
    if (*error != 0) return Status::system;
    if (const Status s = create_shared(&memory_, path, object_of(terms.lines), error); s != Status::success) return s;
    const SharedHeader header = *static_cast<SharedHeader *>(memory_.memory());
    const Plan plan = plan_of_table(terms.limit, terms.now_ns);
    page_ = new (memory_.memory()) SharedTablePage(header, secret, terms.when_full, terms.lines, plan, terms.spec);
    read_page();
    find_rooms();
    return publish_shared(&memory_, path, error);
}

void SharedTable::read_page() {
    lines_ = page_->lines;
    secret_ = page_->secret;
    when_full_ = page_->when_full;
}

void SharedTable::find_rooms() {
    rooms_.emplace(&memory_, reinterpret_cast<KeyRoom *>(page_->image.lines() + lines_), KeyRooms::rooms_for(lines_));
}

Status SharedTable::attach(const Terms &terms, Difference *difference) {
    page_ = static_cast<SharedTablePage *>(memory_.memory());
    const uint64_t size = page_->header.size;
    read_page();
    const bool is_counted = lines_ != 0 && lines_ <= size / sizeof(Line) && size == object_of(lines_).size;
    if (!is_counted) *difference = Difference::layout;
    if (is_counted && memory_.size() < size) *difference = Difference::size;
    if (*difference != Difference::none) return Status::mismatch;
    find_rooms();
    Plan plan;
    LimitSpec spec;
    tbu_fraction rate;
    const bool is_read = LivePlan(&page_->image.plan, &memory_).read(&plan, &spec);
    if (!is_read || read_limit(spec, &rate) != Status::success || when_full_ > WhenFull::admit) {
        *difference = Difference::damaged;
    } else if (!terms.adopts && lines_ != terms.lines) {
        *difference = Difference::places;
    } else if (!terms.adopts && when_full_ != terms.when_full) {
        *difference = Difference::when_full;
    } else if (!terms.adopts && spec.capacity != terms.spec.capacity) {
        *difference = Difference::capacity;
    } else if (!terms.adopts && !is_same_rate(spec, terms.spec)) {
        *difference = Difference::rate;
    }
    if (*difference != Difference::none) return Status::mismatch;
    return plan.is_closed() ? Status::closed : Status::success;
}

}  // namespace tb
