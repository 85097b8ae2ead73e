// The account of a key: its slot, with a queue of who waits for it and what is reserved. It exists only while there is
// something in the queue or a call uses it; meanwhile the slot is pinned. Takes need no account: they change the slot
// as they change a bucket's word.
#ifndef TOKENBUCKET_CORE_TABLE_KEY_ACCOUNT_H
#define TOKENBUCKET_CORE_TABLE_KEY_ACCOUNT_H

#include <cstdint>

#include "core/limiter/account.h"
#include "core/table/keys.h"

namespace tb {

class KeyAccount final : public Account {
  public:
    // The slot is to be set before any call but begin_queue(). Where processes share the table, with the room and
    // the images of the queue in it, which become the account's own.
    KeyAccount(Keys *keys, uint64_t hash, const WaitOptions *waiting, QueueImages *images = nullptr,
               KeyRoom *room = nullptr, unsigned number = 0);
    // No thread is inside, and nothing in the queue that is this process's.
    ~KeyAccount();

    // Passes reservations that are due, and calls waiters that are.
    void pass_due();
    // The same if nobody waits, so that nobody is called.
    void pass_due_reservations();
    // The bucket becomes full. Reservations are void, and waiters are planned anew.
    void refill();
    // Can what is reserved be counted at that rate?
    bool fits(const tbu_rate &rate);

    // Where processes share the table:
    // Makes the queue in the room an empty one, while nobody uses it. Needs no slot.
    void begin_queue();
    // Is nothing in the queue?
    bool is_empty();
    // The waiters of other processes leave: none of these uses the queue any more.
    void remove_other_waiters();
    // The waits of this process end.
    void end_own_waits();

    const uint64_t key;
    Slot *slot = nullptr;  // the key's, pinned
    const unsigned room_number;
    // Of KeyAccounts, under its lock.
    int64_t uses = 0;
    KeyAccount *next_in_chain = nullptr;

  private:
    TimeSource &time() override;
    Status take_now(double n) override;
    // After a change of the limit time stands still at that change, until the queue has been brought to the new one.
    Observation observe() override;
    bool exchange(const Observation &observed, uint64_t *next) override;
    void catch_up(Locked *locked) override;

    void load();
    void follow_limit(Locked *locked);

    Keys &keys_;
    KeyRoom *const room_;
    // As last observed or exchanged.
    SlotValue value_{};
    uint64_t era_ = 0;
    Plan in_force_{};  // as last observed
    // Its limit is that for which the queue is planned; spec_ is that limit as asked for.
    Plan followed_{};
    LimitSpec spec_{};
};

}  // namespace tb

#endif
