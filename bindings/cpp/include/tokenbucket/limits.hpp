// SPDX-License-Identifier: MIT
//
// Several limits in one decision. Included by tokenbucket.hpp.
#ifndef TOKENBUCKET_LIMITS_HPP
#define TOKENBUCKET_LIMITS_HPP

#include <tokenbucket.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include "tokenbucket/config.hpp"
#include "tokenbucket/result.hpp"
#include "tokenbucket/wait.hpp"

namespace tokenbucket {

// ---- Members and answers --------------------------------------------------------------------------------------------

/// The most limits in one decision.
inline constexpr std::size_t kMaxMembers = TB_MAX_MEMBERS;

namespace detail {

class Members;
class WaitForAll;

}  // namespace detail

/// One of the limits that a decision must satisfy, and what it costs there: what Bucket::member and Table::member
/// return. It owns nothing: the bucket or table, which may be moved, and the bytes of the key must outlive it.
class Member {
  private:
    friend class Bucket;
    friend class Table;
    friend class detail::Members;
    Member(const tb_member &c, detail::Wakes *wakes) noexcept : c_(c), wakes_(wakes) {}

    tb_member c_;
    detail::Wakes *wakes_;  // null: there is another on_wake, or no bucket or table
};

/// The member that refused, by its place among all, and how long until it would grant; kForever: it never will. Of
/// several it is the one that takes longest. -1 and zero where none refused.
struct Refusal {
    std::int32_t member = -1;                 ///< its place among the members, from 0; -1: none
    std::chrono::nanoseconds retry_after{0};  ///< until it would grant; kForever: never
};

namespace detail {

inline constexpr tb_refusal kNoRefusal{-1, 0, 0};

inline Refusal refusal(const tb_refusal &c) noexcept {
    return {c.member, std::chrono::nanoseconds(c.retry_after_ns)};
}

}  // namespace detail

/// What all members answered: a Result, and who refused. With success, and where the status is a failure, nobody did.
template <class T = void>
class [[nodiscard]] ResultAll : public Result<T> {
  public:
    /// Made by the functions of Limits.
    ResultAll(Status status, const Refusal &refusal, const detail::Blame &blame = {}) noexcept
        : Result<T>(status, blame), refusal_(refusal) {}
    /// Made by the functions of Limits, of a success.
    template <class Answer>
    ResultAll(Answer answer, const Refusal &refusal) noexcept : Result<T>(std::move(answer)), refusal_(refusal) {}

    /// Who refused, and for how long.
    const Refusal &refusal() const noexcept { return refusal_; }

  private:
    Refusal refusal_;
};

namespace detail {

// Members as the C functions take them. Of too many only their number is kept, for which the library refuses them.
class Members {
  public:
    Members(std::initializer_list<Member> members) noexcept : Members(members.begin(), members.size()) {}
    Members(const Member *members, std::size_t count) noexcept : count_(count) {
        for (std::size_t i = 0; i < kept(); ++i) {
            c_[i] = members[i].c_;
            wakes_[i] = members[i].wakes_;
        }
    }
    Members(const Members &other) noexcept : count_(0) { *this = other; }
    Members &operator=(const Members &other) noexcept {
        if (this == &other) return *this;
        count_ = other.count_;
        std::copy_n(other.c_, kept(), c_);
        std::copy_n(other.wakes_, kept(), wakes_);
        return *this;
    }
    ~Members() = default;

    const tb_member *data() const noexcept { return c_; }
    std::size_t count() const noexcept { return count_; }
    std::size_t kept() const noexcept { return std::min(count_, kMaxMembers); }
    tb_member &operator[](std::size_t i) noexcept { return c_[i]; }
    Wakes *wakes(std::size_t i) const noexcept { return wakes_[i]; }
    // Of a call for all, within a time.
    Blame blame(std::int64_t time_ns = 0, const char *time_name = "timeout") const noexcept {
        if (time_ns < 0) return amount(0, time_ns, time_name);
        return {Kind::members, "members", static_cast<double>(count_), nullptr};
    }

  private:
    tb_member c_[kMaxMembers];  // so many as are kept
    std::size_t count_;
    Wakes *wakes_[kMaxMembers];
};

// A copy of members, with the bytes of their keys, for what outlives the call.
class MembersCopy {
  public:
    explicit MembersCopy(const Members &members) noexcept : members_(new (std::nothrow) Members(members)) {
        if (members_ != nullptr && !copy_keys()) members_.reset();
    }
    // Null: there is no memory for it.
    Members *get() const noexcept { return members_.get(); }

  private:
    bool copy_keys() noexcept {
        std::size_t size = 0;
        for (std::size_t i = 0; i < members_->kept(); ++i) size += size_of_key(i);
        if (size == 0) return true;
        keys_.reset(new (std::nothrow) unsigned char[size]);
        if (keys_ == nullptr) return false;
        unsigned char *to = keys_.get();
        for (std::size_t i = 0; i < members_->kept(); ++i) {
            if (size_of_key(i) == 0) continue;
            std::memcpy(to, (*members_)[i].key, size_of_key(i));
            (*members_)[i].key = to;
            to += size_of_key(i);
        }
        return true;
    }
    // A key that is too long is not copied: the library refuses it by its size.
    std::size_t size_of_key(std::size_t i) const noexcept {
        const tb_member &m = (*members_)[i];
        return m.key_size <= TB_MAX_KEY_SIZE ? m.key_size : 0;
    }

    std::unique_ptr<Members> members_;
    std::unique_ptr<unsigned char[]> keys_;
};

struct LeaveAll {
    void operator()(tb_waiter_all *waiter) const noexcept { tb_waiter_all_leave(waiter); }
};

}  // namespace detail

// ---- Reservations ---------------------------------------------------------------------------------------------------

/// What all members promised. Destroyed while any of it is pending and not committed, it gives all back, what is due
/// already too; once all is due it counts as used. It must not outlive a member's bucket or table, and belongs to one
/// thread at a time. See tb_reserve_all.
class [[nodiscard]] ReservationAll {
  public:
    /// Moves: the other holds nothing from then on.
    ReservationAll(ReservationAll &&other) noexcept
        : members_(std::move(other.members_)),
          reservations_(std::move(other.reservations_)),
          wait_ns_(other.wait_ns_),
          held_(std::exchange(other.held_, false)) {}
    /// Cancels what this held, and moves.
    ReservationAll &operator=(ReservationAll &&other) noexcept {
        if (this == &other) return *this;
        cancel();
        members_ = std::move(other.members_);
        reservations_ = std::move(other.reservations_);
        wait_ns_ = other.wait_ns_;
        held_ = std::exchange(other.held_, false);
        return *this;
    }
    ~ReservationAll() { cancel(); }

    /// From the call of reserve until all tokens may be used; zero: at once.
    std::chrono::nanoseconds delay() const noexcept { return std::chrono::nanoseconds(wait_ns_); }

    /// Keeps the tokens: they are not given back.
    void commit() noexcept { held_ = false; }

    /// Gives all back while any of it is pending; see tb_cancel_all. Nothing once committed, cancelled or settled.
    void cancel() noexcept {
        if (!std::exchange(held_, false)) return;
        tb_cancel_all(members_.get()->data(), members_.get()->count(), reservations_.get());
    }

    /// Ends what one member promised at what the work cost there; see tb_settle. What the others promised is then kept,
    /// since it can no longer be cancelled with the rest, and may be settled too. On failure all stays as it was.
    /// invalid_argument: also no such member, and one that was settled or cancelled.
    Result<void> settle(std::size_t member, double actual) noexcept {
        if (members_.get() == nullptr || member >= members_.get()->kept())
            return Result<void>(Status::invalid_argument);
        const tb_member &m = (*members_.get())[member];
        tb_reservation *const r = &reservations_[member];
        const tb_status status = m.bucket != nullptr ? tb_settle(m.bucket, r, actual)
                                                     : tb_table_settle(m.table, m.key, m.key_size, r, actual);
        return detail::done(status, detail::actual(actual));
    }

  private:
    friend class Limits;
    static ResultAll<ReservationAll> make(const detail::Members &members, std::int64_t max_wait_ns) noexcept {
        ReservationAll all(members);
        if (all.reservations_ == nullptr) return {Status::out_of_memory, Refusal()};
        const detail::Members &own = *all.members_.get();
        tb_refusal refusal = detail::kNoRefusal;
        const tb_status status =
            tb_reserve_all(own.data(), own.count(), max_wait_ns, all.reservations_.get(), &all.wait_ns_, &refusal);
        if (status != TB_SUCCESS) return {Status{status}, detail::refusal(refusal), own.blame(max_wait_ns, "max_wait")};
        all.held_ = true;
        return {std::move(all), Refusal()};
    }
    explicit ReservationAll(const detail::Members &members) noexcept : members_(members) {
        if (members_.get() != nullptr) reservations_.reset(new (std::nothrow) tb_reservation[members.kept()]);
    }

    detail::MembersCopy members_;
    std::unique_ptr<tb_reservation[]> reservations_;
    std::int64_t wait_ns_ = 0;
    bool held_ = false;  // false: nothing to give back
};

// ---- Waiting without a thread ---------------------------------------------------------------------------------------

/// A wait for all members that is no thread; see tb_enqueue_all. Destroyed while it is pending, it leaves: all comes
/// back, what one member had granted too, and those behind it move up. It must not outlive a member's bucket or table,
/// and belongs to one thread at a time.
class [[nodiscard]] WaiterAll {
  public:
    /// Moves: the other answers Status::invalid_argument from then on.
    WaiterAll(WaiterAll &&other) noexcept
        : waiter_(std::move(other.waiter_)),
          wait_ns_(other.wait_ns_),
          status_(std::exchange(other.status_, Status::invalid_argument)),
          refusal_(other.refusal_) {}
    /// Leaves the wait that this held, and moves.
    WaiterAll &operator=(WaiterAll &&other) noexcept {
        waiter_ = std::move(other.waiter_);
        wait_ns_ = other.wait_ns_;
        status_ = std::exchange(other.status_, Status::invalid_argument);
        refusal_ = other.refusal_;
        return *this;
    }
    ~WaiterAll() = default;

    /// As last told. success: all is taken. pending: it waits. Otherwise it is over, and nothing is taken.
    Status status() const noexcept { return status_; }
    /// pending: from the last call until the next member's tokens are due. Else zero.
    std::chrono::nanoseconds delay() const noexcept { return std::chrono::nanoseconds(wait_ns_); }
    /// Who ended the wait, at once or later.
    const Refusal &refusal() const noexcept { return refusal_; }

    /// Collects what is due, or learns how long the next will still take; see tb_waiter_all_check. Nothing once it is
    /// over.
    Status check() noexcept {
        if (waiter_ == nullptr) return status_;
        tb_refusal refusal = detail::kNoRefusal;
        wait_ns_ = 0;
        end_with(tb_waiter_all_check(waiter_.get(), &wait_ns_, &refusal), refusal);
        return status_;
    }

    /// Gives up if it is pending; its status is interrupted then.
    void leave() noexcept {
        if (waiter_ != nullptr) give_up();
    }

  private:
    friend class Limits;
    friend class detail::WaitForAll;
    // Not in the queues: nobody would tell it when to check.
    explicit WaiterAll(Status status) noexcept : status_(status) {}
    void enter(const detail::Members &members, std::int64_t timeout_ns, std::int32_t priority,
               std::uint64_t tag) noexcept {
        tb_refusal refusal = detail::kNoRefusal;
        tb_waiter_all *waiter = nullptr;
        const tb_status status =
            tb_enqueue_all(members.data(), members.count(), timeout_ns, priority, tag, &waiter, &wait_ns_, &refusal);
        waiter_.reset(waiter);
        end_with(status, refusal);
    }
    void give_up() noexcept {
        wait_ns_ = 0;
        end_with(TB_INTERRUPTED, detail::kNoRefusal);
    }
    // One that is over is freed: it need no longer be outlived by its members.
    void end_with(tb_status status, const tb_refusal &refusal) noexcept {
        status_ = Status{status};
        refusal_ = detail::refusal(refusal);
        if (status_ != Status::pending) waiter_.reset();
    }

    std::unique_ptr<tb_waiter_all, detail::LeaveAll> waiter_;  // null: over
    std::int64_t wait_ns_ = 0;
    Status status_;
    Refusal refusal_;
};

namespace detail {

// What a LoopWait waits for: all members.
class WaitForAll {
  public:
    using Answer = ResultAll<>;

    explicit WaitForAll(const Members &members) noexcept : members_(members), waiter_(status_of(members_.get())) {}

    // False: it is not to be entered, and the status says why.
    bool can_enter() const noexcept { return waiter_.status() == Status::pending; }
    void listen(std::uint64_t tag, const std::function<void()> &wake) {
        for_each_wakes([&](Wakes *wakes) { wakes->add(tag, wake); });
    }
    void ignore(std::uint64_t tag) noexcept {
        for_each_wakes([&](Wakes *wakes) { wakes->remove(tag); });
    }

    void enter(std::int64_t timeout_ns, std::int32_t priority, std::uint64_t tag) noexcept {
        waiter_.enter(*members_.get(), timeout_ns, priority, tag);
    }
    Status check() noexcept { return waiter_.check(); }
    Status status() const noexcept { return waiter_.status(); }
    std::chrono::nanoseconds delay() const noexcept { return waiter_.delay(); }
    ResultAll<> answer() const noexcept { return {waiter_.status(), waiter_.refusal()}; }
    // Also before it has entered.
    void leave() noexcept { waiter_.give_up(); }
    // Of what was granted.
    void give_back() noexcept {
        for (std::size_t i = 0; i < members_.get()->kept(); ++i) {
            const tb_member &m = (*members_.get())[i];
            if (m.bucket != nullptr) tb_refund(m.bucket, m.n);
            if (m.table != nullptr) tb_table_refund(m.table, m.key, m.key_size, m.n);
        }
    }

  private:
    // A member without wakes is one that the library refuses, or one that nobody would tell of.
    static Status status_of(Members *members) noexcept {
        if (members == nullptr) return Status::out_of_memory;
        for (std::size_t i = 0; i < members->kept(); ++i) {
            const tb_member &m = (*members)[i];
            if (m.bucket == nullptr && m.table == nullptr) return Status::invalid_argument;
            if (members->wakes(i) == nullptr) return Status::unsupported;
        }
        return Status::pending;
    }
    // Those of a table as often as it has keys among the members.
    template <class F>
    void for_each_wakes(F f) const {
        for (std::size_t i = 0; i < members_.get()->kept(); ++i) f(members_.get()->wakes(i));
    }

    MembersCopy members_;
    WaiterAll waiter_;
};

}  // namespace detail

// ---- Limits ---------------------------------------------------------------------------------------------------------

/// Limits that must all grant, or nothing is taken: 1 .. kMaxMembers buckets and keys of tables, none twice, each with
/// what it costs there.
///
///     const tokenbucket::Limits both(second.member(), hour.member());    // ten a second, and a thousand an hour
///     if (both.allow()) serve();
///     if (Limits(requests.member(), words.member(750)).wait_for(2s)) ask();
///
/// It is a list that owns no more than its members do. Reservations and waits on loops keep copies of the keys, and
/// answer out_of_memory without memory for that. Each member function answers invalid_argument also to no members, too
/// many, and a limit that occurs twice.
class Limits {
  public:
    /// Of these members.
    template <class... More, class = std::enable_if_t<(std::is_same_v<More, Member> && ...)>>
    explicit Limits(const Member &first, const More &...more) noexcept : members_({first, more...}) {
        static_assert(1 + sizeof...(More) <= kMaxMembers, "too many limits for one decision");
    }
    /// Of `count` members in a row.
    Limits(const Member *members, std::size_t count) noexcept : members_(members, count) {}

    /// How many members there are.
    std::size_t size() const noexcept { return members_.count(); }

    /// Takes from all, or from none; never blocks. See tb_allow_all.
    ResultAll<> allow() const noexcept {
        tb_refusal refusal = detail::kNoRefusal;
        const tb_status status = tb_allow_all(members_.data(), members_.count(), &refusal);
        return {Status{status}, detail::refusal(refusal), members_.blame()};
    }

    // Waiting: blocks the thread until all have granted.
    /// Sleeps until all grant, and takes from all. See tb_wait_all.
    ResultAll<> wait() const noexcept { return wait_for(kForever); }
    /// As wait(), for at most the timeout. timed_out: not in that time; said at once, nothing is taken. Timeouts and
    /// priorities as those of a Bucket.
    template <class Rep, class Period>
    ResultAll<> wait_for(std::chrono::duration<Rep, Period> timeout, std::int32_t priority = 0) const noexcept {
        tb_refusal refusal = detail::kNoRefusal;
        const std::int64_t timeout_ns = detail::timeout_ns(timeout);
        const tb_status status = tb_wait_all(members_.data(), members_.count(), timeout_ns, priority, &refusal);
        return {Status{status}, detail::refusal(refusal), members_.blame(timeout_ns)};
    }

#if defined(__cpp_lib_jthread)
    /// As wait, until the token asks to stop: interrupted, and all comes back. As Bucket's.
    ResultAll<> wait(const std::stop_token &stop) const {
        return wait_for(kForever, stop);
    }
    /// As wait_for, until the token asks to stop.
    template <class Rep, class Period>
    ResultAll<> wait_for(std::chrono::duration<Rep, Period> timeout, const std::stop_token &stop,
                         std::int32_t priority = 0) const {
        return detail::wait_or_stop(detail::WaitForAll(members_), detail::timeout_ns(timeout), priority, stop);
    }
#endif

    // Waiting without a thread.
    /// As Bucket::wait_on(); the answer is a ResultAll<>. One loop serves all members.
    template <class Loop, class Rep = std::chrono::nanoseconds::rep, class Period = std::chrono::nanoseconds::period>
    LoopAwait<Loop, detail::WaitForAll> wait_on(Loop &loop, std::chrono::duration<Rep, Period> timeout = kForever,
                                                std::int32_t priority = 0) const noexcept {
        return {loop, detail::WaitForAll(members_), detail::timeout_ns(timeout), priority};
    }
    /// As Bucket::call_when_granted(), with done(const ResultAll<> &).
    template <class Loop, class Done, class Rep = std::chrono::nanoseconds::rep,
              class Period = std::chrono::nanoseconds::period>
    [[nodiscard]] PendingCall<Loop, detail::WaitForAll> call_when_granted(
        Loop &loop, Done done, std::chrono::duration<Rep, Period> timeout = kForever, std::int32_t priority = 0) const {
        return detail::call_when_granted(loop, detail::WaitForAll(members_), std::move(done),
                                         detail::timeout_ns(timeout), priority);
    }
    /// As Bucket::enqueue(). The tag goes to each member's Config::wake_by.
    template <class Rep = std::chrono::nanoseconds::rep, class Period = std::chrono::nanoseconds::period>
    WaiterAll enqueue(std::uint64_t tag, std::chrono::duration<Rep, Period> timeout = kForever,
                      std::int32_t priority = 0) const noexcept {
        WaiterAll waiter(Status::pending);
        waiter.enter(members_, detail::timeout_ns(timeout), priority, tag);
        return waiter;
    }

    // Reserving: waiting in your own way. max_wait as wait_for's timeout.
    /// Promises all at the first time at which all can be had, however late. See tb_reserve_all.
    ResultAll<ReservationAll> reserve() const noexcept {
        return reserve(kForever);
    }
    /// As above, if that is within max_wait; else timed_out, and nothing is taken.
    template <class Rep, class Period>
    ResultAll<ReservationAll> reserve(std::chrono::duration<Rep, Period> max_wait) const noexcept {
        return ReservationAll::make(members_, detail::timeout_ns(max_wait));
    }

  private:
    detail::Members members_;
};

}  // namespace tokenbucket

#endif  // TOKENBUCKET_LIMITS_HPP
