// Life, taking, reserving, adjusting and looking: check, unwrap, call the core, translate.
#include "capi/src/config.h"
#include "capi/src/handles.h"
#include "capi/src/watch.h"

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

tb::Reservation to_core(const tb_reservation &r) {
    return {r.tokens, r.wait_ns, r.ready_at_ns, r.ticket};
}

// A watched bucket is never plain, nor has its rare takes done by the core alone.
struct AllowRarely {
    [[gnu::noinline]] static Status without_counter(tb::TimedBucket *b, double n) {
        return is_watched(b) ? watched(b, n) : tb::take_rarely(b, n);
    }
    [[gnu::noinline]] static Status beyond_plain(tb::TimedBucket *b, double n, int64_t now, uint64_t seen) {
        return is_watched(b) ? watched(b, n) : tb::take_beyond_plain(b, n, now, seen);
    }

  private:
    static bool is_watched(const tb::TimedBucket *b) { return static_cast<const tb_bucket *>(b)->is_watched(); }

    [[gnu::cold, gnu::noinline]] static Status watched(tb::TimedBucket *b, double n) {
        const Status s =
            tb::at_present(b->bucket, &b->time, [=](int64_t now, uint64_t) { return b->bucket.take_watched(n, now); });
        tb::capi::note(static_cast<tb_bucket *>(b), to_c(s), n);
        return s;
    }
};

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
    const bool counts = (request.manner.flags & TB_STATISTICS) != 0;
    tb::Statistics *const statistics = counts ? tb::capi::create<tb::Statistics>() : nullptr;
    if (counts && statistics == nullptr) return TB_E_OUT_OF_MEMORY;
    tb_bucket *const b = tb::capi::create<tb_bucket>(request, use_counter, statistics);
    if (b == nullptr) {
        if (counts) tb::capi::destroy(statistics);
        return TB_E_OUT_OF_MEMORY;
    }
    if (request.clock != nullptr) request.clock->clock.retain();
    *out_bucket = b;
    return TB_SUCCESS;
}

tb_status tb_close(tb_bucket *b) {
    if (is_null(b)) return TB_E_INVALID_ARGUMENT;
    return at_present(b, [=](int64_t now, uint64_t seen) { return b->room.close({now, seen}); });
}

void tb_destroy(tb_bucket *b) {
    if (is_null(b)) return;
    tb_close(b);
    b->room.wait_until_empty();
    tb_clock *const clock = b->clock_handle;
    if (b->statistics != nullptr) tb::capi::destroy(b->statistics);
    tb::capi::destroy(b);
    tb::capi::release_clock(clock);
}

tb_status tb_allow(tb_bucket *b, double n) {
    if (is_null(b)) [[unlikely]]
        return TB_E_INVALID_ARGUMENT;
    return to_c(tb::take_at_present<AllowRarely>(b, n));
}

tb_status tb_try_consume(tb_bucket *b, double n) {
    return tb_allow(b, n);
}

tb_status tb_take(tb_bucket *b, double n, tb_decision *out_decision) {
    if (is_null(b) || out_decision == nullptr) return TB_E_INVALID_ARGUMENT;
    const tb_status answer = at_present(b, [=](int64_t now, uint64_t) {
        tb::Decision d;
        const Status s = b->bucket.take(n, now, &d);
        if (s == Status::success || s == Status::denied || s == Status::exceeds_capacity)
            *out_decision = {to_c(s), 0, d.remaining, d.retry_after_ns, d.reset_after_ns};
        return s;
    });
    tb::capi::note(b, answer, n);
    return answer;
}

tb_status tb_take_up_to(tb_bucket *b, double most, double *out_taken) {
    if (is_null(b) || out_taken == nullptr) return TB_E_INVALID_ARGUMENT;
    const tb_status s =
        at_present(b, [=](int64_t now, uint64_t seen) { return b->bucket.take_up_to(most, now, seen, out_taken); });
    if (s == TB_SUCCESS && *out_taken != 0) tb::capi::note(b, s, *out_taken);
    return s;
}

tb_status tb_wait(tb_bucket *b, double n) {
    return tb_wait_for(b, n, TB_FOREVER);
}

tb_status tb_wait_for(tb_bucket *b, double n, int64_t timeout_ns) {
    if (is_null(b) || timeout_ns < 0) return TB_E_INVALID_ARGUMENT;
    // Until the visit is over the bucket cannot be freed.
    tb::WaitRoom::Visit visit;
    const tb_status s = to_c(b->room.wait(n, timeout_ns, &visit));
    tb::capi::note_wait(b, s, n, visit);
    return s;
}

tb_status tb_reserve(tb_bucket *b, double n, int64_t max_wait_ns, tb_reservation *out_reservation) {
    if (is_null(b) || out_reservation == nullptr || max_wait_ns < 0) return TB_E_INVALID_ARGUMENT;
    tb::Reservation r;
    const tb_status s = at_present(b, [&](int64_t now, uint64_t) { return b->room.reserve(n, max_wait_ns, now, &r); });
    if (s == TB_SUCCESS) *out_reservation = {r.tokens, r.wait_ns, r.ready_at_ns, r.ticket};
    tb::capi::note(b, s, n);
    return s;
}

tb_status tb_cancel(tb_bucket *b, tb_reservation *reservation) {
    if (is_null(b) || reservation == nullptr) return TB_E_INVALID_ARGUMENT;
    const tb::Reservation r = to_core(*reservation);
    if (r.tokens == 0) return TB_SUCCESS;
    const tb_status s = at_present(b, [&](int64_t now, uint64_t seen) { return b->room.cancel(r, {now, seen}); });
    if (s != TB_SUCCESS) return s;
    reservation->tokens = 0;
    tb::capi::note_cancel(b);
    return TB_SUCCESS;
}

tb_status tb_settle(tb_bucket *b, tb_reservation *reservation, double actual) {
    if (is_null(b) || reservation == nullptr) return TB_E_INVALID_ARGUMENT;
    const tb::Reservation r = to_core(*reservation);
    const tb_status s = at_present(b, [&](int64_t now, uint64_t seen) {
        return b->room.settle(r, actual, {now, seen});
    });
    if (s == TB_SUCCESS) reservation->tokens = 0;
    return s;
}

tb_status tb_charge(tb_bucket *b, double n, int64_t *out_repaid_after_ns) {
    if (is_null(b)) return TB_E_INVALID_ARGUMENT;
    int64_t repaid = kNobodyAsked;
    const tb_status s = at_present(b, [&](int64_t now, uint64_t) { return b->room.charge(n, now, &repaid); });
    if (s == TB_SUCCESS && out_repaid_after_ns != nullptr) *out_repaid_after_ns = repaid;
    return s;
}

tb_status tb_refund(tb_bucket *b, double n) {
    if (is_null(b)) return TB_E_INVALID_ARGUMENT;
    return at_present(b, [=](int64_t now, uint64_t seen) { return b->room.refund(n, {now, seen}); });
}

tb_status tb_reset(tb_bucket *b, double tokens) {
    if (is_null(b)) return TB_E_INVALID_ARGUMENT;
    return at_present(b, [=](int64_t now, uint64_t seen) { return b->room.reset(tokens, {now, seen}); });
}

tb_status tb_set_rate(tb_bucket *b, double tokens_per_second) {
    if (is_null(b)) return TB_E_INVALID_ARGUMENT;
    return at_present(b, [=](int64_t now, uint64_t seen) { return b->room.set_rate(tokens_per_second, {now, seen}); });
}

tb_status tb_set_capacity(tb_bucket *b, double capacity) {
    if (is_null(b)) return TB_E_INVALID_ARGUMENT;
    return at_present(b, [=](int64_t now, uint64_t seen) { return b->room.set_capacity(capacity, {now, seen}); });
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
    return to_c(tb::capi::write_config(b->bucket.limit(), b->clock_handle, b->manner, out_config));
}

}  // extern "C"
