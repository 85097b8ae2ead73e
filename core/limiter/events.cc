#include "core/limiter/events.h"

namespace tb {

void Observer::record(Status s, double n) const {
    if (statistics_ != nullptr && s == Status::success) statistics_->count_granted(n);
    if (statistics_ != nullptr && s != Status::success) statistics_->count_refused(s);
    if (s == Status::denied || s == Status::timed_out || s == Status::queue_full) emit(s, n, 0);
}

void Observer::record_cancelled() const {
    if (statistics_ != nullptr) statistics_->count_cancelled();
}

void Observer::record_returned(double tokens) const {
    if (statistics_ != nullptr) statistics_->count_given_back(tokens);
}

void Observer::record_wait(Status s, double n, int64_t waited_ns) const {
    if (statistics_ != nullptr) statistics_->count_wait(s, n, waited_ns);
    if (s != Status::success) record_returned(n);
    emit(s, n, waited_ns);
}

void Observer::emit(Status s, double n, int64_t waited_ns) const {
    if (function_ != nullptr) function_(this, {s, n, waited_ns});
}

}  // namespace tb
