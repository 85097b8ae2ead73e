// Questions to the script as its arguments, and its reply as an answer. Pure: the host's client sends and receives.
//
// The arguments are whole numbers: P, Q, the capacity and the most debt, in units (remote_limit.h), the amount in
// units, and, but for a take, the operation and what it needs besides. They are all that is needed to understand the
// reply. That to a take is the units left, or what is lacking as a negative number, and the fraction of the next unit
// that has accrued, over Q, unless it is 0. Every other begins with the units taken, negative if they were put in,
// those left, and the fraction. A call with two keys adds whether too much debt refused it, that of a reservation
// instead the units ahead of its time, its number, and the server's time in microseconds. Takes from many keys in one
// call have the arguments of a take for each, those of the second behind the operation, and for each the three numbers
// of the others.
//
// The number of a reservation that is due at once is negative, so that no other has it.
#ifndef TOKENBUCKET_CORE_REMOTE_CALL_H
#define TOKENBUCKET_CORE_REMOTE_CALL_H

#include <cstddef>
#include <cstdint>

#include "core/remote/remote_limit.h"

namespace tb {

inline constexpr std::size_t kMostRemoteArguments = 9;
inline constexpr std::size_t kMostRemoteReply = 6;

// The numbers are the script's; a take sends none.
enum class RemoteOperation : int64_t {
    take = 0,
    take_up_to = 1,
    peek = 2,
    // With two keys.
    charge = 3,
    refund = 4,
    reset = 5,
    reserve = 6,
    cancel = 7,
    settle = 8,
    // Takes with a key for each.
    take_all = 9,
    take_each = 10,
};

struct RemoteCall {
    std::size_t count;
    int64_t arguments[kMostRemoteArguments];
};

struct RemoteAnswer {
    double tokens;           // taken, charged or put in
    double remaining;        // negative in debt
    int64_t retry_after_ns;  // until the n of a take, peek or reservation is there; else until there is no debt
    int64_t reset_after_ns;  // until the bucket is full
};

struct RemoteReservation {
    double tokens;
    int64_t wait_ns;
    int64_t ready_at_ns;  // by the server's clock
    uint64_t ticket;      // its number
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

// No longer than the limit's most wait.
Status ask_reserve(const RemoteLimit &limit, double capacity, double n, int64_t max_wait_ns, RemoteCall *call);
Status ask_cancel(const RemoteLimit &limit, const RemoteReservation &reservation, RemoteCall *call);
Status ask_settle(const RemoteLimit &limit, double capacity, const RemoteReservation &reservation, double actual,
                  RemoteCall *call);

// success; denied, of a take; timed_out, of a reservation; out_of_range, of a charge or settling. invalid_argument, and
// nothing is written: these are no arguments of a call for this limit, or that is no reply to it.
Status read_reply(const RemoteLimit &limit, const int64_t *arguments, std::size_t argument_count, const int64_t *reply,
                  std::size_t reply_count, RemoteAnswer *answer);
// The same of a reservation, which is written on success only.
Status read_reservation(const RemoteLimit &limit, const int64_t *arguments, std::size_t argument_count,
                        const int64_t *reply, std::size_t reply_count, RemoteReservation *reservation);

// Of `count` takes in one call: how many arguments they have, and where those of the i-th begin.
inline constexpr std::size_t kTakeArguments = 5;
inline constexpr std::size_t kTakeReply = 3;
constexpr std::size_t arguments_of_many(std::size_t count) {
    return kTakeArguments * count + 1;
}
constexpr std::size_t place_among_many(std::size_t i) {
    return i == 0 ? 0 : kTakeArguments * i + 1;
}

// Writes the arguments of the i-th take, a call that ask_take prepared, and, with the first, the operation.
void write_among_many(const RemoteCall &take, RemoteOperation operation, std::size_t i, int64_t *arguments);
// The answer to the i-th, for its limit, as read_reply.
Status read_among_many(const RemoteLimit &limit, const int64_t *arguments, std::size_t i, const int64_t *reply,
                       RemoteAnswer *answer);

}  // namespace tb

#endif
