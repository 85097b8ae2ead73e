// SPDX-License-Identifier: MIT
//
// What calls answer: a status, or a value or the status that says why there is none. Included by tokenbucket.hpp.
#ifndef TOKENBUCKET_RESULT_HPP
#define TOKENBUCKET_RESULT_HPP

#include <tokenbucket.h>

#include <optional>
#include <utility>

#include "tokenbucket/message.hpp"

#if defined(__cpp_exceptions)
#include <exception>
#endif

namespace tokenbucket {

/// What a call answers. A later library may answer with another number.
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
    unavailable = TB_E_UNAVAILABLE,
    mismatch = TB_E_MISMATCH,
};

/// The name of the C constant, such as "TB_DENIED"; static text.
inline const char *name(Status status) noexcept {
    return tb_status_name(static_cast<tb_status>(status));
}
/// The status as one line; static text.
inline const char *message(Status status) noexcept {
    return tb_status_message(static_cast<tb_status>(status));
}

#if defined(__cpp_exceptions)
/// Thrown by constructors and by value(), for every status but success.
class Error : public std::exception {
  public:
    /// For a status other than success, with its message.
    explicit Error(Status status) noexcept : Error(status, Message(tokenbucket::message(status))) {}
    /// With a message of its own.
    Error(Status status, const Message &message) noexcept : status_(status), message_(message) {}
    /// Why the call failed.
    Status status() const noexcept { return status_; }
    /// The same as text: which argument was refused, what it must be, and what it was; else the status's message.
    const char *what() const noexcept override { return message_.c_str(); }

  private:
    Status status_;
    Message message_;
};

namespace detail {

template <class Note>
void require(Status status, const Note &note) {
    if (status != Status::success) throw Error(status, message_of(static_cast<tb_status>(status), note));
}

}  // namespace detail
#endif

class Bucket;
class Table;
class RemoteLimit;
class AddressKey;

namespace detail {

// What a Result keeps for its message. What is created, or made of a text, has its message made at once.
template <class T>
struct NoteOf {
    using Type = Blame;
};
template <>
struct NoteOf<Bucket> {
    using Type = Message;
};
template <>
struct NoteOf<Table> {
    using Type = Message;
};
template <>
struct NoteOf<RemoteLimit> {
    using Type = Message;
};
template <>
struct NoteOf<AddressKey> {
    using Type = Message;
};
template <class T>
using Note = typename NoteOf<T>::Type;

}  // namespace detail

/// A T, or the status that says why there is none; used as std::expected is. It is a type of its own so that programs
/// may be linked from parts in different standards.
template <class T>
class [[nodiscard]] Result {
  public:
    /// No value, for this reason.
    explicit Result(Status failure, const detail::Note<T> &note = {}) noexcept : status_(failure), note_(note) {}
    /// A value; the status is success.
    explicit Result(T value) noexcept : status_(Status::success), value_(std::move(value)) {}

    /// True if there is a value.
    explicit operator bool() const noexcept { return value_.has_value(); }
    /// True if there is a value.
    bool has_value() const noexcept { return value_.has_value(); }
    /// success, or why there is no value.
    Status status() const noexcept { return status_; }
    /// The status as text; where an argument was refused: which, what it must be, and what it was.
    Message message() const noexcept { return detail::message_of(static_cast<tb_status>(status_), note_); }

    /// The value. There must be one.
    T &operator*() &noexcept { return *value_; }
    /// The value. There must be one.
    const T &operator*() const &noexcept { return *value_; }
    /// The value. There must be one.
    T &&operator*() &&noexcept { return *std::move(value_); }
    /// A member of the value. There must be one.
    T *operator->() noexcept { return &*value_; }
    /// A member of the value. There must be one.
    const T *operator->() const noexcept { return &*value_; }

#if defined(__cpp_exceptions)
    /// The value; throws Error if there is none.
    T &value() & {
        detail::require(status_, note_);
        return *value_;
    }
    /// The value; throws Error if there is none.
    const T &value() const & {
        detail::require(status_, note_);
        return *value_;
    }
    /// The value; throws Error if there is none.
    T &&value() && {
        detail::require(status_, note_);
        return *std::move(value_);
    }
#endif

  private:
    Status status_;
    detail::Note<T> note_{};
    std::optional<T> value_;
};

/// True if done, or if the tokens are granted; otherwise the status says why not.
template <>
class [[nodiscard]] Result<void> {
  public:
    /// Done, or why not.
    explicit Result(Status status, const detail::Blame &blame = {}) noexcept : status_(status), note_(blame) {}

    /// True if done.
    explicit operator bool() const noexcept { return status_ == Status::success; }
    /// True if done.
    bool has_value() const noexcept { return status_ == Status::success; }
    /// success, or why not.
    Status status() const noexcept { return status_; }
    /// The status as text; where an argument was refused: which, what it must be, and what it was.
    Message message() const noexcept { return detail::message_of(static_cast<tb_status>(status_), note_); }

#if defined(__cpp_exceptions)
    /// Throws Error unless done.
    void value() const {
        detail::require(status_, note_);
    }
#endif

  private:
    Status status_;
    detail::Blame note_;
};

namespace detail {

inline Result<void> done(tb_status status, const Blame &blame = {}) noexcept {
    return Result<void>(Status{status}, blame);
}

template <class T>
Result<T> result(tb_status status, T value, const Note<T> &note = {}) noexcept {
    if (status != TB_SUCCESS) return Result<T>(Status{status}, note);
    return Result<T>(std::move(value));
}

}  // namespace detail
}  // namespace tokenbucket

#endif  // TOKENBUCKET_RESULT_HPP
