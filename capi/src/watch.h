// Telling and counting what a bucket decides: on_event and tb_get_stats. Nothing is done, and next to nothing paid, for
// a bucket that asked for neither.
#ifndef TOKENBUCKET_CAPI_SRC_WATCH_H
#define TOKENBUCKET_CAPI_SRC_WATCH_H

#include "capi/src/handles.h"

namespace tb::capi {

// A request for n tokens that was answered at once.
void note(tb_bucket *b, tb_status s, double n);
// While the visit goes on, so that the bucket is still there.
void note_wait(tb_bucket *b, tb_status s, double n, const WaitRoom::Visit &visit);
void note_cancel(tb_bucket *b);

}  // namespace tb::capi

#endif
