// One of the limits that a decision must satisfy: a bucket, or a key of a table, and what it costs there.
#ifndef TOKENBUCKET_CORE_COMPOSE_MEMBER_H
#define TOKENBUCKET_CORE_COMPOSE_MEMBER_H

#include <cstdint>
#include <optional>

#include "core/limiter/limiter.h"
#include "core/table/table.h"

namespace tb {

class Member {
  public:
    Member() = default;  // no value: to write those of all kMostMembers takes as long as a take
    Member(Limiter *limiter, double n) : limiter_(limiter), table_(nullptr), key_(0), n_(n) {}
    Member(Table *table, uint64_t key, double n) : limiter_(nullptr), table_(table), key_(key), n_(n) {}

    bool is_same_limit(const Member &other) const {
        if (limiter_ != nullptr && other.limiter_ != nullptr) return limiter_->is_same_limit(*other.limiter_);
        if (is_key() != other.is_key()) return false;
        return key_ == other.key_ && table_->is_same_table(*other.table_);
    }

    double n() const { return n_; }
    bool is_key() const { return limiter_ == nullptr; }
    // Is a new key for which there is no room granted what it asks for?
    bool admits_when_full() const { return is_key() && table_->admits_when_full(); }
    // Its account, with a key's kept by *use as long as that exists. Else table_full or out_of_memory.
    Status account(std::optional<KeyAccounts::Use> *use, Account **account) const;

    // A take, of which the one that the member is counts.
    struct Attempt {
        Limiter::Attempt of_limiter;
        KeyAttempt of_key;
    };

    // What a take would be answered now, or at the time of a counter reading before; nothing is taken.
    Status preview(uint64_t counter, Attempt *attempt) const;
    // Takes what was granted; stale: somebody has changed the limit since. table_full.
    Status store(Attempt *attempt) const;
    // Gives back what was stored, but for what has overflowed since.
    void undo(const Attempt &taken) const;
    // Of one that was denied.
    int64_t retry_after_ns(const Attempt &attempt) const;
    // The reservation that a stored take is.
    Reservation reservation(const Attempt &taken) const;
    // Counts the answer to a take.
    void record(Status s) const;

    // As those of an account.
    Status probe(int64_t timeout_ns, int32_t priority, int64_t *wait_ns) const;
    Status probe_reservation(int64_t max_wait_ns, int64_t *wait_ns) const;
    // For an amount that is not there now; not recorded.
    Status reserve_ahead(int64_t max_wait_ns, Reservation *reservation) const;
    bool is_due(const Reservation &reservation) const;
    // Gives back all of it, whether it is due or not, and counts that.
    void cancel(const Reservation &reservation) const;

  private:
    Limiter *limiter_;  // null: a key
    Table *table_;
    uint64_t key_;
    double n_;
};

}  // namespace tb

#endif
