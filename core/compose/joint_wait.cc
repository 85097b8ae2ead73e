#include "core/compose/joint_wait.h"

#include <algorithm>
#include <new>

namespace tb {

using State = JointWait::Part::State;

JointWait::Part::Part(const Member &m) : member(m), no_account(member.account(&use, &account)) {
    waiter.when_due = Waiter::Due::stays;
}

Status JointWait::Part::probe(int64_t timeout_ns, int32_t priority, int64_t *wait_ns) const {
    return account == nullptr ? no_account : account->probe(member.n(), timeout_ns, priority, wait_ns);
}

Status JointWait::Part::enter(int64_t timeout_ns, int32_t priority) {
    QueuePlace place;
    return account == nullptr ? no_account : account->enter(&waiter, member.n(), timeout_ns, priority, &place);
}

JointWait::JointWait(Part *parts, int count, platform::Sleeper *thread) : parts_(parts), count_(count) {
    for (int i = 0; i < count_; ++i) parts_[i].waiter.alarm.sleeper = thread;
}

JointWait::JointWait(Part *parts, int count, uint64_t tag) : parts_(parts), count_(count) {
    for (int i = 0; i < count_; ++i) {
        Part &part = parts_[i];
        part.waiter.alarm.tag = tag;
        if (part.account != nullptr) part.waiter.alarm.bell = &part.account->waiting_options().bell;
    }
}

// Who would refuse is found before anything is taken, so that it disturbs nobody in the other queues.
Answers JointWait::probe(int64_t timeout_ns, int32_t priority) const {
    Answers answers;
    for (int i = 0; i < count_; ++i) {
        int64_t ns = TBU_NEVER;
        const Status s = parts_[i].probe(timeout_ns, priority, &ns);
        answers.add(s, i, s == Status::timed_out ? ns : TBU_NEVER);
    }
    return answers;
}

Status JointWait::enter(int64_t timeout_ns, int32_t priority, Refusal *refusal) {
    priority_ = priority;
    const Answers answers = probe(timeout_ns, priority);
    if (answers.status != Status::success) {
        *refusal = answers.refusal;
        parts_[refusal->member].member.record(answers.status);
        return status_ = answers.status;
    }
    Status answer[kMostMembers];
    std::fill(answer, answer + count_, Status::waiting);
    for (int i = 0; i < count_; ++i) {
        Part &part = parts_[i];
        answer[i] = part.enter(timeout_ns, priority);
        if (take_note(&part, answer[i])) continue;
        part.member.record(answer[i]);
        refuse(answer);
        *refusal = refusal_;
        return status_;
    }
    return keep_if_all_have();
}

// Also those that have their tokens are asked: their buckets may have been closed. One change may end the wait in
// several queues.
Status JointWait::come(bool signalled, Refusal *refusal) {
    Status answer[kMostMembers];
    bool is_refused = false;
    for (int i = 0; status_ == Status::waiting && i < count_; ++i) {
        Part &part = parts_[i];
        answer[i] = part.account->come(&part.waiter, false);
        if (take_note(&part, answer[i])) continue;
        end(&part, answer[i]);
        is_refused = true;
    }
    if (is_refused) {
        refuse(answer);
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

// All get back what was taken. Then those that have refused are asked how long it would take.
void JointWait::refuse(const Status *answer) {
    for (int i = 0; i < count_; ++i) end(&parts_[i], Status::waiting);
    Answers answers;
    for (int i = 0; i < count_; ++i) {
        if (answer[i] == Status::waiting || answer[i] == Status::success) continue;
        int64_t ns = TBU_NEVER;
        if (answer[i] == Status::timed_out) parts_[i].probe(TBU_NEVER, priority_, &ns);
        answers.add(answer[i], i, ns);
    }
    status_ = answers.status;
    refusal_ = answers.refusal;
}

Status JointWait::keep_if_all_have() {
    bool all_have = true;
    for_each(State::waits, [&](Part *) { all_have = false; });
    if (!all_have) return Status::waiting;
    for_each(State::has, [](Part *part) { end(part, Status::success); });
    return status_ = Status::success;
}

void JointWait::end(Part *part, Status outcome) {
    if (part->state == State::out) return;
    part->state = State::out;
    part->account->end(&part->waiter, outcome);  // NOLINT(clang-analyzer-core.CallAndMessage): it has entered
}

// Those that still wait count as interrupted.
void JointWait::leave() {
    for_each(State::waits, [](Part *part) { end(part, Status::interrupted); });
    for_each(State::has, [](Part *part) { end(part, Status::waiting); });
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
