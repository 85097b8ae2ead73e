// A wait for all members: it stands in the queue of each. What is due in one is collected, and kept when all have
// granted. If one refuses, or the wait is given up, all comes back.
#ifndef TOKENBUCKET_CORE_COMPOSE_JOINT_WAIT_H
#define TOKENBUCKET_CORE_COMPOSE_JOINT_WAIT_H

#include <cstdint>

#include "core/compose/compose.h"

namespace tb {

// Takes from all, or sleeps until all have granted.
Status wait_all(const Members &members, int64_t timeout_ns, int32_t priority, Refusal *refusal);

// For one thread at a time.
class JointWait {
  public:
    // What stands in one queue.
    struct Part {
        explicit Part(const Member &m);

        // As those of an account, which the first one makes.
        Status enter(int64_t timeout_ns, int32_t priority);
        Status come();
        void end(Status outcome);

        const Member member;
        std::optional<KeyAccounts::Use> use;
        Account *account = nullptr;  // null: before enter(), and of a key that is admitted without a place
        Waiter waiter;
        enum class State { out, waits, has } state = State::out;
    };

    // `parts`, one for each member, must live as long as the wait. Alarms ring the thread, or each account's bell with
    // the tag.
    JointWait(Part *parts, int count, platform::Sleeper *thread);
    JointWait(Part *parts, int count, uint64_t tag);
    ~JointWait() { leave(); }
    JointWait(const JointWait &) = delete;
    JointWait &operator=(const JointWait &) = delete;

    // waiting, or the outcome of it all: after that the wait stands in no queue. *refusal is written if is_refusal().
    Status enter(int64_t timeout_ns, int32_t priority, Refusal *refusal);
    // Collects what is due. A signal ends the wait unless all is.
    Status come(bool signalled, Refusal *refusal);
    void leave();

    // When to come, and in how many nanoseconds: by the next of those that wait.
    Nap nap() const;
    int64_t wait_ns() const;

  private:
    Answers probe(int64_t timeout_ns, int32_t priority, int64_t *waits) const;
    int64_t retry_after_ns(const Part &part, Status s) const;
    Refusal refuse(const Answers &refusing);
    static bool take_note(Part *part, Status s);
    Status keep_if_all_have();
    template <class F>
    void for_each(Part::State state, F f) const;

    Part *const parts_;
    const int count_;
    int32_t priority_ = 0;
    Status status_ = Status::waiting;
    Refusal refusal_;
};

}  // namespace tb

#endif
