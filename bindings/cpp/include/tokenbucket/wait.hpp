// SPDX-License-Identifier: MIT
//
// Tokens for a later time: reservations, and waits that are no threads. Included by tokenbucket.hpp.
#ifndef TOKENBUCKET_WAIT_HPP
#define TOKENBUCKET_WAIT_HPP

#include <tokenbucket.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <type_traits>
#include <unordered_map>
#include <utility>

#if __has_include(<version>)
#include <version>
#endif
#if defined(__cpp_lib_jthread)
#include <condition_variable>
#include <stop_token>
#endif

#include "tokenbucket/config.hpp"
#include "tokenbucket/result.hpp"

namespace tokenbucket {

namespace detail {

// Where tokens for a later time are asked for: a bucket, or a key of a table, of which it has a copy.
class Account {
  public:
    explicit Account(tb_bucket *bucket) noexcept : bucket_(bucket) {}
    Account(tb_table *table, Key key) noexcept : table_(table), size_(key.size()) {
        if (!has_bytes()) return;
        key_.reset(new (std::nothrow) unsigned char[size_]);
        if (key_ != nullptr) std::memcpy(key_.get(), key.data(), size_);
    }
    // Of a call for n tokens within a time.
    Blame blame(double n, std::int64_t time_ns, const char *time_name) const noexcept {
        return or_key(size_, amount(n, time_ns, time_name));
    }
    bool is_null() const noexcept { return bucket_ == nullptr && table_ == nullptr; }

    tb_status enqueue(double n, std::int64_t timeout_ns, std::int32_t priority, std::uint64_t tag,
                      std::uint64_t *number, std::int64_t *wait_ns) const noexcept {
        if (table_ == nullptr) return tb_enqueue(bucket_, n, timeout_ns, priority, tag, number, wait_ns);
        if (lacks_memory()) return TB_E_OUT_OF_MEMORY;
        return tb_table_enqueue(table_, key_.get(), size_, n, timeout_ns, priority, tag, number, wait_ns);
    }
    tb_status check(std::uint64_t number, std::int64_t *wait_ns) const noexcept {
        if (table_ == nullptr) return tb_waiter_check(bucket_, number, wait_ns);
        return tb_table_waiter_check(table_, key_.get(), size_, number, wait_ns);
    }
    tb_status leave(std::uint64_t number) const noexcept {
        if (table_ == nullptr) return tb_waiter_leave(bucket_, number);
        return tb_table_waiter_leave(table_, key_.get(), size_, number);
    }
    tb_status refund(double n) const noexcept {
        if (table_ == nullptr) return tb_refund(bucket_, n);
        return tb_table_refund(table_, key_.get(), size_, n);
    }
    tb_status reserve(double n, std::int64_t max_wait_ns, tb_reservation *r) const noexcept {
        if (table_ == nullptr) return tb_reserve(bucket_, n, max_wait_ns, r);
        if (lacks_memory()) return TB_E_OUT_OF_MEMORY;
        return tb_table_reserve(table_, key_.get(), size_, n, max_wait_ns, r);
    }
    tb_status cancel(tb_reservation *r) const noexcept {
        if (table_ == nullptr) return tb_cancel(bucket_, r);
        return tb_table_cancel(table_, key_.get(), size_, r);
    }
    tb_status settle(tb_reservation *r, double actual) const noexcept {
        if (table_ == nullptr) return tb_settle(bucket_, r, actual);
        return tb_table_settle(table_, key_.get(), size_, r, actual);
    }

  private:
    // A key that is too long is not copied: the library refuses it by its size.
    bool has_bytes() const noexcept { return size_ != 0 && size_ <= TB_MAX_KEY_SIZE; }
    bool lacks_memory() const noexcept { return has_bytes() && key_ == nullptr; }

    tb_bucket *bucket_ = nullptr;
    tb_table *table_ = nullptr;
    std::unique_ptr<unsigned char[]> key_;
    std::size_t size_ = 0;
};

}  // namespace detail

// ---- Reservations ---------------------------------------------------------------------------------------------------

/// Tokens taken for a later time, given back when this is destroyed before that time and was not committed. Once due
/// they count as used: settle(0) gives them back, nothing else does. It must not outlive its bucket or table, and
/// belongs to one thread at a time. See tb_reservation.
class [[nodiscard]] Reservation {
  public:
    /// Moves: the other holds nothing from then on.
    Reservation(Reservation &&other) noexcept
        : account_(std::move(other.account_)), c_(other.c_), held_(std::exchange(other.held_, false)) {}
    /// Cancels what this held, and moves.
    Reservation &operator=(Reservation &&other) noexcept {
        if (this == &other) return *this;
        cancel();
        account_ = std::move(other.account_);
        c_ = other.c_;
        held_ = std::exchange(other.held_, false);
        return *this;
    }
    ~Reservation() { cancel(); }

    /// How many tokens are promised.
    double tokens() const noexcept { return c_.tokens; }
    /// From the call of reserve until the tokens may be used; zero: at once.
    std::chrono::nanoseconds delay() const noexcept { return std::chrono::nanoseconds(c_.wait_ns); }
    /// The same as a time of the bucket's clock. The system clock goes as std::chrono::steady_clock does; the time of
    /// another clock is counted from the origin of steady_clock.
    std::chrono::steady_clock::time_point ready_at() const noexcept {
        return std::chrono::steady_clock::time_point(std::chrono::nanoseconds(c_.ready_at_ns));
    }

    /// Keeps the tokens: they are not given back.
    void commit() noexcept { held_ = false; }

    /// Gives all tokens back while they are not due; see tb_cancel. Nothing once committed, cancelled or settled.
    void cancel() noexcept {
        if (std::exchange(held_, false)) account_.cancel(&c_);
    }

    /// Ends it at what the work cost; see tb_settle. On failure it stays as it was. invalid_argument: also once
    /// committed, cancelled or settled.
    Result<void> settle(double actual) noexcept {
        if (!held_) return Result<void>(Status::invalid_argument);
        const tb_status status = account_.settle(&c_, actual);
        if (status == TB_SUCCESS) held_ = false;
        return detail::done(status, detail::actual(actual));
    }

  private:
    friend class Bucket;
    friend class Table;
    static Result<Reservation> make(detail::Account account, double n, std::int64_t max_wait_ns) noexcept {
        tb_reservation c{};
        const tb_status status = account.reserve(n, max_wait_ns, &c);
        if (status != TB_SUCCESS) return Result<Reservation>(Status{status}, account.blame(n, max_wait_ns, "max_wait"));
        return Result<Reservation>(Reservation(std::move(account), c));
    }
    Reservation(detail::Account account, const tb_reservation &c) noexcept : account_(std::move(account)), c_(c) {}

    detail::Account account_;
    tb_reservation c_;
    bool held_ = true;  // false: nothing to give back
};

// ---- Waiting without a thread ---------------------------------------------------------------------------------------

namespace detail {

class WaitForOne;

}  // namespace detail

/// A wait in the queue that is no thread; see tb_enqueue. Destroyed while it is pending, it leaves: all its tokens come
/// back, due or not, and those behind it move up. It must not outlive its bucket or table, and belongs to one thread at
/// a time.
class [[nodiscard]] Waiter {
  public:
    /// Moves: the other answers Status::invalid_argument from then on.
    Waiter(Waiter &&other) noexcept
        : account_(std::move(other.account_)),
          number_(std::exchange(other.number_, 0)),
          wait_ns_(other.wait_ns_),
          status_(std::exchange(other.status_, Status::invalid_argument)),
          blame_(std::exchange(other.blame_, {})) {}
    /// Leaves the wait that this held, and moves.
    Waiter &operator=(Waiter &&other) noexcept {
        if (this == &other) return *this;
        leave();
        account_ = std::move(other.account_);
        number_ = std::exchange(other.number_, 0);
        wait_ns_ = other.wait_ns_;
        status_ = std::exchange(other.status_, Status::invalid_argument);
        blame_ = std::exchange(other.blame_, {});
        return *this;
    }
    ~Waiter() { leave(); }

    /// As last told. success: the tokens are taken. pending: it waits. Otherwise it is over, and nothing is taken.
    Status status() const noexcept { return status_; }
    /// pending: from the last call until the tokens are due. timed_out at once: how long it would have taken. Else
    /// zero.
    std::chrono::nanoseconds delay() const noexcept { return std::chrono::nanoseconds(wait_ns_); }

    /// The status as text; where an argument was refused: which, what it must be, and what it was.
    Message message() const noexcept { return detail::message_of(static_cast<tb_status>(status_), blame_); }

    /// Collects the tokens, or learns how long they will still take; see tb_waiter_check. Nothing once it is over.
    Status check() noexcept {
        if (number_ == 0) return status_;
        wait_ns_ = 0;
        status_ = Status{account_.check(number_, &wait_ns_)};
        if (status_ != Status::pending) number_ = 0;
        return status_;
    }

    /// Gives up if it is pending; its status is interrupted then.
    void leave() noexcept {
        if (number_ != 0) give_up();
    }

  private:
    friend class Bucket;
    friend class Table;
    friend class detail::WaitForOne;
    Waiter(detail::Account account, double n, std::int64_t timeout_ns, std::int32_t priority,
           std::uint64_t tag) noexcept
        : Waiter(std::move(account)) {
        enter(n, timeout_ns, priority, tag);
    }
    // Not in the queue: nobody would tell it when to check.
    explicit Waiter(detail::Account account) noexcept
        : account_(std::move(account)), status_(account_.is_null() ? Status::invalid_argument : Status::unsupported) {}
    void give_up() noexcept {
        if (number_ != 0) account_.leave(std::exchange(number_, 0));
        wait_ns_ = 0;
        status_ = Status::interrupted;
    }
    void enter(double n, std::int64_t timeout_ns, std::int32_t priority, std::uint64_t tag) noexcept {
        status_ = Status{account_.enqueue(n, timeout_ns, priority, tag, &number_, &wait_ns_)};
        blame_ = account_.blame(n, timeout_ns, "timeout");
    }

    detail::Account account_;
    std::uint64_t number_ = 0;  // 0: not in the queue
    std::int64_t wait_ns_ = 0;
    Status status_;
    detail::Blame blame_;
};

/// How a wait on an event loop ended.
class [[nodiscard]] Waited : public Result<void> {
  public:
    /// Made by wait_on and call_when_granted.
    Waited(Status status, std::chrono::nanoseconds would_take, const detail::Blame &blame = {}) noexcept
        : Result<void>(status, blame), would_take_(would_take) {}

    /// Refused at once as timed_out: how long it would have taken. Otherwise zero.
    std::chrono::nanoseconds would_take() const noexcept { return would_take_; }

  private:
    std::chrono::nanoseconds would_take_;
};

namespace detail {

// Whom the on_wake of a bucket or table calls, by tag. Its lock is held during a call, so that nobody is called any
// more once remove() has returned; it is never held during a call of the library.
class Wakes {
  public:
    // A tag that is there already stays as it is.
    void add(std::uint64_t tag, std::function<void()> wake) {
        const std::lock_guard<std::mutex> guard(mutex_);
        all_.emplace(tag, std::move(wake));
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

    // Where on_wake does not tell all: waits ask by themselves, too, after this time. Set before the first.
    void ask_every(std::chrono::nanoseconds time) noexcept { ask_every_ = time; }
    std::chrono::nanoseconds ask_every() const noexcept { return ask_every_; }

  private:
    std::chrono::nanoseconds ask_every_ = kForever;
    std::mutex mutex_;
    std::unordered_map<std::uint64_t, std::function<void()>> all_;
};

// Has the limit wake those in *wakes, unless it has an on_wake of its own. False: there is no memory.
inline bool serve_wakes(tb_config &c, std::unique_ptr<Wakes> *wakes) noexcept {
    if (c.on_wake != nullptr) return true;
    wakes->reset(new (std::nothrow) Wakes);
    if (*wakes == nullptr) return false;
    c.on_wake = [](void *all, std::uint64_t tag) noexcept { (*static_cast<Wakes *>(all))(tag); };
    c.wake_user = wakes->get();
    return true;
}
// The same for shared memory, where other processes change things, too.
inline bool serve_shared_wakes(tb_config &c, std::unique_ptr<Wakes> *wakes) noexcept {
    const bool served = serve_wakes(c, wakes);
    if (*wakes != nullptr) (*wakes)->ask_every(std::chrono::milliseconds(100));
    return served;
}

// The answer of limit(), without wakes that serve its own waits alone.
inline Result<Config> limit(tb_status status, tb_config &c, const Wakes *wakes) noexcept {
    if (wakes != nullptr) c.on_wake = nullptr, c.wake_user = nullptr;
    return result(status, from_c(c));
}

// Goes on with a coroutine of any kind.
struct Resume {
    void (*resume)(void *frame);
    void *frame;
    template <class Answer>
    void operator()(const Answer &) const {
        resume(frame);
    }
};

// What a LoopWait waits for: n tokens of a bucket or key.
class WaitForOne {
  public:
    using Answer = Waited;

    WaitForOne(Account account, Wakes *wakes, double n) noexcept : wakes_(wakes), n_(n), waiter_(std::move(account)) {}

    // False: it is not to be entered, and the status says why.
    bool can_enter() const noexcept { return wakes_ != nullptr; }
    void listen(std::uint64_t tag, const std::function<void()> &wake) { wakes_->add(tag, wake); }
    void ignore(std::uint64_t tag) noexcept { wakes_->remove(tag); }

    void enter(std::int64_t timeout_ns, std::int32_t priority, std::uint64_t tag) noexcept {
        waiter_.enter(n_, timeout_ns, priority, tag);
    }
    Status check() noexcept { return waiter_.check(); }
    Status status() const noexcept { return waiter_.status(); }
    // Until it is to check. Pending, so there are wakes.
    std::chrono::nanoseconds delay() const noexcept { return std::min(waiter_.delay(), wakes_->ask_every()); }
    Waited answer() const noexcept { return {waiter_.status(), waiter_.delay(), waiter_.blame_}; }
    // Also before it has entered.
    void leave() noexcept { waiter_.give_up(); }
    // Of what was granted.
    void give_back() noexcept { waiter_.account_.refund(n_); }

  private:
    Wakes *const wakes_;  // null: there is another on_wake, or no bucket or table
    const double n_;
    Waiter waiter_;
};

#if defined(__cpp_lib_jthread)
// Blocks the thread until the wait is over or the token asks to stop, which ends it as interrupted: what it had comes
// back. The thread sleeps until its tokens are due, on_wake is called, or it is to stop.
template <class Wait>
typename Wait::Answer wait_or_stop(Wait wait, std::int64_t timeout_ns, std::int32_t priority,
                                   const std::stop_token &stop) {
    // A time of this length may be added to that of any clock.
    constexpr std::chrono::nanoseconds kLongSleep = std::chrono::hours(24);
    if (!wait.can_enter()) return wait.answer();
    std::mutex mutex;
    std::condition_variable_any changed;
    bool is_woken = false;
    const auto tag = reinterpret_cast<std::uintptr_t>(&is_woken);
    wait.listen(tag, [&] {
        const std::lock_guard<std::mutex> guard(mutex);
        is_woken = true;
        changed.notify_one();
    });
    if (stop.stop_requested())
        wait.leave();
    else
        wait.enter(timeout_ns, priority, tag);
    while (wait.status() == Status::pending) {
        {
            std::unique_lock<std::mutex> lock(mutex);
            changed.wait_for(lock, stop, std::min(wait.delay(), kLongSleep), [&] { return is_woken; });
            is_woken = false;
        }
        if (stop.stop_requested())
            wait.leave();
        else
            wait.check();
    }
    wait.ignore(tag);
    return wait.answer();
}
#endif

// One wait of done(const Answer &) on an event loop. Used on the loop's thread only.
template <class Loop, class Wait, class Done>
class LoopWait {
  public:
    LoopWait(Loop &loop, Wait wait) noexcept : loop_(loop), wait_(std::move(wait)) {}
    LoopWait(const LoopWait &) = delete;
    LoopWait &operator=(const LoopWait &) = delete;
    ~LoopWait() {
        forget();
        if (!told_ && wait_.status() == Status::success) wait_.give_back();
    }

    // Enters the queue. The tag is known to on_wake before, which may be called before tb_enqueue has returned. It is
    // an address, so that no other wait has it, on whatever bucket; a wake for one that had it before is one too many.
    Status enter(std::int64_t timeout_ns, std::int32_t priority) {
        if (!wait_.can_enter()) return wait_.status();
        self_ = std::make_shared<LoopWait *>(this);
        tag_ = reinterpret_cast<std::uintptr_t>(self_.get());
        wait_.listen(tag_, [&loop = loop_, self = self_] { loop.post(Look{self}); });
        wait_.enter(timeout_ns, priority, tag_);
        return wait_.status();
    }
    // Has done called when it is over, not before this returns.
    void call(Done done) {
        done_ = std::move(done);
        if (wait_.status() == Status::pending) return sleep();
        if (self_ == nullptr) self_ = std::make_shared<LoopWait *>(this);
        loop_.post(Look{self_});
    }
    typename Wait::Answer answer() noexcept {
        told_ = true;
        return wait_.answer();
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
            timer_.emplace(loop_.after(wait_.delay(), Look{self_}));
        } else {
            loop_.after(wait_.delay(), Look{self_});
        }
    }
    // done may destroy this.
    void look() {
        if (wait_.check() == Status::pending) return sleep();
        forget();
        const Done done = std::move(done_);
        done(answer());
    }
    void forget() noexcept {
        timer_.reset();
        if (self_ != nullptr) *self_ = nullptr;
        if (tag_ != 0) wait_.ignore(std::exchange(tag_, 0));
    }

    Loop &loop_;
    Done done_{};
    std::shared_ptr<LoopWait *> self_;  // to null when it is over
    std::uint64_t tag_ = 0;             // 0: not known to on_wake
    bool told_ = false;
    Wait wait_;
    std::optional<std::conditional_t<kKeepsTimer, Timer, None>> timer_;
};

}  // namespace detail

/// What wait_on returns; to be awaited at once.
template <class Loop, class Wait = detail::WaitForOne>
class [[nodiscard]] LoopAwait {
  public:
    /// Made by wait_on.
    LoopAwait(Loop &loop, Wait wait, std::int64_t timeout_ns, std::int32_t priority) noexcept
        : wait_(loop, std::move(wait)), timeout_ns_(timeout_ns), priority_(priority) {}

    /// Enters the queue. True if it need not wait.
    bool await_ready() { return wait_.enter(timeout_ns_, priority_) != Status::pending; }
    /// Resumes the coroutine on the loop when the wait is over.
    template <class Handle>
    void await_suspend(Handle waiting) {
        wait_.call({[](void *frame) { Handle::from_address(frame).resume(); }, waiting.address()});
    }
    /// How the wait ended.
    typename Wait::Answer await_resume() noexcept { return wait_.answer(); }

  private:
    detail::LoopWait<Loop, Wait, detail::Resume> wait_;
    std::int64_t timeout_ns_;
    std::int32_t priority_;
};

/// What call_when_granted returns. Destroyed before its callback is called, it ends the wait.
template <class Loop, class Wait = detail::WaitForOne>
using PendingCall = std::unique_ptr<detail::LoopWait<Loop, Wait, std::function<void(const typename Wait::Answer &)>>>;

namespace detail {

template <class Loop, class Wait, class Done>
PendingCall<Loop, Wait> call_when_granted(Loop &loop, Wait wait, Done done, std::int64_t timeout_ns,
                                          std::int32_t priority) {
    auto call = std::make_unique<typename PendingCall<Loop, Wait>::element_type>(loop, std::move(wait));
    call->enter(timeout_ns, priority);
    call->call(std::move(done));
    return call;
}

}  // namespace detail

}  // namespace tokenbucket

#endif  // TOKENBUCKET_WAIT_HPP
