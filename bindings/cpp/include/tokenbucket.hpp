// SPDX-License-Identifier: MIT
//
// The C++ face of tokenbucket.h, whose comments are the manual: every rule there holds here. C++17 or newer, with or
// without exceptions and run-time types; all calls are inline, and cost what the C function costs. All are noexcept but
// wait_on and call_when_granted, which allocate.
//
//     auto bucket = tokenbucket::Bucket::create(100, 50);    // bursts of 100, then 50 per second
//     if (!bucket) return tokenbucket::message(bucket.status());
//     if (bucket->allow()) serve();                          // never blocks
//     if (bucket->wait_for(5, 2s)) serve();                  // within two seconds, or Status::timed_out at once
//     if (co_await bucket->wait_on(loop, 5, 2s)) serve();    // the same in a coroutine: no thread waits
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
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <type_traits>
#include <unordered_map>
#include <utility>

#if defined(__cpp_exceptions)
#include <exception>
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
    pending = TB_PENDING,
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
    std::chrono::nanoseconds max_lateness{0};  // 0: 10 ms, and no limit on a manual clock
    bool precise_wait = false;
    bool statistics = false;
    tb_event_fn on_event = nullptr;
    void *event_user = nullptr;
    tb_wake_fn on_wake = nullptr;  // for enqueue; where it is set, wait_on and call_when_granted are unsupported
    void *wake_user = nullptr;

    // Has handler(const Event &) called at events. It is not copied: it must outlive the bucket. It may be called from
    // several threads at once, and a program whose handler throws is terminated.
    template <class Handler>
    void notify(Handler &handler) noexcept {
        on_event = [](void *user, const tb_event *e) noexcept {
            (*static_cast<Handler *>(user))(Event{Status{e->status}, e->n, std::chrono::nanoseconds(e->waited_ns)});
        };
        event_user = const_cast<void *>(static_cast<const void *>(std::addressof(handler)));
    }

    // Has handler(std::uint64_t tag) called when a waiter of enqueue is to call check(); see tb_wake_fn. As notify.
    template <class Handler>
    void wake_by(Handler &handler) noexcept {
        on_wake = [](void *user, std::uint64_t tag) noexcept { (*static_cast<Handler *>(user))(tag); };
        wake_user = const_cast<void *>(static_cast<const void *>(std::addressof(handler)));
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

// What cannot be expressed is for ever. What is below zero, or NaN, is an invalid argument.
template <class Rep, class Period>
constexpr std::int64_t timeout_ns(std::chrono::duration<Rep, Period> timeout) noexcept {
    if constexpr (std::is_same_v<decltype(timeout), std::chrono::nanoseconds>) {
        return timeout.count();
    } else {
        const long double ns = std::chrono::duration<long double, std::nano>(timeout).count();
        if (ns >= 0x1p63L) return TB_FOREVER;
        return ns >= 0 ? static_cast<std::int64_t>(ns) : -1;
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
    c.max_lateness_ns = config.max_lateness.count();
    c.flags = (config.precise_wait ? TB_PRECISE_WAIT : 0) | (config.statistics ? TB_STATISTICS : 0);
    c.on_event = config.on_event;
    c.event_user = config.event_user;
    c.on_wake = config.on_wake;
    c.wake_user = config.wake_user;
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
    config.max_lateness = std::chrono::nanoseconds(c.max_lateness_ns);
    config.precise_wait = (c.flags & TB_PRECISE_WAIT) != 0;
    config.statistics = (c.flags & TB_STATISTICS) != 0;
    config.on_event = c.on_event;
    config.event_user = c.event_user;
    config.on_wake = c.on_wake;
    config.wake_user = c.wake_user;
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

// ---- Waiting without a thread ---------------------------------------------------------------------------------------

namespace detail {

template <class Loop, class Done>
class LoopWait;

}  // namespace detail

// A wait in the queue that is no thread; see tb_enqueue. Destroyed while it is pending, it leaves: all its tokens come
// back, due or not, and those behind it move up. It must not outlive its bucket, and belongs to one thread at a time.
class [[nodiscard]] Waiter {
  public:
    Waiter(Waiter &&other) noexcept
        : bucket_(other.bucket_),
          number_(std::exchange(other.number_, 0)),
          wait_ns_(other.wait_ns_),
          status_(std::exchange(other.status_, Status::invalid_argument)) {}
    Waiter &operator=(Waiter &&other) noexcept {
        if (this == &other) return *this;
        leave();
        bucket_ = other.bucket_;
        number_ = std::exchange(other.number_, 0);
        wait_ns_ = other.wait_ns_;
        status_ = std::exchange(other.status_, Status::invalid_argument);
        return *this;
    }
    ~Waiter() { leave(); }

    // As last told. success: the tokens are taken. pending: it waits. Otherwise it is over, and nothing is taken.
    Status status() const noexcept { return status_; }
    // pending: from the last call until the tokens are due. timed_out at once: how long it would have taken. Else zero.
    std::chrono::nanoseconds delay() const noexcept { return std::chrono::nanoseconds(wait_ns_); }

    // Collects the tokens, or learns how long they will still take; see tb_waiter_check. Nothing once it is over.
    Status check() noexcept {
        if (number_ == 0) return status_;
        wait_ns_ = 0;
        status_ = Status{tb_waiter_check(bucket_, number_, &wait_ns_)};
        if (status_ != Status::pending) number_ = 0;
        return status_;
    }

    // Gives up if it is pending; its status is interrupted then.
    void leave() noexcept {
        if (number_ == 0) return;
        tb_waiter_leave(bucket_, std::exchange(number_, 0));
        wait_ns_ = 0;
        status_ = Status::interrupted;
    }

  private:
    friend class Bucket;
    template <class Loop, class Done>
    friend class detail::LoopWait;
    explicit Waiter(Status status) noexcept : status_(status) {}
    Waiter(tb_bucket *bucket, double n, std::int64_t timeout_ns, std::int32_t priority, std::uint64_t tag) noexcept
        : bucket_(bucket), status_(Status{tb_enqueue(bucket, n, timeout_ns, priority, tag, &number_, &wait_ns_)}) {}

    tb_bucket *bucket_ = nullptr;
    std::uint64_t number_ = 0;  // 0: not in the queue
    std::int64_t wait_ns_ = 0;
    Status status_;
};

// How a wait on an event loop ended.
class [[nodiscard]] Waited : public Result<void> {
  public:
    Waited(Status status, std::chrono::nanoseconds would_take) noexcept
        : Result<void>(status), would_take_(would_take) {}

    // Refused at once as timed_out: how long it would have taken. Otherwise zero.
    std::chrono::nanoseconds would_take() const noexcept { return would_take_; }

  private:
    std::chrono::nanoseconds would_take_;
};

namespace detail {

// Whom the on_wake of a bucket calls, by tag. Its lock is held during a call, so that nobody is called any more once
// remove() has returned; it is never held during a call of the library.
class Wakes {
  public:
    std::uint64_t add(std::function<void()> wake) {
        const std::lock_guard<std::mutex> guard(mutex_);
        all_.emplace(++newest_, std::move(wake));
        return newest_;
    }
    void remove(std::uint64_t tag) noexcept {
        const std::lock_guard<std::mutex> guard(mutex_);
        all_.erase(tag);
    }
    void operator()(std::uint64_t tag) {
        const std::lock_guard<std::mutex> guard(mutex_);
        const auto found = all_.find(tag);
        if (found != all_.end()) found->second();
    }

  private:
    std::mutex mutex_;
    std::unordered_map<std::uint64_t, std::function<void()>> all_;
    std::uint64_t newest_ = 0;
};

// Goes on with a coroutine of any kind.
struct Resume {
    void (*resume)(void *frame);
    void *frame;
    void operator()(const Waited &) const { resume(frame); }
};

// One wait of done(const Waited &) on an event loop. Used on the loop's thread only.
template <class Loop, class Done>
class LoopWait {
  public:
    LoopWait(tb_bucket *bucket, Wakes *wakes, Loop &loop) noexcept : bucket_(bucket), wakes_(wakes), loop_(loop) {}
    LoopWait(const LoopWait &) = delete;
    LoopWait &operator=(const LoopWait &) = delete;
    ~LoopWait() {
        forget();
        if (!told_ && waiter_.status() == Status::success) tb_refund(bucket_, n_);
    }

    // Enters the queue. The tag is known to on_wake before, which may be called before tb_enqueue has returned.
    Status enter(double n, std::int64_t timeout_ns, std::int32_t priority) {
        if (wakes_ == nullptr) return waiter_.status();
        self_ = std::make_shared<LoopWait *>(this);
        tag_ = wakes_->add([&loop = loop_, self = self_] { loop.post(Look{self}); });
        n_ = n;
        waiter_ = Waiter(bucket_, n, timeout_ns, priority, tag_);
        return waiter_.status();
    }
    // Has done called when it is over, not before this returns.
    void call(Done done) {
        done_ = std::move(done);
        if (waiter_.status() == Status::pending) return sleep();
        if (self_ == nullptr) self_ = std::make_shared<LoopWait *>(this);
        loop_.post(Look{self_});
    }
    Waited answer() noexcept {
        told_ = true;
        return {waiter_.status(), waiter_.delay()};
    }

  private:
    // What a loop runs. It may do so when the wait is gone.
    struct Look {
        std::shared_ptr<LoopWait *> wait;
        void operator()() const {
            if (*wait != nullptr) (*wait)->look();
        }
    };
    struct None {};
    using Timer = decltype(std::declval<Loop &>().after(std::chrono::nanoseconds(), std::declval<Look>()));
    static constexpr bool kKeepsTimer = !std::is_void_v<Timer>;

    void sleep() {
        if constexpr (kKeepsTimer) {
            timer_.reset();
            timer_.emplace(loop_.after(waiter_.delay(), Look{self_}));
        } else {
            loop_.after(waiter_.delay(), Look{self_});
        }
    }
    // done may destroy this.
    void look() {
        if (waiter_.check() == Status::pending) return sleep();
        forget();
        const Done done = std::move(done_);
        done(answer());
    }
    void forget() noexcept {
        timer_.reset();
        if (self_ != nullptr) *self_ = nullptr;
        if (tag_ != 0) wakes_->remove(std::exchange(tag_, 0));
    }

    tb_bucket *const bucket_;
    Wakes *const wakes_;  // null: the bucket has another on_wake, or there is none
    Loop &loop_;
    Done done_{};
    std::shared_ptr<LoopWait *> self_;  // to null when it is over
    std::uint64_t tag_ = 0;
    double n_ = 0;
    bool told_ = false;
    Waiter waiter_{bucket_ == nullptr ? Status::invalid_argument : Status::unsupported};
    std::optional<std::conditional_t<kKeepsTimer, Timer, None>> timer_;
};

}  // namespace detail

// What wait_on returns; to be awaited at once.
template <class Loop>
class [[nodiscard]] LoopAwait {
  public:
    LoopAwait(tb_bucket *bucket, detail::Wakes *wakes, Loop &loop, double n, std::int64_t timeout_ns,
              std::int32_t priority) noexcept
        : wait_(bucket, wakes, loop), n_(n), timeout_ns_(timeout_ns), priority_(priority) {}

    bool await_ready() { return wait_.enter(n_, timeout_ns_, priority_) != Status::pending; }
    template <class Handle>
    void await_suspend(Handle waiting) {
        wait_.call({[](void *frame) { Handle::from_address(frame).resume(); }, waiting.address()});
    }
    Waited await_resume() noexcept { return wait_.answer(); }

  private:
    detail::LoopWait<Loop, detail::Resume> wait_;
    double n_;
    std::int64_t timeout_ns_;
    std::int32_t priority_;
};

// What call_when_granted returns. Destroyed before its callback is called, it ends the wait.
template <class Loop>
using PendingCall = std::unique_ptr<detail::LoopWait<Loop, std::function<void(const Waited &)>>>;

// ---- Buckets --------------------------------------------------------------------------------------------------------

// Owns a tb_bucket. Each member function is the C function of its name, with the same rules and statuses.
class Bucket {
  public:
    // Status of a failure: as tb_create and tb_create_with.
    static Result<Bucket> create(double capacity, double tokens_per_second) noexcept {
        Config config;
        config.capacity = capacity;
        config.rate_tokens = tokens_per_second;
        return create(config);
    }
    static Result<Bucket> create(const Config &config) noexcept {
        tb_config c = detail::to_c(config);
        std::unique_ptr<detail::Wakes> wakes;
        if (config.on_wake == nullptr) {
            wakes.reset(new (std::nothrow) detail::Wakes);
            if (wakes == nullptr) return Result<Bucket>(Status::out_of_memory);
            c.on_wake = &wake;
            c.wake_user = wakes.get();
        }
        tb_bucket *bucket = nullptr;
        const tb_status status = tb_create_with(&c, &bucket);
        return detail::result(status, Bucket(bucket, std::move(wakes)));
    }
    Bucket(Bucket &&) noexcept = default;
    Bucket &operator=(Bucket &&) noexcept = default;
    // Destroying a bucket wakes those who wait.
    ~Bucket() { handle_.reset(); }

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

    // Waiting: blocks the thread. A timeout below zero is refused as invalid_argument, one beyond what can be expressed
    // is no limit. Those of a higher priority are served first.
    Result<void> wait(double n = 1) noexcept { return detail::done(tb_wait(get(), n)); }
    template <class Rep, class Period>
    Result<void> wait_for(double n, std::chrono::duration<Rep, Period> timeout) noexcept {
        return detail::done(tb_wait_for(get(), n, detail::timeout_ns(timeout)));
    }
    template <class Rep, class Period>
    Result<void> wait_for(double n, std::chrono::duration<Rep, Period> timeout, std::int32_t priority) noexcept {
        return detail::done(tb_wait_with(get(), n, detail::timeout_ns(timeout), priority));
    }

    // Waiting in a coroutine of C++20, without blocking a thread; the answer is a Waited:
    //
    //     if (co_await bucket.wait_on(loop, 5, 2s)) serve();
    //
    // The coroutine stands in one queue with all others, also threads. Destroyed while it waits, it gives all back.
    // What the bucket asks of a loop, with work() that can be copied and is never run before the call returns:
    //
    //     loop.after(nanoseconds, work)   runs work() after that time, and may return an object that is kept until the
    //                                     wait is over or has another time; its destructor may disarm the timer
    //     loop.post(work)                 runs work() soon; called from any thread, and must neither throw nor call
    //                                     the bucket
    //
    // A loop runs one work at a time: it is one thread, or a strand. There the coroutine waits, goes on and is
    // destroyed. Several loops may wait on one bucket. On a manual clock the bucket posts, and after() may do nothing.
    template <class Loop, class Rep = std::chrono::nanoseconds::rep, class Period = std::chrono::nanoseconds::period>
    LoopAwait<Loop> wait_on(Loop &loop, double n = 1, std::chrono::duration<Rep, Period> timeout = kForever,
                            std::int32_t priority = 0) noexcept {
        return LoopAwait<Loop>(get(), wakes_.get(), loop, n, detail::timeout_ns(timeout), priority);
    }

    // The same without coroutines: has the loop run done(const Waited &), never before this returns. What is returned
    // must not outlive the bucket. Destroyed before done is called, it ends the wait and gives all back.
    template <class Loop, class Done, class Rep = std::chrono::nanoseconds::rep,
              class Period = std::chrono::nanoseconds::period>
    [[nodiscard]] PendingCall<Loop> call_when_granted(Loop &loop, Done done, double n = 1,
                                                      std::chrono::duration<Rep, Period> timeout = kForever,
                                                      std::int32_t priority = 0) {
        auto call = std::make_unique<typename PendingCall<Loop>::element_type>(get(), wakes_.get(), loop);
        call->enter(n, detail::timeout_ns(timeout), priority);
        call->call(std::move(done));
        return call;
    }

    // What both are made of, for a bucket whose wakes go another way: Config::wake_by. The tag is any number. It is to
    // be registered before the call, since the wake may come before this returns.
    template <class Rep = std::chrono::nanoseconds::rep, class Period = std::chrono::nanoseconds::period>
    Waiter enqueue(std::uint64_t tag, double n = 1, std::chrono::duration<Rep, Period> timeout = kForever,
                   std::int32_t priority = 0) noexcept {
        return Waiter(get(), n, detail::timeout_ns(timeout), priority, tag);
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
    Result<void> set_tokens(double tokens) noexcept { return detail::done(tb_set_tokens(get(), tokens)); }
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
        if (wakes_ != nullptr) c.on_wake = nullptr, c.wake_user = nullptr;  // which serve this bucket alone
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
    Bucket(tb_bucket *handle, std::unique_ptr<detail::Wakes> wakes) noexcept
        : handle_(handle), wakes_(std::move(wakes)) {}
    static void wake(void *wakes, std::uint64_t tag) noexcept {
        (*static_cast<detail::Wakes *>(wakes))(tag);
    }

    std::unique_ptr<tb_bucket, detail::Destroy> handle_;
    std::unique_ptr<detail::Wakes> wakes_;  // null: the config has another on_wake
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

}  // namespace tokenbucket

#endif  // TOKENBUCKET_HPP
