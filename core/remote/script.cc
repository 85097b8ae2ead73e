#include "core/remote/script.h"

#include "core/remote/sha1.h"

namespace tb {
namespace {

// Every number is a double that is whole and below 2^53 (remote_limit.h), so that +, -, *, % and a division without
// remainder are exact. The time to expire is the one exception: 3 ms cover its rounding and the server's clock, which
// may be that much ahead of the one by which keys expire.
constexpr char kText[] = R"lua(-- tokenbucket: P units accrue in Q microseconds, at most C are held, at most D owed.
local P, Q, C, D = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local n, op = tonumber(ARGV[5]), ARGV[6]
local key = KEYS[1]

-- A units have accrued, and f / Q of one; positions count modulo W.
local time = redis.call('TIME')
local W = 4503599627370496
W = W - W % P
local t = (time[1] * 1000000 + time[2]) % (W / P * Q)
local r = t % Q
local f = r * P % Q
local A = (t - r) / Q * P + (r * P - f) / Q

-- No key: full. More than D owed, or more there than 10 s after it was full: the clock went back, empty from now on.
local have, behind = C, false
local spent = redis.call('GET', key)
if spent then
    have = (A - spent) % W
    if have >= W - D then
        have = have - W
    elseif have > C + 10000000 * P / Q then
        have, behind = 0, true
    elseif have > C then
        have = C
    end
end

local function keep(left)
    if left < C then
        redis.call('SET', key, (A - left) % W, 'PX', math.ceil((C - left) * Q / P / 1000) + 3)
    elseif spent then
        redis.call('DEL', key)
    end
    return left
end

-- The units taken, those left, and the fraction.
local taken = 0
if not op then -- take
    if n <= have then taken = n end
elseif op == '1' then -- take up to n, in whole tokens of ARGV[7] units
    taken = math.max(0, math.min(n, have - have % ARGV[7]))
elseif op == '2' then -- charge
    if have - n >= -D then taken = n end
elseif op == '3' then -- refund
    taken = math.max(-n, have - C)
elseif op == '4' then -- reset to n
    return {have - n, keep(n), f}
elseif op == '5' then -- peek
    return {0, have, f}
end
if taken == 0 and not behind then return {0, have, f} end
return {taken, keep(have - taken), f}
)lua";

constexpr Sha1Text kSha1 = Sha1::of({kText, sizeof kText - 1});

}  // namespace

const char *remote_script() {
    return kText;
}
const char *remote_script_sha1() {
    return kSha1.data();
}

}  // namespace tb
