#include "capi/redis/src/limiter.h"

#include <errno.h>

#include <algorithm>

#include "capi/redis/src/memory.h"
#include "capi/redis/src/process.h"

namespace tb::redis {
namespace {

bool sleep_until(int64_t time_ns) {
    const NoCancellation no_cancellation;
    const timespec until = to_timespec(time_ns);
    return ::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr) != EINTR;
}

std::string_view view_of(const void *key, size_t key_size) {
    return {static_cast<const char *>(key), key_size};
}

}  // namespace

tb_decision to_decision(tb_status status, const tb_remote_answer &a) {
    if (status != TB_SUCCESS && status != TB_DENIED) return {status, 0, 0, 0, 0};
    return {status, 0, std::max(0.0, a.remaining), status == TB_SUCCESS ? 0 : a.retry_after_ns, a.reset_after_ns};
}

// A call that is no take: first the function that writes the arguments, then ask, then read.
struct Limiter::Call {
    int64_t arguments[TB_REMOTE_MAX_ARGUMENTS];
    size_t count = 0;
    int64_t reply[TB_REMOTE_MAX_REPLY];
    size_t reply_count = 0;

    tb_status ask(Limiter *limiter, const KeyBytes &key, const KeyBytes *queue_key) {
        const tb_remote_member member{limiter->remote_, key.view().data(), key.size(), 0};
        Question q{&member, 1, arguments, count};
        if (queue_key != nullptr) {
            q.queue_key = queue_key->view().data();
            q.queue_key_size = queue_key->size();
        }
        q.reply = reply;
        q.reply_room = TB_REMOTE_MAX_REPLY;
        limiter->server_.ask(&q);
        reply_count = q.reply_count;
        return q.status;
    }
    tb_status ask_with_two(Limiter *limiter, const void *key, size_t key_size) {
        KeyBytes first, second;
        if (const tb_status s = limiter->key_on_server(key, key_size, &first); s != TB_SUCCESS) return s;
        if (const tb_status s = make_queue_key(first, &second); s != TB_SUCCESS) return s;
        return ask(limiter, first, &second);
    }
    // What is no reply to this call is as good as none.
    tb_status read(const Limiter &limiter, tb_remote_answer *answer) const {
        const tb_status s = tb_remote_read(limiter.remote_, arguments, count, reply, reply_count, answer);
        return s == TB_E_INVALID_ARGUMENT ? TB_E_UNAVAILABLE : s;
    }
    tb_status finish(Limiter *limiter, const void *key, size_t key_size) {
        tb_remote_answer answer;
        const tb_status s = ask_with_two(limiter, key, key_size);
        return s == TB_SUCCESS ? read(*limiter, &answer) : s;
    }
};

Limiter::~Limiter() {
    if (keys_ != nullptr) return_leases();
    destroy(keys_);
    tb_remote_destroy(remote_);
}

tb_status Limiter::init(const tb_config *limit, const tb_redis_limiter_config &config) {
    if ((config.flags & ~TB_REDIS_CACHE_DENIALS) != 0 || config.reserved != 0) return TB_E_UNSUPPORTED;
    if (const tb_status s = tb_remote_create(limit, config.max_wait_ns, &remote_); s != TB_SUCCESS) return s;
    tb_config known;
    tb_config_init(&known, sizeof known);
    tb_remote_get_limit(remote_, &known);
    tokens_per_ns_ = known.rate_tokens / static_cast<double>(known.rate_period_ns);
    const int64_t retry_after_ns = server_.options().breaker_open_ns;
    if (const tb_status s = fallback_.init(config.on_unavailable, known, config.share, retry_after_ns); s != TB_SUCCESS)
        return s;

    const std::string_view prefix = config.prefix;
    if (const tb_status s = make_key(prefix, nullptr, 0, &prefix_); s != TB_SUCCESS) return s;
    if (config.lease < 0 || config.lessees < 0 || (config.lease > 0) != (config.lessees > 0)) return TB_E_OUT_OF_RANGE;
    lease_ = config.lease;
    caches_denials_ = (config.flags & TB_REDIS_CACHE_DENIALS) != 0;
    if (lease_ > 0) {
        known.capacity -= static_cast<double>(lease_) * config.lessees;
        if (known.capacity < static_cast<double>(lease_)) return TB_E_OUT_OF_RANGE;
        tb_remote_destroy(std::exchange(remote_, nullptr));
        if (const tb_status s = tb_remote_create(&known, config.max_wait_ns, &remote_); s != TB_SUCCESS) return s;
    }
    if (lease_ > 0 || caches_denials_) {
        keys_ = create<LocalKeys>(lease_);
        if (keys_ == nullptr) return TB_E_OUT_OF_MEMORY;
    }
    return TB_SUCCESS;
}

void Limiter::return_leases() {
    char key[LocalKeys::kMostKeySize];
    size_t key_size = 0;
    int64_t held = 0;
    const int64_t deadline_ns = now_ns() + server_.options().deadline_ns;
    while (now_ns() < deadline_ns && keys_->take_out(key, &key_size, &held))
        if (refund(key, key_size, static_cast<double>(held)) == TB_E_UNAVAILABLE) return;
}

tb_status Limiter::take(const void *key, size_t key_size, double n, tb_decision *decision) {
    KeyBytes whole;
    if (const tb_status s = key_on_server(key, key_size, &whole); s != TB_SUCCESS) return s;
    const std::string_view name = view_of(key, key_size);
    tb_status s = may_be_leased(n) ? take_from_lease(name, whole, static_cast<int64_t>(n), decision) : TB_DENIED;
    if (s == TB_DENIED) s = take_from_bucket(name, whole, n, decision);
    return s == TB_E_UNAVAILABLE ? fallback_.take(whole.view(), n, decision) : s;
}

// Whole tokens, and no more than a lease has.
bool Limiter::may_be_leased(double n) const {
    return n >= 1 && n <= static_cast<double>(lease_) && n == static_cast<double>(static_cast<int64_t>(n));
}

// TB_DENIED: the lease does not do, which says nothing of the bucket.
tb_status Limiter::take_from_lease(std::string_view name, const KeyBytes &key, int64_t n, tb_decision *decision) {
    int64_t amount = 0;
    LocalKeys::Spending spending = keys_->spend(name, n, &amount);
    if (spending == LocalKeys::Spending::must_fill) {
        double taken = 0;
        Denial denial;
        const bool is_denied = caches_denials_ && keys_->is_denied(name, static_cast<double>(n), now_ns(), &denial);
        const tb_status s = is_denied ? TB_SUCCESS : ask_up_to(key, static_cast<double>(amount), &taken);
        const bool is_spent = keys_->filled(name, static_cast<int64_t>(taken), n, &amount);
        if (s != TB_SUCCESS) return s;
        if (is_spent) spending = LocalKeys::Spending::spent;
    }
    if (spending != LocalKeys::Spending::spent) return TB_DENIED;
    *decision = {TB_SUCCESS, 0, static_cast<double>(amount), 0, 0};
    return TB_SUCCESS;
}

tb_status Limiter::take_from_bucket(std::string_view name, const KeyBytes &key, double n, tb_decision *decision) {
    Call call;
    if (const tb_status s = tb_remote_take(remote_, n, call.arguments, &call.count); s != TB_SUCCESS) return s;
    const int64_t now = now_ns();
    if (Denial denial; caches_denials_ && keys_->is_denied(name, n, now, &denial)) {
        *decision = repeated(denial, n, now);
        return TB_DENIED;
    }
    const tb_remote_member member{remote_, key.view().data(), key.size(), n};
    tb_status s = TB_E_UNAVAILABLE;
    tb_remote_answer answer;
    Question q{&member, 1};
    q.statuses = &s;
    q.answers = &answer;
    server_.ask(&q);
    if (q.status != TB_SUCCESS) return q.status;
    *decision = to_decision(s, answer);
    if (s == TB_DENIED && caches_denials_)
        keys_->deny(name, {n, now + answer.retry_after_ns, now + answer.reset_after_ns});
    return s;
}

// What the server would say of at least as many tokens.
tb_decision Limiter::repeated(const Denial &denial, double n, int64_t now) const {
    const int64_t left_ns = denial.until_ns - now;
    const int64_t more_ns = n > denial.n ? static_cast<int64_t>((n - denial.n) / tokens_per_ns_) + 1 : 0;
    const double remaining = std::max(0.0, denial.n - static_cast<double>(left_ns) * tokens_per_ns_);
    return {TB_DENIED, 0, remaining, left_ns + more_ns, denial.full_ns - now};
}

tb_status Limiter::take_up_to(const void *key, size_t key_size, double most, double *taken) {
    KeyBytes whole;
    if (const tb_status s = key_on_server(key, key_size, &whole); s != TB_SUCCESS) return s;
    const tb_status s = ask_up_to(whole, most, taken);
    return s == TB_E_UNAVAILABLE ? fallback_.take_up_to(whole.view(), most, taken) : s;
}

tb_status Limiter::ask_up_to(const KeyBytes &key, double most, double *taken) {
    Call call;
    tb_remote_answer answer;
    if (const tb_status s = tb_remote_take_up_to(remote_, most, call.arguments, &call.count); s != TB_SUCCESS) return s;
    if (const tb_status s = call.ask(this, key, nullptr); s != TB_SUCCESS) return s;
    const tb_status s = call.read(*this, &answer);
    if (s == TB_SUCCESS) *taken = answer.tokens;
    return s;
}

tb_status Limiter::peek(const void *key, size_t key_size, double n, tb_remote_answer *answer) {
    Call call;
    KeyBytes whole;
    if (const tb_status s = key_on_server(key, key_size, &whole); s != TB_SUCCESS) return s;
    if (const tb_status s = tb_remote_peek(remote_, n, call.arguments, &call.count); s != TB_SUCCESS) return s;
    if (const tb_status s = call.ask(this, whole, nullptr); s != TB_SUCCESS) return s;
    return call.read(*this, answer);
}

tb_status Limiter::reserve(const void *key, size_t key_size, double n, int64_t max_wait_ns,
                           tb_reservation *reservation) {
    Call call;
    tb_status s = tb_remote_reserve(remote_, n, max_wait_ns, call.arguments, &call.count);
    if (s == TB_SUCCESS) s = call.ask_with_two(this, key, key_size);
    if (s != TB_SUCCESS) return s;
    s = tb_remote_read_reservation(remote_, call.arguments, call.count, call.reply, call.reply_count, reservation);
    return s == TB_E_INVALID_ARGUMENT ? TB_E_UNAVAILABLE : s;
}

tb_status Limiter::wait_for(const void *key, size_t key_size, double n, int64_t timeout_ns) {
    tb_reservation reservation;
    const tb_status s = reserve(key, key_size, n, timeout_ns, &reservation);
    if (s == TB_E_UNAVAILABLE) {
        KeyBytes whole;
        if (const tb_status made = key_on_server(key, key_size, &whole); made != TB_SUCCESS) return made;
        return fallback_.wait_for(whole.view(), n, timeout_ns);
    }
    if (s != TB_SUCCESS || reservation.wait_ns == 0 || sleep_until(now_ns() + reservation.wait_ns)) return s;
    // As a cancel while it is pending; should it have become due meanwhile, it comes back all the same.
    settle(key, key_size, &reservation, 0);
    return TB_INTERRUPTED;
}

tb_status Limiter::cancel(const void *key, size_t key_size, tb_reservation *reservation) {
    Call call;
    tb_status s = tb_remote_cancel(remote_, reservation, call.arguments, &call.count);
    if (s == TB_SUCCESS) s = call.finish(this, key, key_size);
    if (s == TB_SUCCESS) *reservation = {};
    return s;
}

tb_status Limiter::settle(const void *key, size_t key_size, tb_reservation *reservation, double actual) {
    Call call;
    tb_status s = tb_remote_settle(remote_, reservation, actual, call.arguments, &call.count);
    if (s == TB_SUCCESS) s = call.finish(this, key, key_size);
    if (s == TB_SUCCESS || s == TB_E_UNAVAILABLE) *reservation = {};
    return s;
}

tb_status Limiter::charge(const void *key, size_t key_size, double n, int64_t *repaid_after_ns) {
    Call call;
    tb_remote_answer answer;
    tb_status s = tb_remote_charge(remote_, n, call.arguments, &call.count);
    if (s == TB_SUCCESS) s = call.ask_with_two(this, key, key_size);
    if (s == TB_SUCCESS) s = call.read(*this, &answer);
    if (s == TB_SUCCESS && repaid_after_ns != nullptr) *repaid_after_ns = answer.retry_after_ns;
    return s;
}

tb_status Limiter::refund(const void *key, size_t key_size, double n) {
    Call call;
    const tb_status s = tb_remote_refund(remote_, n, call.arguments, &call.count);
    return s == TB_SUCCESS ? call.finish(this, key, key_size) : s;
}

tb_status Limiter::reset(const void *key, size_t key_size, double tokens) {
    Call call;
    const tb_status s = tb_remote_reset(remote_, tokens, call.arguments, &call.count);
    return s == TB_SUCCESS ? call.finish(this, key, key_size) : s;
}

}  // namespace tb::redis
