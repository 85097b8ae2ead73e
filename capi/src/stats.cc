// on_event and tb_get_stats.
#include <cstddef>

#include "capi/src/handles.h"

namespace {

void emit_event(const tb::Observer *observer, const tb::Event &e) {
    const tb_observer *const o = static_cast<const tb_observer *>(observer);
    const tb_event event{sizeof event, tb::capi::to_c(e.status), 0, e.n, e.waited_ns};
    o->on_event(o->user, &event);
}

}  // namespace

tb_observer::tb_observer(tb::Statistics *statistics, tb_event_fn event_function, void *user_data)
    : Observer(statistics, event_function == nullptr ? nullptr : emit_event),
      on_event(event_function),
      user(user_data) {}

extern "C" tb_status tb_get_stats(tb_bucket *b, tb_stats *out_stats) {
    using namespace tb::capi;
    constexpr size_t kSmallest = offsetof(tb_stats, tokens_given_back) + sizeof(double);
    if (is_null(b) || out_stats == nullptr || !is_struct_size(out_stats->struct_size, kSmallest))
        return TB_E_INVALID_ARGUMENT;
    const tb::Statistics *const statistics = b->observer() == nullptr ? nullptr : b->observer()->statistics();
    if (statistics == nullptr) return TB_E_UNSUPPORTED;
    const tb::Totals t = statistics->totals();
    const tb_stats full{sizeof full,          t.granted,      t.denied,           t.timed_out,
                        t.cancelled,          t.waits,        t.total_wait_ns,    t.longest_wait_ns,
                        b->limiter.waiting(), t.tokens_taken, t.tokens_given_back};
    return to_c(write_struct(&full, sizeof full, kSmallest, out_stats));
}
