#include "core/wait/present.h"

namespace tb {

Status take_rarely(TimedBucket *b, double n) {
    return at_present(b->bucket, &b->time, [=](int64_t now, uint64_t) { return b->bucket.try_take(n, now); });
}

Status take_after_loss(TimedBucket *b, double n, int64_t now) {
    const Status s = b->bucket.take_again(n, now);
    return s == Status::stale ? take_rarely(b, n) : s;
}

Status take_beyond_plain(TimedBucket *b, double n, int64_t now, uint64_t seen) {
    const Status s = b->bucket.take_general(n, now);
    const bool settled = s != Status::stale && !(s == Status::denied && b->bucket.state() != seen);
    return settled ? s : take_rarely(b, n);
}

}  // namespace tb
