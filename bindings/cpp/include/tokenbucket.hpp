// SPDX-License-Identifier: MIT
//
// The C++ face of tokenbucket.h, whose comments are the manual: every rule there holds here. C++17 or newer, with or
// without exceptions and run-time types; all calls are inline, and cost what the C function costs. All are noexcept but
// wait_on, call_when_granted, waits with a stop token, Batch::add and those of remote limits, which allocate.
//
//     auto bucket = tokenbucket::Bucket::create(100, 50);    // bursts of 100, then 50 per second
//     if (!bucket) return log(bucket.message().c_str());     // which argument, what it must be, and what it was
//     if (bucket->allow()) serve();                          // never blocks
//     if (bucket->wait_for(5, 2s)) serve();                  // within two seconds, or Status::timed_out at once
//     if (co_await bucket->wait_on(loop, 5, 2s)) serve();    // the same in a coroutine: no thread waits
//
//     auto users = tokenbucket::Table::create(10, 5, 100000);    // the same for each of many users, in fixed memory
//     if (users && users->allow(name)) serve();
//
//     const tokenbucket::Limits both(second.member(), hour.member());    // all grant, or nothing is taken
//     if (both.allow()) serve();
//
//     auto fleet = tokenbucket::RemoteLimit::create(config, 5s);    // in Redis or Valkey, by a client of yours
//
// Where exceptions are enabled, constructors and Result::value() throw tokenbucket::Error:
//
//     tokenbucket::Bucket bucket(100, 50);
//     bucket.wait(5).value();
//
// A member function may be called from any number of threads at once, but what moves, assigns or destroys an object has
// it to itself. A moved-from object answers Status::invalid_argument.
#ifndef TOKENBUCKET_HPP
#define TOKENBUCKET_HPP

#include <tokenbucket.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <utility>

#include "tokenbucket/config.hpp"
#include "tokenbucket/limits.hpp"
#include "tokenbucket/message.hpp"
#include "tokenbucket/print.hpp"
#include "tokenbucket/remote.hpp"
#include "tokenbucket/result.hpp"
#include "tokenbucket/shared.hpp"
#include "tokenbucket/table.hpp"
#include "tokenbucket/wait.hpp"

/// The whole C++ interface: Bucket, Table, Limits and RemoteLimit, and what they take and answer.
namespace tokenbucket {

// ---- Buckets --------------------------------------------------------------------------------------------------------

/// Owns a tb_bucket. Each member function is the C function of its name, with the same rules and statuses.
class Bucket {
  public:
    /// A full bucket of `capacity` tokens, 1e-6 .. 1e15, that gains `tokens_per_second`, 1e-9 .. 1e10.
    /// invalid_argument: NaN or infinite. out_of_range: outside the ranges. out_of_memory. See tb_create.
    static Result<Bucket> create(double capacity, double tokens_per_second) noexcept {
        Config config;
        config.capacity = capacity;
        config.rate_tokens = tokens_per_second;
        return create(config, "tokens_per_second");
    }
    /// A bucket as the config says; see tb_create_with.
    static Result<Bucket> create(const Config &config) noexcept { return create(config, "rate_tokens"); }

    /// In memory that the processes of this user share, under a name, or without one (null) for the children that are
    /// forked from now on; see tb_shared_open. Waits on a loop ask every 100 ms what other processes have changed; who
    /// uses enqueue does so himself. *fault, which may be null, is always written.
    static Result<Bucket> open_shared(const char *name, const Config &config, SharedFault *fault = nullptr) noexcept {
        return open_shared(name, config, 0, fault);
    }
    /// As open_shared(), but takes over the limit that is in force there.
    static Result<Bucket> adopt_shared(const char *name, const Config &config, SharedFault *fault = nullptr) noexcept {
        return open_shared(name, config, TB_SHARED_ADOPT, fault);
    }

    /// Moves: the other answers Status::invalid_argument from then on.
    Bucket(Bucket &&) noexcept = default;
    /// Destroys the bucket that this held, and moves.
    Bucket &operator=(Bucket &&) noexcept = default;
    /// Destroying a bucket wakes those who wait.
    ~Bucket() { handle_.reset(); }

    /// The handle, for C functions; still owned by this.
    tb_bucket *get() const noexcept { return handle_.get(); }

    /// For good: waiters leave with Status::closed, except those that are due, and so do later calls that take or
    /// change. See tb_close.
    void close() noexcept { tb_close(get()); }

    // Taking: never blocks.
    /// Takes n tokens if they are there now, all or nothing; never blocks. denied: not enough now. exceeds_capacity:
    /// never. See tb_allow.
    Result<void> allow(double n = 1) noexcept { return detail::done(tb_allow(get(), n), detail::amount(n)); }
    /// The same as allow().
    Result<void> try_consume(double n = 1) noexcept {
        return detail::done(tb_try_consume(get(), n), detail::amount(n));
    }
    /// As allow(), and says what is left and when to come back. See tb_take.
    Decision take(double n = 1) noexcept {
        tb_decision d{};
        const tb_status status = tb_take(get(), n, &d);
        return detail::decision(status, d, detail::amount(n));
    }
    /// Takes as many whole tokens as are there, at most `most`; the answer may be 0. Never blocks. See tb_take_up_to.
    Result<double> take_up_to(double most) noexcept {
        double taken = 0;
        const tb_status status = tb_take_up_to(get(), most, &taken);
        return detail::result(status, taken, detail::amount(most, "most"));
    }

    // Waiting: blocks the thread.
    /// Sleeps until n tokens are there and takes them. interrupted: a signal came. closed. See tb_wait.
    Result<void> wait(double n = 1) noexcept { return detail::done(tb_wait(get(), n), detail::amount(n)); }
    /// Sleeps at most for the timeout. timed_out: cannot be granted in that time; said at once, nothing is taken. A
    /// timeout below zero is invalid_argument, one beyond what can be expressed is no limit. See tb_wait_for.
    template <class Rep, class Period>
    Result<void> wait_for(double n, std::chrono::duration<Rep, Period> timeout) noexcept {
        const std::int64_t timeout_ns = detail::timeout_ns(timeout);
        return detail::done(tb_wait_for(get(), n, timeout_ns), detail::amount(n, timeout_ns));
    }
    /// As above; those of a higher priority are served first, equal ones in the order in which they came. See
    /// tb_wait_with.
    template <class Rep, class Period>
    Result<void> wait_for(double n, std::chrono::duration<Rep, Period> timeout, std::int32_t priority) noexcept {
        const std::int64_t timeout_ns = detail::timeout_ns(timeout);
        return detail::done(tb_wait_with(get(), n, timeout_ns, priority), detail::amount(n, timeout_ns));
    }

#if defined(__cpp_lib_jthread)
    /// As wait, until the token asks to stop, as when a std::jthread is to end: interrupted, and the tokens come back.
    /// Sleeps until something happens. unsupported: where Config::on_wake is set. May throw std::bad_alloc.
    Result<void> wait(double n, const std::stop_token &stop) {
        return wait_for(n, kForever, stop);
    }
    /// As wait_for, until the token asks to stop.
    template <class Rep, class Period>
    Result<void> wait_for(double n, std::chrono::duration<Rep, Period> timeout, const std::stop_token &stop,
                          std::int32_t priority = 0) {
        return detail::wait_or_stop(wait_for_one(n), detail::timeout_ns(timeout), priority, stop);
    }
#endif

    /// Waiting in a coroutine of C++20, without blocking a thread; the answer is a Waited:
    ///
    ///     if (co_await bucket.wait_on(loop, 5, 2s)) serve();
    ///
    /// The coroutine stands in one queue with all others, also threads. Destroyed while it waits, it gives all back.
    /// What the bucket asks of a loop, with work() that can be copied and is never run before the call returns:
    ///
    ///     loop.after(nanoseconds, work)   runs work() after that time, and may return an object that is kept until the
    ///                                     wait is over or has another time; its destructor may disarm the timer
    ///     loop.post(work)                 runs work() soon; called from any thread, and must neither throw nor call
    ///                                     the bucket
    ///
    /// A loop runs one work at a time: it is one thread, or a strand. There the coroutine waits, goes on and is
    /// destroyed. Several loops may wait on one bucket. On a manual clock the bucket posts, and after() may do nothing.
    template <class Loop, class Rep = std::chrono::nanoseconds::rep, class Period = std::chrono::nanoseconds::period>
    LoopAwait<Loop> wait_on(Loop &loop, double n = 1, std::chrono::duration<Rep, Period> timeout = kForever,
                            std::int32_t priority = 0) noexcept {
        return LoopAwait<Loop>(loop, wait_for_one(n), detail::timeout_ns(timeout), priority);
    }

    /// The same without coroutines: has the loop run done(const Waited &), never before this returns. What is returned
    /// must not outlive the bucket. Destroyed before done is called, it ends the wait and gives all back.
    template <class Loop, class Done, class Rep = std::chrono::nanoseconds::rep,
              class Period = std::chrono::nanoseconds::period>
    [[nodiscard]] PendingCall<Loop> call_when_granted(Loop &loop, Done done, double n = 1,
                                                      std::chrono::duration<Rep, Period> timeout = kForever,
                                                      std::int32_t priority = 0) {
        return detail::call_when_granted(loop, wait_for_one(n), std::move(done), detail::timeout_ns(timeout), priority);
    }

    /// What both are made of, for a bucket whose wakes go another way: Config::wake_by. The tag is any number. It is to
    /// be registered before the call, since the wake may come before this returns.
    template <class Rep = std::chrono::nanoseconds::rep, class Period = std::chrono::nanoseconds::period>
    Waiter enqueue(std::uint64_t tag, double n = 1, std::chrono::duration<Rep, Period> timeout = kForever,
                   std::int32_t priority = 0) noexcept {
        return Waiter(account(), n, detail::timeout_ns(timeout), priority, tag);
    }

    // Reserving: waiting in your own way. max_wait as wait_for's timeout.
    /// Promises n tokens for the first time at which they can be had, however late. Does not block; sleep for delay().
    /// See tb_reserve.
    Result<Reservation> reserve(double n = 1) noexcept {
        return reserve(n, kForever);
    }
    /// As above, if that is within max_wait; else timed_out, and nothing is taken.
    template <class Rep, class Period>
    Result<Reservation> reserve(double n, std::chrono::duration<Rep, Period> max_wait) noexcept {
        return Reservation::make(account(), n, detail::timeout_ns(max_wait));
    }

    /// This bucket and a cost of n, for Limits: several limits in one decision.
    Member member(double n = 1) const noexcept {
        return Member({get(), nullptr, nullptr, 0, n}, wakes_.get());
    }

    // Adjusting.
    /// Takes n tokens whether they are there or not. Answers the time until the debt is repaid. See tb_charge.
    Result<std::chrono::nanoseconds> charge(double n) noexcept {
        std::int64_t ns = 0;
        const tb_status status = tb_charge(get(), n, &ns);
        return detail::result(status, std::chrono::nanoseconds(ns), detail::amount(n));
    }
    /// Puts n tokens back, up to a full bucket; those who wait move up. See tb_refund.
    Result<void> refund(double n) noexcept {
        return detail::done(tb_refund(get(), n), detail::amount(n));
    }
    /// Sets the tokens, 0 .. capacity, forgives all debt, and voids pending reservations. See tb_reset.
    Result<void> reset(double tokens = kInitiallyFull) noexcept {
        return detail::done(tb_reset(get(), tokens), {detail::Kind::level, "tokens", tokens, nullptr});
    }
    /// Takes over what a server says is left. Waiters keep their places, reservations their times. See tb_set_tokens.
    Result<void> set_tokens(double tokens) noexcept {
        return detail::done(tb_set_tokens(get(), tokens), {detail::Kind::level, "tokens", tokens, nullptr});
    }
    /// Changes the rate, 1e-9 .. 1e10 tokens per second, from now on. See tb_set_rate.
    Result<void> set_rate(double tokens_per_second) noexcept {
        return detail::done(tb_set_rate(get(), tokens_per_second),
                            {detail::Kind::rate, "tokens_per_second", tokens_per_second, nullptr});
    }
    /// Changes the capacity, from now on. out_of_range: also one that does not fit the unit. See tb_set_capacity.
    Result<void> set_capacity(double capacity) noexcept {
        return detail::done(tb_set_capacity(get(), capacity),
                            {detail::Kind::capacity, "capacity", capacity, "from 1 to 2^58 units of this bucket"});
    }

    // Looking: takes nothing.
    /// The tokens that a take finds now; negative while in debt. See tb_available.
    Result<double> available() const noexcept {
        double tokens = 0;
        const tb_status status = tb_available(get(), &tokens);
        return detail::result(status, tokens);
    }
    /// How long until n tokens are there if nothing else takes any; zero: now. See tb_time_until.
    Result<std::chrono::nanoseconds> time_until(double n) const noexcept {
        std::int64_t ns = 0;
        const tb_status status = tb_time_until(get(), n, &ns);
        return detail::result(status, std::chrono::nanoseconds(ns), detail::amount(n));
    }
    /// The limit in force, and the unit. See tb_get_limit.
    Result<Config> limit() const noexcept {
        tb_config c;
        tb_config_init(&c, sizeof c);
        const tb_status status = tb_get_limit(get(), &c);
        return detail::limit(status, c, wakes_.get());
    }
    /// What was counted so far. unsupported: Config::statistics is off. See tb_get_stats.
    Result<Stats> stats() const noexcept {
        tb_stats s{};
        s.struct_size = sizeof s;
        const tb_status status = tb_get_stats(get(), &s);
        return detail::result(
            status,
            Stats{s.granted, s.denied, s.timed_out, s.cancelled, s.waits, std::chrono::nanoseconds(s.total_wait_ns),
                  std::chrono::nanoseconds(s.longest_wait_ns), s.waiting, s.tokens_taken, s.tokens_given_back});
    }

#if defined(__cpp_exceptions)
    /// As create(), but throws Error.
    Bucket(double capacity, double tokens_per_second) : Bucket(create(capacity, tokens_per_second).value()) {}
    /// As create(), but throws Error.
    explicit Bucket(const Config &config) : Bucket(create(config).value()) {}
#endif

  private:
    static Result<Bucket> create(const Config &config, const char *rate_name) noexcept {
        tb_config c = detail::to_c(config);
        std::unique_ptr<detail::Wakes> wakes;
        if (!detail::serve_wakes(c, &wakes)) return Result<Bucket>(Status::out_of_memory);
        tb_bucket *bucket = nullptr;
        const tb_status status = tb_create_with(&c, &bucket);
        if (status == TB_SUCCESS) return Result<Bucket>(Bucket(bucket, std::move(wakes)));
        tb_config_fault fault{nullptr, nullptr};
        tb_config_check(&c, &fault);
        return Result<Bucket>(Status{status}, detail::message_of(fault, c, rate_name));
    }
    Bucket(tb_bucket *handle, std::unique_ptr<detail::Wakes> wakes) noexcept
        : handle_(handle), wakes_(std::move(wakes)) {}
    static Result<Bucket> open_shared(const char *name, const Config &config, std::uint32_t flags,
                                      SharedFault *fault) noexcept {
        tb_config c = detail::to_c(config);
        std::unique_ptr<detail::Wakes> wakes;
        if (fault != nullptr) *fault = {};
        if (!detail::serve_shared_wakes(c, &wakes)) return Result<Bucket>(Status::out_of_memory);
        tb_bucket *bucket = nullptr;
        std::int32_t number = 0;
        const tb_status status = tb_shared_open(&c, name, flags, &bucket, &number);
        detail::tell(status, number, fault);
        if (status == TB_SUCCESS) return Result<Bucket>(Bucket(bucket, std::move(wakes)));
        return Result<Bucket>(Status{status}, detail::message_of(status, number, name, c));
    }
    detail::Account account() const noexcept {
        return detail::Account(get());
    }
    detail::WaitForOne wait_for_one(double n) const noexcept {
        return detail::WaitForOne(account(), wakes_.get(), n);
    }

    std::unique_ptr<tb_bucket, detail::Destroy> handle_;
    std::unique_ptr<detail::Wakes> wakes_;  // null: the config has another on_wake
};

// ---- Clocks ---------------------------------------------------------------------------------------------------------

/// The waits on a manual clock that are not due, and when the first of them is (kForever: none).
struct ManualWaiters {
    std::int64_t count;                 ///< how many wait
    std::chrono::nanoseconds next_due;  ///< when the first of them is due
};

/// A clock that stands until it is moved, for tests and simulations; see tb_manual_clock_create.
class ManualClock {
  public:
    /// A clock that stands at `start`, which is not negative. invalid_argument. out_of_memory.
    static Result<ManualClock> create(std::chrono::nanoseconds start = {}) noexcept {
        tb_clock *clock = nullptr;
        const tb_status status = tb_manual_clock_create(start.count(), &clock);
        return detail::result(status, ManualClock(clock), detail::time("start", start));
    }

    /// For Config::clock; still owned by this.
    tb_clock *get() const noexcept { return handle_.get(); }

    /// Moves the clock to a time, and wakes those who are due. An earlier time changes nothing. See
    /// tb_manual_clock_set.
    Result<void> set(std::chrono::nanoseconds now) noexcept {
        return detail::done(tb_manual_clock_set(get(), now.count()), detail::time("now", now));
    }
    /// Moves the clock on, and wakes those who are due. See tb_manual_clock_advance.
    Result<void> advance(std::chrono::nanoseconds duration) noexcept {
        return detail::done(tb_manual_clock_advance(get(), duration.count()), detail::time("duration", duration));
    }
    /// Who waits on this clock and is not due. See tb_manual_clock_waiters.
    Result<ManualWaiters> waiters() const noexcept {
        std::int64_t count = 0;
        std::int64_t due_ns = 0;
        const tb_status status = tb_manual_clock_waiters(get(), &count, &due_ns);
        return detail::result(status, ManualWaiters{count, std::chrono::nanoseconds(due_ns)});
    }

#if defined(__cpp_exceptions)
    /// As create(), but throws Error.
    explicit ManualClock(std::chrono::nanoseconds start = {}) : ManualClock(create(start).value()) {}
#endif

  private:
    explicit ManualClock(tb_clock *handle) noexcept : handle_(handle) {}

    std::unique_ptr<tb_clock, detail::Destroy> handle_;
};

/// A clock that asks now(), which answers in nanoseconds, each time; see tb_callback_clock_create. The function is not
/// copied: it must outlive the clock and its buckets. It is called from several threads at once, and a program in which
/// it throws is terminated.
class CallbackClock {
  public:
    /// A clock that calls now(). out_of_memory.
    template <class Now>
    static Result<CallbackClock> create(Now &now) noexcept {
        tb_clock *clock = nullptr;
        const tb_clock_fn ask = [](void *user) noexcept -> std::int64_t {
            return std::chrono::nanoseconds((*static_cast<Now *>(user))()).count();
        };
        void *const user = const_cast<void *>(static_cast<const void *>(std::addressof(now)));
        const tb_status status = tb_callback_clock_create(ask, user, &clock);
        return detail::result(status, CallbackClock(clock));
    }

    /// For Config::clock; still owned by this.
    tb_clock *get() const noexcept { return handle_.get(); }

  private:
    explicit CallbackClock(tb_clock *handle) noexcept : handle_(handle) {}

    std::unique_ptr<tb_clock, detail::Destroy> handle_;
};

// ---- The library ----------------------------------------------------------------------------------------------------

/// The version of the library in use: 10000 * major + 100 * minor + patch.
inline std::int32_t library_version() noexcept {
    return tb_library_version();
}
/// The version of the library in use, such as "1.0.0"; static text.
inline const char *library_version_string() noexcept {
    return tb_library_version_string();
}
/// The number in the library's SONAME.
inline std::int32_t abi_version() noexcept {
    return tb_abi_version();
}
/// Whether this build has the feature of that name; see tb_has_feature.
inline bool has_feature(const char *feature) noexcept {
    return tb_has_feature(feature) != 0;
}

}  // namespace tokenbucket

#endif  // TOKENBUCKET_HPP
