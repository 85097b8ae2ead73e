#include "core/remote/script.h"

#include "core/remote/sha1.h"

namespace tb {
namespace {

// Every number is a double that is whole and below 2^53 (remote_limit.h), so that +, -, *, % and a division without
// remainder are exact. The time to expire is the one exception: 3 ms cover its rounding and the server's clock, which
// may be that much ahead of the one by which keys expire.
constexpr char kText[] = R"lua(-- tokenbucket: P units accrue in Q microseconds, at most C are held, at most D owed.
local KEYS, ARGV, call = KEYS, ARGV, redis.call -- locals are quicker
local op = ARGV[6]
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local reply, looked = op and {}, op and {}

for i = 1, #KEYS do
    local at = i == 1 and 0 or 5 * i - 4
    local P, Q, C, D, n = ARGV[at + 1] + 0, ARGV[at + 2] + 0, ARGV[at + 3] + 0, ARGV[at + 4] + 0, ARGV[at + 5] + 0
    local key = KEYS[i]

    -- A units have accrued, and f / Q of one; positions count modulo W.
    local W = 4503599627370496
    W = W - W % P
    local t = now % (W / P * Q)
    local r = t % Q
    local f = r * P % Q
    local A = (t - r) / Q * P + (r * P - f) / Q

    -- No key: full. More than D owed, or more there than 10 s after it was full: the clock went back, and the bucket
    -- is empty from now on.
    local have, behind = C, false
    local spent = call('GET', key)
    if spent then
        have = (A - spent) % W
        if not (have <= C) then -- also of a value that is no number
            if have >= W - D then
                have = have - W
            else
                behind = not (have <= C + 10000000 * P / Q)
                have = behind and 0 or C
            end
        end
    end

    -- A take makes no function and no table, to be quick. The reply is what is left or what is lacking, and the
    -- fraction if there is one.
    if not op then
        local left = have - n
        if left >= 0 or behind then
            local kept = left >= 0 and left or have
            call('SET', key, (A - kept) % W, 'PX', math.ceil((C - kept) * Q / P / 1000) + 3)
        end
        if f == 0 then return left end
        return {left, f}
    end

    local function keep(left)
        if left < C then
            call('SET', key, (A - left) % W, 'PX', math.ceil((C - left) * Q / P / 1000) + 3)
        elseif spent then
            call('DEL', key)
        end
        return left
    end

    if op == '9' or op == '10' then
        -- Takes from many keys in turn: from all, once it is known that all have enough; or from each that has.
        local function tell(taken)
            reply[3 * i - 2], reply[3 * i] = taken, f
            reply[3 * i - 1] = (taken > 0 or behind) and keep(have - taken) or have
        end
        if op == '10' then
            tell(n <= have and n or 0)
        else
            looked[i] = function(grants) tell(grants and n or 0) end
            looked.refused = looked.refused or n > have
        end
    elseif not KEYS[2] then
        -- One key: the units taken, those left, and the fraction.
        local taken = 0
        if op == '1' then -- take up to n, in whole tokens of ARGV[7] units
            taken = math.max(0, math.min(n, have - have % ARGV[7]))
        end
        -- Else only a look.
        if taken > 0 or (behind and op == '1') then keep(have - taken) end
        return {taken, have - taken, f}
    else
        -- Two keys: the second holds the reservations in order of position, of each its position, cost and serial
        -- number; and the position spent, the base, the last serial number, and that of the last reset. Here positions
        -- are distances from A. What is spent before a reservation at p that costs c, x, is max(x, p - C) + c after it.
        local function distance(position)
            local d = (position - A) % W
            return d > D and d - W or d
        end
        local list, base, serial, floor, noticed = {}, -have, 0, 0, 0
        local record = call('GET', KEYS[2])
        if record then
            record = cmsgpack.unpack(record)
            serial, floor = record[3] + 0, record[4] + 0
            if spent and not behind then
                local past = distance(record[2])
                for i = 5, #record, 3 do
                    local p, c = distance(record[i]), record[i + 1]
                    if p > 0 then
                        list[#list + 1] = {p, c, record[i + 2]}
                    else
                        past = math.max(past, p - C) + c
                    end
                end
                -- What takes have spent since, at most C and what accrues until the last of the list is due. Else the
                -- first key was lost or its clock went back: all is void.
                local more = (spent - record[1]) % W
                if more > C + D then list = {} end
                if #list > 0 then
                    base, noticed = math.max(past, -C) + more, more
                end
            end
        end

        local function left_by_all()
            local x = base
            for i = 1, #list do x = math.max(x, list[i][1] - C) + list[i][2] end
            return -x
        end

        local function publish()
            local left = keep(left_by_all())
            if #list > 0 or floor > 0 or serial >= now then
                local out = {(A - left) % W, (A + base) % W, serial, floor}
                for i = 1, #list do
                    local at = #out
                    out[at + 1], out[at + 2], out[at + 3] = (A + list[i][1]) % W, list[i][2], list[i][3]
                end
                call('SET', KEYS[2], cmsgpack.pack(out), 'PX', math.ceil((C + D) * Q / P / 1000) + 3)
            elseif record then
                call('DEL', KEYS[2])
            end
            return left
        end

        -- What takes have spent since the last look is in the base now.
        local function as_it_is()
            return (noticed ~= 0 or behind) and publish() or left_by_all()
        end

        local function charge(units)
            if left_by_all() - units < -D then return {0, as_it_is(), f, 1} end
            base = base + units
            return {units, publish(), f, 0}
        end

        local function refund(units)
            units = math.min(units, base + C)
            base = base - units
            return {-units, publish(), f, 0}
        end

        local function find(number)
            for i = 1, #list do
                if list[i][3] == number then return i end
            end
        end

        if op == '3' then
            return charge(n)
        elseif op == '4' then
            return refund(n)
        elseif op == '5' then -- reset to n
            local was = left_by_all()
            serial = math.max(serial, now) + 1
            list, base, floor = {}, -n, serial
            return {was - publish(), n, f, 0}
        elseif op == '6' then -- reserve n, within the time in which ARGV[7] units and a fraction of ARGV[8] accrue
            if n <= have then
                return {n, keep(have - n), f, 0, math.max(serial, now), now}
            end
            if #list >= 64 then
                local first = table.remove(list, 1)
                base = math.max(base, first[1] - C) + first[2]
            end
            -- room[i]: what may at most be spent before the i-th so that it and those behind it keep their positions.
            local room, limit = {}, math.huge
            for i = #list, 1, -1 do
                local p, c = list[i][1], list[i][2]
                limit = math.min(p, limit)
                limit = p - C + c > limit and -math.huge or limit - c
                room[i] = limit
            end
            -- The first place with room for n, at the end after eight gaps that are too small.
            local x, gaps, i = base, 0, 1
            while i <= #list and (gaps == 8 or x + n > room[i]) do
                local full = list[i][1] - C
                if full > x then
                    gaps, x = math.min(gaps + 1, 8), full
                end
                x, i = x + list[i][2], i + 1
            end
            local position = x + n
            if position > ARGV[7] + math.floor((f + ARGV[8]) / Q) then return {0, as_it_is(), f, position, 0, now} end
            if position <= 0 then
                base = base + n
                return {n, publish(), f, 0, math.max(serial, now), now}
            end
            serial = math.max(serial + 1, now)
            i = #list
            while i > 0 and list[i][1] > position do i = i - 1 end
            table.insert(list, i + 1, {position, n, serial})
            return {n, publish(), f, position, serial, now}
        elseif op == '7' then -- cancel the reservation of the number n
            local i = find(n)
            if not i then return {0, as_it_is(), f, 0} end
            local cost = table.remove(list, i)[2]
            return {-cost, publish(), f, 0}
        end
        -- Settle the reservation of the number ARGV[7], which cost ARGV[8] and is due at ARGV[9], at n. The number of
        -- one that was due at once is negative.
        local number, cost = tonumber(ARGV[7]), tonumber(ARGV[8])
        local i = find(number)
        if i then
            if n > cost and left_by_all() - (n - cost) < -D then return {0, as_it_is(), f, 1} end
            if n == 0 then
                table.remove(list, i)
            else
                list[i][2], list[i][3] = n, 0
            end
            return {n - cost, publish(), f, 0}
        elseif math.abs(number) < floor or tonumber(ARGV[9]) > now then
            return {0, as_it_is(), f, 0}
        elseif n > cost then
            return charge(n - cost)
        end
        return refund(cost - n)
    end
end
for i = 1, #looked do looked[i](not looked.refused) end
return reply
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
