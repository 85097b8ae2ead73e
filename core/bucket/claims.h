// Claims: places on the word that are held for those who wait inside the library, in the order of their arrival.
//
// Unlike a reservation in a caller's hands a claim may be moved. The claims that stand one behind the other at the very
// top of all that is spent are loose: a change first takes them off the word, acts on what is left, and lays them anew
// in order, exactly as if they had arrived just after it. A claim with a reservation or a charge behind it is fixed: it
// keeps its position (a refund moves it too: those tokens are really there), and where it leaves, its units come back
// by the rule of Bucket::cancel.
//
// Positions rise along the order and never exceed what is spent, so that nobody, taking or waiting, overtakes a claim.
// Guarded by the caller's lock.
#ifndef TOKENBUCKET_CORE_BUCKET_CLAIMS_H
#define TOKENBUCKET_CORE_BUCKET_CLAIMS_H

#include <cstddef>
#include <cstdint>

#include "core/bucket/epochs.h"
#include "core/bucket/plan.h"

namespace tb {

// Where a claim stands, and whether it still does: Status::waiting, or why it left.
struct Standing {
    Status outcome;
    uint64_t position;
    int64_t held;  // units of the word that are its own
    int64_t due_ns;
};

struct Claim {
    double n;
    int64_t deadline_ns;
    Standing now;
    Standing next;  // what the change under way makes of it
    bool loose;
    Claim *before;
    Claim *after;

    // Whoever is due at TBU_NEVER is not due even then.
    bool is_due(int64_t at_ns) const { return now.due_ns <= at_ns && now.due_ns != TBU_NEVER; }
};

// A change under way: what the bucket is, and what it is to be.
struct Draft {
    View view;        // the word as it is; available: without the loose claims
    Plan plan;        // to be in force
    bool renewed;     // the plan differs from the view's
    bool void_all;    // all positions lose their meaning, every claim is loose
    Passage passage;  // of positions, if the plan counts in other units than the view's
    int64_t rest;     // to be available without the loose claims; may exceed the capacity until they are laid
    int64_t refund;   // units by which fixed claims move up
    uint64_t fence;
    Epochs epochs;
    int64_t given_back;  // units that leavers had held and no longer do

    // The plan to be, at the view's instant.
    View after() const;
    bool changes_units() const { return passage.from_scale != 0; }
    // The most units, up to `held`, that may come back from a position which does not stand on top.
    int64_t returnable(uint64_t position, int64_t held) const;
};

class Claims {
  public:
    bool empty() const { return first_ == nullptr; }
    std::size_t size() const { return size_; }
    Claim *first() const { return first_; }

    void add(Claim *claim);
    void remove(Claim *claim);
    // Forgets everyone, without a look at them.
    void clear() { *this = Claims(); }

    // Finds the loose ones; returns the position that they stand on. Each keeps its standing until further notice.
    uint64_t loosen(const View &view);
    // Makes every claim loose.
    void loosen_all();
    // How far the spent units may sink before somebody could be overtaken.
    int64_t slack(const Draft &draft) const;
    // Lays the claims out in the draft, each with its next standing. False: the debt would pass what can be counted.
    bool lay(Draft *draft);
    // The draft has come into force.
    void settle();

  private:
    void lay_fixed(Draft *draft, const View &after);
    bool lay_loose(Draft *draft, const View &after);

    Claim *first_ = nullptr;
    Claim *last_ = nullptr;
    std::size_t size_ = 0;
};

// The units that n tokens cost, rounded up; a request for the whole capacity costs what the capacity holds.
Status cost_of(const Plan &plan, double n, int64_t *cost);

}  // namespace tb

#endif
