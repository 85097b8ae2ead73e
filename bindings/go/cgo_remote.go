//go:build cgo

package tokenbucket

/*
#include "shim_remote.h"
*/
import "C"

import (
	"runtime"
	"time"
	"unsafe"
)

// The header's numbers; another one does not compile.
var (
	_ [0]int = [MaxRemoteKeys - C.TB_REMOTE_MAX_KEYS]int{}
	_ [0]int = [mostArguments - C.TB_REMOTE_MAX_ARGUMENTS]int{}
	_ [0]int = [mostNumbers - C.TB_REMOTE_MAX_REPLY]int{}
)

func remoteScript() (text, sha1 string) {
	return C.GoString(C.tb_remote_script()), C.GoString(C.tb_remote_script_sha1())
}

// remote owns a tb_remote as bucket owns a tb_bucket.
type remote struct{ handle C.tbgo_remote }

func newRemote(s *settings) (*remote, error) {
	limit := s.config(nil)
	limit.on_wake = nil
	r := C.tbgo_remote_create(limit, C.int64_t(s.maxWait))
	if status := Status(r.status); status != Success {
		f := C.tbgo_remote_config_check(limit, C.int64_t(s.maxWait))
		return nil, s.refused(status, C.GoString(f.field), C.GoString(f.allowed))
	}
	created := &remote{C.tbgo_remote(r.value)}
	runtime.SetFinalizer(created, func(r *remote) { C.tbgo_remote_destroy(r.handle) })
	return created, nil
}

// number of a nil remote is that of NULL, which the library refuses.
func (r *remote) number() C.tbgo_remote {
	if r == nil {
		return 0
	}
	handle := r.handle
	collectGarbage()
	return handle
}

func (r *remote) limit() settings {
	c := C.tbgo_remote_get_limit(r.number())
	runtime.KeepAlive(r)
	return limitOf(c)
}

func (r *remote) asked(c C.tbgo_remote_call) (question, Status) {
	runtime.KeepAlive(r)
	return question{int(c.count), *(*[mostArguments]int64)(unsafe.Pointer(&c.arguments))}, Status(c.status)
}

func (r *remote) prepare(what operation, n float64) (question, Status) {
	return r.asked(C.tbgo_remote_ask(r.number(), C.int32_t(what), C.double(n)))
}

func (r *remote) askReserve(n float64, max time.Duration) (question, Status) {
	return r.asked(C.tbgo_remote_reserve(r.number(), C.double(n), C.int64_t(max)))
}

func (r *remote) askCancel(p promise) (question, Status) {
	return r.asked(C.tbgo_remote_cancel(r.number(), p.reservation()))
}

func (r *remote) askSettle(p promise, actual float64) (question, Status) {
	return r.asked(C.tbgo_remote_settle(r.number(), p.reservation(), C.double(actual)))
}

func (q *question) c() C.tbgo_remote_call {
	return C.tbgo_remote_call{
		count:     C.size_t(q.count),
		arguments: *(*[mostArguments]C.int64_t)(unsafe.Pointer(&q.arguments)),
	}
}

func (r *reply) c() C.tbgo_remote_reply {
	return C.tbgo_remote_reply{
		count:   C.size_t(r.count),
		numbers: *(*[mostNumbers]C.int64_t)(unsafe.Pointer(&r.numbers)),
	}
}

func (r *remote) read(q *question, from *reply) (remoteAnswer, Status) {
	a := C.tbgo_remote_read(r.number(), q.c(), from.c())
	runtime.KeepAlive(r)
	return remoteAnswer{
		tokens:    float64(a.value.tokens),
		remaining: float64(a.value.remaining),
		retry:     time.Duration(a.value.retry_after_ns),
		reset:     time.Duration(a.value.reset_after_ns),
	}, Status(a.status)
}

// readPromise returns, with ErrTimedOut, how long it would have taken.
func (r *remote) readPromise(q *question, from *reply) (promise, time.Duration, Status) {
	v := C.tbgo_remote_read_reservation(r.number(), q.c(), from.c())
	runtime.KeepAlive(r)
	return promised(v.value), time.Duration(v.retry_after_ns), Status(v.status)
}

// queueKey returns the second key of a bucket, "" if the key has none.
func queueKey(key string) string {
	name := make([]byte, len(key)+C.TB_REMOTE_QUEUE_KEY_ADDS)
	of := bytesOf(key)
	size := C.tbgo_remote_queue_key(of.pointer(), of.length(), bytesOf(name).pointer())
	return string(name[:size])
}

// many is the members of one call, as the shim reads them, and what it writes. The client sees none of it.
type many struct {
	members   []C.tbgo_remote_member
	keys      []byte // one behind the other
	arguments []int64
	numbers   []int64 // of the reply
	answers   []C.tb_remote_answer
}

// add adds a member. Its remote must be kept alive until the call is over.
func (m *many) add(r *remote, key string, n float64) {
	m.members = append(m.members, C.tbgo_remote_member{r.number(), C.size_t(len(key)), C.double(n)})
	m.keys = append(m.keys, key...)
}

func (m *many) empty() { m.members, m.keys = m.members[:0], m.keys[:0] }

// ask returns the arguments, which are the batch's own. There are 1 .. MaxRemoteKeys members.
func (m *many) ask(all bool) ([]int64, Status) {
	m.arguments = sized(m.arguments, 5*len(m.members)+1)
	first, count := &m.members[0], C.size_t(len(m.members))
	to := (*C.int64_t)(unsafe.Pointer(&m.arguments[0]))
	if all {
		return m.arguments, Status(C.tbgo_remote_take_all(first, count, m.text(), to))
	}
	return m.arguments, Status(C.tbgo_remote_take_each(first, count, m.text(), to))
}

// read reads the numbers of the reply. answers[i] is Success or why the member did not grant.
func (m *many) read(answers []Status) Status {
	m.answers = sized(m.answers, len(m.members))
	if len(m.numbers) == 0 {
		return ErrInvalidArgument
	}
	return Status(C.tbgo_remote_read_many(&m.members[0], C.size_t(len(m.members)), m.text(),
		(*C.int64_t)(unsafe.Pointer(&m.arguments[0])), (*C.int64_t)(unsafe.Pointer(&m.numbers[0])),
		C.size_t(len(m.numbers)), (*C.tb_status)(unsafe.Pointer(&answers[0])), &m.answers[0]))
}

// retryAfter is that of the i-th member in the reply that was read.
func (m *many) retryAfter(i int) time.Duration { return time.Duration(m.answers[i].retry_after_ns) }

// All keys may be empty, which is no NULL.
func (m *many) text() *C.char {
	if cap(m.keys) == 0 {
		m.keys = make([]byte, 0, 1)
	}
	return bytesOf(m.keys).pointer()
}
