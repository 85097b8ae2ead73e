//go:build cgo

package tokenbucket

/*
#include "shim_limits.h"
*/
import "C"

import (
	"runtime"
	"sync"
	"time"
)

// The header's number; another one does not compile.
var _ [0]int = [MaxMembers - C.TB_MAX_MEMBERS]int{}

// joint is members as the shim reads them.
type joint struct {
	members      [MaxMembers]C.tbgo_member
	count        int
	keys         []byte // one behind the other
	reservations [MaxMembers]C.tb_reservation
}

var joints = sync.Pool{New: func() any { return &joint{keys: make([]byte, 0, 64)} }}

// gather returns nil, which is ErrInvalidArgument, if the shim has no room for them. The members must be kept alive
// until the call is over.
func gather(l Limits) *joint {
	if len(l) > MaxMembers {
		return nil
	}
	for i := range l {
		if l[i].key.size > MaxKeySize {
			return nil
		}
	}
	j := joints.Get().(*joint)
	j.count, j.keys = len(l), j.keys[:0]
	for i := range l {
		m, to := &l[i], &j.members[i]
		*to = C.tbgo_member{key_size: m.key.length(), n: C.double(m.n)}
		if m.limiter != nil {
			to.bucket = m.limiter.bucket.number()
		} else if m.table != nil {
			to.table = m.table.number()
		}
		j.keys = append(j.keys, m.key.slice()...)
	}
	collectGarbage()
	return j
}

func (j *joint) first() *C.tbgo_member { return &j.members[0] }
func (j *joint) length() C.size_t      { return C.size_t(j.count) }
func (j *joint) text() *C.char         { return bytesOf(j.keys).pointer() }

func refusal(r C.tbgo_all_result) (Refusal, Status) {
	return Refusal{int(r.refusal.member), time.Duration(r.refusal.retry_after_ns)}, Status(r.status)
}

func (l Limits) allow() (Refusal, Status) {
	j := gather(l)
	if j == nil {
		return Refusal{Member: -1}, ErrInvalidArgument
	}
	defer joints.Put(j)
	r := C.tbgo_allow_all(j.first(), j.length(), j.text())
	runtime.KeepAlive(l)
	return refusal(r)
}

// reserve returns a promise of each member.
func (l Limits) reserve(max time.Duration) ([]promise, Refusal, Status) {
	j := gather(l)
	if j == nil {
		return nil, Refusal{Member: -1}, ErrInvalidArgument
	}
	defer joints.Put(j)
	r, s := refusal(C.tbgo_reserve_all(j.first(), j.length(), j.text(), C.int64_t(max), &j.reservations[0]))
	runtime.KeepAlive(l)
	if s != Success {
		return nil, r, s
	}
	promises := make([]promise, len(l))
	for i := range promises {
		promises[i] = promised(j.reservations[i])
	}
	return promises, r, s
}

// cancel takes what reserve has returned of the same members.
func (l Limits) cancel(promises []promise) {
	j := gather(l)
	defer joints.Put(j)
	for i, p := range promises {
		j.reservations[i] = p.reservation()
	}
	C.tbgo_cancel_all(j.first(), j.length(), j.text(), &j.reservations[0])
	runtime.KeepAlive(l)
}

// enqueue returns a waiter only with Pending, and the time after which to check.
func (l Limits) enqueue(timeout time.Duration, priority int32, tag uint64) (waiterAll, time.Duration, Refusal, Status) {
	j := gather(l)
	if j == nil {
		return 0, 0, Refusal{Member: -1}, ErrInvalidArgument
	}
	defer joints.Put(j)
	r := C.tbgo_enqueue_all(j.first(), j.length(), j.text(), C.int64_t(timeout), C.int32_t(priority), C.uint64_t(tag))
	runtime.KeepAlive(l)
	of, s := refusal(r)
	return waiterAll(r.waiter), time.Duration(r.wait_ns), of, s
}

func (w waiterAll) check(l Limits) (time.Duration, Refusal, Status) {
	collectGarbage()
	r := C.tbgo_waiter_all_check(C.tbgo_waiter_all(w))
	runtime.KeepAlive(l)
	of, s := refusal(r)
	return time.Duration(r.wait_ns), of, s
}

func (w waiterAll) leave(l Limits) {
	collectGarbage()
	C.tbgo_waiter_all_leave(C.tbgo_waiter_all(w))
	runtime.KeepAlive(l)
}
