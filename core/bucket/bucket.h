// A token bucket on one atomic word. Time is a parameter: nanoseconds of any clock that started at or after 0; the
// caller reads it just before the call. An older time than another thread's can only under-grant; so that it does not
// refuse what there was at all times, the caller reads state() before the clock and believes a refusal only if the
// state is still the same: then the bucket was in that state at that very time.
//
// Every operation is: observe the word and its plan, compute what would be left, compare-and-swap. A refusal stores
// nothing. An operation that lost a race with an outdated time answers Status::stale and has changed nothing.
//
// The functions that are given what is pending are called under the lock that guards it. They too answer stale where
// others have spent something since the state was `seen`: their time may be later than this one's.
#ifndef TOKENBUCKET_CORE_BUCKET_BUCKET_H
#define TOKENBUCKET_CORE_BUCKET_BUCKET_H

#include <atomic>
#include <cstdint>

#include "core/bucket/epochs.h"
#include "core/bucket/limit.h"
#include "core/bucket/pending.h"
#include "core/bucket/plan.h"
#include "core/platform/platform.h"

namespace tb {

struct Decision {
    Status status;
    double remaining;
    int64_t retry_after_ns;
    int64_t reset_after_ns;
};

struct Reservation {
    double tokens;
    int64_t wait_ns;
    int64_t ready_at_ns;
    uint64_t ticket;
};

// What a ticket says, above the epoch modulo 8: the id of an entry in what is pending; or, of a reservation that was
// due at once and has no entry, the lower bits of the position that it took.
class Ticket {
  public:
    static Ticket of_entry(uint64_t id, uint64_t epoch) {
        return Ticket(kEntry | (id << kGenerationBits) | (epoch % kEpochs));
    }
    static Ticket of_position(uint64_t position, uint64_t epoch) {
        return Ticket((position << kGenerationBits & ~kEntry) | (epoch % kEpochs));
    }
    explicit Ticket(uint64_t value) : value_(value) {}

    uint64_t value() const { return value_; }
    bool has_entry() const { return (value_ & kEntry) != 0; }
    uint64_t id() const { return (value_ & ~kEntry) >> kGenerationBits; }
    bool is_at(uint64_t position) const {
        return ((position << kGenerationBits ^ value_) & ~kEntry & ~kGenerationMask) == 0;
    }

  private:
    static constexpr uint64_t kEntry = uint64_t{1} << 63;
    static_assert(ReservedPool::kIdBits + kGenerationBits == 63 && kEpochs == kGenerationMask + 1);

    uint64_t value_;
};

// A time, and the state before it was read.
struct Moment {
    int64_t now;
    uint64_t seen;
};

class Bucket {
  public:
    Bucket(const Limit &limit, int64_t initial_units, int64_t now, bool watched = false);

    // Not for a watched bucket: that one's takes are counted or told by the caller of take_watched.
    Status try_take(double n, int64_t now);
    // try_take in parts, for who wants the shortest way: first attempt_plain, then as it says.
    enum class Attempt { granted, denied, lost, not_plain };
    Attempt attempt_plain(uint64_t seen, double n, int64_t now) {
        return attempt<offsetof(Plan, whole_bits)>(seen, n, now);
    }
    Status take_again(double n, int64_t now);    // if lost
    Status take_general(double n, int64_t now);  // if not_plain

    Status take_watched(double n, int64_t now);
    Status take(double n, int64_t now, Decision *decision);
    // Grants less than `most` only if the state is `seen`, which was read before the clock.
    Status take_up_to(double most, int64_t now, uint64_t seen, double *taken);
    // timed_out: not so much is there. waiting: just so much is, which needs an entry.
    Status reserve_at_once(double n, int64_t now, Reservation *reservation);
    Status charge(double n, int64_t now, int64_t *repaid_after_ns);
    // The state is `seen`, or stale: at that state nothing was pending.
    Status refund(double n, int64_t now, uint64_t seen);
    // Of a reservation without an entry. Gives back only what was granted last and at this very instant.
    Status cancel_at_once(const Reservation &reservation, int64_t now, double *given_back);

    Status reserve(double n, int64_t max_wait_ns, int64_t now, Pending *pending, Reservation *reservation);
    // success: taken, or, if the claim's outcome is waiting, entered.
    Status claim(double n, int64_t max_wait_ns, int64_t now, Pending *pending, Claim *claim);
    void catch_up(int64_t now, Pending *pending) { pending->catch_up(view_to_store(now)); }

    // *given_back: tokens that somebody had held and that came back.
    Status refund(double n, Moment moment, Pending *pending, double *given_back);
    Status cancel(const Reservation &reservation, Moment moment, Pending *pending, double *given_back);
    Status settle(const Reservation &reservation, double actual, Moment moment, Pending *pending, double *given_back);
    Status reset(double tokens, Moment moment, Pending *pending, double *given_back);  // tokens may be kFull
    Status set_rate(double tokens_per_second, Moment moment, Pending *pending, double *given_back);
    Status set_capacity(double capacity, Moment moment, Pending *pending, double *given_back);
    Status withdraw(Claim *claim, Status why, Moment moment, Pending *pending, double *given_back);
    Status close(Moment moment, Pending *pending, double *given_back);

    double available(int64_t now) const;
    Status time_until(double n, int64_t now, int64_t *ns) const;
    Limit limit() const;
    bool is_closed() const;

    // Differs after every change of the bucket.
    uint64_t state() const { return word_.load(std::memory_order_acquire); }

    static constexpr double kFull = -1.0;

  private:
    template <std::size_t WholeBits>
    Attempt attempt(uint64_t seen, double n, int64_t now);

    View view(int64_t now) const;
    View view_to_store(int64_t now);
    bool store_rest(const View &view, int64_t rest);
    Status lay(const View &view, double n, int64_t max_wait_ns, int64_t now, Standing *laid);
    Status charge_units(const View &view, uint64_t units);
    Status settle_more(const Reservation &reservation, double actual, int64_t now);

    void move_base(int64_t now);
    bool publish(const View &view, const Plan &next, int64_t available);
    template <class Edit>
    Status change(Moment moment, Pending *pending, double *given_back, Edit edit);
    Draft draft(const View &view, const Pending &pending) const;
    bool commit(const Draft &draft);

    Plan to_publish(Plan plan) const;

    alignas(kCacheLine) std::atomic<uint64_t> word_;
    Slot slots_[2];
    const bool watched_;

    // Under the lock: changes of plan.
    platform::ForkSafeLock lock_;
    Epochs epochs_;
    std::atomic<uint64_t> published_{0};  // plans that were or are about to be
};

// All that a whole number of tokens needs at a rate of whole units per nanosecond. Everything else is not_plain: bad
// and fractional amounts, more than the capacity, a closed or watched bucket (the first test fails them all by
// comparing bit patterns, zero, NaN and negative ones included), a rate with a fraction, a base to be moved.
//
// The plan's positions carry the generation in their low bits as the word does: it cancels out of every difference and
// is in place in what is stored. With the plan of another generation the result is wrong, but the word has changed.
template <std::size_t WholeBits>
inline Bucket::Attempt Bucket::attempt(uint64_t seen, double n, int64_t now) {
    const Slot &slot = slots_[seen & 1];
    if (std::bit_cast<uint64_t>(n) - 1 >= slot.at<WholeBits>()) [[unlikely]]
        return Attempt::not_plain;
    const int64_t tokens = static_cast<int64_t>(n);
    if (static_cast<double>(tokens) != n) [[unlikely]]
        return Attempt::not_plain;
    const uint64_t elapsed = static_cast<uint64_t>(now) - slot.at<offsetof(Plan, base_ns)>();
    if (elapsed >= slot.at<offsetof(Plan, direct_limit)>()) [[unlikely]]
        return Attempt::not_plain;

    const uint64_t accrued8 = slot.at<offsetof(Plan, base8)>() + elapsed * slot.at<offsetof(Plan, whole8)>();
    const int64_t balance8 = static_cast<int64_t>(accrued8 - seen);
    const int64_t capacity8 = static_cast<int64_t>(slot.at<offsetof(Plan, capacity8)>());
    const int64_t available8 = balance8 < capacity8 ? balance8 : capacity8;
    const int64_t rest8 = available8 - tokens * static_cast<int64_t>(slot.at<offsetof(Plan, scale8)>());
    if (rest8 < 0) return state() == seen ? Attempt::denied : Attempt::lost;
    return word_.compare_exchange_strong(seen, accrued8 - static_cast<uint64_t>(rest8), std::memory_order_acq_rel,
                                         std::memory_order_relaxed)
               ? Attempt::granted
               : Attempt::lost;
}

inline Status Bucket::try_take(double n, int64_t now) {
    const Attempt attempt = attempt_plain(state(), n, now);
    if (attempt == Attempt::granted) [[likely]]
        return Status::success;
    if (attempt == Attempt::denied) return Status::denied;
    return attempt == Attempt::lost ? take_again(n, now) : take_general(n, now);
}

}  // namespace tb

#endif
