// Life, taking, waiting, reserving, adjusting and looking: check, unwrap, call the core, translate.
#include "capi/src/config.h"
#include "capi/src/handles.h"

namespace {

using tb::Status;
using tb::capi::is_null;
using tb::capi::to_c;

static_assert(sizeof(tb_decision) == 32 && sizeof(tb_reservation) == 32);

void destroy(const tb_observer *observer) {
    if (observer == nullptr) return;
    if (observer->statistics() != nullptr) tb::destroy(observer->statistics());
    tb::destroy(observer);
}

// False if there is no memory. *observer is null if none is asked for.
bool create_observer(const tb_config &config, const tb_observer **observer) {
    *observer = nullptr;
    const bool counts = (config.flags & TB_STATISTICS) != 0;
    if (!counts && config.on_event == nullptr) return true;
    tb::Statistics *const statistics = counts ? tb::create<tb::Statistics>() : nullptr;
    if (counts && statistics == nullptr) return false;
    *observer = tb::create<tb_observer>(statistics, config.on_event, config.event_user);
    if (*observer == nullptr && counts) tb::destroy(statistics);
    return *observer != nullptr;
}

}  // namespace

tb_bucket *tb::capi::create_bucket(const ParsedConfig &parsed, SharedState *shared) {
    tb_clock *const clock = parsed.config.clock;
    const bool use_counter = is_null(clock) && shared == nullptr && tb::platform::counter_is_trusted();
    const tb_observer *observer = nullptr;
    const tb::WaitOptions *const waiting = create_wait_options(parsed.config);
    const bool complete = waiting != nullptr && create_observer(parsed.config, &observer);
    tb_bucket *const b = complete ? tb::create<tb_bucket>(parsed, use_counter, waiting, observer, shared) : nullptr;
    if (b == nullptr) {
        destroy_wait_options(waiting);
        ::destroy(observer);
    } else if (clock != nullptr) {
        clock->retain();
    }
    return b;
}

const tb::WaitOptions *tb::capi::create_wait_options(const tb_config &c) {
    const bool precise = (c.flags & TB_PRECISE_WAIT) != 0;
    if (!precise && c.max_waiters == 0 && c.max_lateness_ns == 0 && c.on_wake == nullptr) return &kNoWaitOptions;
    return create<const WaitOptions>(WaitOptions{precise, c.max_waiters, c.max_lateness_ns, {c.on_wake, c.wake_user}});
}

void tb::capi::destroy_wait_options(const WaitOptions *options) {
    if (options != nullptr && options != &kNoWaitOptions) destroy(options);
}

void tb::capi::describe(const WaitOptions &waiting, tb_config *config) {
    config->max_waiters = waiting.max_waiters;
    config->max_lateness_ns = waiting.max_lateness_ns;
    config->on_wake = waiting.bell.function;
    config->wake_user = waiting.bell.user;
    config->flags = waiting.precise ? TB_PRECISE_WAIT : 0;
}

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
    tb::capi::ParsedConfig parsed;
    tb_config_fault fault;
    if (const Status s = tb::capi::read_config(config, &parsed, &fault); s != Status::success) return to_c(s);
    tb_bucket *const b = tb::capi::create_bucket(parsed, nullptr);
    if (b == nullptr) return TB_E_OUT_OF_MEMORY;
    *out_bucket = b;
    return TB_SUCCESS;
}

tb_status tb_config_check(const tb_config *config, tb_config_fault *out_fault) {
    if (out_fault == nullptr) return TB_E_INVALID_ARGUMENT;
    tb::capi::ParsedConfig parsed;
    *out_fault = {nullptr, nullptr};
    return to_c(tb::capi::read_config(config, &parsed, out_fault));
}

tb_status tb_close(tb_bucket *b) {
    return is_null(b) ? TB_E_INVALID_ARGUMENT : to_c(b->limiter.close());
}

void tb_destroy(tb_bucket *b) {
    if (is_null(b)) return;
    const tb_observer *const observer = b->observer();
    const tb::WaitOptions *const waiting = &b->limiter.waiting_options();
    tb_clock *const clock = b->clock();
    tb::SharedState *const shared = b->limiter.shared();
    tb::destroy(b);
    if (shared != nullptr) tb::destroy(shared);
    destroy(observer);
    tb::capi::destroy_wait_options(waiting);
    tb::capi::release_clock(clock);
}

tb_status tb_allow(tb_bucket *b, double n) {
    return is_null(b) ? TB_E_INVALID_ARGUMENT : to_c(b->limiter.allow(n));
}

tb_status tb_try_consume(tb_bucket *b, double n) {
    return tb_allow(b, n);
}

tb_status tb_take(tb_bucket *b, double n, tb_decision *out_decision) {
    if (is_null(b) || out_decision == nullptr) return TB_E_INVALID_ARGUMENT;
    tb::Answer a;
    const Status s = b->limiter.take(n, &a);
    if (s == Status::success || s == Status::denied || s == Status::exceeds_capacity)
        *out_decision = {to_c(s), 0, a.remaining, a.retry_after_ns, a.reset_after_ns};
    return to_c(s);
}

tb_status tb_take_up_to(tb_bucket *b, double most, double *out_taken) {
    if (is_null(b) || out_taken == nullptr) return TB_E_INVALID_ARGUMENT;
    double taken = 0;
    const Status s = b->limiter.take_up_to(most, &taken);
    if (s == Status::success) *out_taken = taken;
    return to_c(s);
}

tb_status tb_wait(tb_bucket *b, double n) {
    return tb_wait_for(b, n, TB_FOREVER);
}

tb_status tb_wait_for(tb_bucket *b, double n, int64_t timeout_ns) {
    return tb_wait_with(b, n, timeout_ns, 0);
}

tb_status tb_wait_with(tb_bucket *b, double n, int64_t timeout_ns, int32_t priority) {
    if (is_null(b) || timeout_ns < 0) return TB_E_INVALID_ARGUMENT;
    return to_c(b->limiter.wait(n, timeout_ns, priority));
}

tb_status tb_enqueue(tb_bucket *b, double n, int64_t timeout_ns, int32_t priority, uint64_t tag, uint64_t *out_waiter,
                     int64_t *out_wait_ns) {
    if (is_null(b) || timeout_ns < 0 || out_waiter == nullptr || out_wait_ns == nullptr) return TB_E_INVALID_ARGUMENT;
    tb::QueuePlace place;
    const Status s = b->limiter.enqueue(n, timeout_ns, priority, tag, &place);
    if (s == Status::success || s == Status::waiting) *out_waiter = place.waiter;
    if (s == Status::success || s == Status::waiting || s == Status::timed_out) *out_wait_ns = place.wait_ns;
    return to_c(s);
}

tb_status tb_waiter_check(tb_bucket *b, uint64_t waiter, int64_t *out_wait_ns) {
    if (is_null(b) || out_wait_ns == nullptr) return TB_E_INVALID_ARGUMENT;
    int64_t wait_ns = 0;
    const Status s = b->limiter.check(waiter, &wait_ns);
    if (s == Status::success || s == Status::waiting) *out_wait_ns = wait_ns;
    return to_c(s);
}

tb_status tb_waiter_leave(tb_bucket *b, uint64_t waiter) {
    return is_null(b) ? TB_E_INVALID_ARGUMENT : to_c(b->limiter.leave(waiter));
}

tb_status tb_reserve(tb_bucket *b, double n, int64_t max_wait_ns, tb_reservation *out_reservation) {
    if (is_null(b) || out_reservation == nullptr || max_wait_ns < 0) return TB_E_INVALID_ARGUMENT;
    tb::Reservation r;
    const Status s = b->limiter.reserve(n, max_wait_ns, &r);
    if (s == Status::success) *out_reservation = to_c(r);
    return to_c(s);
}

tb_status tb_cancel(tb_bucket *b, tb_reservation *reservation) {
    if (is_null(b) || reservation == nullptr) return TB_E_INVALID_ARGUMENT;
    if (reservation->tokens == 0) return TB_SUCCESS;
    const Status s = b->limiter.cancel(tb::capi::to_core(*reservation));
    if (s == Status::success) reservation->tokens = 0;
    return to_c(s);
}

tb_status tb_settle(tb_bucket *b, tb_reservation *reservation, double actual) {
    if (is_null(b) || reservation == nullptr) return TB_E_INVALID_ARGUMENT;
    const Status s = b->limiter.settle(tb::capi::to_core(*reservation), actual);
    if (s == Status::success) reservation->tokens = 0;
    return to_c(s);
}

tb_status tb_charge(tb_bucket *b, double n, int64_t *out_repaid_after_ns) {
    if (is_null(b)) return TB_E_INVALID_ARGUMENT;
    int64_t repaid_after_ns = 0;
    const Status s = b->limiter.charge(n, &repaid_after_ns);
    if (s == Status::success && out_repaid_after_ns != nullptr) *out_repaid_after_ns = repaid_after_ns;
    return to_c(s);
}

tb_status tb_refund(tb_bucket *b, double n) {
    return is_null(b) ? TB_E_INVALID_ARGUMENT : to_c(b->limiter.refund(n));
}

tb_status tb_reset(tb_bucket *b, double tokens) {
    return is_null(b) ? TB_E_INVALID_ARGUMENT : to_c(b->limiter.reset(tokens));
}

tb_status tb_set_tokens(tb_bucket *b, double tokens) {
    return is_null(b) ? TB_E_INVALID_ARGUMENT : to_c(b->limiter.set_tokens(tokens));
}

tb_status tb_set_rate(tb_bucket *b, double tokens_per_second) {
    return is_null(b) ? TB_E_INVALID_ARGUMENT : to_c(b->limiter.set_rate(tokens_per_second));
}

tb_status tb_set_capacity(tb_bucket *b, double capacity) {
    return is_null(b) ? TB_E_INVALID_ARGUMENT : to_c(b->limiter.set_capacity(capacity));
}

tb_status tb_available(tb_bucket *b, double *out_tokens) {
    if (is_null(b) || out_tokens == nullptr) return TB_E_INVALID_ARGUMENT;
    *out_tokens = b->limiter.available();
    return TB_SUCCESS;
}

tb_status tb_time_until(tb_bucket *b, double n, int64_t *out_ns) {
    if (is_null(b) || out_ns == nullptr) return TB_E_INVALID_ARGUMENT;
    return to_c(b->limiter.time_until(n, out_ns));
}

tb_status tb_get_limit(tb_bucket *b, tb_config *out_config) {
    if (is_null(b)) return TB_E_INVALID_ARGUMENT;
    tb_config full{};
    uint64_t scale = 0;
    const tb::LimitSpec limit = b->limiter.limit(&scale);
    full.capacity = limit.capacity;
    full.rate_tokens = limit.rate_tokens;
    full.rate_period_ns = limit.rate_period_ns;
    full.initial_tokens = TB_INITIALLY_FULL;
    full.clock = b->clock();
    full.unit = 1.0 / static_cast<double>(scale);
    tb::capi::describe(b->limiter.waiting_options(), &full);
    if (const tb_observer *const observer = b->observer()) {
        full.flags |= observer->statistics() != nullptr ? TB_STATISTICS : 0;
        full.on_event = observer->on_event;
        full.event_user = observer->user;
    }
    return to_c(tb::capi::write_config(full, out_config));
}

}  // extern "C"
