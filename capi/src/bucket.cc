// Life, taking, reserving, adjusting and looking: check, unwrap, call the core, translate.
#include <cstring>

#include "capi/src/config.h"
#include "capi/src/handles.h"

namespace {

using tb::Status;
using tb::capi::is_null;
using tb::capi::to_c;

static_assert(sizeof(tb_decision) == 32 && sizeof(tb_reservation) == 32);

constexpr int64_t kNobodyAsked = 0;

template <class Operation>
tb_status at_present(tb_bucket *b, Operation operation) {
    return to_c(tb::at_present(b->bucket, &b->time, operation));
}

}  // namespace

extern "C" {

tb_status tb_create(double capacity, double tokens_per_second, tb_bucket **out_bucket) {
    tb_config config;
    tb_config_init(&config, sizeof config);
    config.capacity = capacity;
    config.rate_tokens = tokens_per_second;
    return tb_create_with(&config, out_bucket);
}

tb_status tb_create_with(const tb_config *config, tb_bucket **out_bucket) {
    if (out_bucket == nullptr) return TB_E_INVALID_ARGUMENT;
    tb::capi::Request request;
    if (const Status s = tb::capi::read_config(config, &request); s != Status::success) return to_c(s);
    const bool use_counter = request.clock == nullptr && tb::platform::counter_is_trusted();
    tb_bucket *const b = tb::capi::create<tb_bucket>(request.limit, request.initial_units, request.clock, use_counter);
    if (b == nullptr) return TB_E_OUT_OF_MEMORY;
    if (request.clock != nullptr) request.clock->clock.retain();
    *out_bucket = b;
    return TB_SUCCESS;
}

tb_status tb_close(tb_bucket *b) {
    if (is_null(b)) return TB_E_INVALID_ARGUMENT;
    b->bucket.close(b->time.now());
    b->room.wake_all();
    return TB_SUCCESS;
}

void tb_destroy(tb_bucket *b) {
    if (is_null(b)) return;
    tb_close(b);
    b->room.wait_until_empty();
    tb_clock *const clock = b->clock_handle;
    tb::capi::destroy(b);
    tb::capi::release_clock(clock);
}

tb_status tb_allow(tb_bucket *b, double n) {
    if (is_null(b)) [[unlikely]]
        return TB_E_INVALID_ARGUMENT;
    return to_c(tb::take_at_present(b, n));
}

tb_status tb_try_consume(tb_bucket *b, double n) {
    return tb_allow(b, n);
}

tb_status tb_take(tb_bucket *b, double n, tb_decision *out_decision) {
    if (is_null(b) || out_decision == nullptr) return TB_E_INVALID_ARGUMENT;
    return at_present(b, [=](int64_t now, uint64_t) {
        tb::Decision d;
        const Status s = b->bucket.take(n, now, &d);
        if (s == Status::success || s == Status::denied || s == Status::exceeds_capacity)
            *out_decision = {to_c(s), 0, d.remaining, d.retry_after_ns, d.reset_after_ns};
        return s;
    });
}

tb_status tb_take_up_to(tb_bucket *b, double most, double *out_taken) {
    if (is_null(b) || out_taken == nullptr) return TB_E_INVALID_ARGUMENT;
    return at_present(b, [=](int64_t now, uint64_t seen) { return b->bucket.take_up_to(most, now, seen, out_taken); });
}

tb_status tb_wait(tb_bucket *b, double n) {
    return tb_wait_for(b, n, TB_FOREVER);
}

tb_status tb_wait_for(tb_bucket *b, double n, int64_t timeout_ns) {
    if (is_null(b) || timeout_ns < 0) return TB_E_INVALID_ARGUMENT;
    return to_c(b->room.wait(&b->bucket, n, timeout_ns));
}

tb_status tb_reserve(tb_bucket *b, double n, int64_t max_wait_ns, tb_reservation *out_reservation) {
    if (is_null(b) || out_reservation == nullptr || max_wait_ns < 0) return TB_E_INVALID_ARGUMENT;
    return at_present(b, [=](int64_t now, uint64_t) {
        tb::Reservation r;
        const Status s = b->bucket.reserve(n, max_wait_ns, now, &r);
        if (s == Status::success) *out_reservation = {r.tokens, r.wait_ns, r.ready_at_ns, r.ticket};
        return s;
    });
}

tb_status tb_cancel(tb_bucket *b, tb_reservation *reservation) {
    if (is_null(b) || reservation == nullptr) return TB_E_INVALID_ARGUMENT;
    const tb::Reservation r{reservation->tokens, reservation->wait_ns, reservation->ready_at_ns, reservation->ticket};
    const tb_status s = at_present(b, [&](int64_t now, uint64_t) { return b->bucket.cancel(r, now); });
    if (s == TB_SUCCESS) reservation->tokens = 0;
    return s;
}

tb_status tb_charge(tb_bucket *b, double n, int64_t *out_repaid_after_ns) {
    if (is_null(b)) return TB_E_INVALID_ARGUMENT;
    int64_t repaid = kNobodyAsked;
    const tb_status s = at_present(b, [&](int64_t now, uint64_t) { return b->bucket.charge(n, now, &repaid); });
    if (s == TB_SUCCESS && out_repaid_after_ns != nullptr) *out_repaid_after_ns = repaid;
    return s;
}

tb_status tb_refund(tb_bucket *b, double n) {
    if (is_null(b)) return TB_E_INVALID_ARGUMENT;
    return at_present(b, [=](int64_t now, uint64_t) { return b->bucket.refund(n, now); });
}

tb_status tb_reset(tb_bucket *b, double tokens) {
    if (is_null(b)) return TB_E_INVALID_ARGUMENT;
    return at_present(b, [=](int64_t now, uint64_t) { return b->bucket.reset(tokens, now); });
}

tb_status tb_set_rate(tb_bucket *b, double tokens_per_second) {
    if (is_null(b)) return TB_E_INVALID_ARGUMENT;
    return at_present(b, [=](int64_t now, uint64_t) { return b->bucket.set_rate(tokens_per_second, now); });
}

tb_status tb_set_capacity(tb_bucket *b, double capacity) {
    if (is_null(b)) return TB_E_INVALID_ARGUMENT;
    return at_present(b, [=](int64_t now, uint64_t) { return b->bucket.set_capacity(capacity, now); });
}

tb_status tb_available(tb_bucket *b, double *out_tokens) {
    if (is_null(b) || out_tokens == nullptr) return TB_E_INVALID_ARGUMENT;
    *out_tokens = b->bucket.available(b->time.now());
    return TB_SUCCESS;
}

tb_status tb_time_until(tb_bucket *b, double n, int64_t *out_ns) {
    if (is_null(b) || out_ns == nullptr) return TB_E_INVALID_ARGUMENT;
    return to_c(b->bucket.time_until(n, b->time.now(), out_ns));
}

tb_status tb_get_limit(tb_bucket *b, tb_config *out_config) {
    if (is_null(b)) return TB_E_INVALID_ARGUMENT;
    return to_c(tb::capi::write_config(b->bucket.limit(), b->clock_handle, out_config));
}

}  // extern "C"
