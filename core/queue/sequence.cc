#include "core/queue/sequence.h"

namespace tb {

// Recursions are as deep as the tree.
// NOLINTBEGIN(misc-no-recursion)

namespace {

// The priority in the treap: a hash of the index (MurmurHash3's finalizer), so that the tree is balanced.
uint32_t priority(uint32_t index) {
    uint32_t h = index;
    h = (h ^ h >> 16) * 0x85ebca6b;
    h = (h ^ h >> 13) * 0xc2b2ae35;
    return h ^ h >> 16;
}

}  // namespace

bool Sequence::comes_before(uint32_t a, uint32_t b) const {
    const int64_t d = distance(arena_[a].position, arena_[b].position);
    if (d != 0) return d > 0;
    return arena_[a].arrival != arena_[b].arrival ? arena_[a].arrival < arena_[b].arrival : a < b;
}

Summary Sequence::own(uint32_t index) const {
    const Entry &e = arena_[index];
    const uint64_t cost = static_cast<uint64_t>(e.cost);
    const Summary self{e.cost, e.position - static_cast<uint64_t>(capacity_) + cost, e.position - cost};
    return {self.cost, self.spent, tb::limit_before(self, e.position)};
}

Summary Sequence::summary_of(uint32_t index) const {
    const Entry &e = arena_[index];
    Summary s = own(index);
    if (e.left != 0) s = composed(arena_[e.left].below, s);
    if (e.right != 0) s = composed(s, arena_[e.right].below);
    return s;
}

void Sequence::summarize_one(uint32_t index) {
    arena_[index].below = summary_of(index);
}

void Sequence::summarize(uint32_t root) {
    if (root == 0) return;
    summarize(arena_[root].left);
    summarize(arena_[root].right);
    summarize_one(root);
}

uint32_t Sequence::first() const {
    uint32_t index = root_;
    while (index != 0 && arena_[index].left != 0) index = arena_[index].left;
    return index;
}

uint32_t Sequence::last() const {
    uint32_t index = root_;
    while (index != 0 && arena_[index].right != 0) index = arena_[index].right;
    return index;
}

uint32_t Sequence::next(uint32_t index) const {
    uint32_t found = 0;
    for (uint32_t at = root_; at != 0;) {
        const bool behind = comes_before(index, at);
        if (behind) found = at;
        at = behind ? arena_[at].left : arena_[at].right;
    }
    return found;
}

int64_t Sequence::cost_before(uint64_t position, uint64_t arrival) const {
    int64_t sum = 0;
    for (uint32_t root = root_; root != 0;) {
        const Entry &r = arena_[root];
        const int64_t d = distance(r.position, position);
        const bool before = d != 0 ? d > 0 : r.arrival < arrival;
        if (before) sum += r.cost + (r.left == 0 ? 0 : arena_[r.left].below.cost);
        root = before ? r.right : r.left;
    }
    return sum;
}

void Sequence::insert(uint32_t index) {
    root_ = insert_below(root_, index);
}

void Sequence::remove(uint32_t index) {
    root_ = remove_below(root_, index);
}

uint32_t Sequence::insert_below(uint32_t root, uint32_t index) {
    if (root == 0 || priority(index) > priority(root)) {
        Entry &e = arena_[index];
        split(root, index, &e.left, &e.right);
        summarize_one(index);
        return index;
    }
    Entry &r = arena_[root];
    uint32_t &child = comes_before(index, root) ? r.left : r.right;
    child = insert_below(child, index);
    summarize_one(root);
    return root;
}

uint32_t Sequence::remove_below(uint32_t root, uint32_t index) {
    Entry &r = arena_[root];
    if (root == index) return merge(r.left, r.right);
    uint32_t &child = comes_before(index, root) ? r.left : r.right;
    child = remove_below(child, index);
    summarize_one(root);
    return root;
}

void Sequence::split(uint32_t root, uint32_t at, uint32_t *before, uint32_t *behind) {
    *before = *behind = 0;
    if (root == 0) return;
    Entry &r = arena_[root];
    if (comes_before(root, at)) {
        *before = root;
        split(r.right, at, &r.right, behind);
    } else {
        *behind = root;
        split(r.left, at, before, &r.left);
    }
    summarize_one(root);
}

uint32_t Sequence::merge(uint32_t before, uint32_t behind) {
    if (before == 0 || behind == 0) return before + behind;
    const bool first_is_root = priority(before) > priority(behind);
    const uint32_t root = first_is_root ? before : behind;
    Entry &r = arena_[root];
    if (first_is_root) {
        r.right = merge(r.right, behind);
    } else {
        r.left = merge(before, r.left);
    }
    summarize_one(root);
    return root;
}

uint64_t Sequence::spent_at_end(Cursor from) const {
    return from.next == 0 ? from.spent : spent_below(root_, from);
}

// What is spent after the entries below root that stand behind the point.
uint64_t Sequence::spent_below(uint32_t root, Cursor from) const {
    if (root == 0) return from.spent;
    const Entry &r = arena_[root];
    if (comes_before(root, from.next)) return spent_below(r.right, from);
    const uint64_t before = root == from.next ? from.spent : spent_below(r.left, from);
    const uint64_t behind = spent_after(own(root), before);
    return r.right == 0 ? behind : spent_after(arena_[r.right].below, behind);
}

Cursor Sequence::first_gap(Cursor from) const {
    return from.next == 0 ? from : gap_below(root_, from, false);
}

// The first gap below root; if there is none, next is 0 and spent is that after the entries below root. `whole`: all of
// them stand behind the point.
Cursor Sequence::gap_below(uint32_t root, Cursor from, bool whole) const {
    if (root == 0) return {0, from.spent};
    const Entry &r = arena_[root];
    if (!whole && comes_before(root, from.next)) return gap_below(r.right, from, false);
    const uint64_t sum = from.spent + static_cast<uint64_t>(r.below.cost);
    if (whole && distance(sum, r.below.spent) <= 0) return {0, sum};
    const bool starts_here = !whole && root == from.next;
    const Cursor before = starts_here ? Cursor{0, from.spent} : gap_below(r.left, from, whole);
    if (before.next != 0) return before;
    const Summary self = own(root);
    const uint64_t full = r.position - static_cast<uint64_t>(capacity_);
    if (distance(before.spent, full) > 0) return {root, before.spent};
    return gap_below(r.right, {from.next, before.spent + static_cast<uint64_t>(self.cost)}, true);
}

Cursor Sequence::step(Cursor at) const {
    return {next(at.next), spent_after(own(at.next), at.spent)};
}

uint64_t Sequence::limit_before(uint32_t index, uint64_t at_end) const {
    uint64_t limit = at_end;
    for (uint32_t root = root_;;) {
        const Entry &r = arena_[root];
        if (comes_before(root, index)) {
            root = r.right;
            continue;
        }
        if (r.right != 0) limit = tb::limit_before(arena_[r.right].below, limit);
        limit = tb::limit_before(own(root), limit);
        if (root == index) return limit;
        root = r.left;
    }
}

Cursor Sequence::first_fit(Cursor from, Cursor to, int64_t cost, uint64_t at_end) const {
    Cursor found = to;
    uint64_t limit = at_end;
    bool whole = false;
    for (uint32_t root = from.next == 0 ? 0 : root_; root != 0;) {
        const Entry &r = arena_[root];
        if (!whole && comes_before(root, from.next)) {
            root = r.right;
            continue;
        }
        const Summary self = own(root);
        const uint64_t behind = r.right == 0 ? limit : tb::limit_before(arena_[r.right].below, limit);
        const uint64_t most = tb::limit_before(self, behind);
        if (to.next != 0 && !comes_before(root, to.next)) {
            root = r.left;
            limit = most;
            continue;
        }
        uint64_t spent = from.spent;
        if (whole && r.left != 0) spent = spent_after(arena_[r.left].below, spent);
        if (!whole && root != from.next) spent = spent_below(r.left, from);
        if (distance(spent, most) >= cost) {
            found = {root, spent};
            if (root == from.next) break;
            root = r.left;
            limit = most;
        } else {
            from.spent = spent_after(self, spent);
            whole = true;
            root = r.right;
        }
    }
    return found;
}

int64_t Sequence::largest_prefix(int64_t most) const {
    int64_t sum = 0;
    for (uint32_t root = root_; root != 0;) {
        const Entry &r = arena_[root];
        const int64_t behind = sum + (r.left == 0 ? 0 : arena_[r.left].below.cost) + r.cost;
        if (behind <= most) sum = behind;
        root = behind <= most ? r.right : r.left;
    }
    return sum;
}

bool Sequence::check() const {
    uint32_t last = 0;
    return check_below(root_, &last);
}

// `last`: in, the entry that comes before those below root, or 0; out, the last of these.
bool Sequence::check_below(uint32_t root, uint32_t *last) const {
    if (root == 0) return true;
    const Summary s = summary_of(root);
    const Summary &kept = arena_[root].below;
    if (s.cost != kept.cost || s.spent != kept.spent || s.limit != kept.limit) return false;
    if (!check_below(arena_[root].left, last)) return false;
    if (*last != 0 && !comes_before(*last, root)) return false;
    *last = root;
    return check_below(arena_[root].right, last);
}

// NOLINTEND(misc-no-recursion)

}  // namespace tb
