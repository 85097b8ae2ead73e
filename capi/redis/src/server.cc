#include "capi/redis/src/server.h"

#include <semaphore.h>

namespace tb::redis {
// A thread and its question, on the thread's stack. It stands in the queue, or in the batch of a leader, which tells it
// when there is an answer; or it leads.
struct Server::Waiter {
    enum class State { waits, leads, done };

    Waiter(Question *its_question, int64_t its_deadline_ns) : question(its_question), deadline_ns(its_deadline_ns) {
        ::sem_init(&changed_, 0, 0);
    }
    ~Waiter() { ::sem_destroy(&changed_); }
    Waiter(const Waiter &) = delete;
    Waiter &operator=(const Waiter &) = delete;

    bool leads() const { return state_.load(std::memory_order_acquire) == State::leads; }

    // Once; afterwards one that is done may be gone.
    void become(State state) {
        state_.store(state, std::memory_order_release);
        ::sem_post(&changed_);
    }
    // False: the deadline has passed, and it still waits. The semaphore's time is that of a clock which may be set.
    bool wait_until_deadline() {
        for (int64_t now = now_ns(); now < deadline_ns; now = now_ns()) {
            timespec wall{};
            ::clock_gettime(CLOCK_REALTIME, &wall);
            const timespec until = to_timespec(to_ns(wall) + (deadline_ns - now));
            if (::sem_timedwait(&changed_, &until) == 0) return true;
        }
        return ::sem_trywait(&changed_) == 0;
    }
    void wait() {
        while (::sem_wait(&changed_) != 0) {
        }
    }

    Question *const question;
    const int64_t deadline_ns;
    // Under the server's lock, or in a batch the leader's.
    Waiter *next = nullptr;
    bool is_queued = false;

  private:
    std::atomic<State> state_{State::waits};
    sem_t changed_;
};

Server::Server(const Endpoint *endpoint, const Options &options)
    : options_(options), breaker_(options.breaker_failures, options.breaker_open_ns), connection_(endpoint) {
    ::pthread_mutex_init(&lock_, nullptr);
}

// The threads that stood in the queue are the parent's, and so is the connection.
void Server::follow_fork() {
    process_.follow([this] {
        ::pthread_mutex_init(&lock_, nullptr);
        first_ = last_ = nullptr;
        is_led_ = false;
        connection_.forget();
        batch_.forget();
        breaker_.renew();
    });
}

void Server::ask(Question *question) {
    follow_fork();
    question->status = TB_E_UNAVAILABLE;
    const int64_t now = now_ns();
    const Breaker::Admission admission = breaker_.admit(now);
    if (admission == Breaker::Admission::refused) return;

    const NoCancellation no_cancellation;
    Waiter self(question, now + options_.deadline_ns);
    bool leads = false;
    enqueue(&self, &leads);
    if (!leads) {
        // What is in a batch has its answer by the deadline of a leader that is older.
        if (!self.wait_until_deadline() && !remove(&self)) self.wait();
        leads = self.leads();
    }
    if (leads) lead(&self);
    if (admission == Breaker::Admission::probe) breaker_.probe_ended(now_ns());
}

void Server::enqueue(Waiter *waiter, bool *leads) {
    const LockGuard hold(&lock_);
    waiter->is_queued = true;
    if (first_ == nullptr) {
        first_ = waiter;
    } else {
        last_->next = waiter;
    }
    last_ = waiter;
    *leads = !is_led_;
    is_led_ = true;
}

// False: it is no longer in the queue, or leads.
bool Server::remove(Waiter *waiter) {
    const LockGuard hold(&lock_);
    if (!waiter->is_queued) return false;
    Waiter *before = nullptr;
    Waiter *at = first_;
    for (; at != waiter; at = at->next) before = at;
    if (before == nullptr) {
        if (waiter->leads()) return false;
        first_ = waiter->next;
    } else {
        before->next = waiter->next;
    }
    if (last_ == waiter) last_ = before;
    waiter->is_queued = false;
    return true;
}

void Server::lead(Waiter *leader) {
    Failure failure;
    Connection::Opened opened = Connection::Opened::failed;
    const bool in_time = leader->deadline_ns - now_ns() >= options_.deadline_ns / 2;
    if (in_time) {
        opened = connection_.open(leader->deadline_ns, &failure);
    } else {
        failure.set("queue", "no time is left to ask");
    }
    const bool is_connected = opened != Connection::Opened::failed;
    Waiter *const batch = take_batch(is_connected);
    const bool is_answered = is_connected && batch_.run(&connection_, leader->deadline_ns, &failure);

    Waiter *given_up = nullptr;
    {
        const LockGuard hold(&lock_);
        if (in_time) record(opened, is_answered);
        if (failure.text[0] != '\0') failure_ = failure;
        if (breaker_.is_open()) given_up = take_all();
        is_led_ = first_ != nullptr;
        if (is_led_) first_->become(Waiter::State::leads);
    }
    finish(batch->next);
    finish(given_up);
}

// The leader and those behind it that the batch has room for; if `with_others` is false, the leader alone.
Server::Waiter *Server::take_batch(bool with_others) {
    const LockGuard hold(&lock_);
    Waiter *const leader = first_;
    batch_.clear();
    Waiter *last = nullptr;
    while (first_ != nullptr && (last == nullptr || with_others) && batch_.add(first_->question)) {
        last = first_;
        last->is_queued = false;
        first_ = last->next;
    }
    last->next = nullptr;
    if (first_ == nullptr) last_ = nullptr;
    return leader;
}

Server::Waiter *Server::take_all() {
    Waiter *const all = first_;
    for (Waiter *w = all; w != nullptr; w = w->next) w->is_queued = false;
    first_ = last_ = nullptr;
    return all;
}

void Server::record(Connection::Opened opened, bool is_answered) {
    if (opened == Connection::Opened::now) ++stats_.connects;
    if (is_answered) {
        ++stats_.round_trips;
        breaker_.succeeded();
    } else {
        ++stats_.failures;
        if (breaker_.failed(now_ns())) ++stats_.breaker_opened;
    }
}

void Server::finish(Waiter *waiters) {
    while (waiters != nullptr) {
        Waiter *const w = waiters;
        waiters = w->next;
        w->become(Waiter::State::done);
    }
}

ServerStats Server::stats() {
    follow_fork();
    const LockGuard hold(&lock_);
    return stats_;
}

Failure Server::last_failure() {
    follow_fork();
    const LockGuard hold(&lock_);
    return failure_;
}

}  // namespace tb::redis
