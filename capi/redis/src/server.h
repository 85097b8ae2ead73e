// A server that threads share: their calls are combined on one connection.
#ifndef TOKENBUCKET_CAPI_REDIS_SRC_SERVER_H
#define TOKENBUCKET_CAPI_REDIS_SRC_SERVER_H

#include <pthread.h>

#include <atomic>
#include <cstdint>

#include "capi/redis/src/batch.h"
#include "capi/redis/src/breaker.h"
#include "capi/redis/src/connection.h"
#include "capi/redis/src/process.h"

namespace tb::redis {

struct ServerStats {
    int64_t connects;
    int64_t round_trips;
    int64_t failures;
    int64_t breaker_opened;
};

// Flat combining. Threads stand in a queue. The first of them leads: it has the connection, and the batch, to itself;
// it takes what has queued up, asks, hands the lead on to who is first then, and wakes those whose answers are there.
//
//  1. While somebody leads, that thread or one that it has handed on to, the queue may hold others; else it is empty.
//  2. The leader is the first of the queue until it takes its batch, so it is the oldest of that, and its deadline, by
//     which a round trip ends, the earliest.
//  3. A leader of whose time less than half is left does not ask: a slow round trip shall not be the reason that the
//     next ones fail, too. So each failure that the breaker counts is silence for half a deadline.
class Server {
  public:
    struct Options {
        int64_t deadline_ns;
        int64_t breaker_open_ns;
        int32_t breaker_failures;
    };

    Server(const Endpoint *endpoint, const Options &options);
    ~Server() { ::pthread_mutex_destroy(&lock_); }
    Server(const Server &) = delete;
    Server &operator=(const Server &) = delete;

    const Options &options() const { return options_; }

    // Blocks until there is an answer or the deadline has passed; question->status says which.
    void ask(Question *question);

    ServerStats stats();
    Failure last_failure();

  private:
    struct Waiter;

    void follow_fork();
    void enqueue(Waiter *waiter, bool *leads);
    bool remove(Waiter *waiter);
    void lead(Waiter *leader);
    Waiter *take_batch(bool with_others);
    Waiter *take_all();
    void record(Connection::Opened opened, bool is_answered);
    static void finish(Waiter *waiters);

    const Options options_;
    ProcessCheck process_;
    Breaker breaker_;
    Connection connection_;  // these two are the leader's
    Batch batch_;

    pthread_mutex_t lock_;
    // Under the lock.
    Waiter *first_ = nullptr;
    Waiter *last_ = nullptr;
    bool is_led_ = false;
    ServerStats stats_{};
    Failure failure_;
};

}  // namespace tb::redis

#endif
