// A table: keys, the queues of those for which somebody waits, and the limit that all share.
#ifndef TOKENBUCKET_CORE_TABLE_TABLE_H
#define TOKENBUCKET_CORE_TABLE_TABLE_H

#include <cstdint>

#include "core/table/key_accounts.h"
#include "core/table/keys.h"

namespace tb {

class Table : public Keys {
  public:
    Table(const LimitSpec &spec, const Limit &limit, const TableOptions &options);
    // Closes, and returns when the last thread has left its wait.
    ~Table();

    // As those of an account.
    Status wait(uint64_t key, double n, int64_t timeout_ns, int32_t priority);
    Status enqueue(uint64_t key, double n, int64_t timeout_ns, int32_t priority, uint64_t tag, QueuePlace *place);
    Status check(uint64_t key, uint64_t number, int64_t *wait_ns);
    Status leave(uint64_t key, uint64_t number);
    Status reserve(uint64_t key, double n, int64_t max_wait_ns, Reservation *reservation);
    Status probe(uint64_t key, double n, int64_t timeout_ns, int32_t priority, int64_t *wait_ns);
    Status probe_reservation(uint64_t key, double n, int64_t max_wait_ns, int64_t *wait_ns);
    Status cancel(uint64_t key, const Reservation &reservation);
    Status settle(uint64_t key, const Reservation &reservation, double actual);
    Status charge(uint64_t key, double n, int64_t *repaid_after_ns);
    Status refund(uint64_t key, double n);
    void undo(const KeyAttempt &taken);
    // The key's bucket is full again; what is reserved is void.
    Status remove(uint64_t key);

    Status set_rate(double tokens_per_second);
    Status set_capacity(double capacity);
    Status close();
    // The limit as asked for, and the units per token.
    LimitSpec limit(uint64_t *scale);

    Clock *clock() { return time().clock(); }
    // Also if each has opened the same memory.
    bool is_same_table(const Table &other) const {
        if (shared() == nullptr || other.shared() == nullptr) return this == &other;
        return shared()->memory()->is_same_file(*other.shared()->memory());
    }
    KeyAccounts &accounts() { return accounts_; }

  private:
    Status take_at_once(uint64_t key, double n, KeyAttempt *attempt);
    Status probe_take(uint64_t key, double n, int64_t max_wait_ns, int64_t *wait_ns);
    template <class BySlot, class ByAccount>
    Status adjust(uint64_t key, BySlot by_slot, ByAccount by_account);
    template <class Edit>
    Status set_limit(Edit edit);

    KeyAccounts accounts_;
};

}  // namespace tb

#endif
