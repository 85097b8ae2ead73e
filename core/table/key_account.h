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
    // The slot is the key's.
    KeyAccount(Keys *keys, uint64_t hash, Slot *pinned, const WaitOptions *waiting);
    // The queue is empty, and no thread is inside.
    ~KeyAccount() { destroy_queue(); }

    // Passes reservations that are due, and calls waiters that are.
    void pass_due();
    // The same if nobody waits, so that nobody is called.
    void pass_due_reservations();
    // The bucket becomes full. Reservations are void, and waiters are planned anew.
    void refill();
    // Can what is reserved be counted at that rate?
    bool fits(const tbu_rate &rate);
    // Brings the queue to the limit that is in force. If the table was closed all waits end, but for those that are
    // due.
    void follow_limit();

    const uint64_t key;
    Slot *const slot;
    // Of KeyAccounts, under its lock.
    int64_t uses = 0;
    KeyAccount *next_in_chain = nullptr;

  private:
    TimeSource &time() override;
    Status take_now(double n) override;
    // Until follow_limit() has been called after a change of the limit, time stands still at that change.
    Observation observe() override;
    bool exchange(const Observation &observed, uint64_t *next) override;

    Keys &keys_;
    // As last observed or exchanged.
    SlotValue value_{};
    uint64_t era_ = 0;
    Plan followed_;  // its limit is that of the queue
};

}  // namespace tb

#endif
