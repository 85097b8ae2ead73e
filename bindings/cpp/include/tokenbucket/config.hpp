// SPDX-License-Identifier: MIT
//
// What goes in and comes out: times, limits, decisions, counts. Included by tokenbucket.hpp.
#ifndef TOKENBUCKET_CONFIG_HPP
#define TOKENBUCKET_CONFIG_HPP

#include <tokenbucket.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <type_traits>
#include <utility>

#include "tokenbucket/result.hpp"

namespace tokenbucket {

/// No limit, and as an answer: longer than can be expressed.
inline constexpr std::chrono::nanoseconds kForever{TB_FOREVER};
/// For Config::initial_tokens and reset(): as much as fits.
inline constexpr double kInitiallyFull = TB_INITIALLY_FULL;

/// See tb_event.
struct Event {
    Status status;                    ///< the answer that was given
    double n;                         ///< the tokens that were asked for
    std::chrono::nanoseconds waited;  ///< how long it waited, by the bucket's clock
};

/// The bytes of a key of a Table, which it does not own: those of a string, or of anything contiguous with data() and
/// size(), such as a span of std::byte. Text that is a pointer ends at its zero; otherwise zeros are bytes like others.
class Key {
  public:
    /// `size` bytes from there, at most TB_MAX_KEY_SIZE.
    Key(const void *bytes, std::size_t size) noexcept : data_(bytes), size_(size) {}
    /// The text, without its zero.
    Key(const char *text) noexcept : Key(std::string_view(text)) {}  // NOLINT(google-explicit-constructor)
    /// The bytes of a string, a vector or a span.
    template <class Bytes, class = std::enable_if_t<sizeof(*std::declval<const Bytes &>().data()) == 1>>
    Key(const Bytes &bytes) noexcept : Key(bytes.data(), bytes.size()) {}  // NOLINT(google-explicit-constructor)

    /// The first byte.
    const void *data() const noexcept { return data_; }
    /// How many bytes.
    std::size_t size() const noexcept { return size_; }

  private:
    const void *data_;
    std::size_t size_;
};

/// See tb_config. Capacity and rate_tokens must be set; in C++20: Bucket::create({.capacity = 10, .rate_tokens = 60,
/// .rate_period = 1min}).
struct Config {
    double capacity = 0;     ///< the largest number of tokens held, 1e-6 .. 1e15: the largest burst
    double rate_tokens = 0;  ///< the tokens gained
    std::chrono::nanoseconds rate_period = std::chrono::seconds(1);  ///< in this time
    /// 0 .. capacity, or kInitiallyFull
    double initial_tokens = kInitiallyFull;
    tb_clock *clock = nullptr;     ///< the system clock; otherwise clock.get(), which the bucket or table keeps alive
    double unit = 0;               ///< read-only, filled by Bucket::limit
    std::int64_t max_waiters = 0;  ///< how many may wait at once; 0: no limit
    std::chrono::nanoseconds max_lateness{0};  ///< 0: 10 ms, and no limit on a manual clock
    bool precise_wait = false;                 ///< see TB_PRECISE_WAIT
    /// Bucket::stats() counts
    bool statistics = false;
    tb_event_fn on_event = nullptr;  ///< see notify()
    void *event_user = nullptr;      ///< what on_event is passed
    tb_wake_fn on_wake = nullptr;    ///< for enqueue; where it is set, wait_on and call_when_granted are unsupported
    void *wake_user = nullptr;       ///< what on_wake is passed

    /// Has handler(const Event &) called at events. It is not copied: it must outlive the bucket. It may be called from
    /// several threads at once, and a program whose handler throws is terminated.
    template <class Handler>
    void notify(Handler &handler) noexcept {
        on_event = [](void *user, const tb_event *e) noexcept {
            (*static_cast<Handler *>(user))(Event{Status{e->status}, e->n, std::chrono::nanoseconds(e->waited_ns)});
        };
        event_user = const_cast<void *>(static_cast<const void *>(std::addressof(handler)));
    }

    /// Has handler(std::uint64_t tag) called when a waiter of enqueue is to call check(); see tb_wake_fn. As notify.
    template <class Handler>
    void wake_by(Handler &handler) noexcept {
        on_wake = [](void *user, std::uint64_t tag) noexcept { (*static_cast<Handler *>(user))(tag); };
        wake_user = const_cast<void *>(static_cast<const void *>(std::addressof(handler)));
    }
};

/// See tb_decision. All but the status is 0 where that is none of success, denied and exceeds_capacity.
struct [[nodiscard]] Decision {
    Status status;     ///< success, denied, exceeds_capacity, or a failure
    double remaining;  ///< the tokens left now; 0 while in debt
    /// until this take would be granted; zero: it was; kForever: it never will be
    std::chrono::nanoseconds retry_after;
    std::chrono::nanoseconds reset_after;  ///< until the bucket is full again
    detail::Blame blame{};                 ///< for message()

    /// True if the tokens were taken.
    explicit operator bool() const noexcept { return status == Status::success; }
    /// The status as text; where an argument was refused: which, what it must be, and what it was.
    Message message() const noexcept { return detail::message_of(static_cast<tb_status>(status), blame); }
};

/// See tb_stats.
struct Stats {
    std::int64_t granted;                   ///< takes, waits and reservations that got their tokens
    std::int64_t denied;                    ///< takes that were denied
    std::int64_t timed_out;                 ///< waits and reservations, at once or later
    std::int64_t cancelled;                 ///< reservations cancelled, and waits that ended early
    std::int64_t waits;                     ///< waits in the queue that are over
    std::chrono::nanoseconds total_wait;    ///< how long they took together
    std::chrono::nanoseconds longest_wait;  ///< the longest of them
    std::int64_t waiting;                   ///< waiters in the queue that are not due
    double tokens_taken;                    ///< by what was granted, and by waits that ended otherwise
    double tokens_given_back;               ///< of these, by cancelling, settling and waits that ended
};

namespace detail {

struct Destroy {
    void operator()(tb_bucket *bucket) const noexcept { tb_destroy(bucket); }
    void operator()(tb_table *table) const noexcept { tb_table_destroy(table); }
    void operator()(tb_clock *clock) const noexcept { tb_clock_destroy(clock); }
    void operator()(tb_remote *remote) const noexcept { tb_remote_destroy(remote); }
};

// What cannot be expressed is for ever. What is below zero, or NaN, is an invalid argument, and stays below zero.
template <class Rep, class Period>
constexpr std::int64_t timeout_ns(std::chrono::duration<Rep, Period> timeout) noexcept {
    if constexpr (std::is_same_v<decltype(timeout), std::chrono::nanoseconds>) {
        return timeout.count();
    } else {
        const long double ns = std::chrono::duration<long double, std::nano>(timeout).count();
        if (ns >= 0x1p63L) return TB_FOREVER;
        if (ns >= 0) return static_cast<std::int64_t>(ns);
        return ns <= -1 && ns > -0x1p63L ? static_cast<std::int64_t>(ns) : -1;
    }
}

inline Decision decision(tb_status status, const tb_decision &d, const Blame &blame) noexcept {
    return {Status{status}, d.remaining, std::chrono::nanoseconds(d.retry_after_ns),
            std::chrono::nanoseconds(d.reset_after_ns), blame};
}

// The field of a Config that was refused, what it must be and what it was; empty if none was. The table's config and
// max_wait are those of who has one; rate_name is how the rate was given.
inline Message message_of(const tb_config_fault &fault, const tb_config &c, const char *rate_name,
                          const tb_table_config *table = nullptr, std::int64_t max_wait_ns = 0) noexcept {
    Message message;
    if (fault.field == nullptr) return message;
    const auto is = [&](const char *field) { return std::strcmp(fault.field, field) == 0; };
    const auto must_be = [&](const char *name, double value, const char *unit = "") {
        append(message, "%s must be %s, got %.15g%s", name, fault.allowed, value, unit);
    };
    if (is("capacity"))
        must_be("capacity", c.capacity);
    else if (is("rate_tokens"))
        must_be(rate_name, c.rate_tokens);
    else if (is("rate_period_ns"))
        must_be("rate_period", seconds(c.rate_period_ns), "s");
    else if (is("initial_tokens"))
        must_be("initial_tokens", c.initial_tokens);
    else if (is("max_waiters"))
        must_be("max_waiters", static_cast<double>(c.max_waiters));
    else if (is("max_lateness_ns"))
        must_be("max_lateness", seconds(c.max_lateness_ns), "s");
    else if (is("max_wait_ns"))
        must_be("max_wait", seconds(max_wait_ns), "s");
    else if (table != nullptr && is("max_keys"))
        must_be("max_keys", static_cast<double>(table->max_keys));
    else if (table != nullptr && is("max_bytes"))
        must_be("max_bytes", static_cast<double>(table->max_bytes));
    else if (table != nullptr && is("when_full"))
        must_be("when_full", table->when_full);
    else if (is("flags"))
        append(message, "%s must be false for this kind of limit, got true",
               (c.flags & TB_STATISTICS) != 0 ? "statistics" : "precise_wait");
    else
        append(message, "%s must be %s", fault.field, fault.allowed);
    return message;
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

}  // namespace tokenbucket

#endif  // TOKENBUCKET_CONFIG_HPP
