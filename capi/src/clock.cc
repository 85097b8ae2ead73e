#include "capi/src/handles.h"

using tb::capi::is_null;

namespace tb::capi {

void release_clock(tb_clock *clock) {
    if (clock != nullptr && clock->release()) destroy(clock);
}

}  // namespace tb::capi

namespace {

bool is_movable(tb_clock *clock) {
    return !is_null(clock) && clock->is_manual();
}

tb_status hand_out(tb_clock *clock, tb_clock **out_clock) {
    if (clock == nullptr) return TB_E_OUT_OF_MEMORY;
    *out_clock = clock;
    return TB_SUCCESS;
}

}  // namespace

extern "C" {

tb_status tb_manual_clock_create(int64_t start_ns, tb_clock **out_clock) {
    if (out_clock == nullptr || start_ns < 0) return TB_E_INVALID_ARGUMENT;
    return hand_out(tb::create<tb_clock>(start_ns), out_clock);
}

tb_status tb_manual_clock_set(tb_clock *clock, int64_t now_ns) {
    if (!is_movable(clock) || now_ns < 0) return TB_E_INVALID_ARGUMENT;
    clock->set(now_ns);
    return TB_SUCCESS;
}

tb_status tb_manual_clock_advance(tb_clock *clock, int64_t duration_ns) {
    if (!is_movable(clock) || duration_ns < 0) return TB_E_INVALID_ARGUMENT;
    return tb::capi::to_c(clock->advance(duration_ns));
}

tb_status tb_manual_clock_waiters(tb_clock *clock, int64_t *out_count, int64_t *out_next_due_ns) {
    if (!is_movable(clock)) return TB_E_INVALID_ARGUMENT;
    int64_t next_due_ns = 0;
    const int64_t count = clock->waiters(&next_due_ns);
    if (out_count != nullptr) *out_count = count;
    if (out_next_due_ns != nullptr) *out_next_due_ns = next_due_ns;
    return TB_SUCCESS;
}

tb_status tb_callback_clock_create(tb_clock_fn now, void *user, tb_clock **out_clock) {
    if (now == nullptr || out_clock == nullptr) return TB_E_INVALID_ARGUMENT;
    return hand_out(tb::create<tb_clock>(now, user), out_clock);
}

void tb_clock_destroy(tb_clock *clock) {
    if (!is_null(clock)) tb::capi::release_clock(clock);
}

}  // extern "C"
