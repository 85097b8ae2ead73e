// Limits on a server: check, call the core, translate.
#include <cstddef>
#include <string_view>

#include "capi/src/config.h"
#include "capi/src/handles.h"
#include "core/remote/call.h"
#include "core/remote/keys.h"
#include "core/remote/reply.h"
#include "core/remote/script.h"

namespace {

using tb::Status;
using tb::capi::is_null;
using tb::capi::refuse;
using tb::capi::to_c;

static_assert(TB_REMOTE_MAX_ARGUMENTS == tb::kMostRemoteArguments && TB_REMOTE_MAX_REPLY == tb::kMostRemoteReply);
static_assert(TB_REMOTE_QUEUE_KEY_ADDS == tb::kQueueKeyAdds);
static_assert(TB_INITIALLY_FULL == tb::kRemoteFull);

struct ParsedRemote {
    tb::LimitSpec spec;
    tb::RemoteLimit limit;
};

// The server has a clock and no waiters, and a new key is full.
Status check_for_server(const tb_config &c, tb_config_fault *fault) {
    const auto refused = [=](const char *field, const char *allowed) {
        return refuse(fault, field, allowed, Status::unsupported);
    };
    if (c.initial_tokens != TB_INITIALLY_FULL) return refused("initial_tokens", "TB_INITIALLY_FULL on a server");
    if (c.clock != nullptr) return refused("clock", "NULL on a server");
    if (c.max_waiters != 0) return refused("max_waiters", "0 on a server");
    if (c.flags != 0) return refused("flags", "0 on a server");
    if (c.on_event != nullptr) return refused("on_event", "NULL on a server");
    if (c.on_wake != nullptr) return refused("on_wake", "NULL on a server");
    if (c.max_lateness_ns != 0) return refused("max_lateness_ns", "0 on a server");
    return Status::success;
}

Status read_remote(const tb_config *limit, int64_t max_wait_ns, ParsedRemote *parsed, tb_config_fault *fault) {
    tb::capi::ParsedConfig whole;
    Status s = tb::capi::read_config(limit, &whole, fault);
    if (s == Status::success) s = check_for_server(whole.config, fault);
    if (s != Status::success) return s;
    if (max_wait_ns < 0) return refuse(fault, "max_wait_ns", "0 or more", Status::invalid_argument);
    const tb_config &c = whole.config;
    parsed->spec = {c.capacity, c.rate_tokens, c.rate_period_ns};
    s = tb::make_remote_limit(parsed->spec, max_wait_ns, &parsed->limit);
    if (s == Status::success) return s;
    constexpr int64_t kMinute = 60000000000;  // a max_wait_ns that is usual
    if (max_wait_ns > kMinute && tb::make_remote_limit(parsed->spec, kMinute, &parsed->limit) == Status::success)
        return refuse(fault, "max_wait_ns", "shorter: more accrues in that time than a server can count", s);
    return refuse(fault, "rate_tokens", "one that the server can count exactly: as a rule, up to 9 digits", s);
}

tb::RemoteReservation to_core(const tb_reservation &r) {
    return {r.tokens, r.wait_ns, r.ready_at_ns, r.ticket};
}

tb_remote_answer to_c(const tb::RemoteAnswer &a) {
    return {a.tokens, a.remaining, a.retry_after_ns, a.reset_after_ns};
}

std::string_view key_of(const tb_remote_member &m) {
    return {static_cast<const char *>(m.key), m.key_size};
}

bool are_members(const tb_remote_member *members, size_t count) {
    for (size_t i = 0; i < count; ++i)
        if (is_null(members[i].remote) || members[i].key == nullptr) return false;
    return true;
}

// Do all keys lie in one slot of a cluster, and is none there twice?
bool have_one_tag(const tb_remote_member *members, size_t count) {
    for (size_t i = 1; i < count; ++i) {
        if (tb::tag_of(key_of(members[i])) != tb::tag_of(key_of(members[0]))) return false;
        for (size_t other = 0; other < i; ++other)
            if (key_of(members[i]) == key_of(members[other])) return false;
    }
    return true;
}

Status ask_member(const tb_remote_member &m, tb::RemoteCall *call) {
    return tb::ask_take(m.remote->limit, m.remote->spec.capacity, m.n, call);
}

tb_status write_many(tb::RemoteOperation operation, const tb_remote_member *members, size_t count,
                     int64_t *out_arguments, size_t *out_count) {
    if (out_arguments == nullptr || out_count == nullptr) return TB_E_INVALID_ARGUMENT;
    tb::RemoteCall call;
    for (size_t i = 0; i < count; ++i)
        if (const Status s = ask_member(members[i], &call); s != Status::success) return to_c(s);
    for (size_t i = 0; i < count; ++i) {
        ask_member(members[i], &call);
        tb::write_among_many(call, operation, i, out_arguments);
    }
    *out_count = tb::arguments_of_many(count);
    return TB_SUCCESS;
}

// ask(call) prepares the call.
template <class Ask>
tb_status written(const tb_remote *r, int64_t *out_arguments, size_t *out_count, Ask ask) {
    if (is_null(r) || out_arguments == nullptr || out_count == nullptr) return TB_E_INVALID_ARGUMENT;
    tb::RemoteCall call;
    if (const Status s = ask(&call); s != Status::success) return to_c(s);
    for (size_t i = 0; i < call.count; ++i) out_arguments[i] = call.arguments[i];
    *out_count = call.count;
    return TB_SUCCESS;
}

}  // namespace

extern "C" {

tb_status tb_remote_create(const tb_config *limit, int64_t max_wait_ns, tb_remote **out_remote) {
    if (out_remote == nullptr) return TB_E_INVALID_ARGUMENT;
    ParsedRemote parsed;
    tb_config_fault fault;
    if (const Status s = read_remote(limit, max_wait_ns, &parsed, &fault); s != Status::success) return to_c(s);
    tb_remote *const r = tb::create<tb_remote>(parsed.spec, parsed.limit);
    if (r == nullptr) return TB_E_OUT_OF_MEMORY;
    *out_remote = r;
    return TB_SUCCESS;
}

tb_status tb_remote_config_check(const tb_config *limit, int64_t max_wait_ns, tb_config_fault *out_fault) {
    if (out_fault == nullptr) return TB_E_INVALID_ARGUMENT;
    ParsedRemote parsed;
    *out_fault = {nullptr, nullptr};
    return to_c(read_remote(limit, max_wait_ns, &parsed, out_fault));
}

void tb_remote_destroy(tb_remote *r) {
    if (!is_null(r)) tb::destroy(r);
}

tb_status tb_remote_get_limit(const tb_remote *r, tb_config *out_config) {
    if (is_null(r)) return TB_E_INVALID_ARGUMENT;
    tb_config full;
    tb_config_init(&full, sizeof full);
    full.capacity = r->spec.capacity;
    full.rate_tokens = r->spec.rate_tokens;
    full.rate_period_ns = r->spec.rate_period_ns;
    full.unit = 1 / static_cast<double>(r->limit.scale);
    return to_c(tb::capi::write_config(full, out_config));
}

const char *tb_remote_script() {
    return tb::remote_script();
}
const char *tb_remote_script_sha1() {
    return tb::remote_script_sha1();
}

tb_status tb_remote_take(const tb_remote *r, double n, int64_t *out_arguments, size_t *out_count) {
    return written(r, out_arguments, out_count,
                   [=](tb::RemoteCall *call) { return tb::ask_take(r->limit, r->spec.capacity, n, call); });
}

tb_status tb_remote_take_up_to(const tb_remote *r, double most, int64_t *out_arguments, size_t *out_count) {
    return written(r, out_arguments, out_count,
                   [=](tb::RemoteCall *call) { return tb::ask_take_up_to(r->limit, most, call); });
}

tb_status tb_remote_charge(const tb_remote *r, double n, int64_t *out_arguments, size_t *out_count) {
    return written(r, out_arguments, out_count,
                   [=](tb::RemoteCall *call) { return tb::ask_charge(r->limit, n, call); });
}

tb_status tb_remote_refund(const tb_remote *r, double n, int64_t *out_arguments, size_t *out_count) {
    return written(r, out_arguments, out_count,
                   [=](tb::RemoteCall *call) { return tb::ask_refund(r->limit, n, call); });
}

tb_status tb_remote_reset(const tb_remote *r, double tokens, int64_t *out_arguments, size_t *out_count) {
    return written(r, out_arguments, out_count,
                   [=](tb::RemoteCall *call) { return tb::ask_reset(r->limit, r->spec.capacity, tokens, call); });
}

tb_status tb_remote_peek(const tb_remote *r, double n, int64_t *out_arguments, size_t *out_count) {
    return written(r, out_arguments, out_count,
                   [=](tb::RemoteCall *call) { return tb::ask_peek(r->limit, r->spec.capacity, n, call); });
}

tb_status tb_remote_reserve(const tb_remote *r, double n, int64_t max_wait_ns, int64_t *out_arguments,
                            size_t *out_count) {
    return written(r, out_arguments, out_count, [=](tb::RemoteCall *call) {
        return tb::ask_reserve(r->limit, r->spec.capacity, n, max_wait_ns, call);
    });
}

tb_status tb_remote_cancel(const tb_remote *r, const tb_reservation *reservation, int64_t *out_arguments,
                           size_t *out_count) {
    if (reservation == nullptr) return TB_E_INVALID_ARGUMENT;
    return written(r, out_arguments, out_count,
                   [=](tb::RemoteCall *call) { return tb::ask_cancel(r->limit, to_core(*reservation), call); });
}

tb_status tb_remote_settle(const tb_remote *r, const tb_reservation *reservation, double actual, int64_t *out_arguments,
                           size_t *out_count) {
    if (reservation == nullptr) return TB_E_INVALID_ARGUMENT;
    return written(r, out_arguments, out_count, [=](tb::RemoteCall *call) {
        return tb::ask_settle(r->limit, r->spec.capacity, to_core(*reservation), actual, call);
    });
}

tb_status tb_remote_queue_key(const void *key, size_t key_size, void *out_queue_key, size_t *out_size) {
    if (key == nullptr || out_queue_key == nullptr || out_size == nullptr) return TB_E_INVALID_ARGUMENT;
    if (key_size > TB_MAX_KEY_SIZE) return TB_E_INVALID_ARGUMENT;
    return to_c(
        tb::queue_key({static_cast<const char *>(key), key_size}, static_cast<char *>(out_queue_key), out_size));
}

tb_status tb_remote_read(const tb_remote *r, const int64_t *arguments, size_t argument_count, const int64_t *reply,
                         size_t reply_count, tb_remote_answer *out_answer) {
    if (is_null(r) || arguments == nullptr || reply == nullptr || out_answer == nullptr) return TB_E_INVALID_ARGUMENT;
    tb::RemoteAnswer a;
    const Status s = tb::read_reply(r->limit, arguments, argument_count, reply, reply_count, &a);
    if (s != Status::success && s != Status::denied && s != Status::timed_out) return to_c(s);
    *out_answer = to_c(a);
    return to_c(s);
}

tb_status tb_remote_read_reservation(const tb_remote *r, const int64_t *arguments, size_t argument_count,
                                     const int64_t *reply, size_t reply_count, tb_reservation *out_reservation) {
    if (is_null(r) || arguments == nullptr || reply == nullptr || out_reservation == nullptr)
        return TB_E_INVALID_ARGUMENT;
    tb::RemoteReservation got;
    const Status s = tb::read_reservation(r->limit, arguments, argument_count, reply, reply_count, &got);
    if (s == Status::success) *out_reservation = {got.tokens, got.wait_ns, got.ready_at_ns, got.ticket};
    return to_c(s);
}

tb_status tb_remote_take_all(const tb_remote_member *members, size_t count, int64_t *out_arguments, size_t *out_count) {
    if (members == nullptr || count < 1 || count > TB_MAX_MEMBERS) return TB_E_INVALID_ARGUMENT;
    if (!are_members(members, count) || !have_one_tag(members, count)) return TB_E_INVALID_ARGUMENT;
    return write_many(tb::RemoteOperation::take_all, members, count, out_arguments, out_count);
}

tb_status tb_remote_take_each(const tb_remote_member *members, size_t count, int64_t *out_arguments,
                              size_t *out_count) {
    if (members == nullptr || count < 1 || count > TB_REMOTE_MAX_KEYS) return TB_E_INVALID_ARGUMENT;
    if (!are_members(members, count)) return TB_E_INVALID_ARGUMENT;
    return write_many(tb::RemoteOperation::take_each, members, count, out_arguments, out_count);
}

tb_status tb_remote_read_many(const tb_remote_member *members, size_t count, const int64_t *arguments,
                              size_t argument_count, const int64_t *reply, size_t reply_count, tb_status *out_statuses,
                              tb_remote_answer *out_answers) {
    if (members == nullptr || count < 1 || count > TB_REMOTE_MAX_KEYS || !are_members(members, count))
        return TB_E_INVALID_ARGUMENT;
    if (arguments == nullptr || reply == nullptr || out_statuses == nullptr || out_answers == nullptr)
        return TB_E_INVALID_ARGUMENT;
    if (argument_count != tb::arguments_of_many(count) || reply_count != tb::kTakeReply * count)
        return TB_E_INVALID_ARGUMENT;
    tb::RemoteAnswer a;
    const auto read = [&](size_t i) { return tb::read_among_many(members[i].remote->limit, arguments, i, reply, &a); };
    for (size_t i = 0; i < count; ++i)
        if (read(i) == Status::invalid_argument) return TB_E_INVALID_ARGUMENT;
    bool all = true;
    for (size_t i = 0; i < count; ++i) {
        const Status s = read(i);
        out_statuses[i] = to_c(s);
        out_answers[i] = to_c(a);
        all = all && s == Status::success;
    }
    return all ? TB_SUCCESS : TB_DENIED;
}

tb_status tb_remote_parse(const char *text, size_t text_size, size_t room, int64_t *out_reply, size_t *out_count) {
    if (text == nullptr || out_reply == nullptr || out_count == nullptr) return TB_E_INVALID_ARGUMENT;
    return to_c(tb::parse_reply(text, text_size, out_reply, room, out_count));
}

}  // extern "C"
