// The accounts of those keys that have something in their queues; where processes share the table, of those that a
// call or a waiter of this process uses.
#ifndef TOKENBUCKET_CORE_TABLE_KEY_ACCOUNTS_H
#define TOKENBUCKET_CORE_TABLE_KEY_ACCOUNTS_H

#include <atomic>
#include <cstdint>

#include "core/clock/in_flight.h"
#include "core/platform/platform.h"
#include "core/table/key_account.h"

namespace tb {

class KeyAccounts {
  public:
    explicit KeyAccounts(Keys *keys) : keys_(*keys), process_(platform::process_generation()) {}
    // Returns when no use is left. All waits must have been ended.
    ~KeyAccounts();
    KeyAccounts(const KeyAccounts &) = delete;
    KeyAccounts &operator=(const KeyAccounts &) = delete;

    // The use of a key's account by one call, for which the account stays. At its end the account goes if its queue is
    // empty, and one other is looked at, in turn: so accounts whose reservations are all due do not pile up while there
    // are such calls. One in which somebody waits is left alone, since its bell must not ring within another's; but
    // where processes share the table, one that was not told of a change of the limit is told (accounts_in_rooms.cc).
    class Use {
      public:
        enum class Absent { find, make };

        // With make, an account is made if the key has none.
        Use(KeyAccounts *accounts, uint64_t key, Absent absent);
        ~Use();
        Use(const Use &) = delete;
        Use &operator=(const Use &) = delete;

        // success; else there is no account: waiting: none was to be made. table_full, out_of_memory.
        Status status() const { return status_; }
        KeyAccount *operator->() const { return account_; }
        KeyAccount *account() const { return account_; }

      private:
        KeyAccounts &accounts_;
        const uint32_t process_;
        KeyAccount *account_ = nullptr;
        Status status_;
    };

    // Looks at some accounts, in turn, which go if all in their queues is due.
    void sweep();
    // Can what is reserved, of every key, be counted at that rate?
    bool fit(const tbu_rate &rate);
    // Brings all queues to the limit in force, after a change.
    void follow_limit();
    // Where processes share the table: ends the waits of this one.
    void end_own_waits();

  private:
    static constexpr uint64_t kChains = 4096;

    KeyAccount **chain_of(uint64_t key) { return &chains_[key % kChains]; }
    KeyRooms *rooms() const { return keys_.shared() == nullptr ? nullptr : keys_.shared()->rooms(); }
    void enter();
    Status begin_use(uint64_t key, Use::Absent absent, KeyAccount **account);
    void end_use(KeyAccount *account);
    KeyAccount *find(uint64_t key);
    Status make(uint64_t key, Use::Absent absent, KeyAccount **account);
    Status make_in_own_memory(uint64_t key, KeyAccount **account);
    Status make_in_room(uint64_t key, Use::Absent absent, KeyAccount **account);
    KeyAccount *create_in_room(uint64_t key, unsigned room);
    void leave_room(KeyAccount *account);
    bool is_abandoned(unsigned room);
    KeyAccount *use_next_room(uint64_t *places, bool tells);
    KeyAccount *use_at(KeyAccount *const *link);
    KeyAccount *use_next(uint64_t *chains);
    void sweep(int most, uint64_t places);
    // f(account) for each that is there now, also while others come and go, until it returns false: of all processes,
    // or of this one.
    template <class F>
    bool for_each(F f);
    template <class F>
    bool for_each_here(F f);
    bool is_empty();
    bool remove(const KeyAccount *account);
    void forget_other_processes();

    Keys &keys_;
    platform::ForkSafeLock lock_;
    uint32_t process_;
    KeyAccount **chains_ = nullptr;  // made with the first account
    uint64_t count_ = 0;             // of accounts
    uint64_t swept_ = 0;             // chains looked at by use_next(), or rooms
    InFlight inside_;
    std::atomic<bool> is_telling_{false};
};

}  // namespace tb

#endif
