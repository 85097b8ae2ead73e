// Threads that wait for tokens of one bucket, again and again, and what that costs.
#ifndef TOKENBUCKET_TESTS_BENCH_WAITERS_H
#define TOKENBUCKET_TESTS_BENCH_WAITERS_H

#include <cstdint>
#include <memory>
#include <vector>

namespace bench {

// On CLOCK_MONOTONIC.
struct Grant {
    int64_t asked_ns;
    int64_t running_ns;  // when the thread went on
    int64_t due_ns;      // when its token was there
};

// Something that makes threads wait. Its k-th token is there k periods after it began, whoever gets it.
class Granter {
  public:
    virtual ~Granter() = default;
    // Called once by each thread before it waits.
    virtual void prepare_thread() {}
    // Waits for one token. False: stopped.
    virtual bool wait(Grant *grant) = 0;
    virtual void stop() = 0;
    // Says of all grants which token was whose, where wait() could not.
    virtual void assign_tokens(std::vector<Grant> *) {}
};

// Takes if there is a token, else sleeps a millisecond and tries again. Nobody knows whose token it is: tokens are
// assigned in the order in which they were got, which makes polling look better than it is.
std::unique_ptr<Granter> polling(int64_t period_ns);
// The least that a waiter does: takes a number, and sleeps on a futex until the time that belongs to it.
std::unique_ptr<Granter> bare_sleep(int64_t period_ns);
// tb_wait on one bucket, with the flags of tb_config. Tokens are assigned in the order in which they were asked for.
std::unique_ptr<Granter> library(int64_t period_ns, uint32_t flags);

struct Usage {
    double processor_share = 0;  // seconds of processor time per second
    double switches_per_grant = 0;
    std::vector<double> overshoots_us;  // of each grant: how long after its due time the thread went on
};

// Measures for a second from when every thread has had its turn, so that starting and ending them is not in it.
Usage usage_of(Granter *granter, int waiters, int64_t period_ns);

}  // namespace bench

#endif
