#include "core/remote/remote_limit.h"

#include <algorithm>

namespace tb {
namespace {

constexpr int kMostPlaces = 9;
constexpr uint64_t kTurn = uint64_t{1} << 52;         // W is at most that
constexpr uint64_t kMostProduct = uint64_t{1} << 52;  // of P and Q
constexpr uint64_t kMostTime = uint64_t{1} << 53;
constexpr uint64_t kSlackUs = 10000000;

// n * p / q, rounded up, for a result below 2^63; else UINT64_MAX.
uint64_t scaled_up(uint64_t n, uint64_t p, uint64_t q) {
    const tbu_wide product = tbu_mul(n, p);
    if (product.hi == 0 && product.lo + (q - 1) >= product.lo) return (product.lo + (q - 1)) / q;
    const tbu_quotient d = tbu_divide(product, {0, q});
    const uint64_t up = (d.remainder.hi | d.remainder.lo) != 0;
    return d.quotient.hi != 0 || d.quotient.lo >> 63 != 0 ? UINT64_MAX : d.quotient.lo + up;
}

// The limit counted in 1 / scale token; false if a number gets too large for a script.
bool count_in(uint64_t scale, const LimitSpec &spec, tbu_fraction per_us, uint64_t max_wait_us, RemoteLimit *limit) {
    const uint64_t common = tbu_gcd(per_us.denominator, {0, scale}).lo;
    const tbu_wide p = tbu_mul_wide(per_us.numerator, scale / common);
    const tbu_wide q = tbu_divide(per_us.denominator, {0, common}).quotient;
    if (p.hi != 0 || p.lo == 0 || q.hi != 0) return false;
    const tbu_wide product = tbu_mul(p.lo, q.lo);
    if (product.hi != 0 || product.lo > kMostProduct) return false;
    const uint64_t turn = kTurn - kTurn % p.lo;
    const uint64_t capacity = to_units(scale, spec.capacity, TBU_DOWN);
    const uint64_t debt = scaled_up(max_wait_us, p.lo, q.lo);
    const uint64_t slack = scaled_up(kSlackUs, p.lo, q.lo);
    if (capacity == 0 || std::max({capacity, debt, slack}) > turn) return false;
    if (3 * capacity + 3 * debt + slack > turn) return false;
    if (scaled_up(capacity + debt, q.lo, p.lo) > kMostTime) return false;
    const auto whole = [](uint64_t n) { return static_cast<int64_t>(n); };
    *limit = {scale, whole(p.lo), whole(q.lo), whole(capacity), whole(debt), whole(max_wait_us)};
    return true;
}

// The least multiple of `scale` in which a whole number of units accrues per microsecond; 0 if it is beyond 2^52.
uint64_t refined(uint64_t scale, tbu_fraction per_us) {
    const uint64_t common = tbu_gcd(per_us.denominator, {0, scale}).lo;
    const tbu_wide factor = tbu_divide(per_us.denominator, {0, common}).quotient;
    return factor.hi != 0 || factor.lo > kTurn / scale ? 0 : scale * factor.lo;
}

}  // namespace

Status make_remote_limit(const LimitSpec &spec, int64_t max_wait_ns, RemoteLimit *limit) {
    if (max_wait_ns < 0) return Status::invalid_argument;
    tbu_fraction per_us;
    if (const Status s = read_limit(spec, &per_us); s != Status::success) return s;
    // A thousandth of the denominator, where it has that factor.
    const uint64_t thousand = tbu_gcd(per_us.denominator, {0, 1000}).lo;
    per_us = {tbu_mul_wide(per_us.numerator, 1000 / thousand), tbu_divide(per_us.denominator, {0, thousand}).quotient};
    const uint64_t max_wait_us = static_cast<uint64_t>(max_wait_ns) / 1000;
    for (int places = kMostPlaces; places >= 0; --places) {
        const uint64_t scale = tbu_power_of_ten(places);
        const uint64_t finer = refined(scale, per_us);
        if (finer != 0 && count_in(finer, spec, per_us, max_wait_us, limit)) return Status::success;
        if (count_in(scale, spec, per_us, max_wait_us, limit)) return Status::success;
    }
    return Status::out_of_range;
}

// The least d with fraction + d * P >= need * Q.
int64_t microseconds_until(const RemoteLimit &limit, int64_t need, int64_t fraction) {
    if (need <= 0) return 0;
    const uint64_t p = static_cast<uint64_t>(limit.units);
    const tbu_wide ahead = tbu_sub(tbu_mul(static_cast<uint64_t>(need), static_cast<uint64_t>(limit.period_us)),
                                   {0, static_cast<uint64_t>(fraction)});
    const tbu_wide up = tbu_add64(ahead, p - 1);
    return static_cast<int64_t>(up.hi == 0 ? up.lo / p : tbu_divide(up, {0, p}).quotient.lo);
}

}  // namespace tb
