// SPDX-License-Identifier: MIT
//
// Limits in Redis or Valkey, without I/O: questions as commands that your client sends, and its replies as answers.
// Included by tokenbucket.hpp. See "Limits in Redis or Valkey" in tokenbucket.h.
#ifndef TOKENBUCKET_REMOTE_HPP
#define TOKENBUCKET_REMOTE_HPP

#include <tokenbucket.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenbucket/config.hpp"
#include "tokenbucket/limits.hpp"
#include "tokenbucket/result.hpp"

namespace tokenbucket {

// ---- Replies and answers --------------------------------------------------------------------------------------------

/// What a server replied: its number or those of its array, or the text of its error, such as "NOSCRIPT No matching
/// script". Neither: no reply came.
struct RemoteReply {
    std::vector<std::int64_t> numbers;  ///< the number, or those of the array
    std::string error;                  ///< the text of the error; empty: none

    /// The server has lost the script and decided nothing: send RemoteCall::command_with_script().
    bool is_noscript() const noexcept { return std::string_view(error).substr(0, 8) == "NOSCRIPT"; }

    /// A reply as the server sends it; see tb_remote_parse. invalid_argument: also where it is no error.
    static Result<RemoteReply> parse(std::string_view text) {
        RemoteReply reply;
        const std::size_t size = text.size();
        if (size >= 3 && text.front() == '-' && text.substr(size - 2) == "\r\n") {
            reply.error = text.substr(1, size - 3);
            return Result<RemoteReply>(std::move(reply));
        }
        reply.numbers.resize(size / 4 + 1);  // a number takes four bytes or more
        std::size_t count = 0;
        const tb_status status = tb_remote_parse(text.data(), size, reply.numbers.size(), reply.numbers.data(), &count);
        reply.numbers.resize(status == TB_SUCCESS ? count : 0);
        return detail::result(status, std::move(reply));
    }
};

/// See tb_remote_answer, and tb_remote_read for the status. unavailable: no reply came, or an error. mismatch: the key
/// holds something else, or it is no reply to that call. All but the status is 0 where that is neither success nor
/// denied.
struct [[nodiscard]] RemoteAnswer {
    Status status;                         ///< success, denied, or a failure
    double tokens;                         ///< taken, charged, reserved or put in; 0 if it was refused
    double remaining;                      ///< the tokens left now; negative while in debt
    std::chrono::nanoseconds retry_after;  ///< until what was asked for is there; zero: it is
    std::chrono::nanoseconds reset_after;  ///< until the bucket is full again

    /// True if the server granted it.
    explicit operator bool() const noexcept { return status == Status::success; }
};

namespace detail {

// A bucket on the server: its limit, and its key with the prefix.
struct RemoteKey {
    const tb_remote *remote;
    std::string bytes;
};

inline tb_remote_member member(const RemoteKey &key, double n) noexcept {
    return {key.remote, key.bytes.data(), key.bytes.size(), n};
}

struct RemoteQuestion {
    std::vector<RemoteKey> keys;
    std::string queue_key;  // empty: it has none
    std::vector<std::int64_t> arguments;
};

inline RemoteAnswer answer(Status status, const tb_remote_answer &c) noexcept {
    return {status, c.tokens, c.remaining, std::chrono::nanoseconds(c.retry_after_ns),
            std::chrono::nanoseconds(c.reset_after_ns)};
}

// Of a reply that has no numbers. What the script did not write has no type or no numbers for it; then Lua stops it. An
// older server puts the code into the text.
inline Status status_of(const RemoteReply &reply) noexcept {
    for (const char *mark : {"WRONGTYPE", ": attempt to "})
        if (reply.error.find(mark) != std::string::npos) return Status::mismatch;
    return Status::unavailable;
}

// Of a reply that was read. One that does not fit the arguments is not the caller's mistake.
inline Status status_of(tb_status read) noexcept {
    return read == TB_E_INVALID_ARGUMENT ? Status::mismatch : Status{read};
}

}  // namespace detail

// ---- Calls ----------------------------------------------------------------------------------------------------------

/// A question to the server, whose answer is an Answer. It may be asked again and is then decided anew. The RemoteLimit
/// that made it must outlive it.
template <class Answer>
class RemoteCall {
  public:
    /// The words of the command to send: EVALSHA with the script's SHA-1.
    std::vector<std::string> command() const { return words("EVALSHA", tb_remote_script_sha1()); }
    /// The same with the script's text, EVAL: to be sent after a reply that is_noscript().
    std::vector<std::string> command_with_script() const { return words("EVAL", tb_remote_script()); }

    /// What the reply says.
    Answer read(const RemoteReply &reply) const { return read_(question_, reply); }

    /// Asks by send(command), which returns a RemoteReply: once, or twice if the server has lost the script.
    template <class Send>
    Answer ask(Send &&send) const {
        RemoteReply reply = send(command());
        if (reply.is_noscript()) reply = send(command_with_script());
        return read(reply);
    }

  private:
    friend class RemoteLimit;
    friend class RemoteReservation;
    using Read = Answer (*)(const detail::RemoteQuestion &, const RemoteReply &);
    RemoteCall(detail::RemoteQuestion question, Read reader) noexcept : question_(std::move(question)), read_(reader) {}

    // write(remote, out_arguments, out_count) is one of tb_remote_take and its like.
    // For what is to blame if it is refused.
    template <class Write>
    static Result<RemoteCall> with_one_key(detail::RemoteKey key, const detail::Blame &blame, Read reader,
                                           Write write) {
        std::int64_t arguments[TB_REMOTE_MAX_ARGUMENTS];
        std::size_t count = 0;
        tb_status status = TB_E_INVALID_ARGUMENT;
        if (key.bytes.size() <= TB_MAX_KEY_SIZE) status = write(key.remote, arguments, &count);
        if (status != TB_SUCCESS) return Result<RemoteCall>(Status{status}, detail::or_key(key.bytes.size(), blame));
        detail::RemoteQuestion question;
        question.keys.push_back(std::move(key));
        question.arguments.assign(arguments, arguments + count);
        return Result<RemoteCall>(RemoteCall(std::move(question), reader));
    }
    template <class Write>
    static Result<RemoteCall> with_two_keys(detail::RemoteKey key, const detail::Blame &blame, Read reader,
                                            Write write) {
        std::string queue_key(key.bytes.size() + TB_REMOTE_QUEUE_KEY_ADDS, '\0');
        std::size_t size = 0;
        const tb_status status = tb_remote_queue_key(key.bytes.data(), key.bytes.size(), queue_key.data(), &size);
        if (status != TB_SUCCESS)
            return Result<RemoteCall>(
                Status{status}, detail::or_key(key.bytes.size(), {detail::Kind::told, "key", 0, detail::kTaggedKey}));
        queue_key.resize(size);
        Result<RemoteCall> call = with_one_key(std::move(key), blame, reader, write);
        if (call) call->question_.queue_key = std::move(queue_key);
        return call;
    }

    std::vector<std::string> words(const char *name, const char *script) const {
        const std::size_t keys = question_.keys.size() + (question_.queue_key.empty() ? 0 : 1);
        std::vector<std::string> words{name, script, std::to_string(keys)};
        for (const detail::RemoteKey &key : question_.keys) words.push_back(key.bytes);
        if (!question_.queue_key.empty()) words.push_back(question_.queue_key);
        for (const std::int64_t n : question_.arguments) words.push_back(std::to_string(n));
        return words;
    }

    detail::RemoteQuestion question_;
    Read read_;
};

/// Tokens that the server promised for a later time: a value. They may be used once delay() has passed since the reply
/// came. Destroyed it stays, since it takes a call to give it back: cancel() it, once. Its limit must outlive it.
class RemoteReservation {
  public:
    /// How many tokens are promised.
    double tokens() const noexcept { return c_.tokens; }
    /// From the server's decision until the tokens may be used; zero: at once.
    std::chrono::nanoseconds delay() const noexcept { return std::chrono::nanoseconds(c_.wait_ns); }
    /// The same as a time of the server's clock, since 1970.
    std::chrono::nanoseconds ready_at() const noexcept { return std::chrono::nanoseconds(c_.ready_at_ns); }

    /// Gives the tokens back while they are not due; see tb_remote_cancel.
    Result<RemoteCall<RemoteAnswer>> cancel() const;
    /// Ends it at what the work cost; see tb_remote_settle.
    Result<RemoteCall<RemoteAnswer>> settle(double actual) const;

  private:
    friend class RemoteLimit;
    RemoteReservation(detail::RemoteKey key, const tb_reservation &c) noexcept : key_(std::move(key)), c_(c) {}

    detail::RemoteKey key_;
    tb_reservation c_;
};

/// One of the takes of RemoteLimit::take_all and take_each: what RemoteLimit::member returns.
class RemoteMember {
  private:
    friend class RemoteLimit;
    RemoteMember(detail::RemoteKey key, double n) noexcept : key_(std::move(key)), n_(n) {}

    detail::RemoteKey key_;
    double n_;
};

// ---- Limits ---------------------------------------------------------------------------------------------------------

/// The most keys in one call of RemoteLimit::take_each.
inline constexpr std::size_t kMaxRemoteKeys = TB_REMOTE_MAX_KEYS;

/// The script, for SCRIPT LOAD; static text.
inline const char *remote_script() noexcept {
    return tb_remote_script();
}
/// Its SHA-1 as 40 hexadecimal digits; static text.
inline const char *remote_script_sha1() noexcept {
    return tb_remote_script_sha1();
}

/// Owns a tb_remote: a limit whose buckets lie on a server, each under a key behind the limit's prefix.
///
///     auto limit = tokenbucket::RemoteLimit::create(config, 5s, "tb:uploads:");
///     auto call = limit->take("alice", 1);
///     if (call && call->ask(send)) serve();    // RemoteReply send(const std::vector<std::string> &words) is yours
///
/// Each function makes the call of its name; what the library refuses without asking is the status of the Result.
/// invalid_argument: also a key that has more than TB_MAX_KEY_SIZE bytes with the prefix. Those that allocate may throw
/// std::bad_alloc.
class RemoteLimit {
  public:
    /// A question whose answer is a RemoteAnswer.
    using Call = RemoteCall<RemoteAnswer>;
    /// A question whose answer is a RemoteReservation, or why there is none.
    using ReserveCall = RemoteCall<Result<RemoteReservation>>;
    /// A question whose answer is one RemoteAnswer for each member.
    using ManyCall = RemoteCall<Result<std::vector<RemoteAnswer>>>;

    /// What all languages of this library take if nothing is said, so that they share their keys.
    static constexpr std::chrono::seconds kDefaultMaxWait{60};

    /// Of the config only the limit may be set. Nobody waits longer than max_wait. All that use a prefix give the same
    /// limit and max_wait. See tb_remote_create.
    template <class Rep = std::chrono::seconds::rep, class Period = std::chrono::seconds::period>
    static Result<RemoteLimit> create(const Config &limit,
                                      std::chrono::duration<Rep, Period> max_wait = kDefaultMaxWait,
                                      std::string prefix = "tb:") noexcept {
        const tb_config c = detail::to_c(limit);
        tb_remote *remote = nullptr;
        const std::int64_t max_wait_ns = detail::timeout_ns(max_wait);
        const tb_status status = tb_remote_create(&c, max_wait_ns, &remote);
        if (status == TB_SUCCESS) return Result<RemoteLimit>(RemoteLimit(remote, std::move(prefix)));
        tb_config_fault fault{nullptr, nullptr};
        tb_remote_config_check(&c, max_wait_ns, &fault);
        return Result<RemoteLimit>(Status{status}, detail::message_of(fault, c, "rate_tokens", nullptr, max_wait_ns));
    }

    /// The handle, for C functions; still owned by this.
    const tb_remote *get() const noexcept { return handle_.get(); }
    /// What stands before each key.
    const std::string &prefix() const noexcept { return prefix_; }
    /// With the unit in which the server counts.
    Result<Config> limit() const noexcept {
        tb_config c;
        tb_config_init(&c, sizeof c);
        const tb_status status = tb_remote_get_limit(get(), &c);
        return detail::result(status, detail::from_c(c));
    }

    // Taking, and looking.
    /// Takes n tokens of the key's bucket if they are there. The answer is success or denied. See tb_remote_take.
    Result<Call> take(Key key, double n = 1) const { return of_bucket(key, amount(n), tb_remote_take); }
    /// Takes as many whole tokens as are there, at most `most`. See tb_remote_take_up_to.
    Result<Call> take_up_to(Key key, double most) const {
        return of_bucket(key, amount(most, "most"), tb_remote_take_up_to);
    }
    /// What is there, and how long until n tokens are. Takes nothing. See tb_remote_peek.
    Result<Call> peek(Key key, double n = 1) const { return of_bucket(key, amount(n), tb_remote_peek); }

    // Reserving. max_wait as wait_for's timeout of a Bucket.
    /// Promises n tokens within the limit's max_wait; else timed_out. See tb_remote_reserve.
    Result<ReserveCall> reserve(Key key, double n = 1) const { return reserve(key, n, kForever); }
    /// As above, within max_wait if that is less.
    template <class Rep, class Period>
    Result<ReserveCall> reserve(Key key, double n, std::chrono::duration<Rep, Period> max_wait) const {
        const std::int64_t ns = detail::timeout_ns(max_wait);
        const detail::Blame blame = ns < 0 ? detail::amount(n, ns, "max_wait") : amount(n);
        return ReserveCall::with_two_keys(of(key), blame, read_reservation,
                                          [=](auto remote, auto arguments, auto count) {
                                              return tb_remote_reserve(remote, n, ns, arguments, count);
                                          });
    }

    // Adjusting.
    /// Takes n tokens, into debt if need be. See tb_remote_charge.
    Result<Call> charge(Key key, double n) const { return of_queue(key, amount(n), tb_remote_charge); }
    /// Puts n tokens back. See tb_remote_refund.
    Result<Call> refund(Key key, double n) const { return of_queue(key, amount(n), tb_remote_refund); }
    /// Sets the tokens, and voids what is reserved. See tb_remote_reset.
    Result<Call> reset(Key key, double tokens = kInitiallyFull) const {
        return of_queue(key, {detail::Kind::level, "tokens", tokens, nullptr}, tb_remote_reset);
    }

    // Several keys in one call, of this limit or others.
    /// A key and a cost of n there, for take_all() and take_each().
    RemoteMember member(Key key, double n = 1) const { return RemoteMember(of(key), n); }
    /// From all, which have one tag in braces, or from none; see tb_remote_take_all.
    static Result<ManyCall> take_all(const std::vector<RemoteMember> &members) {
        return of_members(members, tb_remote_take_all);
    }
    /// From each that has enough, of up to kMaxRemoteKeys; see tb_remote_take_each.
    static Result<ManyCall> take_each(const std::vector<RemoteMember> &members) {
        return of_members(members, tb_remote_take_each);
    }

#if defined(__cpp_exceptions)
    /// As create(), but throws Error.
    template <class Rep = std::chrono::seconds::rep, class Period = std::chrono::seconds::period>
    explicit RemoteLimit(const Config &limit, std::chrono::duration<Rep, Period> max_wait = kDefaultMaxWait,
                         std::string prefix = "tb:")
        : RemoteLimit(create(limit, max_wait, std::move(prefix)).value()) {}
#endif

  private:
    friend class RemoteReservation;
    using Ask = tb_status (*)(const tb_remote *, double, std::int64_t *, std::size_t *);
    using AskMany = tb_status (*)(const tb_remote_member *, std::size_t, std::int64_t *, std::size_t *);

    RemoteLimit(tb_remote *handle, std::string prefix) noexcept : handle_(handle), prefix_(std::move(prefix)) {}

    detail::RemoteKey of(Key key) const {
        detail::RemoteKey whole{get(), prefix_};
        whole.bytes.append(static_cast<const char *>(key.data()), key.size());
        return whole;
    }
    static detail::Blame amount(double n, const char *name = "n") noexcept {
        return detail::amount(n, name, detail::kRemoteDebt);
    }
    // A call for the value of the argument.
    Result<Call> of_bucket(Key key, const detail::Blame &argument, Ask ask) const {
        return Call::with_one_key(of(key), argument, read_answer, [=](auto remote, auto arguments, auto count) {
            return ask(remote, argument.value, arguments, count);
        });
    }
    Result<Call> of_queue(Key key, const detail::Blame &argument, Ask ask) const {
        return Call::with_two_keys(of(key), argument, read_answer, [=](auto remote, auto arguments, auto count) {
            return ask(remote, argument.value, arguments, count);
        });
    }
    static Result<ManyCall> of_members(const std::vector<RemoteMember> &members, AskMany ask) {
        std::vector<tb_remote_member> c;
        detail::RemoteQuestion question;
        for (const RemoteMember &m : members) {
            if (m.key_.bytes.size() > TB_MAX_KEY_SIZE) return Result<ManyCall>(Status::invalid_argument);
            c.push_back(detail::member(m.key_, m.n_));
            question.keys.push_back(m.key_);
        }
        question.arguments.resize(5 * members.size() + 1);
        std::size_t count = 0;
        const tb_status status = ask(c.data(), c.size(), question.arguments.data(), &count);
        return detail::result(status, ManyCall(std::move(question), read_many));
    }

    static RemoteAnswer read_answer(const detail::RemoteQuestion &q, const RemoteReply &reply) noexcept {
        tb_remote_answer c{};
        if (reply.numbers.empty()) return detail::answer(detail::status_of(reply), c);
        const tb_status status = tb_remote_read(q.keys[0].remote, q.arguments.data(), q.arguments.size(),
                                                reply.numbers.data(), reply.numbers.size(), &c);
        return detail::answer(detail::status_of(status), c);
    }
    static Result<RemoteReservation> read_reservation(const detail::RemoteQuestion &q, const RemoteReply &reply) {
        if (reply.numbers.empty()) return Result<RemoteReservation>(detail::status_of(reply));
        tb_reservation c{};
        const tb_status status = tb_remote_read_reservation(q.keys[0].remote, q.arguments.data(), q.arguments.size(),
                                                            reply.numbers.data(), reply.numbers.size(), &c);
        if (status != TB_SUCCESS) return Result<RemoteReservation>(detail::status_of(status));
        return Result<RemoteReservation>(RemoteReservation(q.keys[0], c));
    }
    static Result<std::vector<RemoteAnswer>> read_many(const detail::RemoteQuestion &q, const RemoteReply &reply) {
        using Answers = Result<std::vector<RemoteAnswer>>;
        if (reply.numbers.empty()) return Answers(detail::status_of(reply));
        std::vector<tb_remote_member> members;
        for (const detail::RemoteKey &key : q.keys) members.push_back(detail::member(key, 0));
        std::vector<tb_status> statuses(members.size());
        std::vector<tb_remote_answer> c(members.size());
        const tb_status status =
            tb_remote_read_many(members.data(), members.size(), q.arguments.data(), q.arguments.size(),
                                reply.numbers.data(), reply.numbers.size(), statuses.data(), c.data());
        if (status != TB_SUCCESS && status != TB_DENIED) return Answers(detail::status_of(status));
        std::vector<RemoteAnswer> answers;
        for (std::size_t i = 0; i < c.size(); ++i) answers.push_back(detail::answer(Status{statuses[i]}, c[i]));
        return Answers(std::move(answers));
    }

    std::unique_ptr<tb_remote, detail::Destroy> handle_;
    std::string prefix_;
};

inline Result<RemoteCall<RemoteAnswer>> RemoteReservation::cancel() const {
    return RemoteLimit::Call::with_two_keys(
        key_, RemoteLimit::amount(tokens()), RemoteLimit::read_answer,
        [this](auto remote, auto arguments, auto count) { return tb_remote_cancel(remote, &c_, arguments, count); });
}

inline Result<RemoteCall<RemoteAnswer>> RemoteReservation::settle(double actual) const {
    return RemoteLimit::Call::with_two_keys(key_, detail::actual(actual, detail::kRemoteDebt), RemoteLimit::read_answer,
                                            [this, actual](auto remote, auto arguments, auto count) {
                                                return tb_remote_settle(remote, &c_, actual, arguments, count);
                                            });
}

}  // namespace tokenbucket

#endif  // TOKENBUCKET_REMOTE_HPP
