// A token bucket on one atomic word. Time is a parameter: nanoseconds of any clock that started at or after 0; the
// caller reads it just before the call. An older time than another thread's can only under-grant; so that it does not
// refuse what there was at all times, the caller reads state() before the clock and believes a refusal only if the
// state is still the same: then the bucket was in that state at that very time.
//
// Every operation is: observe the word and its plan, compute what would be left, compare-and-swap. A refusal stores
// nothing. An operation that lost a race with an outdated time answers Status::stale and has changed nothing.
// Reservations are positions: the spent units right after the reservation, due when as many have accrued.
//
// The functions that are given claims are called under the lock that guards those; after success each claim's standing
// is the new one, those that have left still in the list.
#ifndef TOKENBUCKET_CORE_BUCKET_BUCKET_H
#define TOKENBUCKET_CORE_BUCKET_BUCKET_H

#include <atomic>
#include <cstdint>

#include "core/bucket/claims.h"
#include "core/bucket/epochs.h"
#include "core/bucket/limit.h"
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
    uint64_t ticket;  // position * 8 + epoch % 8
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
    Status reserve(double n, int64_t max_wait_ns, int64_t now, Reservation *reservation);
    Status charge(double n, int64_t now, int64_t *repaid_after_ns);
    // Takes n tokens for a claim, which is due at once or is to be added to those that wait.
    Status claim(double n, int64_t max_wait_ns, int64_t now, Claim *claim);
    // The state is `seen`, or stale: at that state nobody waited.
    Status refund(double n, int64_t now, uint64_t seen);
    // Without a lock; denied: it is not the youngest, or not of this epoch.
    Status cancel_youngest(const Reservation &reservation, int64_t now, double *given_back);

    // *given_back: tokens that somebody had held and that came back.
    Status refund(double n, int64_t now, Claims *claims, double *given_back);
    Status cancel(const Reservation &reservation, int64_t now, Claims *claims, double *given_back);
    Status settle(const Reservation &reservation, double actual, int64_t now, Claims *claims, double *given_back);
    Status reset(double tokens, int64_t now, Claims *claims, double *given_back);  // tokens may be kFull
    Status set_rate(double tokens_per_second, int64_t now, Claims *claims, double *given_back);
    Status set_capacity(double capacity, int64_t now, Claims *claims, double *given_back);
    Status withdraw(Claim *claim, Status why, int64_t now, Claims *claims, double *given_back);
    Status close(int64_t now, Claims *claims, double *given_back);

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

    struct Laid {
        int64_t cost;
        int64_t wait_ns;
        uint64_t position;
        uint64_t epoch;
    };

    View view(int64_t now) const;
    View view_to_store(int64_t now);
    bool store_rest(const View &view, int64_t rest);
    Status lay(double n, int64_t max_wait_ns, int64_t now, Laid *laid);
    Status charge_units(const View &view, uint64_t units);

    void move_base(int64_t now);
    bool publish(const View &view, const Plan &next, int64_t available, uint64_t fence);
    template <class Edit>
    Status change(int64_t now, Claims *claims, double *given_back, Edit edit);
    Draft draft(int64_t now, Claims *claims) const;
    bool commit(const Draft &draft);

    Plan to_publish(Plan plan) const;

    alignas(kCacheLine) std::atomic<uint64_t> word_;
    Slot slots_[2];
    const bool watched_;

    // Under the lock: changes of plan, and the cancelling of reservations that are not the youngest.
    platform::RareLock lock_;
    uint64_t fence_;  // spent units at the last such cancel; another must wait until more have accrued
    Epochs epochs_;
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
