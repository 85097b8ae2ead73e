// SPDX-License-Identifier: MIT
//
// The C++ face of tokenbucket.h, whose comments are the manual: every rule there holds here. C++17 or newer, with or
// without exceptions and run-time types; all calls are inline, noexcept, and cost what the C function costs.
//
//     auto bucket = tokenbucket::Bucket::create(100, 50);    // bursts of 100, then 50 per second
//     if (!bucket) return tokenbucket::message(bucket.status());
//     if (bucket->allow()) serve();                          // never blocks
//     if (bucket->wait_for(5, 2s)) serve();                  // within two seconds, or Status::timed_out at once
//     if (auto promise = bucket->reserve(5)) {               // gives its tokens back unless committed
//         loop.at(promise->ready_at(), [p = std::move(*promise)]() mutable { p.commit(); serve(); });
//     }
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
#include <optional>
#include <type_traits>
#include <utility>

#if defined(__cpp_exceptions)
#include <exception>
#endif
#if defined(__cpp_impl_coroutine) && __has_include(<coroutine>)
#include <coroutine>
#endif

namespace tokenbucket {

// ---- Status and results ---------------------------------------------------------------------------------------------

// What a call answers. A later library may answer with another number.
enum class Status : tb_status {
    success = TB_SUCCESS,
    denied = TB_DENIED,
    timed_out = TB_TIMED_OUT,
    exceeds_capacity = TB_EXCEEDS_CAPACITY,
    closed = TB_CLOSED,
    interrupted = TB_INTERRUPTED,
    queue_full = TB_QUEUE_FULL,
    table_full = TB_TABLE_FULL,
    invalid_argument = TB_E_INVALID_ARGUMENT,
    out_of_range = TB_E_OUT_OF_RANGE,
    out_of_memory = TB_E_OUT_OF_MEMORY,
    unsupported = TB_E_UNSUPPORTED,
    system_error = TB_E_SYSTEM,
};

// The C constant's name and a one-line message; static text.
inline const char *name(Status status) noexcept {
    return tb_status_name(static_cast<tb_status>(status));
}
inline const char *message(Status status) noexcept {
    return tb_status_message(static_cast<tb_status>(status));
}

#if defined(__cpp_exceptions)
// Thrown by constructors and by value(), for every status but success.
class Error : public std::exception {
  public:
    explicit Error(Status status) noexcept : status_(status) {}
    Status status() const noexcept { return status_; }
    const char *what() const noexcept override { return message(status_); }

  private:
    Status status_;
};

namespace detail {

inline void require(Status status) {
    if (status != Status::success) throw Error(status);
}

}  // namespace detail
#endif

// A T, or the status that says why there is none; used as std::expected is. It is a type of its own so that programs
// may be linked from parts in different standards.
template <class T>
class [[nodiscard]] Result {
  public:
    explicit Result(Status failure) noexcept : status_(failure) {}
    explicit Result(T value) noexcept : status_(Status::success), value_(std::move(value)) {}

    explicit operator bool() const noexcept { return value_.has_value(); }
    bool has_value() const noexcept { return value_.has_value(); }
    Status status() const noexcept { return status_; }

    // There must be a value.
    T &operator*() &noexcept { return *value_; }
    const T &operator*() const &noexcept { return *value_; }
    T &&operator*() &&noexcept { return *std::move(value_); }
    T *operator->() noexcept { return &*value_; }
    const T *operator->() const noexcept { return &*value_; }

#if defined(__cpp_exceptions)
    T &value() & {
        detail::require(status_);
        return *value_;
    }
    const T &value() const & {
        detail::require(status_);
        return *value_;
    }
    T &&value() && {
        detail::require(status_);
        return *std::move(value_);
    }
#endif

  private:
    Status status_;
    std::optional<T> value_;
};

// True if done, or if the tokens are granted; otherwise the status says why not.
template <>
class [[nodiscard]] Result<void> {
  public:
    explicit Result(Status status) noexcept : status_(status) {}

    explicit operator bool() const noexcept { return status_ == Status::success; }
    bool has_value() const noexcept { return status_ == Status::success; }
    Status status() const noexcept { return status_; }

#if defined(__cpp_exceptions)
    void value() const {
        detail::require(status_);
    }
#endif

  private:
    Status status_;
};

// ---- What goes in and comes out -------------------------------------------------------------------------------------

// No limit, and as an answer: longer than can be expressed.
inline constexpr std::chrono::nanoseconds kForever{TB_FOREVER};
inline constexpr double kInitiallyFull = TB_INITIALLY_FULL;

// See tb_event.
struct Event {
    Status status;
    double n;
    std::chrono::nanoseconds waited;
};

// See tb_config. Capacity and rate_tokens must be set; in C++20: Bucket::create({.capacity = 10, .rate_tokens = 60,
// .rate_period = 1min}).
struct Config {
    double capacity = 0;
    double rate_tokens = 0;
    std::chrono::nanoseconds rate_period = std::chrono::seconds(1);
    double initial_tokens = kInitiallyFull;
    tb_clock *clock = nullptr;  // the system clock; otherwise clock.get(), which the bucket keeps alive
    double unit = 0;            // read-only, filled by Bucket::limit
    std::int64_t max_waiters = 0;
    bool precise_wait = false;
    bool statistics = false;
    tb_event_fn on_event = nullptr;
    void *event_user = nullptr;

    // Has handler(const Event &) called at events. It is not copied: it must outlive the bucket. It may be called from
    // several threads at once, and a program whose handler throws is terminated.
    template <class Handler>
    void notify(Handler &handler) noexcept {
        on_event = [](void *user, const tb_event *e) noexcept {
            (*static_cast<Handler *>(user))(Event{Status{e->status}, e->n, std::chrono::nanoseconds(e->waited_ns)});
        };
        event_user = const_cast<void *>(static_cast<const void *>(std::addressof(handler)));
    }
};

// See tb_decision. All but the status is 0 where that is none of success, denied and exceeds_capacity.
struct [[nodiscard]] Decision {
    Status status;
    double remaining;
    std::chrono::nanoseconds retry_after;
    std::chrono::nanoseconds reset_after;

    explicit operator bool() const noexcept { return status == Status::success; }
};

// See tb_stats.
struct Stats {
    std::int64_t granted;
    std::int64_t denied;
    std::int64_t timed_out;
    std::int64_t cancelled;
    std::int64_t waits;
    std::chrono::nanoseconds total_wait;
    std::chrono::nanoseconds longest_wait;
    std::int64_t waiting;
    double tokens_taken;
    double tokens_given_back;
};

// ---- Not for users --------------------------------------------------------------------------------------------------

namespace detail {

struct Destroy {
    void operator()(tb_bucket *bucket) const noexcept { tb_destroy(bucket); }
    void operator()(tb_clock *clock) const noexcept { tb_clock_destroy(clock); }
};

inline Result<void> done(tb_status status) noexcept {
    return Result<void>(Status{status});
}

template <class T>
Result<T> result(tb_status status, T value) noexcept {
    if (status != TB_SUCCESS) return Result<T>(Status{status});
    return Result<T>(std::move(value));
}

// What is past is now, what cannot be expressed is for ever, and NaN is an invalid argument.
template <class Rep, class Period>
constexpr std::int64_t timeout_ns(std::chrono::duration<Rep, Period> timeout) noexcept {
    if constexpr (std::is_same_v<decltype(timeout), std::chrono::nanoseconds>) {
        return timeout.count() > 0 ? timeout.count() : 0;
    } else {
        const long double ns = std::chrono::duration<long double, std::nano>(timeout).count();
        if (ns <= 0) return 0;
        if (ns >= 0x1p63L) return TB_FOREVER;
        return ns > 0 ? static_cast<std::int64_t>(ns) : -1;
    }
}

inline tb_config to_c(const Config &config) noexcept {
    tb_config c;
    tb_config_init(&c, sizeof c);
    c.capacity = config.capacity;
    c.rate_tokens = config.rate_tokens;
    c.rate_period_ns = config.rate_period.count();
    c.initial_tokens = config.initial_tokens;
    c.clock = config.clock;
    c.max_waiters = config.max_waiters;
    c.flags = (config.precise_wait ? TB_PRECISE_WAIT : 0) | (config.statistics ? TB_STATISTICS : 0);
    c.on_event = config.on_event;
    c.event_user = config.event_user;
    return c;
}

inline Config from_c(const tb_config &c) noexcept {
    Config config;
    config.capacity = c.capacity;
    config.rate_tokens = c.rate_tokens;
    config.rate_period = std::chrono::nanoseconds(c.rate_period_ns);
    config.initial_tokens = c.initial_tokens;
    config.clock = c.clock;
    config.unit = c.unit;
    config.max_waiters = c.max_waiters;
    config.precise_wait = (c.flags & TB_PRECISE_WAIT) != 0;
    config.statistics = (c.flags & TB_STATISTICS) != 0;
    config.on_event = c.on_event;
    config.event_user = c.event_user;
    return config;
}

}  // namespace detail

// ---- Reservations ---------------------------------------------------------------------------------------------------

// Tokens taken for a later time, given back when this is destroyed before that time and was not committed. Once due
// they count as used: settle(0) gives them back, nothing else does. It must not outlive its bucket, and belongs to one
// thread at a time. See tb_reservation.
class [[nodiscard]] Reservation {
  public:
    Reservation(Reservation &&other) noexcept : bucket_(std::exchange(other.bucket_, nullptr)), c_(other.c_) {}
    Reservation &operator=(Reservation &&other) noexcept {
        if (this == &other) return *this;
        cancel();
        bucket_ = std::exchange(other.bucket_, nullptr);
        c_ = other.c_;
        return *this;
    }
    ~Reservation() { cancel(); }

    double tokens() const noexcept { return c_.tokens; }
    // From the call of reserve until the tokens may be used; zero: at once.
    std::chrono::nanoseconds delay() const noexcept { return std::chrono::nanoseconds(c_.wait_ns); }
    // The same as a time of the bucket's clock. The system clock goes as std::chrono::steady_clock does; the time of
    // another clock is counted from the origin of steady_clock.
    std::chrono::steady_clock::time_point ready_at() const noexcept {
        return std::chrono::steady_clock::time_point(std::chrono::nanoseconds(c_.ready_at_ns));
    }

    // Keeps the tokens: they are not given back.
    void commit() noexcept { bucket_ = nullptr; }

    // Gives all tokens back while they are not due; see tb_cancel. Nothing once committed, cancelled or settled.
    void cancel() noexcept {
        if (bucket_ != nullptr) tb_cancel(std::exchange(bucket_, nullptr), &c_);
    }

    // Ends it at what the work cost; see tb_settle. On failure it stays as it was. invalid_argument: also once
    // committed, cancelled or settled.
    Result<void> settle(double actual) noexcept {
        const tb_status status = tb_settle(bucket_, &c_, actual);
        if (status == TB_SUCCESS) bucket_ = nullptr;
        return detail::done(status);
    }

  private:
    friend class Bucket;
    Reservation(tb_bucket *bucket, const tb_reservation &c) noexcept : bucket_(bucket), c_(c) {}

    tb_bucket *bucket_;  // null: nothing to give back
    tb_reservation c_;
};

// ---- Buckets --------------------------------------------------------------------------------------------------------

// Owns a tb_bucket. Each member function is the C function of its name, with the same rules and statuses.
class Bucket {
  public:
    // Status of a failure: as tb_create and tb_create_with.
    static Result<Bucket> create(double capacity, double tokens_per_second) noexcept {
        tb_bucket *bucket = nullptr;
        const tb_status status = tb_create(capacity, tokens_per_second, &bucket);
        return detail::result(status, Bucket(bucket));
    }
    static Result<Bucket> create(const Config &config) noexcept {
        const tb_config c = detail::to_c(config);
        tb_bucket *bucket = nullptr;
        const tb_status status = tb_create_with(&c, &bucket);
        return detail::result(status, Bucket(bucket));
    }

    // The handle, for C functions; still owned by this.
    tb_bucket *get() const noexcept { return handle_.get(); }

    void close() noexcept { tb_close(get()); }

    // Taking: never blocks.
    Result<void> allow(double n = 1) noexcept { return detail::done(tb_allow(get(), n)); }
    Result<void> try_consume(double n = 1) noexcept { return detail::done(tb_try_consume(get(), n)); }
    Decision take(double n = 1) noexcept {
        tb_decision d{};
        const tb_status status = tb_take(get(), n, &d);
        return {Status{status}, d.remaining, std::chrono::nanoseconds(d.retry_after_ns),
                std::chrono::nanoseconds(d.reset_after_ns)};
    }
    Result<double> take_up_to(double most) noexcept {
        double taken = 0;
        const tb_status status = tb_take_up_to(get(), most, &taken);
        return detail::result(status, taken);
    }

    // Waiting: blocks the thread. A timeout below zero is a poll, one beyond what can be expressed no limit.
    Result<void> wait(double n = 1) noexcept { return detail::done(tb_wait(get(), n)); }
    template <class Rep, class Period>
    Result<void> wait_for(double n, std::chrono::duration<Rep, Period> timeout) noexcept {
        return detail::done(tb_wait_for(get(), n, detail::timeout_ns(timeout)));
    }

    // Reserving: waiting in your own way. max_wait as wait_for's timeout.
    Result<Reservation> reserve(double n = 1) noexcept { return reserve(n, kForever); }
    template <class Rep, class Period>
    Result<Reservation> reserve(double n, std::chrono::duration<Rep, Period> max_wait) noexcept {
        tb_reservation r{};
        const tb_status status = tb_reserve(get(), n, detail::timeout_ns(max_wait), &r);
        return detail::result(status, Reservation(status == TB_SUCCESS ? get() : nullptr, r));
    }

    // Adjusting. Charge answers the time until the debt is repaid.
    Result<std::chrono::nanoseconds> charge(double n) noexcept {
        std::int64_t ns = 0;
        const tb_status status = tb_charge(get(), n, &ns);
        return detail::result(status, std::chrono::nanoseconds(ns));
    }
    Result<void> refund(double n) noexcept { return detail::done(tb_refund(get(), n)); }
    Result<void> reset(double tokens = kInitiallyFull) noexcept { return detail::done(tb_reset(get(), tokens)); }
    Result<void> set_rate(double tokens_per_second) noexcept {
        return detail::done(tb_set_rate(get(), tokens_per_second));
    }
    Result<void> set_capacity(double capacity) noexcept { return detail::done(tb_set_capacity(get(), capacity)); }

    // Looking: takes nothing.
    Result<double> available() const noexcept {
        double tokens = 0;
        const tb_status status = tb_available(get(), &tokens);
        return detail::result(status, tokens);
    }
    Result<std::chrono::nanoseconds> time_until(double n) const noexcept {
        std::int64_t ns = 0;
        const tb_status status = tb_time_until(get(), n, &ns);
        return detail::result(status, std::chrono::nanoseconds(ns));
    }
    Result<Config> limit() const noexcept {
        tb_config c;
        tb_config_init(&c, sizeof c);
        const tb_status status = tb_get_limit(get(), &c);
        return detail::result(status, detail::from_c(c));
    }
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
    Bucket(double capacity, double tokens_per_second) : Bucket(create(capacity, tokens_per_second).value()) {}
    explicit Bucket(const Config &config) : Bucket(create(config).value()) {}
#endif

  private:
    explicit Bucket(tb_bucket *handle) noexcept : handle_(handle) {}

    std::unique_ptr<tb_bucket, detail::Destroy> handle_;
};

// ---- Clocks ---------------------------------------------------------------------------------------------------------

// The waits on a manual clock that are not due, and when the first of them is (kForever: none).
struct ManualWaiters {
    std::int64_t count;
    std::chrono::nanoseconds next_due;
};

// A clock that stands until it is moved, for tests and simulations; see tb_manual_clock_create.
class ManualClock {
  public:
    static Result<ManualClock> create(std::chrono::nanoseconds start = {}) noexcept {
        tb_clock *clock = nullptr;
        const tb_status status = tb_manual_clock_create(start.count(), &clock);
        return detail::result(status, ManualClock(clock));
    }

    // For Config::clock; still owned by this.
    tb_clock *get() const noexcept { return handle_.get(); }

    Result<void> set(std::chrono::nanoseconds now) noexcept {
        return detail::done(tb_manual_clock_set(get(), now.count()));
    }
    Result<void> advance(std::chrono::nanoseconds duration) noexcept {
        return detail::done(tb_manual_clock_advance(get(), duration.count()));
    }
    Result<ManualWaiters> waiters() const noexcept {
        std::int64_t count = 0;
        std::int64_t due_ns = 0;
        const tb_status status = tb_manual_clock_waiters(get(), &count, &due_ns);
        return detail::result(status, ManualWaiters{count, std::chrono::nanoseconds(due_ns)});
    }

#if defined(__cpp_exceptions)
    explicit ManualClock(std::chrono::nanoseconds start = {}) : ManualClock(create(start).value()) {}
#endif

  private:
    explicit ManualClock(tb_clock *handle) noexcept : handle_(handle) {}

    std::unique_ptr<tb_clock, detail::Destroy> handle_;
};

// A clock that asks now(), which answers in nanoseconds, each time; see tb_callback_clock_create. The function is not
// copied: it must outlive the clock and its buckets. It is called from several threads at once, and a program in which
// it throws is terminated.
class CallbackClock {
  public:
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

    // For Config::clock; still owned by this.
    tb_clock *get() const noexcept { return handle_.get(); }

  private:
    explicit CallbackClock(tb_clock *handle) noexcept : handle_(handle) {}

    std::unique_ptr<tb_clock, detail::Destroy> handle_;
};

// ---- The library ----------------------------------------------------------------------------------------------------

inline std::int32_t library_version() noexcept {
    return tb_library_version();
}
inline const char *library_version_string() noexcept {
    return tb_library_version_string();
}
inline std::int32_t abi_version() noexcept {
    return tb_abi_version();
}
inline bool has_feature(const char *feature) noexcept {
    return tb_has_feature(feature) != 0;
}

// ---- Coroutines -----------------------------------------------------------------------------------------------------

#if defined(__cpp_lib_coroutine)

// What when_ready returns; to be awaited at once.
template <class Timer>
class [[nodiscard]] WhenReady {
  public:
    WhenReady(Result<Reservation> reservation, Timer timer)
        : reservation_(std::move(reservation)), timer_(std::move(timer)) {}

    bool await_ready() const noexcept { return !reservation_ || reservation_->delay().count() == 0; }
    // By the time timer_ returns, another thread may have resumed the coroutine and destroyed this object.
    void await_suspend(std::coroutine_handle<> waiting) { timer_(reservation_->ready_at(), waiting); }
    Result<void> await_resume() noexcept {
        if (reservation_) reservation_->commit();
        return Result<void>(reservation_.status());
    }

  private:
    // Unless it is committed nobody was resumed, and nothing used, due or not.
    struct Unused : Result<Reservation> {
        explicit Unused(Result<Reservation> reservation) : Result<Reservation>(std::move(reservation)) {}
        ~Unused() {
            if (*this) (void)(*this)->settle(0);
        }
    };

    Unused reservation_;
    Timer timer_;  // destroyed first: nothing resumes a coroutine whose reservation is gone
};

// Has a coroutine wait for a reservation on any event loop, without blocking a thread:
//
//     if (co_await tokenbucket::when_ready(bucket.reserve(5, 2s), timer)) serve();
//
// timer(time_point, coroutine_handle<>) has the loop resume the handle at that time of steady_clock, not earlier. It is
// kept in the awaiting coroutine until that is resumed or destroyed. If it is destroyed first, the tokens go back, due
// or not, and the timer's destructor is the place to disarm the loop. The answer is the reservation's status.
template <class Timer>
WhenReady<Timer> when_ready(Result<Reservation> reservation, Timer timer) {
    return WhenReady<Timer>(std::move(reservation), std::move(timer));
}

#endif

}  // namespace tokenbucket

#endif  // TOKENBUCKET_HPP
