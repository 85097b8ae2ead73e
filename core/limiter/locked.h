// Holds an account's lock. A change is: look(), edit the chain, publish().
#ifndef TOKENBUCKET_CORE_LIMITER_LOCKED_H
#define TOKENBUCKET_CORE_LIMITER_LOCKED_H

#include "core/limiter/account.h"
#include "core/memory.h"
#include "core/queue/ticket.h"

namespace tb {

class Account::Locked {
  public:
    explicit Locked(Account *account)
        : account_(*account),
          caller_{*account},
          guard_(asked(account)),
          queue_(account->queue_.load(std::memory_order_relaxed)),
          none_(account->queue_options()) {
        forget_other_processes();
        account_.catch_up(this);
    }
    // Makes waiters due, gives the first one its due time, publishes the chain. Those to be called are called
    // after the unlock.
    ~Locked() {
        if (looked_ && !chain().is_empty()) queue().serve(observed_);
        const bool changed = is_shared() || !chain().is_empty() || !queue().is_published();
        while (looked_ && changed && !publish(spent())) look();
        caller_.rings = queue().begin_ringing(&caller_.ringer);
    }
    Locked(const Locked &) = delete;
    Locked &operator=(const Locked &) = delete;

    // The account's queue, or an empty one of its own if there is none yet.
    WaitQueue &queue() { return queue_ == nullptr ? none_ : *queue_; }
    Chain &chain() { return queue().chain(); }
    // Creates the account's queue if there is none; false if there is no memory.
    bool make_queue() {
        if (queue_ == nullptr) queue_ = create<WaitQueue>(account_.queue_options());
        account_.queue_.store(queue_, std::memory_order_release);
        return queue_ != nullptr;
    }

    // Brings the queue up to the present or to that observation.
    const Observation &look();
    const Observation &look(const Observation &observed);

    // As last looked at or published.
    const Observation &observed() const { return observed_; }

    // After look(): is the ticket's reservation still ahead?
    bool is_pending(const Ticket &ticket) {
        const bool held = ticket.serial != 0 && chain().holds(ticket.index, ticket.serial);
        return held && ticket.era == observed_.plan.era() && chain()[ticket.index].waiter == nullptr;
    }

    // Puts a word in force that shows `end` as spent; false if another thread changed the word since the look.
    bool publish(uint64_t end) {
        uint64_t next = word_at(end, observed_.word);
        if ((next != observed_.word || is_shared()) && !account_.exchange(observed_, &next)) return false;
        observed_.word = next;
        queue().published(next);
        return true;
    }
    // After a change of entries, which is not undone: publishes until it succeeds. In a shared queue the first waiter
    // is told before, since this process may be killed at any instant.
    void publish_changed() {
        queue().changed();
        for (;;) {
            if (is_shared()) queue().serve(observed_);
            if (publish(chain().end())) return;
            look();
        }
    }
    // Before a change that may be undone is published in a shared queue, for the same reason.
    void tell_first(const Observation &observed) {
        if (is_shared()) queue().tell_first(observed);
    }
    // A word that shows what is spent at the end of the chain has been put in force together with a plan.
    void published(uint64_t word, const Plan &plan) {
        queue().published(word);
        observed_ = Observation(word, plan, observed_.now);
    }

    // After look(): can what is reserved be counted at that rate until the last of it is due?
    bool fits(const tbu_rate &rate) {
        const int64_t ahead_ns = chain().last_due_ns() - observed_.now;
        return ahead_ns <= 0 || tbu_gain(&rate, {0, {0, 0}}, static_cast<uint64_t>(ahead_ns)) <= kMaxDebtUnits / 2;
    }

    // After look(before): brings the queue to the limit of `next`, a plan whose base is not after that time. What is
    // above a smaller capacity is dropped.
    void relimit(const Observation &before, const Plan &next);

  private:
    // Rings the bell after the lock has been released. Not in a child that the bell has forked: the waiters are its
    // parent's.
    struct Caller {
        ~Caller() {
            for (bool on = rings; on; on = is_here() && account.go_on_ringing(&ringer))
                for (int i = 0; i < ringer.count && is_here(); ++i) account.waiting_.bell.ring(ringer.tags[i]);
        }
        bool is_here() const { return process == platform::process_generation(); }

        Account &account;
        bool rings = false;
        Ringer ringer{};
        uint32_t process = platform::process_generation();
    };

    bool is_shared() const { return account_.images_ != nullptr; }
    // What the word is to show. One that nobody waits behind keeps its position, also if the bucket has become full.
    uint64_t spent() {
        const bool keeps = chain().is_empty() && queue().is_published();
        return keeps ? observed_.word >> kGenerationBits : chain().end();
    }
    static StateLock *asked(Account *account) {
        account->time().ask();
        return &account->lock_;
    }
    void forget_other_processes() {
        const uint32_t here = platform::process_generation();
        if (account_.process_ == here) return;
        account_.process_ = here;
        queue().abandon();
        if (is_shared()) account_.images_->forget();
    }

    Account &account_;
    Caller caller_;  // before the guard, so that it outlives it
    const platform::LockGuard<StateLock> guard_;
    WaitQueue *queue_;
    WaitQueue none_;
    Observation observed_;
    bool looked_ = false;
};

}  // namespace tb

#endif
