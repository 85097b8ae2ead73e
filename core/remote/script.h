// The script that decides on the server: one text for all limits, which are in its arguments (call.h).
//
// It reads the server's clock, so only durations cross the wire. A key holds one whole number: the position up to
// which its bucket is spent, modulo W. One that is full has no key, and a key lives until its bucket is full.
//
// A bucket that owes more than it ever may, or shows more than it can before its key expires, has seen the server's
// clock go back. It is empty from then on, so that the lockout is at most what may be owed and a fill.
#ifndef TOKENBUCKET_CORE_REMOTE_SCRIPT_H
#define TOKENBUCKET_CORE_REMOTE_SCRIPT_H

namespace tb {

const char *remote_script();
// 40 lower-case hexadecimal digits.
const char *remote_script_sha1();

}  // namespace tb

#endif
