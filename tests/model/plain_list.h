// Reservations in order of position, as a list that is walked for every question, in numbers that do not wrap. The
// formulas are those of core/queue/chain.h: a reservation at p that costs c turns what is spent before it, x, into
// max(x, p - capacity) + c, which must not be more than p.
#ifndef TOKENBUCKET_TESTS_MODEL_PLAIN_LIST_H
#define TOKENBUCKET_TESTS_MODEL_PLAIN_LIST_H

#include <algorithm>
#include <cstdint>
#include <vector>

namespace model {

struct PlainEntry {
    uint32_t index;
    int64_t position;
    int64_t cost;
};

// The point before entries[at], or behind all entries if `at` is their number; and what is spent there.
struct Point {
    std::size_t at;
    int64_t spent;
};

class PlainList {
  public:
    int64_t capacity = 0;
    std::vector<PlainEntry> entries;

    // Behind those of the same position, which came earlier.
    void insert(const PlainEntry &entry) {
        const auto comes_before = [](const PlainEntry &a, const PlainEntry &b) { return a.position < b.position; };
        entries.insert(std::upper_bound(entries.begin(), entries.end(), entry, comes_before), entry);
    }
    void erase(std::size_t at) { entries.erase(entries.begin() + static_cast<std::ptrdiff_t>(at)); }

    Point begin(int64_t spent) const { return {0, spent}; }
    Point step(Point from) const {
        const PlainEntry &e = entries[from.at];
        return {from.at + 1, std::max(from.spent, e.position - capacity) + e.cost};
    }
    int64_t spent_at_end(Point from) const {
        while (from.at < entries.size()) from = step(from);
        return from.spent;
    }
    // The first point before which the bucket overflows, else the end.
    Point first_gap(Point from) const {
        while (from.at < entries.size() && entries[from.at].position - capacity <= from.spent) from = step(from);
        return from;
    }
    // Are all promises behind that point kept if `cost` more is spent there?
    bool fits(Point point, int64_t cost) const {
        point.spent += cost;
        while (point.at < entries.size()) {
            const int64_t position = entries[point.at].position;
            point = step(point);
            if (point.spent > position) return false;
        }
        return true;
    }
    Point place(Point from, int64_t cost) const {
        while (!fits(from, cost)) from = step(from);
        return from;
    }
    // The same, but the end once most_gaps gaps are too small.
    Point place(Point from, int64_t cost, uint32_t most_gaps) const {
        for (uint32_t gaps = 0; from.at < entries.size() && gaps < most_gaps; ++gaps) {
            const Point gap = first_gap(from);
            for (; from.at != gap.at; from = step(from))
                if (fits(from, cost)) return from;
            if (fits(from, cost) || from.at == entries.size()) return from;
            from = step(from);
        }
        return {entries.size(), spent_at_end(from)};
    }
    // The point behind waiters of these costs, placed in this order.
    Point tail(int64_t spent, const std::vector<int64_t> &costs) const {
        Point at = begin(spent);
        for (const int64_t cost : costs) {
            at = place(at, cost);
            at.spent += cost;
        }
        return at;
    }
};

}  // namespace model

#endif
