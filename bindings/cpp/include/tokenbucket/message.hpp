// SPDX-License-Identifier: MIT
//
// Why a call was refused, as text: which argument, what it must be, and what it was. Included by tokenbucket.hpp.
#ifndef TOKENBUCKET_MESSAGE_HPP
#define TOKENBUCKET_MESSAGE_HPP

#include <tokenbucket.h>

#include <chrono>
#include <cmath>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string_view>

namespace tokenbucket {

class Message;

namespace detail {

#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
void append(Message &message, const char *format, ...) noexcept;

}  // namespace detail

/// A line of text that is a plain value: "n must be finite and more than 0, got -1". Nothing is allocated; a text that
/// is too long is cut.
class Message {
  public:
    /// Empty.
    Message() noexcept = default;
    /// A copy of the text.
    explicit Message(const char *text) noexcept;

    /// The text, which ends with a zero.
    const char *c_str() const noexcept { return text_; }
    /// The same for what takes a view, such as streams and std::format.
    operator std::string_view() const noexcept { return text_; }  // NOLINT(google-explicit-constructor)

  private:
    friend void detail::append(Message &message, const char *format, ...) noexcept;

    char text_[248] = {};
    std::size_t size_ = 0;
};

namespace detail {

// As printf does.
// NOLINTNEXTLINE(cert-dcl50-cpp): the compiler checks its format
[[gnu::format(printf, 2, 3)]] inline void append(Message &message, const char *format, ...) noexcept {
    va_list arguments;
    va_start(arguments, format);
    const std::size_t room = sizeof message.text_ - message.size_;
    const int added = std::vsnprintf(message.text_ + message.size_, room, format, arguments);
    va_end(arguments);
    if (added > 0) message.size_ += static_cast<std::size_t>(added) < room ? static_cast<std::size_t>(added) : room - 1;
}

}  // namespace detail

inline Message::Message(const char *text) noexcept {
    detail::append(*this, "%s", text);
}

namespace detail {

// What an argument is, and so what it must be.
enum class Kind : std::uint8_t {
    none,      // no argument is to blame
    amount,    // finite and more than 0
    actual,    // finite and 0 or more
    level,     // 0 to the capacity
    capacity,  // as tb_config_check says
    rate,
    timeout,  // nanoseconds
    key,      // a number of bytes
    members,  // their number
    told      // as `limit` says, whatever it was
};

// The argument that would be to blame if the call was refused: noted by each call, and read only where its text is
// wanted, so that a call whose text is not costs nothing.
struct Blame {
    Kind kind = Kind::none;
    const char *name = nullptr;
    double value = 0;
    const char *limit = nullptr;  // what it must be where it is out of range
};

inline constexpr const char *kDebt = "so small that the debt stays below 2^59 units";
inline constexpr const char *kRemoteDebt = "so small that the debt is repaid within max_wait";
inline constexpr const char *kTaggedKey = "with a tag in braces, or without a closing brace and not empty";
inline constexpr const char *kBucketName = "the name of a file, without a slash or a leading dot, or an absolute path";

inline Blame amount(double n, const char *name = "n", const char *limit = kDebt) noexcept {
    return {Kind::amount, name, n, limit};
}

inline Blame actual(double n, const char *limit = kDebt) noexcept {
    return {Kind::actual, "actual", n, limit};
}

// Of a call that takes a time, too.
inline Blame amount(double n, std::int64_t timeout_ns, const char *name = "timeout") noexcept {
    return timeout_ns < 0 ? Blame{Kind::timeout, name, static_cast<double>(timeout_ns), nullptr} : amount(n);
}

inline double seconds(std::int64_t ns) noexcept {
    return static_cast<double>(ns) * 1e-9;
}

inline Blame time(const char *name, std::chrono::nanoseconds value) noexcept {
    return {Kind::timeout, name, static_cast<double>(value.count()), nullptr};
}

inline Blame or_key(std::size_t key_size, const Blame &other) noexcept {
    return key_size > TB_MAX_KEY_SIZE ? Blame{Kind::key, "key", static_cast<double>(key_size), nullptr} : other;
}

// What tb_config_check says of a capacity or a rate alone. Null: nothing.
inline const char *range_of(const Blame &blame) noexcept {
    tb_config c;
    tb_config_init(&c, sizeof c);
    c.capacity = blame.kind == Kind::capacity ? blame.value : 1;
    c.rate_tokens = blame.kind == Kind::rate ? blame.value : 1;
    tb_config_fault fault{nullptr, nullptr};
    tb_config_check(&c, &fault);
    return fault.allowed;
}

// What is told without a value has none that is a number.
inline bool has_value(const Blame &blame) noexcept {
    const bool can_be = blame.kind == Kind::members && blame.value >= 1 && blame.value <= TB_MAX_MEMBERS;
    return !can_be && blame.kind != Kind::told;
}

// Null: the argument is right, and something else is to blame, such as that the object was moved from.
inline const char *allowed(tb_status status, const Blame &blame) noexcept {
    const bool finite = std::isfinite(blame.value);
    switch (blame.kind) {
        case Kind::amount:
            if (status == TB_E_INVALID_ARGUMENT) return finite && blame.value > 0 ? nullptr : "finite and more than 0";
            return status == TB_EXCEEDS_CAPACITY ? "at most the capacity" : blame.limit;
        case Kind::actual:
            if (status == TB_E_INVALID_ARGUMENT) return finite && blame.value >= 0 ? nullptr : "finite and 0 or more";
            return blame.limit;
        case Kind::level:
            if (status == TB_EXCEEDS_CAPACITY) return "from 0 to the capacity";
            return finite && blame.value >= 0 ? nullptr : "from 0 to the capacity";
        case Kind::capacity:
        case Kind::rate: {
            const char *const range = range_of(blame);
            if (range == nullptr && status == TB_E_OUT_OF_RANGE) return blame.limit;
            return range;
        }
        case Kind::timeout:
            if (blame.value < 0) return "0 or more";
            return status == TB_E_OUT_OF_RANGE ? "so short that the time stays below 292 years" : nullptr;
        case Kind::key:
            return "at most 65536 bytes";
        case Kind::members:
            if (status != TB_E_INVALID_ARGUMENT) return nullptr;  // the member that refused is told
            return has_value(blame) ? "from 1 to 16" : "different limits, each with a finite amount above 0";
        case Kind::told:
            return blame.limit;
        case Kind::none:
            break;
    }
    return nullptr;
}

// Is it an argument's fault?
inline bool is_refusal(tb_status status) noexcept {
    return status == TB_E_INVALID_ARGUMENT || status == TB_E_OUT_OF_RANGE || status == TB_EXCEEDS_CAPACITY ||
           status == TB_E_UNSUPPORTED;
}

inline Message message_of(tb_status status, const Blame &blame) noexcept {
    const char *const must_be = is_refusal(status) ? allowed(status, blame) : nullptr;
    if (must_be == nullptr) return Message(tb_status_message(status));
    Message message;
    append(message, "%s must be %s", blame.name, must_be);
    if (blame.kind == Kind::timeout)
        append(message, ", got %.15gs", blame.value * 1e-9);
    else if (has_value(blame))
        append(message, ", got %.15g", blame.value);
    return message;
}

// The text that a call has made itself.
inline Message message_of(tb_status status, const Message &made) noexcept {
    return *made.c_str() != '\0' ? made : Message(tb_status_message(status));
}

}  // namespace detail
}  // namespace tokenbucket

#endif  // TOKENBUCKET_MESSAGE_HPP
