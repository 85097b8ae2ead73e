// The entries of a queue, in one block of memory that grows. Entries name each other by index, so the block may move;
// index 0 names none.
#ifndef TOKENBUCKET_CORE_QUEUE_ARENA_H
#define TOKENBUCKET_CORE_QUEUE_ARENA_H

#include <cstdint>
#include <cstdlib>

namespace tb {

struct Waiter;

// What a run of entries does to the units spent, see sequence.h. Costs and positions are in units.
struct Summary {
    int64_t cost;    // of all of them
    uint64_t spent;  // after them, if nothing had been spent before
    uint64_t limit;  // what may be spent before them if nothing stands behind them
};

enum class Place : uint8_t {
    none,      // the index is free
    reserved,  // among the reservations
    waiting,   // among the waiters
    due,       // among the waiters that may collect their tokens
    aside,     // in no order until it comes back: a waiter that is passed over
    apart,     // in no order: a waiter whose wait has ended
};

struct Entry {
    uint64_t position;  // of a reservation; a waiter moves, and has its priority here, negated
    uint64_t arrival;   // orders entries of the same position
    int64_t cost;
    int64_t time_ns;  // when a reservation is due; a waiter's deadline
    Waiter *waiter;   // null in a reservation
    Summary below;    // of the subtree of which this entry is the root; of an entry that is due see Chain
    uint32_t left;    // in the tree, or in the list of those that are due
    uint32_t right;
    uint32_t serial;  // tells the entries apart that had the same index
    Place place;
};

class Arena {
  public:
    static constexpr uint32_t kMostEntries = (uint32_t{1} << 24) - 1;

    Arena() = default;
    ~Arena() { std::free(entries_); }
    Arena(const Arena &) = delete;
    Arena &operator=(const Arena &) = delete;

    Entry &operator[](uint32_t index) { return entries_[index - 1]; }
    const Entry &operator[](uint32_t index) const { return entries_[index - 1]; }
    // Was the index ever acquired since the last clear()?
    bool holds(uint32_t index) const { return index - 1 < reached_; }
    uint32_t size() const { return size_; }
    // f(Entry *) for each index ever acquired since the last clear(), also for those released, which have no waiter.
    template <class F>
    void for_each(F f) {
        for (uint32_t index = 1; index <= reached_; ++index) f(&(*this)[index]);
    }

    // From now on there are `most` entries, whose memory stays; false if there is none. The arena is empty.
    bool fix(uint32_t most);
    uint32_t reached() const { return reached_; }
    uint32_t room() const { return room_; }  // for so many there is memory
    // Of a fixed arena: acquires the indices 1 .. reached, and no others.
    void restart(uint32_t reached);

    // Makes sure that the next acquire() succeeds; false if there is no memory or no index for it.
    bool reserve() { return free_ != 0 || reached_ < room_ || (!is_fixed_ && grow(2 * room_)); }
    uint32_t acquire();
    // Frees the memory, too, when the last entry of a large arena is released.
    void release(uint32_t index);
    // Releases all, and the memory.
    void clear();
    // Forgets all without touching the memory, which is lost: in the child of a fork, where neither it nor the heap
    // need be as they should.
    void abandon();

  private:
    bool grow(uint32_t room);

    Entry *entries_ = nullptr;
    uint32_t room_ = 0;
    uint32_t reached_ = 0;  // the highest index used so far
    uint32_t size_ = 0;
    uint32_t free_ = 0;  // first released entry; `left` links to the next
    bool is_fixed_ = false;
};

}  // namespace tb

#endif
