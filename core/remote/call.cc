#include "core/remote/call.h"

#include <algorithm>
#include <cstdlib>

namespace tb {
namespace {

// The places of the arguments.
constexpr std::size_t kUnits = 0, kPeriod = 1, kCapacity = 2, kDebt = 3, kAmount = 4, kOperation = kTakeArguments;
constexpr std::size_t kScale = 6;                              // of take_up_to
constexpr std::size_t kGain = 6, kGainRest = 7;                // of reserve
constexpr std::size_t kNumber = 6, kCost = 7, kReady = 8;      // of settle
constexpr std::size_t kAlways = kTakeReply, kWithTwoKeys = 4;  // numbers of a reply
constexpr std::size_t kAhead = 3, kMade = 4, kNow = 5;         // of that to reserve
constexpr uint64_t kMostNumber = uint64_t{1} << 53;

RemoteCall call_for(const RemoteLimit &limit, int64_t n, RemoteOperation operation) {
    return {kOperation + 1,
            {limit.units, limit.period_us, limit.capacity, limit.most_debt, n, static_cast<int64_t>(operation), 0}};
}

// The cost of n, as cost_of (decide.h).
Status cost_of(const RemoteLimit &limit, double capacity, double n, int64_t *cost) {
    if (!is_amount(n)) return Status::invalid_argument;
    const uint64_t units = to_units(limit.scale, n, TBU_UP);
    if (units > static_cast<uint64_t>(limit.capacity) && n > capacity) return Status::exceeds_capacity;
    *cost = static_cast<int64_t>(std::min(units, static_cast<uint64_t>(limit.capacity)));
    return Status::success;
}

bool has_operation(const int64_t *arguments, std::size_t count) {
    return count == kOperation || (arguments[kOperation] > static_cast<int64_t>(RemoteOperation::take) &&
                                   arguments[kOperation] <= static_cast<int64_t>(RemoteOperation::settle));
}

RemoteOperation operation_of(const int64_t *arguments, std::size_t count) {
    return count == kOperation ? RemoteOperation::take : static_cast<RemoteOperation>(arguments[kOperation]);
}

// Is the amount one of that operation? A cancel has the number of its reservation there.
bool has_amount(const RemoteLimit &limit, RemoteOperation operation, int64_t n) {
    if (operation == RemoteOperation::cancel) return true;
    const bool may_owe = operation == RemoteOperation::charge || operation == RemoteOperation::refund ||
                         operation == RemoteOperation::settle;
    return n >= 0 && n <= limit.capacity + (may_owe ? limit.most_debt : 0);
}

bool is_for(const RemoteLimit &limit, const int64_t *arguments, std::size_t count) {
    return count >= kOperation && count <= kMostRemoteArguments && arguments[kUnits] == limit.units &&
           arguments[kPeriod] == limit.period_us && arguments[kCapacity] == limit.capacity &&
           arguments[kDebt] == limit.most_debt && has_operation(arguments, count) &&
           has_amount(limit, operation_of(arguments, count), arguments[kAmount]);
}

// What every reply says.
struct Told {
    int64_t taken;
    int64_t left;
    int64_t fraction;
};

// What it says to a take of `asked` units that lacked or left that many.
Told told_of_take(int64_t asked, int64_t lacking_or_left, int64_t fraction) {
    if (lacking_or_left < 0) return {0, lacking_or_left + asked, fraction};
    return {asked, lacking_or_left, fraction};
}

// Does a script say that of the limit?
bool is_possible(const RemoteLimit &limit, const Told &told) {
    const int64_t most = limit.capacity + limit.most_debt;
    return told.taken >= -most && told.taken <= most && told.left >= -limit.most_debt && told.left <= limit.capacity &&
           told.fraction >= 0 && told.fraction < limit.period_us;
}

bool is_reply_to_reserve(const RemoteLimit &limit, const int64_t *reply) {
    const auto is_number = [](int64_t n) { return n >= 0 && static_cast<uint64_t>(n) <= kMostNumber; };
    return reply[kAhead] >= 0 && reply[kAhead] <= limit.capacity + limit.most_debt && is_number(reply[kMade]) &&
           is_number(reply[kNow]);
}

bool read_told(const RemoteLimit &limit, RemoteOperation operation, int64_t asked, const int64_t *reply,
               std::size_t count, Told *told) {
    if (operation == RemoteOperation::take) {
        if (count != 1 && count != 2) return false;
        const int64_t most = limit.capacity + limit.most_debt;
        if (reply[0] < -most || reply[0] > most) return false;
        *told = told_of_take(asked, reply[0], count == 2 ? reply[1] : 0);
        return is_possible(limit, *told);
    }
    const std::size_t with_two_keys = operation == RemoteOperation::reserve ? kMostRemoteReply : kWithTwoKeys;
    if (count != (operation < RemoteOperation::charge ? kAlways : with_two_keys)) return false;
    if (operation == RemoteOperation::reserve && !is_reply_to_reserve(limit, reply)) return false;
    *told = {reply[0], reply[1], reply[2]};
    return is_possible(limit, *told);
}

int64_t ns_until(const RemoteLimit &limit, int64_t need, int64_t fraction) {
    return microseconds_until(limit, need, fraction) * 1000;
}

// `ahead`: the units until what retry_after_ns is about.
RemoteAnswer answer_of(const RemoteLimit &limit, const Told &told, int64_t ahead) {
    return {to_tokens(limit.scale, std::abs(told.taken)), to_tokens(limit.scale, told.left),
            ns_until(limit, ahead, told.fraction), ns_until(limit, limit.capacity - told.left, told.fraction)};
}

Status answer_take(const RemoteLimit &limit, int64_t asked, const Told &told, RemoteAnswer *answer) {
    const bool granted = told.taken == asked;
    *answer = answer_of(limit, told, granted ? 0 : asked - told.left);
    return granted ? Status::success : Status::denied;
}

bool is_valid(const RemoteReservation &r) {
    const int64_t number = static_cast<int64_t>(r.ticket);
    const bool is_number = number != 0 && static_cast<uint64_t>(number < 0 ? -(number + 1) : number) <= kMostNumber;
    return is_amount(r.tokens) && r.wait_ns >= 0 && r.ready_at_ns >= 0 && is_number;
}

}  // namespace

Status ask_take(const RemoteLimit &limit, double capacity, double n, RemoteCall *call) {
    int64_t cost = 0;
    if (const Status s = cost_of(limit, capacity, n, &cost); s != Status::success) return s;
    *call = call_for(limit, cost, RemoteOperation::take);
    call->count = kOperation;
    return Status::success;
}

Status ask_take_up_to(const RemoteLimit &limit, double most, RemoteCall *call) {
    if (!is_amount(most)) return Status::invalid_argument;
    const int64_t scale = static_cast<int64_t>(limit.scale);
    const uint64_t units = std::min(to_units(limit.scale, most, TBU_DOWN), static_cast<uint64_t>(limit.capacity));
    const int64_t n = static_cast<int64_t>(units);
    *call = call_for(limit, n - n % scale, RemoteOperation::take_up_to);
    call->arguments[kScale] = scale;
    call->count = kScale + 1;
    return Status::success;
}

Status ask_charge(const RemoteLimit &limit, double n, RemoteCall *call) {
    if (!is_amount(n)) return Status::invalid_argument;
    const uint64_t units = to_units(limit.scale, n, TBU_UP);
    const int64_t most = limit.capacity + limit.most_debt;
    if (units > static_cast<uint64_t>(most)) return Status::out_of_range;
    *call = call_for(limit, static_cast<int64_t>(units), RemoteOperation::charge);
    return Status::success;
}

Status ask_refund(const RemoteLimit &limit, double n, RemoteCall *call) {
    if (!is_amount(n)) return Status::invalid_argument;
    const int64_t most = limit.capacity + limit.most_debt;
    const uint64_t units = std::min(to_units(limit.scale, n, TBU_DOWN), static_cast<uint64_t>(most));
    *call = call_for(limit, static_cast<int64_t>(units), RemoteOperation::refund);
    return Status::success;
}

Status ask_reset(const RemoteLimit &limit, double capacity, double tokens, RemoteCall *call) {
    int64_t left = tokens == kRemoteFull ? limit.capacity : 0;
    if (tokens != kRemoteFull && tokens != 0) {
        if (!is_amount(tokens)) return Status::invalid_argument;
        if (tokens > capacity) return Status::exceeds_capacity;
        const uint64_t units = to_units(limit.scale, tokens, TBU_DOWN);
        left = static_cast<int64_t>(std::min(units, static_cast<uint64_t>(limit.capacity)));
    }
    *call = call_for(limit, left, RemoteOperation::reset);
    return Status::success;
}

Status ask_peek(const RemoteLimit &limit, double capacity, double n, RemoteCall *call) {
    int64_t cost = 0;
    if (const Status s = cost_of(limit, capacity, n, &cost); s != Status::success) return s;
    *call = call_for(limit, cost, RemoteOperation::peek);
    return Status::success;
}

Status ask_reserve(const RemoteLimit &limit, double capacity, double n, int64_t max_wait_ns, RemoteCall *call) {
    int64_t cost = 0;
    if (max_wait_ns < 0) return Status::invalid_argument;
    if (const Status s = cost_of(limit, capacity, n, &cost); s != Status::success) return s;
    const int64_t us = std::min(max_wait_ns / 1000, limit.max_wait_us);
    *call = call_for(limit, cost, RemoteOperation::reserve);
    call->arguments[kGain] = us / limit.period_us * limit.units;
    call->arguments[kGainRest] = us % limit.period_us * limit.units;
    call->count = kGainRest + 1;
    return Status::success;
}

Status ask_cancel(const RemoteLimit &limit, const RemoteReservation &reservation, RemoteCall *call) {
    if (!is_valid(reservation)) return Status::invalid_argument;
    *call = call_for(limit, static_cast<int64_t>(reservation.ticket), RemoteOperation::cancel);
    return Status::success;
}

Status ask_settle(const RemoteLimit &limit, double capacity, const RemoteReservation &reservation, double actual,
                  RemoteCall *call) {
    if (!is_valid(reservation) || (actual != 0 && !is_amount(actual))) return Status::invalid_argument;
    int64_t cost = 0;
    if (const Status s = cost_of(limit, capacity, reservation.tokens, &cost); s != Status::success) return s;
    const uint64_t kept = actual == 0 ? 0 : to_units(limit.scale, actual, TBU_UP);
    if (kept > static_cast<uint64_t>(limit.capacity + limit.most_debt)) return Status::out_of_range;
    *call = call_for(limit, static_cast<int64_t>(kept), RemoteOperation::settle);
    call->arguments[kNumber] = static_cast<int64_t>(reservation.ticket);
    call->arguments[kCost] = cost;
    call->arguments[kReady] = reservation.ready_at_ns / 1000;
    call->count = kReady + 1;
    return Status::success;
}

Status read_reply(const RemoteLimit &limit, const int64_t *arguments, std::size_t argument_count, const int64_t *reply,
                  std::size_t reply_count, RemoteAnswer *answer) {
    if (!is_for(limit, arguments, argument_count)) return Status::invalid_argument;
    const RemoteOperation operation = operation_of(arguments, argument_count);
    const int64_t asked = arguments[kAmount];
    Told told;
    if (!read_told(limit, operation, asked, reply, reply_count, &told)) return Status::invalid_argument;
    switch (operation) {
        case RemoteOperation::take:
            return answer_take(limit, asked, told, answer);
        case RemoteOperation::peek:
            *answer = answer_of(limit, told, asked - told.left);
            return Status::success;
        case RemoteOperation::reserve:
            *answer = answer_of(limit, told, reply[kAhead]);
            return told.taken == asked ? Status::success : Status::timed_out;
        default:
            *answer = answer_of(limit, told, -told.left);
            return reply_count == kWithTwoKeys && reply[kAlways] != 0 ? Status::out_of_range : Status::success;
    }
}

Status read_among_many(const RemoteLimit &limit, const int64_t *arguments, std::size_t i, const int64_t *reply,
                       RemoteAnswer *answer) {
    const int64_t *const its_arguments = arguments + place_among_many(i);
    const int64_t *const its_reply = reply + kTakeReply * i;
    const Told told{its_reply[0], its_reply[1], its_reply[2]};
    if (!is_for(limit, its_arguments, kTakeArguments) || !is_possible(limit, told)) return Status::invalid_argument;
    return answer_take(limit, its_arguments[kAmount], told, answer);
}

Status read_reservation(const RemoteLimit &limit, const int64_t *arguments, std::size_t argument_count,
                        const int64_t *reply, std::size_t reply_count, RemoteReservation *reservation) {
    RemoteAnswer answer;
    const Status s = read_reply(limit, arguments, argument_count, reply, reply_count, &answer);
    if (s == Status::invalid_argument || operation_of(arguments, argument_count) != RemoteOperation::reserve)
        return Status::invalid_argument;
    if (s != Status::success) return s;
    const int64_t number = reply[kAhead] > 0 ? reply[kMade] : -reply[kMade];
    const int64_t now_ns = reply[kNow] * 1000, wait_ns = answer.retry_after_ns;
    const int64_t ready_at_ns = wait_ns > INT64_MAX - now_ns ? INT64_MAX : now_ns + wait_ns;
    *reservation = {answer.tokens, wait_ns, ready_at_ns, static_cast<uint64_t>(number)};
    return s;
}

void write_among_many(const RemoteCall &take, RemoteOperation operation, std::size_t i, int64_t *arguments) {
    std::copy_n(take.arguments, kTakeArguments, arguments + place_among_many(i));
    if (i == 0) arguments[kOperation] = static_cast<int64_t>(operation);
}

}  // namespace tb
