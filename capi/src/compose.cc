// Several limits in one decision: check the members, call the core, translate.
#include "core/compose/compose.h"

#include "capi/src/handles.h"

namespace {

using tb::Status;
using tb::capi::is_null;
using tb::capi::to_c;

static_assert(TB_MAX_MEMBERS == tb::kMostMembers && sizeof(tb_refusal) == 16);

bool read_member(const tb_member &m, tb::Member *member) {
    if (is_null(m.bucket) == is_null(m.table)) return false;
    if (m.bucket != nullptr) {
        *member = tb::Member(&m.bucket->limiter, m.n);
        return true;
    }
    if (m.key_size > TB_MAX_KEY_SIZE || (m.key == nullptr && m.key_size != 0)) return false;
    *member = tb::Member(&m.table->table, m.table->table.hash(m.key, m.key_size), m.n);
    return true;
}

bool read_members(const tb_member *members, size_t count, tb::Members *all) {
    if (members == nullptr || count < 1 || count > TB_MAX_MEMBERS) return false;
    all->count = static_cast<int>(count);
    for (int i = 0; i < all->count; ++i) {
        if (!read_member(members[i], &all->of[i])) return false;
        for (int other = 0; other < i; ++other)
            if (all->of[i].is_same_limit(all->of[other])) return false;
    }
    return true;
}

void write_refusal(Status s, const tb::Refusal &refusal, tb_refusal *out) {
    const bool refused = s == Status::denied || s == Status::timed_out || s == Status::exceeds_capacity ||
                         s == Status::closed || s == Status::table_full;
    if (refused && out != nullptr) *out = {refusal.member, 0, refusal.retry_after_ns};
}

}  // namespace

extern "C" {

tb_status tb_allow_all(const tb_member *members, size_t count, tb_refusal *out_refusal) {
    tb::Members all;
    tb::Refusal refusal;
    if (!read_members(members, count, &all)) return TB_E_INVALID_ARGUMENT;
    const Status s = tb::allow_all(all, &refusal);
    write_refusal(s, refusal, out_refusal);
    return to_c(s);
}

tb_status tb_reserve_all(const tb_member *members, size_t count, int64_t max_wait_ns, tb_reservation *out_reservations,
                         int64_t *out_wait_ns, tb_refusal *out_refusal) {
    tb::Members all;
    tb::Refusal refusal;
    tb::Reservation reservations[TB_MAX_MEMBERS];
    int64_t wait_ns = 0;
    if (out_reservations == nullptr || out_wait_ns == nullptr || max_wait_ns < 0) return TB_E_INVALID_ARGUMENT;
    if (!read_members(members, count, &all)) return TB_E_INVALID_ARGUMENT;
    const Status s = tb::reserve_all(all, max_wait_ns, reservations, &wait_ns, &refusal);
    write_refusal(s, refusal, out_refusal);
    if (s != Status::success) return to_c(s);
    for (size_t i = 0; i < count; ++i) out_reservations[i] = to_c(reservations[i]);
    *out_wait_ns = wait_ns;
    return TB_SUCCESS;
}

tb_status tb_cancel_all(const tb_member *members, size_t count, tb_reservation *reservations) {
    tb::Members all;
    tb::Reservation given[TB_MAX_MEMBERS];
    if (reservations == nullptr || !read_members(members, count, &all)) return TB_E_INVALID_ARGUMENT;
    for (size_t i = 0; i < count; ++i) {
        given[i] = tb::capi::to_core(reservations[i]);
        if (!is_valid(given[i])) return TB_E_INVALID_ARGUMENT;
    }
    tb::cancel_all(all, given);
    for (size_t i = 0; i < count; ++i) reservations[i].tokens = 0;
    return TB_SUCCESS;
}

}  // extern "C"
