// The keys of a table, each a bucket under the one limit of all, in memory that is fixed when it is made.
//
// A key that has no slot has a full bucket, and a slot whose bucket is full is free for another key. So only keys that
// have taken something of late have slots. If there is no free slot for a new key, `WhenFull` says what is done.
//
// All here change a slot by one compare-and-swap and take no lock. A decision reads the slot, then the clock, then goes
// as that of a bucket (decide.h), by the plan that all keys share.
#ifndef TOKENBUCKET_CORE_TABLE_KEYS_H
#define TOKENBUCKET_CORE_TABLE_KEYS_H

#include <cstddef>
#include <cstdint>

#include "core/bucket/answer.h"
#include "core/clock/time_source.h"
#include "core/limiter/account.h"
#include "core/table/cells.h"
#include "core/table/live_plan.h"
#include "core/table/shared_table.h"
#include "core/table/siphash.h"

namespace tb {

struct TableOptions {
    // The table is the one in that memory, which is open and must live as long as the table.
    void share(SharedTable *memory) {
        shared = memory;
        lines = memory->lines();
        when_full = memory->when_full();
        secret = memory->secret();
    }

    Clock *clock = nullptr;
    bool use_counter = false;
    uint64_t lines = 1;
    WhenFull when_full = WhenFull::evict_fullest;
    HashSecret secret{};
    const WaitOptions *waiting = &kNoWaitOptions;  // of each key; must live as long as the table
    SharedTable *shared = nullptr;                 // null: the table is this process's alone
};

struct TableCounts {
    uint64_t slots;
    uint64_t occupied;  // by keys whose bucket is not full
    uint64_t evicted;
    double tokens_forgiven;  // by evictions, and granted without being remembered
};

// What was read of a key, and what was decided by it.
struct KeyAttempt {
    uint64_t key;
    KeyPlace place;
    LivePlan::View view;
    Decision decision;
    bool stores;      // the decision is a grant, which changes the slot
    uint64_t undone;  // of one that may be undone: what undos had given back before it was read
};

// A key is its hash(). All statuses are those of a bucket, and table_full.
class Keys {
  public:
    Keys(const LimitSpec &spec, const Limit &limit, const TableOptions &options);
    ~Keys();
    Keys(const Keys &) = delete;
    Keys &operator=(const Keys &) = delete;

    // So many lines hold that many keys, with 65 in 100 slots in use: then 1 of some 10,000 new keys evicts another.
    static uint64_t lines_for(uint64_t keys) { return keys / 13 * 5 + 5; }

    // False if there was no memory.
    bool is_made() const { return image_ != nullptr; }
    SharedTable *shared() const { return shared_; }  // null: the table is this process's alone
    bool admits_when_full() const { return when_full_ == WhenFull::admit; }
    uint64_t hash(const void *key, std::size_t size) const { return siphash13(secret_, key, size); }

    Status allow(uint64_t key, double n);
    Status take(uint64_t key, double n, Answer *answer);
    Status take_up_to(uint64_t key, double most, double *taken);
    // allow() for each key, with one reading of the clock for 16. An amount for each, or null: 1.
    void allow_many(const uint64_t *keys, const double *amounts, std::size_t count, Status *answers);
    double available(uint64_t key);
    Status time_until(uint64_t key, double n, int64_t *ns);

    // What allow() would answer; nothing is taken. store(attempt) then takes what was granted: success, table_full, or
    // stale: somebody has changed the key since.
    Status preview(uint64_t key, double n, KeyAttempt *attempt);
    Status store(KeyAttempt *attempt);
    // Both at once.
    Status allow(uint64_t key, double n, KeyAttempt *attempt);
    // The reservation that what was stored is.
    static Reservation reservation(const KeyAttempt &taken, double n);
    // Of one that was denied.
    int64_t retry_after_ns(const KeyAttempt &attempt) const;
    // Gives back what was stored, but for what has overflowed since. waiting as below, then the key's account does it.
    Status undo(const KeyAttempt &taken, Undo *take);
    Undo begin_undo(const KeyAttempt &taken) {
        const uint64_t units = taken.stores ? static_cast<uint64_t>(taken.decision.cost) : 0;
        return {&image_->undos, units, taken.decision.next, taken.undone};
    }

    // waiting: nothing is done, for the slot is pinned, and the key's account must know of it.
    Status charge(uint64_t key, double n, int64_t *repaid_after_ns);
    Status refund(uint64_t key, double n);
    Status settle(uint64_t key, const Reservation &reservation, double actual);
    Status remove(uint64_t key);

    // Has the key a slot that is pinned?
    bool is_pinned(uint64_t key) { return find(key).value.head.is_pinned(); }
    // The key's slot, pinned; for one thread at a time. table_full.
    Status pin(uint64_t key, Slot **slot);
    void unpin(Slot *slot);
    void unpin_all();
    bool exchange(Slot *slot, const SlotValue &from, const SlotValue &to) { return cells_.exchange(slot, from, to); }

    // Reads all slots.
    TableCounts counts();

    TimeSource &time() { return time_; }
    LivePlan &plan() { return plan_; }
    const WaitOptions &waiting_options() const { return waiting_; }

  private:
    using View = LivePlan::View;

    // Pinned slots: decided like others, or waiting is returned.
    enum class Pinned { too, not_here };

    template <Pinned kPinned = Pinned::too, class Decide>
    Status take_by(uint64_t key, Decide decide);
    KeyPlace find(uint64_t key);
    SlotValue settled(const SlotValue &tentative);
    void read(uint64_t key, bool ordered, KeyAttempt *attempt);
    template <class Decide>
    bool judge(KeyAttempt *attempt, Decide decide);
    Status put(KeyAttempt *attempt, WhenFull when_full);
    Balance balance_of(uint64_t key, Plan *plan);
    void forgive(double tokens);

    TimeSource time_;
    SharedTable *const shared_;
    TableImage *const image_;
    LivePlan plan_;
    const HashSecret secret_;
    const WhenFull when_full_;
    Cells cells_;
    const WaitOptions &waiting_;
};

}  // namespace tb

#endif
