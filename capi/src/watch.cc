#include "capi/src/watch.h"

#include <cstddef>
#include <cstring>

namespace tb::capi {
namespace {

static_assert(sizeof(tb_event) == 32 && sizeof(tb_stats) == 88);

Status to_core(tb_status s) {
    return static_cast<Status>(s);
}

void tell(tb_bucket *b, tb_status s, double n, int64_t waited_ns) {
    if (b->manner.on_event == nullptr) return;
    const tb_event event{sizeof event, s, 0, n, waited_ns};
    b->manner.on_event(b->manner.event_user, &event);
}

}  // namespace

void note(tb_bucket *b, tb_status s, double n) {
    if (b->statistics != nullptr && s == TB_SUCCESS) b->statistics->count_granted(n);
    if (b->statistics != nullptr && s != TB_SUCCESS) b->statistics->count_refused(to_core(s));
    if (s == TB_DENIED || s == TB_TIMED_OUT || s == TB_QUEUE_FULL) tell(b, s, n, 0);
}

void note_wait(tb_bucket *b, tb_status s, double n, const WaitRoom::Visit &visit) {
    if (!b->is_watched()) return;
    if (!visit.took_place()) return note(b, s, n);
    const int64_t waited_ns = b->time.now() - visit.since_ns();
    if (b->statistics != nullptr) b->statistics->count_wait(to_core(s), n, waited_ns);
    tell(b, s, n, waited_ns);
}

void note_cancel(tb_bucket *b) {
    if (b->statistics != nullptr) b->statistics->count_cancelled();
}

}  // namespace tb::capi

extern "C" tb_status tb_get_stats(tb_bucket *b, tb_stats *out_stats) {
    using namespace tb::capi;
    constexpr size_t kSmallest = offsetof(tb_stats, tokens_given_back) + sizeof(double);
    if (is_null(b) || out_stats == nullptr) return TB_E_INVALID_ARGUMENT;
    const size_t size = out_stats->struct_size;
    if (size < kSmallest || size > kLargestStruct || size % sizeof(double) != 0) return TB_E_INVALID_ARGUMENT;
    if (b->statistics == nullptr) return TB_E_UNSUPPORTED;
    const tb::Totals t = b->statistics->totals();
    *out_stats = {size,
                  t.granted,
                  t.denied,
                  t.timed_out,
                  t.cancelled,
                  t.waits,
                  t.total_wait_ns,
                  t.longest_wait_ns,
                  b->room.waiting(),
                  t.tokens_taken,
                  t.tokens_given_back};
    return TB_SUCCESS;
}
