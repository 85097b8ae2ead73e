#include "core/compose/compose.h"

#include <algorithm>
#include <new>

#include "core/limiter/retry.h"

namespace tb {
namespace {

// A take from each member, each made when it is first looked at. The counter is read once for all.
class Takes {
  public:
    explicit Takes(const Members &members) : members_(members) {}

    Status preview(int i) { return members_.of[i].preview(counter_, new (&attempts_[i].attempt) Member::Attempt); }
    // Takes what was previewed; where somebody was faster, what a new look grants.
    Status take_previewed(int i) {
        const Member &m = members_.of[i];
        for (;;) {
            Status s = m.store(&attempts_[i].attempt);
            if (s != Status::stale) return s;
            wait_after_loss();
            s = m.preview(Limiter::counter(), &attempts_[i].attempt);
            if (s != Status::success) return s;
        }
    }
    void undo(int i) { members_.of[i].undo(attempts_[i].attempt); }
    int64_t retry_after_ns(int i, Status s) const {
        return s == Status::denied ? members_.of[i].retry_after_ns(attempts_[i].attempt) : TBU_NEVER;
    }
    Reservation reservation(int i) const { return members_.of[i].reservation(attempts_[i].attempt); }

  private:
    union Room {
        Room() {}
        Member::Attempt attempt;
    };

    const Members &members_;
    const uint64_t counter_ = Limiter::counter();
    Room attempts_[kMostMembers];
};

}  // namespace

// Keys are taken first: that there is no room for a new one is found out only then.
Status take_all(const Members &members, Refusal *refusal) {
    Takes takes(members);
    Answers answers;
    for (int i = 0; i < members.count; ++i) {
        const Status s = takes.preview(i);
        if (s != Status::success) answers.add(s, i, takes.retry_after_ns(i, s));
    }
    int taken[kMostMembers];
    int count = 0;
    for (const bool keys : {true, false})
        for (int i = 0; answers.status == Status::success && i < members.count; ++i) {
            if (members.of[i].is_key() != keys) continue;
            const Status s = takes.take_previewed(i);
            taken[count++] = i;
            if (s == Status::success) continue;
            answers.add(s, i, takes.retry_after_ns(i, s));
            for (--count; count > 0;) takes.undo(taken[--count]);
        }
    *refusal = answers.refusal;
    return answers.status;
}

Status allow_all(const Members &members, Refusal *refusal) {
    const Status s = take_all(members, refusal);
    record(members, s, *refusal);
    return s;
}

void record(const Members &members, Status s, const Refusal &refusal) {
    if (s != Status::success) return members.of[refusal.member].record(s);
    for (int i = 0; i < members.count; ++i) members.of[i].record(s);
}

namespace {

// Of a reservation from that member, before anything is taken.
Status probe(const Member &m, int64_t max_wait_ns, int64_t *retry_after_ns) {
    int64_t ns = TBU_NEVER;
    const Status s = is_amount(m.n()) ? m.probe_reservation(max_wait_ns, &ns) : Status::invalid_argument;
    *retry_after_ns = s == Status::timed_out ? ns : TBU_NEVER;
    return s;
}

}  // namespace

// What is due at once is a take, which can be undone exactly.
Status reserve_all(const Members &members, int64_t max_wait_ns, Reservation *reservations, int64_t *wait_ns,
                   Refusal *refusal) {
    Takes takes(members);
    Answers answers;
    for (int i = 0; i < members.count; ++i) {
        int64_t ns = 0;
        const Status s = probe(members.of[i], max_wait_ns, &ns);
        answers.add(s, i, ns);
    }
    bool is_take[kMostMembers] = {};
    int taken = 0;
    *wait_ns = 0;
    while (answers.status == Status::success && taken < members.count) {
        const int i = taken;
        Status s = takes.preview(i);
        if (s == Status::success) s = takes.take_previewed(i);
        is_take[i] = s == Status::success;
        if (is_take[i]) reservations[i] = takes.reservation(i);
        if (s == Status::denied) s = members.of[i].reserve_ahead(max_wait_ns, &reservations[i]);
        int64_t ns = TBU_NEVER;
        if (s == Status::timed_out) probe(members.of[i], max_wait_ns, &ns);
        answers.add(s, i, ns);
        if (s != Status::success) break;
        *wait_ns = std::max(*wait_ns, reservations[i].wait_ns);
        ++taken;
    }
    *refusal = answers.refusal;
    record(members, answers.status, *refusal);
    while (answers.status != Status::success && taken > 0) {
        --taken;
        if (is_take[taken]) {
            takes.undo(taken);
        } else {
            members.of[taken].record(Status::success);
            members.of[taken].cancel(reservations[taken]);
        }
    }
    return answers.status;
}

void cancel_all(const Members &members, const Reservation *reservations) {
    bool all_due = true;
    for (int i = 0; i < members.count; ++i) all_due = all_due && members.of[i].is_due(reservations[i]);
    for (int i = 0; !all_due && i < members.count; ++i) members.of[i].cancel(reservations[i]);
}

}  // namespace tb
