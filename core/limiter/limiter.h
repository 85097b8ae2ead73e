// A limiter: an account whose word lies in a cell of its own, with a clock. It is what a tb_bucket is.
//
// Takes, available() and time_until() use the cell and the clock alone and wait for no lock. All else needs the
// account's lock.
//
// The plan's lock is held while the spare plan slot is written and put in force. A take that finds that the base must
// be moved tries that lock, and decides by the old base if another thread holds it.
#ifndef TOKENBUCKET_CORE_LIMITER_LIMITER_H
#define TOKENBUCKET_CORE_LIMITER_LIMITER_H

#include <cstdint>

#include "core/bucket/answer.h"
#include "core/bucket/cell.h"
#include "core/bucket/decide.h"
#include "core/clock/time_source.h"
#include "core/limiter/account.h"
#include "core/limiter/retry.h"
#include "core/platform/counter.h"
#include "core/shared/shared_state.h"

namespace tb {

// All pointers must live as long as the limiter.
struct LimiterOptions {
    Clock *clock = nullptr;  // null: the system clock, which may use the counter
    bool use_counter = false;
    const WaitOptions *waiting = &kNoWaitOptions;
    const Observer *observer = nullptr;
    SharedState *shared = nullptr;  // open; with the system clock, without the counter
};

class Limiter final : public Account {
  public:
    // What was read of the bucket, and what was decided by it.
    struct Attempt {
        uint64_t word;
        uint64_t next;  // the word to store if granted
        int64_t cost;
        int64_t now;
        uint64_t era;
        int64_t retry_after_ns;  // if denied
        uint64_t undone;         // undos_->done() before the word was read
    };

    static constexpr double kFull = -1.0;  // for reset()

    // With initial_units units in the bucket. Of a shared state the limit is that of the state, which is full or not.
    Limiter(const LimitSpec &spec, const Limit &limit, int64_t initial_units, const LimiterOptions &options);
    // Closes, or, if the state is shared, ends the waits of this process; returns when the last thread has left its
    // wait.
    ~Limiter();

    [[gnu::always_inline]] Status allow(double n) {
        return is_in_sixteenths(n) ? allow_at_once<PriceInSixteenths>(n) : allow_fraction(n);
    }

    // What allow() would answer; nothing is taken or counted. store(attempt) then takes what was granted: false if
    // somebody has changed the bucket since. undo() gives that back, but for what has overflowed since. One counter()
    // before serves several limiters: what is granted at that time is granted now.
    static uint64_t counter() { return platform::read_counter(); }
    Status preview(uint64_t counter, double n, Attempt *attempt);
    bool store(const Attempt &attempt) { return cell_->compare_exchange(attempt.word, attempt.next); }
    void undo(const Attempt &taken);

    // *answer has a meaning for success, denied and exceeds_capacity.
    Status take(double n, Answer *answer);
    Status take_up_to(double most, double *taken);
    Status reserve(double n, int64_t max_wait_ns, Reservation *reservation);

    Status reset(double tokens);  // or kFull
    Status set_tokens(double tokens);
    Status set_rate(double tokens_per_second);
    Status set_capacity(double capacity);
    Status close();

    double available();
    Status time_until(double n, int64_t *ns);
    // The limit as asked for, and the units per token.
    LimitSpec limit(uint64_t *scale);

    // Do both take from one bucket? So do two that have opened the same memory.
    bool is_same_limit(const Limiter &other) const {
        if (shared() == nullptr || other.shared() == nullptr) return this == &other;
        return shared()->memory()->is_same_file(*other.shared()->memory());
    }

    SharedState *shared() const { return shared_; }  // null: the state is this process's alone
    Clock *clock() const { return time_.clock(); }
    int64_t now() { return time_.now(); }

  private:
    // The first attempt of a take, in the common case; slowly(lost) does all else, after a lost compare-and-swap if
    // lost. explain(decision, plan, now) derives results from the decision before it is stored; if it returns false
    // slowly decides instead.
    template <class Price, class Explain, class Slowly>
    [[gnu::always_inline]] Status take_at_once(double n, Explain explain, Slowly slowly) {
        const uint64_t word = cell_->word();
        const PlanSlot &plan = cell_->plan(word);
        int64_t now = 0;
        Decision d;
        if (!time_.now_by_counter(&now)) [[unlikely]]
            return slowly(false);
        if (!decide_in_place<Price>(word, plan, n, now, &d) || !explain(d, plan, now)) [[unlikely]]
            return slowly(false);
        if (d.status == Status::success) {
            if (!cell_->compare_exchange(word, d.next)) [[unlikely]]
                return slowly(true);
        } else if (!is_surely_denied(d, plan) || cell_->word() != word) {
            return slowly(false);
        }
        return observer() == nullptr ? d.status : recorded(d.status, n);
    }
    template <class Price>
    [[gnu::always_inline]] Status allow_at_once(double n) {
        const auto nothing = [](const Decision &, const PlanSlot &, int64_t) { return true; };
        const auto slowly = [=, this](bool lost) { return lost ? take_after_loss(n) : take_slowly(n); };
        return take_at_once<Price>(n, nothing, slowly);
    }
    Status allow_fraction(double n);
    Status preview_slowly(double n, Attempt *attempt);
    template <class Decide>
    Status take_by(Decide decide);
    Status take_slowly(double n, Answer *answer);
    Status take_up_to_slowly(double most, double *taken);
    Status reserve_slowly(double n, int64_t max_wait_ns, Reservation *reservation);
    Status take_slowly(double n);
    Status take_after_loss(double n);
    bool move_base(int64_t now);

    // The account's.
    TimeSource &time() override { return time_; }
    Status take_now(double n) override;
    Observation observe() override;
    bool exchange(const Observation &before, uint64_t *next) override;
    void catch_up(Locked *locked) override;

    // Changes of the plan.
    Observation observe_plan();
    template <class Edit>
    Status change_plan(Locked *locked, Edit edit);
    bool put_in_force(uint64_t word, uint64_t *next);
    Status set_limit(Locked *locked, const LimitSpec &spec);

    SharedState *const shared_;
    TimeSource time_;
    Cell own_cell_;
    Undos own_undos_;
    Cell *const cell_;
    Undos *const undos_;
    StateLock plan_lock_;
    LimitSpec spec_;
};

}  // namespace tb

#endif
