// Entries in order, as a balanced tree (a treap) in which every entry keeps the summary of its subtree. Every function
// costs the depth of the tree, unless its comment says otherwise.
//
// A summary is what a run does to the units spent. With capacity C, an entry of position p and cost c
//   turns what is spent before it, x, into max(x, p - C) + c, and
//   where z may be spent behind it, allows min(p, z) - c before it. If p - C + c > min(p, z) its promise is broken
//   already, and it allows nothing.
// Both are closed under composition: a run turns x into max(x + cost, spent), and allows min(limit, z - cost), or
// nothing if spent is more than z.
#ifndef TOKENBUCKET_CORE_QUEUE_SEQUENCE_H
#define TOKENBUCKET_CORE_QUEUE_SEQUENCE_H

#include <cstdint>

#include "core/queue/arena.h"

namespace tb {

// Positions wrap round, but lie less than 2^63 apart. The distance is negative if `to` is the earlier one.
inline int64_t distance(uint64_t from, uint64_t to) {
    return static_cast<int64_t>(to - from);
}
inline uint64_t later(uint64_t a, uint64_t b) {
    return distance(a, b) > 0 ? b : a;
}
inline uint64_t earlier(uint64_t a, uint64_t b) {
    return distance(a, b) > 0 ? a : b;
}

inline uint64_t spent_after(const Summary &run, uint64_t spent) {
    return later(spent + static_cast<uint64_t>(run.cost), run.spent);
}
inline constexpr uint64_t kFar = uint64_t{1} << 61;  // more than any two positions lie apart
inline uint64_t limit_before(const Summary &run, uint64_t limit) {
    if (distance(limit, run.spent) > 0) return run.spent - kFar;
    return earlier(run.limit, limit - static_cast<uint64_t>(run.cost));
}

inline Summary composed(const Summary &a, const Summary &b) {
    return {a.cost + b.cost, spent_after(b, a.spent), limit_before(a, b.limit)};
}

// A point before, between or behind entries, and what is spent there.
struct Cursor {
    uint32_t next;  // the entry behind the point; 0: the end
    uint64_t spent;
};

class Sequence {
  public:
    explicit Sequence(Arena *arena) : arena_(*arena) {}

    bool is_empty() const { return root_ == 0; }
    uint32_t first() const;
    uint32_t last() const;
    uint32_t next(uint32_t index) const;
    // The cost of all, and of those before a place in the order.
    int64_t cost() const { return root_ == 0 ? 0 : arena_[root_].below.cost; }
    int64_t cost_before(uint64_t position, uint64_t arrival) const;

    // In the order of position, then of arrival, then of index.
    void insert(uint32_t index);
    void remove(uint32_t index);
    // These compute all summaries, the second after positions have changed. They cost the number of entries.
    void set_capacity(int64_t capacity) {
        capacity_ = capacity;
        summarize();
    }
    void summarize() { summarize(root_); }
    void clear() { root_ = 0; }
    // f(Entry *) for each, in order; it must keep the order. summarize() has to follow a change. Costs the number of
    // entries.
    template <class F>
    void for_each(F f) {
        for_each_below(root_, f);
    }

    // What is spent at the end.
    uint64_t spent_at_end(Cursor from) const;
    // The first point from there on before which the bucket overflows (x < p - C at the entry behind it), else the end.
    Cursor first_gap(Cursor from) const;
    // The point behind the next entry.
    Cursor step(Cursor at) const;
    // What may at most be spent before that entry so that it and those behind it keep their promises; at the end,
    // at_end may be spent.
    uint64_t limit_before(uint32_t index, uint64_t at_end) const;
    // The first point from `from` to `to` at which `cost` fits. It must fit at `to`, and there must be no gap between
    // the two: then the room never shrinks from point to point. Costs the square of the depth.
    Cursor first_fit(Cursor from, Cursor to, int64_t cost, uint64_t at_end) const;
    // The total cost of the longest prefix that costs at most `most`.
    int64_t largest_prefix(int64_t most) const;

    // Are the order and the summaries right? Costs the number of entries.
    bool check() const;

  private:
    template <class F>
    void for_each_below(uint32_t root, F &f) {  // NOLINT(misc-no-recursion): as deep as the tree
        if (root == 0) return;
        for_each_below(arena_[root].left, f);
        f(&arena_[root]);
        for_each_below(arena_[root].right, f);
    }
    bool comes_before(uint32_t a, uint32_t b) const;
    Summary own(uint32_t index) const;
    bool check_below(uint32_t root, uint32_t *last) const;
    Summary summary_of(uint32_t index) const;
    void summarize_one(uint32_t index);
    void summarize(uint32_t root);
    uint32_t insert_below(uint32_t root, uint32_t index);
    uint32_t remove_below(uint32_t root, uint32_t index);
    void split(uint32_t root, uint32_t at, uint32_t *before, uint32_t *behind);
    uint32_t merge(uint32_t before, uint32_t behind);
    uint64_t spent_below(uint32_t root, Cursor from) const;
    Cursor gap_below(uint32_t root, Cursor from, bool whole) const;

    Arena &arena_;
    uint32_t root_ = 0;
    int64_t capacity_ = 0;
};

}  // namespace tb

#endif
