// Several limits in one decision: check the members, call the core, translate.
#include "core/compose/compose.h"

#include <algorithm>
#include <cstdlib>
#include <new>

#include "capi/src/handles.h"
#include "core/compose/joint_wait.h"

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

// A waiter of a limit that processes share has a place in one queue only.
bool has_shared(const tb_member *members, size_t count) {
    return std::any_of(members, members + count, [](const tb_member &m) {
        return m.bucket != nullptr ? m.bucket->limiter.shared() != nullptr : m.table->table.shared() != nullptr;
    });
}

void write_refusal(Status s, const tb::Refusal &refusal, tb_refusal *out) {
    if (tb::is_refusal(s) && out != nullptr) *out = {refusal.member, 0, refusal.retry_after_ns};
}

// One block: the handle, then the parts.
tb_waiter_all *create_waiter_all(const tb::Members &members, uint64_t tag) {
    using Part = tb::JointWait::Part;
    static_assert(sizeof(tb_waiter_all) % alignof(Part) == 0);
    const std::size_t count = static_cast<std::size_t>(members.count);
    void *const memory = std::malloc(sizeof(tb_waiter_all) + count * sizeof(Part));
    if (memory == nullptr) return nullptr;
    Part *const parts = reinterpret_cast<Part *>(static_cast<unsigned char *>(memory) + sizeof(tb_waiter_all));
    for (std::size_t i = 0; i < count; ++i) new (parts + i) Part(members.of[i]);
    return new (memory) tb_waiter_all(parts, members.count, tag);
}

void destroy(tb_waiter_all *waiter) {
    tb::JointWait::Part *const parts = waiter->parts;
    const int count = waiter->count;
    waiter->~tb_waiter_all();
    for (int i = 0; i < count; ++i) parts[i].~Part();
    std::free(waiter);
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

tb_status tb_wait_all(const tb_member *members, size_t count, int64_t timeout_ns, int32_t priority,
                      tb_refusal *out_refusal) {
    tb::Members all;
    tb::Refusal refusal;
    if (timeout_ns < 0 || !read_members(members, count, &all)) return TB_E_INVALID_ARGUMENT;
    if (has_shared(members, count)) return TB_E_UNSUPPORTED;
    const Status s = tb::wait_all(all, timeout_ns, priority, &refusal);
    write_refusal(s, refusal, out_refusal);
    return to_c(s);
}

tb_status tb_enqueue_all(const tb_member *members, size_t count, int64_t timeout_ns, int32_t priority, uint64_t tag,
                         tb_waiter_all **out_waiter, int64_t *out_wait_ns, tb_refusal *out_refusal) {
    tb::Members all;
    tb::Refusal refusal;
    if (out_waiter == nullptr || out_wait_ns == nullptr || timeout_ns < 0) return TB_E_INVALID_ARGUMENT;
    if (!read_members(members, count, &all)) return TB_E_INVALID_ARGUMENT;
    if (has_shared(members, count)) return TB_E_UNSUPPORTED;
    Status s = tb::take_all(all, &refusal);
    tb_waiter_all *waiter = nullptr;
    int64_t wait_ns = 0;
    if (s == Status::denied) {
        waiter = create_waiter_all(all, tag);
        if (waiter == nullptr) return TB_E_OUT_OF_MEMORY;
        s = waiter->wait.enter(timeout_ns, priority, &refusal);
        wait_ns = waiter->wait.wait_ns();
        if (s != Status::waiting) destroy(waiter);
    } else {
        tb::record(all, s, refusal);
    }
    write_refusal(s, refusal, out_refusal);
    if (s != Status::success && s != Status::waiting) return to_c(s);
    *out_waiter = s == Status::waiting ? waiter : nullptr;
    *out_wait_ns = s == Status::waiting ? wait_ns : 0;
    return to_c(s);
}

tb_status tb_waiter_all_check(tb_waiter_all *waiter, int64_t *out_wait_ns, tb_refusal *out_refusal) {
    if (is_null(waiter) || out_wait_ns == nullptr) return TB_E_INVALID_ARGUMENT;
    // It calls functions of the user, who may call this again, so nobody waits here for another call to end.
    if (!waiter->lock.try_lock()) {
        *out_wait_ns = 0;
        return TB_PENDING;
    }
    tb::Refusal refusal;
    const Status s = waiter->wait.come(false, &refusal);
    if (s == Status::waiting) *out_wait_ns = waiter->wait.wait_ns();
    if (s == Status::success) *out_wait_ns = 0;
    waiter->lock.unlock();
    write_refusal(s, refusal, out_refusal);
    return to_c(s);
}

void tb_waiter_all_leave(tb_waiter_all *waiter) {
    if (!is_null(waiter)) destroy(waiter);
}

}  // extern "C"
