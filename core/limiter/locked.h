// Holds the limiter's lock. A change is: look(), edit the chain or a plan, publish().
#ifndef TOKENBUCKET_CORE_LIMITER_LOCKED_H
#define TOKENBUCKET_CORE_LIMITER_LOCKED_H

#include "core/limiter/limiter.h"
#include "core/memory.h"
#include "core/platform/counter.h"
#include "core/queue/ticket.h"

namespace tb {

class Limiter::Locked {
  public:
    explicit Locked(Limiter *limiter)
        : limiter_(*limiter),
          caller_{*limiter, false, {}},
          guard_(asked(limiter)),
          queue_(limiter->queue_.load(std::memory_order_relaxed)),
          none_(limiter->queue_options()) {
        forget_other_processes();
    }
    // Makes waiters due, gives the first one its due time, publishes the chain. Those to be called are called
    // after the unlock.
    ~Locked() {
        if (looked_ && !chain().is_empty()) queue().serve(observed_);
        if (holds_plan_) release_plan();
        const bool changed = !chain().is_empty() || !queue().is_published();
        while (looked_ && changed && !publish(chain().end())) look();
        caller_.rings = queue().begin_ringing(&caller_.ringer);
    }
    Locked(const Locked &) = delete;
    Locked &operator=(const Locked &) = delete;

    // The limiter's queue, or an empty one of its own if there is none yet.
    WaitQueue &queue() { return queue_ == nullptr ? none_ : *queue_; }
    Chain &chain() { return queue().chain(); }
    // Creates the limiter's queue if there is none; false if there is no memory.
    bool make_queue() {
        if (queue_ == nullptr) queue_ = create<WaitQueue>(limiter_.queue_options());
        limiter_.queue_.store(queue_, std::memory_order_release);
        return queue_ != nullptr;
    }

    // Observes the bucket now and brings the queue up to it. The plan's base is moved first if more than elapsed_limit
    // has elapsed since it; not under the plan's lock, whose holder publishes a plan with a new base.
    const Observation &look() {
        for (;;) {
            uint64_t word = 0;
            const Plan plan = limiter_.cell_.read(&word);
            observed_ = Observation(word, plan, limiter_.time_.latest());
            if (holds_plan_ || observed_.balance.at.elapsed <= plan.elapsed_limit) break;
            if (!limiter_.move_base(observed_.now)) platform::pause();
        }
        looked_ = true;
        queue().look(observed_);
        return observed_;
    }

    // Takes the plan's lock, until the end.
    void hold_plan() {
        limiter_.plan_lock_.lock();
        holds_plan_ = true;
    }

    // As last looked at or published.
    const Observation &observed() const { return observed_; }

    // After look(): is the ticket's reservation still ahead?
    bool is_pending(const Ticket &ticket) {
        const bool held = ticket.serial != 0 && chain().holds(ticket.index, ticket.serial);
        return held && ticket.era == observed_.plan.era() && chain()[ticket.index].waiter == nullptr;
    }

    // Puts a word in force that shows `end` as spent; false if another thread changed the word since the look.
    bool publish(uint64_t end) {
        const uint64_t next = word_at(end, observed_.word);
        if (next != observed_.word && !limiter_.cell_.compare_exchange(observed_.word, next)) return false;
        observed_.word = next;
        queue().published(next);
        return true;
    }
    // After a change of entries, which is not undone: publishes until it succeeds.
    void publish_changed() {
        queue().changed();
        while (!publish(chain().end())) look();
    }
    // As publish(end), and puts a plan in force with the word. Needs the plan's lock.
    bool publish(uint64_t end, const Plan &plan) {
        const uint64_t next = next_generation(word_at(end, observed_.word));
        limiter_.cell_.prepare(observed_.word, plan);
        if (!limiter_.cell_.compare_exchange(observed_.word, next)) return false;
        queue().published(next);
        observed_ = Observation(next, plan, observed_.now);
        return true;
    }

  private:
    // Rings the bell after the lock has been released.
    struct Caller {
        ~Caller() {
            for (bool on = rings; on; on = limiter.go_on_ringing(&ringer))
                for (int i = 0; i < ringer.count; ++i) limiter.waiting_.bell.ring(ringer.tags[i]);
        }
        Limiter &limiter;
        bool rings = false;
        Ringer ringer;
    };

    static platform::ForkSafeLock *asked(Limiter *limiter) {
        limiter->time_.ask();
        return &limiter->lock_;
    }
    void release_plan() {
        limiter_.plan_lock_.unlock();
        holds_plan_ = false;
    }
    void forget_other_processes() {
        const uint32_t here = platform::process_generation();
        if (limiter_.process_ == here) return;
        limiter_.process_ = here;
        queue().abandon();
    }

    Limiter &limiter_;
    Caller caller_;  // before the guard, so that it outlives it
    const platform::LockGuard guard_;
    WaitQueue *queue_;
    WaitQueue none_;
    Observation observed_;
    bool looked_ = false;
    bool holds_plan_ = false;
};

}  // namespace tb

#endif
