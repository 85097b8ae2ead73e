// Questions to the script as its arguments, and its reply as an answer. Pure: the host's client sends and receives.
//
// The arguments are whole numbers: P, Q, the capacity and the most debt, in units (remote_limit.h), the amount in
// units, and, but for a take, the operation and what it needs besides. They are all that is needed to understand the
// reply, which is: the units taken, negative if they were put in; the units left; and how much of the next unit has
// accrued, over Q.
#ifndef TOKENBUCKET_CORE_REMOTE_CALL_H
#define TOKENBUCKET_CORE_REMOTE_CALL_H

#include <cstddef>
#include <cstdint>

#include "core/remote/remote_limit.h"

namespace tb {

inline constexpr std::size_t kMostRemoteArguments = 7;
inline constexpr std::size_t kRemoteReply = 3;

// The numbers are the script's; a take sends none.
enum class RemoteOperation : int64_t { take = 0, take_up_to = 1, charge = 2, refund = 3, reset = 4, peek = 5 };

struct RemoteCall {
    std::size_t count;
    int64_t arguments[kMostRemoteArguments];
};

struct RemoteAnswer {
    double tokens;           // taken, charged or put in
    double remaining;        // negative in debt
    int64_t retry_after_ns;  // until the n of a take or peek is there; else until there is no debt
    int64_t reset_after_ns;  // until the bucket is full
};

// What these refuse is known without the server: invalid_argument, exceeds_capacity. *call is written on success only.
// `tokens` of a reset is 0 .. capacity or kRemoteFull. n of a peek is what retry_after_ns is about.
inline constexpr double kRemoteFull = -1.0;
Status ask_take(const RemoteLimit &limit, double capacity, double n, RemoteCall *call);
Status ask_take_up_to(const RemoteLimit &limit, double most, RemoteCall *call);
Status ask_charge(const RemoteLimit &limit, double n, RemoteCall *call);
Status ask_refund(const RemoteLimit &limit, double n, RemoteCall *call);
Status ask_reset(const RemoteLimit &limit, double capacity, double tokens, RemoteCall *call);
Status ask_peek(const RemoteLimit &limit, double capacity, double n, RemoteCall *call);

// success; denied, of a take; out_of_range, of a charge. invalid_argument, and nothing is written: these are no
// arguments of a call for this limit, or that is no reply to it.
Status read_reply(const RemoteLimit &limit, const int64_t *arguments, std::size_t argument_count, const int64_t *reply,
                  std::size_t reply_count, RemoteAnswer *answer);

}  // namespace tb

#endif
