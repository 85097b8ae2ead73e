#include "core/compose/joint_wait.h"

#include <algorithm>
#include <new>

namespace tb {

using State = JointWait::Part::State;

JointWait::Part::Part(const Member &m) : member(m) {
    waiter.when_due = Waiter::Due::stays;
}

Status JointWait::Part::enter(int64_t timeout_ns, int32_t priority) {
    const Status s = member.account(&use, &account);
    if (s == Status::table_full && member.admits_when_full()) return Status::success;
    if (account == nullptr) return s;
    if (!waiter.alarm.is_thread()) waiter.alarm.bell = &account->waiting_options().bell;
    QueuePlace place;
    return account->enter(&waiter, member.n(), timeout_ns, priority, &place);
}

Status JointWait::Part::come() {
    return account == nullptr ? Status::success : account->come(&waiter, false);
}

void JointWait::Part::end(Status outcome) {
    if (state != State::out && account != nullptr) account->end(&waiter, outcome);
    state = State::out;
}

JointWait::JointWait(Part *parts, int count, platform::Sleeper *thread) : parts_(parts), count_(count) {
    for (int i = 0; i < count_; ++i) parts_[i].waiter.alarm.sleeper = thread;
}

JointWait::JointWait(Part *parts, int count, uint64_t tag) : parts_(parts), count_(count) {
    for (int i = 0; i < count_; ++i) parts_[i].waiter.alarm.tag = tag;
}

// Who would refuse is found before anything is taken, so that it disturbs nobody in the other queues. waits: of each.
Answers JointWait::probe(int64_t timeout_ns, int32_t priority, int64_t *waits) const {
    Answers answers;
    for (int i = 0; i < count_; ++i) {
        waits[i] = TBU_NEVER;
        const Status s = parts_[i].member.probe(timeout_ns, priority, &waits[i]);
        answers.add(s, i, s == Status::timed_out ? waits[i] : TBU_NEVER);
    }
    return answers;
}

// Those that have to wait enter last: when a manual clock counts all of these, nothing is left to be taken.
Status JointWait::enter(int64_t timeout_ns, int32_t priority, Refusal *refusal) {
    priority_ = priority;
    int64_t waits[kMostMembers];
    Answers refusing = probe(timeout_ns, priority, waits);
    if (refusing.status != Status::success) {
        parts_[refusing.refusal.member].member.record(refusing.status);
        *refusal = refuse(refusing);
        return status_;
    }
    for (const bool has_to_wait : {false, true})
        for (int i = 0; i < count_; ++i) {
            Part &part = parts_[i];
            if ((waits[i] != 0) != has_to_wait) continue;
            const Status s = part.enter(timeout_ns, priority);
            if (take_note(&part, s)) continue;
            part.member.record(s);
            refusing.add(s, i, retry_after_ns(part, s));
            *refusal = refuse(refusing);
            return status_;
        }
    return keep_if_all_have();
}

// Also those that have their tokens are asked: their buckets may have been closed. One change may end the wait in
// several queues. A bucket may be destroyed as soon as its part has ended.
Status JointWait::come(bool signalled, Refusal *refusal) {
    Answers refusing;
    for (int i = 0; status_ == Status::waiting && i < count_; ++i) {
        Part &part = parts_[i];
        const Status s = part.come();
        if (take_note(&part, s)) continue;
        refusing.add(s, i, retry_after_ns(part, s));
        part.end(s);
    }
    if (refusing.status != Status::success) {
        refuse(refusing);
    } else if (status_ == Status::waiting && keep_if_all_have() == Status::waiting && signalled) {
        leave();
        status_ = Status::interrupted;
    }
    *refusal = refusal_;
    return status_;
}

// False if the part is refused.
bool JointWait::take_note(Part *part, Status s) {
    if (s == Status::waiting) part->state = State::waits;
    if (s == Status::success) part->state = State::has;
    return s == Status::waiting || s == Status::success;
}

// How long one that has refused would take if it waited anew.
int64_t JointWait::retry_after_ns(const Part &part, Status s) const {
    int64_t ns = TBU_NEVER;
    if (s == Status::timed_out) part.member.probe(TBU_NEVER, priority_, &ns);
    return ns;
}

// All get back what was taken.
Refusal JointWait::refuse(const Answers &refusing) {
    for (int i = 0; i < count_; ++i) parts_[i].end(Status::waiting);
    status_ = refusing.status;
    refusal_ = refusing.refusal;
    return refusal_;
}

Status JointWait::keep_if_all_have() {
    bool all_have = true;
    for_each(State::waits, [&](Part *) { all_have = false; });
    if (!all_have) return Status::waiting;
    for_each(State::has, [](Part *part) { part->end(Status::success); });
    return status_ = Status::success;
}

// Those that still wait count as interrupted.
void JointWait::leave() {
    for_each(State::waits, [](Part *part) { part->end(Status::interrupted); });
    for_each(State::has, [](Part *part) { part->end(Status::waiting); });
}

template <class F>
void JointWait::for_each(State state, F f) const {
    for (int i = 0; i < count_; ++i)
        if (parts_[i].state == state) f(&parts_[i]);
}

Nap JointWait::nap() const {
    Nap nap;
    for_each(State::waits, [&](const Part *part) { nap = earlier(nap, part->account->nap(part->waiter)); });
    return nap;
}

int64_t JointWait::wait_ns() const {
    int64_t ns = TBU_NEVER;
    for_each(State::waits, [&](const Part *part) { ns = std::min(ns, part->account->wait_ns(part->waiter)); });
    return ns;
}

namespace {

// Parts in the frame of a thread.
class Parts {
  public:
    explicit Parts(const Members &members) : count_(members.count) {
        for (int i = 0; i < count_; ++i) new (&rooms_[i].part) JointWait::Part(members.of[i]);
    }
    ~Parts() {
        for (int i = 0; i < count_; ++i) rooms_[i].part.~Part();
    }
    Parts(const Parts &) = delete;
    Parts &operator=(const Parts &) = delete;

    JointWait::Part *first() { return &rooms_[0].part; }

  private:
    union Room {
        Room() {}
        ~Room() {}
        JointWait::Part part;
    };
    static_assert(sizeof(Room) == sizeof(JointWait::Part));

    const int count_;
    Room rooms_[kMostMembers];
};

}  // namespace

Status wait_all(const Members &members, int64_t timeout_ns, int32_t priority, Refusal *refusal) {
    const Status at_once = take_all(members, refusal);
    if (at_once != Status::denied) {
        record(members, at_once, *refusal);
        return at_once;
    }
    WaitingThread thread;
    Parts parts(members);
    JointWait wait(parts.first(), members.count, &thread.sleeper);
    Status s = wait.enter(timeout_ns, priority, refusal);
    while (s == Status::waiting) s = wait.come(thread.sleep([&] { return wait.nap(); }), refusal);
    return s;
}

}  // namespace tb
