#include "core/remote/call.h"

#include <algorithm>
#include <cstdlib>

namespace tb {
namespace {

// The places of the arguments.
constexpr std::size_t kUnits = 0, kPeriod = 1, kCapacity = 2, kDebt = 3, kAmount = 4, kOperation = 5, kScale = 6;

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
                                   arguments[kOperation] <= static_cast<int64_t>(RemoteOperation::peek));
}

bool is_for(const RemoteLimit &limit, const int64_t *arguments, std::size_t count) {
    return count >= kAmount + 1 && count <= kMostRemoteArguments && arguments[kUnits] == limit.units &&
           arguments[kPeriod] == limit.period_us && arguments[kCapacity] == limit.capacity &&
           arguments[kDebt] == limit.most_debt && has_operation(arguments, count);
}

RemoteOperation operation_of(const int64_t *arguments, std::size_t count) {
    return count == kOperation ? RemoteOperation::take : static_cast<RemoteOperation>(arguments[kOperation]);
}

// No script replies otherwise to a call for that limit.
bool is_reply(const RemoteLimit &limit, const int64_t *reply, std::size_t count) {
    if (count != kRemoteReply) return false;
    const int64_t taken = reply[0], left = reply[1], fraction = reply[2];
    const int64_t most = limit.capacity + limit.most_debt;
    return taken >= -most && taken <= most && left >= -limit.most_debt && left <= limit.capacity && fraction >= 0 &&
           fraction < limit.period_us;
}

// Of a take or a charge: what it asked for, or nothing.
Status outcome(RemoteOperation operation, int64_t asked, int64_t taken) {
    if (operation != RemoteOperation::take && operation != RemoteOperation::charge) return Status::success;
    if (taken == asked) return Status::success;
    return operation == RemoteOperation::take ? Status::denied : Status::out_of_range;
}

int64_t ns_until(const RemoteLimit &limit, int64_t need, int64_t fraction) {
    return microseconds_until(limit, need, fraction) * 1000;
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

Status read_reply(const RemoteLimit &limit, const int64_t *arguments, std::size_t argument_count, const int64_t *reply,
                  std::size_t reply_count, RemoteAnswer *answer) {
    if (!is_for(limit, arguments, argument_count) || !is_reply(limit, reply, reply_count))
        return Status::invalid_argument;
    const RemoteOperation operation = operation_of(arguments, argument_count);
    const int64_t asked = arguments[kAmount], taken = reply[0], left = reply[1], fraction = reply[2];
    const Status s = outcome(operation, asked, taken);
    const int64_t wanted = s == Status::denied || operation == RemoteOperation::peek ? asked : 0;
    *answer = {to_tokens(limit.scale, std::abs(taken)), to_tokens(limit.scale, left),
               ns_until(limit, wanted - left, fraction), ns_until(limit, limit.capacity - left, fraction)};
    return s;
}

}  // namespace tb
