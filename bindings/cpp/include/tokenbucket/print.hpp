// SPDX-License-Identifier: MIT
//
// Answers as text, for streams and std::format. Included by tokenbucket.hpp.
#ifndef TOKENBUCKET_PRINT_HPP
#define TOKENBUCKET_PRINT_HPP

#include <iosfwd>
#include <string_view>
#include <utility>

#if __has_include(<version>)
#include <version>
#endif
#if defined(__cpp_lib_format)
#include <format>
#endif

#include "tokenbucket/config.hpp"
#include "tokenbucket/limits.hpp"
#include "tokenbucket/message.hpp"
#include "tokenbucket/result.hpp"
#include "tokenbucket/wait.hpp"

namespace tokenbucket {

namespace detail {

inline Message text_of(Status status) noexcept {
    return Message(message(status));
}
inline Message text_of(const Message &message) noexcept {
    return message;
}
template <class T>
Message text_of(const Result<T> &result) noexcept {
    return result.message();
}
inline Message text_of(const Decision &decision) noexcept {
    Message text = decision.message();
    if (decision.status == Status::success || decision.status == Status::denied)
        append(text, "; %.15g left", decision.remaining);
    if (decision.status == Status::denied && decision.retry_after != kForever)
        append(text, ", retry after %.15gs", seconds(decision.retry_after.count()));
    return text;
}

}  // namespace detail

/// Prints a status, a result or a decision as text: "denied: not enough tokens now; 0 left, retry after 0.5s". Of a
/// result that has a value, "success: ..."; print the value itself.
template <class Traits, class Answer, class = decltype(detail::text_of(std::declval<const Answer &>()))>
std::basic_ostream<char, Traits> &operator<<(std::basic_ostream<char, Traits> &out, const Answer &answer) {
    return out << std::string_view(detail::text_of(answer));
}

}  // namespace tokenbucket

#if defined(__cpp_lib_format)
namespace tokenbucket::detail {

/// As a string, with the format of one.
struct Formatter : std::formatter<std::string_view> {
    template <class Answer, class Context>
    auto format(const Answer &answer, Context &context) const {
        return std::formatter<std::string_view>::format(text_of(answer), context);
    }
};

}  // namespace tokenbucket::detail

template <>
struct std::formatter<tokenbucket::Status> : tokenbucket::detail::Formatter {};
template <>
struct std::formatter<tokenbucket::Message> : tokenbucket::detail::Formatter {};
template <>
struct std::formatter<tokenbucket::Decision> : tokenbucket::detail::Formatter {};
template <class T>
struct std::formatter<tokenbucket::Result<T>> : tokenbucket::detail::Formatter {};
template <class T>
struct std::formatter<tokenbucket::ResultAll<T>> : tokenbucket::detail::Formatter {};
template <>
struct std::formatter<tokenbucket::Waited> : tokenbucket::detail::Formatter {};
#endif

#endif  // TOKENBUCKET_PRINT_HPP
