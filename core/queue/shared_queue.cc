// Queues that processes hand to each other.
#include <algorithm>

#include "core/bucket/limit.h"
#include "core/memory.h"
#include "core/queue/wait_queue.h"

namespace tb {
namespace {

Place place_of(const EntryImage &e) {
    return static_cast<Place>(e.place);
}
bool is_waiter(const EntryImage &e) {
    return place_of(e) != Place::none && place_of(e) != Place::reserved;
}

bool is_outcome(int32_t outcome) {
    switch (static_cast<Status>(outcome)) {
        case Status::waiting:
        case Status::success:
        case Status::timed_out:
        case Status::exceeds_capacity:
        case Status::out_of_range:
        case Status::closed:
            return true;
        default:
            return false;
    }
}

bool is_order_of_waiters(uint64_t position) {
    constexpr uint64_t kHalf = uint64_t{1} << 31;  // of the priorities
    return position + kHalf <= 2 * kHalf;
}

bool is_near(uint64_t position, const QueueImage &image) {
    constexpr uint64_t kNear = kFar / 2;
    return image.looked_at.units - position + kNear <= 2 * kNear;
}

// Do the numbers of an entry lie where no arithmetic of the chain overflows, and no order goes round in a circle?
bool is_possible(const EntryImage &e, const QueueImage &image) {
    constexpr int64_t kMostCost = static_cast<int64_t>(kMaxDebtUnits);
    constexpr int64_t kMostSpent = int64_t{1} << 62;
    if (place_of(e) > Place::apart || e.cost < 0 || e.cost > kMostCost || e.time_ns < 0) return false;
    if (place_of(e) == Place::reserved) return is_near(e.position, image);
    if (e.below.cost < -kMostSpent || e.below.cost > kMostSpent) return false;
    return e.told_ns >= 0 && e.due_since_ns >= 0 && is_outcome(e.outcome) && is_order_of_waiters(e.position);
}

bool is_possible(const QueueImage &image, uint32_t most) {
    constexpr int64_t kMostTotal = int64_t{1} << 62;
    if (image.reached > most || image.looked_ns < 0 || image.arrivals >> 63 != 0) return false;
    if (image.capacity <= 0 || image.capacity > static_cast<int64_t>(kMaxCapacityUnits)) return false;
    if (!is_near(image.base, image) || image.headroom < 0) return false;
    int64_t total = 0;
    return std::all_of(image.entries(), image.entries() + image.reached, [&](const EntryImage &e) {
        if (place_of(e) == Place::none) return true;
        if (!is_possible(e, image)) return false;
        if (place_of(e) != Place::apart) total += e.cost;
        return total <= kMostTotal;
    });
}

}  // namespace

// ---- The chain ----

void Chain::save(QueueImage *image) const {
    image->base = base_;
    image->base_before_due = base_before_due_;
    image->headroom = headroom_;
    image->capacity = capacity_;
    image->arrivals = arrivals_;
    image->serial = serial_;
    image->first_due = first_due_;
    image->reached = arena_.reached();
    for (uint32_t index = 1; index <= image->reached; ++index) {
        const Entry &e = arena_[index];
        image->entries()[index - 1] = {e.position,
                                       e.arrival,
                                       e.cost,
                                       e.time_ns,
                                       e.below,
                                       0,
                                       0,
                                       0,
                                       e.serial,
                                       e.right,
                                       static_cast<uint8_t>(e.place),
                                       0,
                                       0,
                                       0};
    }
}

bool Chain::restore(const QueueImage &image, Waiter *const waiters[]) {
    clear();
    if (!is_possible(image, arena_.room())) return false;

    base_ = image.base;
    base_before_due_ = image.base_before_due;
    headroom_ = image.headroom;
    capacity_ = image.capacity;
    reservations_.set_capacity(capacity_);
    arrivals_ = image.arrivals;
    serial_ = image.serial % (uint32_t{1} << kSerialBits);
    arena_.restart(image.reached);
    for (uint32_t index = image.reached; index != 0; --index) {
        const EntryImage &e = image.entries()[index - 1];
        if (place_of(e) == Place::none) {
            arena_.release(index);
            continue;
        }
        const Place place = place_of(e);
        arena_[index] = {e.position, e.arrival, e.cost, e.time_ns, waiters[index - 1], e.below, 0, 0, e.serial, place};
        if (place == Place::reserved) reservations_.insert(index);
        if (place == Place::waiting) waiters_.insert(index);
        if (place == Place::waiting || place == Place::aside) ++waiter_count_;
        if (place == Place::due) arena_[index].right = e.next;
    }
    if (restore_due(image.first_due) && (first_due_ == 0 || folded_base(true) == base_)) return true;
    clear();
    return false;
}

void Chain::clear() {
    reservations_.clear();
    waiters_.clear();
    waiter_count_ = first_due_ = last_due_ = 0;
    tail_known_ = false;
    arena_.restart(0);
}

// Each entry that is due must be in the list once.
bool Chain::restore_due(uint32_t first) {
    uint32_t due = 0;
    arena_.for_each([&](const Entry *e) { due += e->place == Place::due ? 1 : 0; });
    first_due_ = first;
    for (uint32_t index = first; index != 0; index = arena_[index].right, --due) {
        if (due == 0 || !arena_.holds(index) || arena_[index].place != Place::due) return false;
        arena_[index].left = last_due_;
        last_due_ = index;
    }
    return due == 0;
}

// ---- The waiters ----

bool WaitQueue::share(std::atomic<uint32_t> *bells, uint32_t most) {
    seats_ = static_cast<Seat *>(std::malloc(most * sizeof(Seat)));
    if (seats_ == nullptr || !chain_.fix(most)) return false;
    for (uint32_t i = 0; i < most; ++i) new (&seats_[i]) Seat;
    seat_count_ = most;
    bells_ = bells;
    return true;
}

void WaitQueue::take_seat(Waiter *w) {
    Seat &seat = seats_[w->index - 1];
    seat.own = w;
    seat.arrival = chain_[w->index].arrival;
    seat.deadline_ns = chain_[w->index].time_ns;
    if (!w->alarm.is_thread()) return;
    std::atomic<uint32_t> *const bell = &bells_[w->index - 1];
    bell->store(w->alarm.sleeper->word(), std::memory_order_relaxed);
    w->alarm.sleeper->share(bell);
}

void WaitQueue::save(QueueImage *image, uint64_t word) const {
    chain_.save(image);
    image->last_word = word;
    image->looked_ns = looked_ns_;
    image->looked_at = looked_at_;
    for (uint32_t i = 0; i < image->reached; ++i) {
        EntryImage &e = image->entries()[i];
        if (!is_waiter(e)) continue;
        const Waiter &w = *waiter(i + 1);
        e.told_ns = w.alarm.due_ns.load(std::memory_order_relaxed);
        e.due_since_ns = w.due_since_ns;
        e.outcome = static_cast<int32_t>(w.outcome);
        e.is_thread = w.alarm.is_thread();
        e.was_late = w.was_late;
        e.in_vain = w.in_vain;
    }
}

void WaitQueue::restore(const QueueImage &image) {
    Waiter *waiters[QueueImage::kMostEntries];
    deadlines_ = 0;
    for (uint32_t i = 0; i < seat_count_; ++i) {
        Seat &seat = seats_[i];
        const EntryImage *const e = i < image.reached && is_waiter(image.entries()[i]) ? &image.entries()[i] : nullptr;
        const bool is_own =
            seat.own != nullptr && e != nullptr && seat.arrival == e->arrival && seat.deadline_ns == e->time_ns;
        if (seat.own != nullptr && !is_own) lose_place(&seat);
        waiters[i] = nullptr;
        if (e == nullptr) continue;
        waiters[i] = is_own ? seat.own : stand_in(i + 1, *e);
        restore_waiter(*e, waiters[i]);
    }
    if (!chain_.restore(image, waiters)) drop_all();
    last_word_ = image.last_word;
    looked_ns_ = std::max<int64_t>(image.looked_ns, 0);
    looked_at_ = image.looked_at;
    in_step_ = true;
}

// By the damage that only memory which others write can have: no queue ever lies that far from what has accrued.
bool WaitQueue::is_possible(const Observation &observed, bool far) const {
    const auto is_near = [&](uint64_t position) { return observed.balance.accrued - position + kFar <= 2 * kFar; };
    if (far) return true;
    const uint32_t first = chain_.first_reservation();
    if (first != 0 && !(is_near(chain_[first].position) && is_near(chain_.last_position()))) return false;
    return is_near(chain_.base()) && is_near(looked_at_.units);
}

void WaitQueue::drop_all() {
    for (uint32_t i = 0; i < seat_count_; ++i)
        if (seats_[i].own != nullptr) lose_place(&seats_[i]);
    chain_.clear();
    deadlines_ = 0;
}

// A thread learns it when it comes, another waiter when it is asked for.
void WaitQueue::lose_place(Seat *seat) {
    Waiter *const w = seat->own;
    seat->own = nullptr;
    if (w->outcome == Status::waiting) w->outcome = Status::queue_full;
    call(w);
    if (w->owner == Waiter::Owner::queue) {
        w->lost_number = Chain::number(seat->arrival, w->index);
        w->next_lost = lost_;
        lost_ = w;
    }
    w->index = 0;
}

Waiter *WaitQueue::stand_in(uint32_t index, const EntryImage &from) {
    Seat &seat = seats_[index - 1];
    seat.sleeper.share(&bells_[index - 1]);
    Waiter *const w = &seat.other;
    w->owner = Waiter::Owner::elsewhere;
    w->alarm.sleeper = from.is_thread != 0 ? &seat.sleeper : nullptr;
    w->index = index;
    return w;
}

void WaitQueue::restore_waiter(const EntryImage &from, Waiter *w) {
    if (from.time_ns != INT64_MAX) ++deadlines_;
    w->alarm.due_ns.store(std::min(from.told_ns, from.time_ns), std::memory_order_release);
    w->due_since_ns = from.due_since_ns;
    w->outcome = static_cast<Status>(from.outcome);
    w->was_late = from.was_late != 0;
    w->in_vain = from.in_vain;
}

bool WaitQueue::reserve_room(int64_t now) {
    return chain_.reserve_room() || evict(now);
}

bool WaitQueue::evict(int64_t now) {
    constexpr int64_t kGrace = 1000000000;
    for (uint32_t index = 1; seats_ != nullptr && index <= chain_.reached(); ++index) {
        Waiter *const w = waiter(index);
        if (w == nullptr || w->owner != Waiter::Owner::elsewhere) continue;
        const Place place = chain_[index].place;
        if (place != Place::aside && place != Place::apart) continue;
        if (now - w->alarm.due_ns.load(std::memory_order_relaxed) < kGrace) continue;
        leave(w);
        return true;
    }
    return false;
}

bool WaitQueue::holds_waiters() {
    bool holds = false;
    chain_.for_each_waiter([&](const Waiter *) { holds = true; });
    return holds;
}

bool WaitQueue::has_own_waiters() const {
    for (uint32_t i = 0; i < seat_count_; ++i)
        if (seats_[i].own != nullptr) return true;
    return lost_ != nullptr;
}

bool WaitQueue::remove_other_waiters() {
    bool any = false;
    for (uint32_t index = 1; index <= chain_.reached(); ++index) {
        Waiter *const w = waiter(index);
        if (w == nullptr || w->owner != Waiter::Owner::elsewhere) continue;
        leave(w);
        any = true;
    }
    return any;
}

void WaitQueue::end_own_waits() {
    for (uint32_t i = 0; i < seat_count_; ++i) {
        Waiter *const w = seats_[i].own;
        if (w == nullptr) continue;
        if (w->owner == Waiter::Owner::queue) {
            leave(w);
            destroy(w);
        } else if (w->outcome == Status::waiting) {
            end_wait(w, Status::closed);
        }
    }
    while (lost_ != nullptr) {
        Waiter *const w = lost_;
        leave(w);
        destroy(w);
    }
}

}  // namespace tb
