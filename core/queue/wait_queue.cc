#include "core/queue/wait_queue.h"

namespace tb {
namespace {

// More than any entry lies ahead (kMaxDebtUnits): once so much has accrued, every entry is due.
constexpr uint64_t kFar = uint64_t{1} << 60;

}  // namespace

void WaitQueue::look(const Observation &observed) {
    chain_.set_capacity(static_cast<int64_t>(observed.plan.capacity));
    if (!chain_.is_empty()) {
        const uint64_t since = static_cast<uint64_t>(observed.now - looked_ns_);
        grant_due(observed, tbu_gain(&observed.plan.rate, {0, {0, 0}}, since) >= kFar);
    }
    if (chain_.is_empty() && in_step_) {
        chain_.set_base(observed.spent());
    } else {
        const uint64_t full = observed.balance.accrued - observed.plan.capacity;
        const int64_t unattributed = word_difference(observed.word, last_word_);
        const uint64_t base = later(chain_.base(), full) + static_cast<uint64_t>(unattributed);
        // The bucket may have been full since the last look; then the word is an upper bound of what is spent, but for
        // what has not been published.
        chain_.set_base(chain_.is_empty() ? earlier(base, observed.spent() + raised_) : base);
    }
    last_word_ = observed.word;
    looked_ns_ = observed.now;
}

// In order of position. `all`: every entry is due, and positions are too far apart to be compared.
void WaitQueue::grant_due(const Observation &observed, bool all) {
    while (!chain_.is_empty()) {
        const uint32_t reservation = chain_.first_reservation();
        const uint32_t waiter = chain_.first_waiter();
        const int64_t cost = waiter == 0 ? 0 : chain_[waiter].cost;
        const Cursor at = waiter == 0 || all ? chain_.begin() : chain_.place_waiter(chain_.begin(), cost);
        const bool waiter_first = waiter != 0 && at.next == reservation;
        const uint64_t position = at.spent + static_cast<uint64_t>(cost);
        const bool due = waiter_first ? distance(position, observed.balance.accrued) >= 0
                                      : chain_[reservation].time_ns <= observed.now;
        if (!due && !all) return;
        if (waiter_first) {
            end_with(waiter, Status::success);
            chain_.pass_waiter(waiter);
        } else {
            chain_.pass_reservation(reservation);
        }
    }
}

int64_t WaitQueue::due_ns(const Observation &observed, Cursor at, int64_t cost) const {
    const int64_t ahead = distance(observed.balance.accrued, at.spent + static_cast<uint64_t>(cost));
    if (ahead <= 0) return observed.now;
    const int64_t wait = time_to_grow(observed.plan, observed.balance.at, 0, ahead);
    return wait < TBU_NEVER - observed.now ? observed.now + wait : TBU_NEVER;
}

void WaitQueue::enter(Waiter *waiter, Cursor at, int64_t cost, int64_t due_ns, int64_t deadline_ns) {
    inside_.fetch_add(1, std::memory_order_acq_rel);
    waiter->index = chain_.put_waiter(at, cost, deadline_ns, waiter);
    waiter->alarm.due_ns.store(due_ns, std::memory_order_release);
    if (manual_clock_ != nullptr) manual_clock_->arm(&waiter->alarm);
}

void WaitQueue::end_wait(uint32_t index, Status outcome) {
    changed();
    end_with(index, outcome);
    chain_.remove(index);
}

void WaitQueue::end_with(uint32_t index, Status outcome) {
    Waiter *const waiter = chain_[index].waiter;
    waiter->outcome = outcome;
    waiter->next_ended = ended_;
    ended_ = waiter;
}

void WaitQueue::end_all_waits(Status outcome) {
    while (const uint32_t waiter = chain_.first_waiter()) end_wait(waiter, outcome);
}

// A thread whose due time has come wakes by itself, except on a manual clock.
void WaitQueue::tell_ended(int64_t now) {
    while (Waiter *const waiter = ended_) {
        ended_ = waiter->next_ended;
        if (manual_clock_ != nullptr) manual_clock_->disarm(&waiter->alarm);
        const bool sleeps_on = manual_clock_ != nullptr || waiter->alarm.due_ns.load(std::memory_order_relaxed) > now;
        if (sleeps_on) {
            waiter->alarm.finish();
        } else {
            waiter->alarm.finish_without_wake();
        }
    }
}

void WaitQueue::serve(const Observation &observed) {
    grant_due(observed, false);
    const uint32_t waiter = chain_.first_waiter();
    if (waiter == 0) return;
    const int64_t cost = chain_[waiter].cost;
    arm(waiter, due_ns(observed, chain_.place_waiter(chain_.begin(), cost), cost));
}

void WaitQueue::replan(const Observation &observed) {
    Cursor from = chain_.begin();
    for (uint32_t waiter = chain_.first_waiter(), next = 0; waiter != 0; waiter = next) {
        next = chain_.next_waiter(waiter);
        const int64_t cost = chain_[waiter].cost;
        const Cursor at = cost > chain_.capacity() ? from : chain_.place_waiter(from, cost);
        const int64_t due = due_ns(observed, at, cost);
        if (cost > chain_.capacity()) {
            end_wait(waiter, Status::exceeds_capacity);
        } else if (due > chain_[waiter].time_ns) {
            end_wait(waiter, Status::timed_out);
        } else {
            arm(waiter, due);
            from = {at.next, at.spent + static_cast<uint64_t>(cost)};
        }
    }
}

void WaitQueue::arm(uint32_t index, int64_t due_ns) {
    Waiter *const waiter = chain_[index].waiter;
    if (waiter->alarm.due_ns.load(std::memory_order_relaxed) == due_ns) return;
    waiter->alarm.due_ns.store(due_ns, std::memory_order_release);
    if (manual_clock_ != nullptr) manual_clock_->arm(&waiter->alarm);
    waiter->alarm.ring();
}

// In a child that a signal handler forked during the wait, abandon() has set the count to that of the owner alone.
void WaitQueue::depart(uint32_t process) {
    if (process != platform::process_generation()) return;
    if (inside_.fetch_sub(1, std::memory_order_acq_rel) == 1) departed_->add_and_wake(1);
}

// The thread that takes the count to 0 wakes the owner, whose frame holds the sleeper until then.
void WaitQueue::wait_until_departed() {
    if (inside_.load(std::memory_order_acquire) == 1) return;
    platform::Sleeper departed;
    departed_ = &departed;
    if (inside_.fetch_sub(1, std::memory_order_acq_rel) == 1) return;
    while (departed.word() == 0) departed.sleep_while(0, INT64_MAX);
}

void WaitQueue::abandon() {
    chain_.abandon();
    ended_ = nullptr;
    in_step_ = true;
    raised_ = 0;
    inside_.store(1, std::memory_order_release);
}

}  // namespace tb
