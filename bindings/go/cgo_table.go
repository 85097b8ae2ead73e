//go:build cgo

package tokenbucket

/*
#include "shim_table.h"
*/
import "C"

import (
	"runtime"
	"time"
	"unsafe"
)

// The header's numbers; another one does not compile.
var (
	_ [0]int = [MaxKeySize - C.TB_MAX_KEY_SIZE]int{}
	_ [0]int = [EvictFullest - C.TB_TABLE_EVICT_FULLEST]int{}
	_ [0]int = [DenyNew - C.TB_TABLE_DENY]int{}
	_ [0]int = [AdmitNew - C.TB_TABLE_ADMIT]int{}
)

func (k keyBytes) pointer() *C.char { return (*C.char)(k.data) }
func (k keyBytes) length() C.size_t { return C.size_t(k.size) }

// table owns a tb_table as bucket owns a tb_bucket.
type table struct{ handle C.tbgo_table }

func newTable(s *settings) (*table, error) {
	timer := s.timer()
	defer runtime.KeepAlive(timer)
	size := s.tableConfig()
	r := C.tbgo_table_create(s.config(timer), size)
	if status := Status(r.status); status != Success {
		f := C.tbgo_table_config_check(s.config(timer), size)
		return nil, s.refused(status, C.GoString(f.field), C.GoString(f.allowed))
	}
	return tableOf(r.value), nil
}

func tableOf(handle C.uintptr_t) *table {
	t := &table{C.tbgo_table(handle)}
	runtime.SetFinalizer(t, func(t *table) { C.tbgo_table_destroy(t.handle) })
	return t
}

func (s *settings) tableConfig() C.tb_table_config {
	return C.tbgo_table_config(C.int64_t(s.keys), C.int64_t(s.maxBytes), C.int32_t(s.whenFull))
}

// number of a nil table is that of NULL, which the library refuses.
func (t *table) number() C.tbgo_table {
	if t == nil {
		return 0
	}
	handle := t.handle
	collectGarbage()
	return handle
}

func (t *table) close() Status {
	s := C.tbgo_table_close(t.number())
	runtime.KeepAlive(t)
	return Status(s)
}

func (t *table) allow(k keyBytes, n float64) Status {
	s := C.tbgo_table_allow(t.number(), k.pointer(), k.length(), C.double(n))
	runtime.KeepAlive(t)
	return Status(s)
}

func (t *table) take(k keyBytes, n float64) (Decision, Status) {
	d := C.tbgo_table_take(t.number(), k.pointer(), k.length(), C.double(n))
	runtime.KeepAlive(t)
	return decision(d), Status(d.status)
}

func (t *table) takeUpTo(k keyBytes, most float64) (float64, Status) {
	r := C.tbgo_table_take_up_to(t.number(), k.pointer(), k.length(), C.double(most))
	runtime.KeepAlive(t)
	return float64(r.value), Status(r.status)
}

// allowMany takes keys one behind the other. The slices are of one length, not 0, but for amounts, which may be nil.
func (t *table) allowMany(keys keyBytes, sizes []uintptr, amounts []float64, answers []Status) Status {
	var first *C.double
	if amounts != nil {
		first = (*C.double)(&amounts[0])
	}
	s := C.tbgo_table_allow_many(t.number(), keys.pointer(), (*C.size_t)(unsafe.Pointer(&sizes[0])), first,
		C.size_t(len(sizes)), (*C.tb_status)(&answers[0]))
	runtime.KeepAlive(t)
	return Status(s)
}

func (t *table) enqueue(k keyBytes, n float64, timeout time.Duration, priority int32, tag uint64) (
	uint64, time.Duration, Status,
) {
	r := C.tbgo_table_enqueue(t.number(), k.pointer(), k.length(), C.double(n), C.int64_t(timeout),
		C.int32_t(priority), C.uint64_t(tag))
	runtime.KeepAlive(t)
	return uint64(r.number), time.Duration(r.wait_ns), Status(r.status)
}

func (t *table) check(k keyBytes, waiter uint64) (time.Duration, Status) {
	r := C.tbgo_table_waiter_check(t.number(), k.pointer(), k.length(), C.uint64_t(waiter))
	runtime.KeepAlive(t)
	return time.Duration(r.value), Status(r.status)
}

func (t *table) leave(k keyBytes, waiter uint64) Status {
	s := C.tbgo_table_waiter_leave(t.number(), k.pointer(), k.length(), C.uint64_t(waiter))
	runtime.KeepAlive(t)
	return Status(s)
}

func (t *table) reserve(k keyBytes, n float64, max time.Duration) (promise, Status) {
	r := C.tbgo_table_reserve(t.number(), k.pointer(), k.length(), C.double(n), C.int64_t(max))
	runtime.KeepAlive(t)
	return promised(r.value), Status(r.status)
}

func (t *table) cancel(k keyBytes, p promise) {
	C.tbgo_table_cancel(t.number(), k.pointer(), k.length(), p.reservation())
	runtime.KeepAlive(t)
}

func (t *table) settle(k keyBytes, p promise, actual float64) Status {
	s := C.tbgo_table_settle(t.number(), k.pointer(), k.length(), p.reservation(), C.double(actual))
	runtime.KeepAlive(t)
	return Status(s)
}

func (t *table) charge(k keyBytes, n float64) (time.Duration, Status) {
	r := C.tbgo_table_charge(t.number(), k.pointer(), k.length(), C.double(n))
	runtime.KeepAlive(t)
	return time.Duration(r.value), Status(r.status)
}

func (t *table) refund(k keyBytes, n float64) Status {
	s := C.tbgo_table_refund(t.number(), k.pointer(), k.length(), C.double(n))
	runtime.KeepAlive(t)
	return Status(s)
}

func (t *table) available(k keyBytes) float64 {
	r := C.tbgo_table_available(t.number(), k.pointer(), k.length())
	runtime.KeepAlive(t)
	return float64(r.value)
}

func (t *table) timeUntil(k keyBytes, n float64) (time.Duration, Status) {
	r := C.tbgo_table_time_until(t.number(), k.pointer(), k.length(), C.double(n))
	runtime.KeepAlive(t)
	return time.Duration(r.value), Status(r.status)
}

func (t *table) remove(k keyBytes) Status {
	s := C.tbgo_table_remove(t.number(), k.pointer(), k.length())
	runtime.KeepAlive(t)
	return Status(s)
}

func (t *table) setRate(tokensPerSecond float64) Status {
	s := C.tbgo_table_set_rate(t.number(), C.double(tokensPerSecond))
	runtime.KeepAlive(t)
	return Status(s)
}

func (t *table) setCapacity(capacity float64) Status {
	s := C.tbgo_table_set_capacity(t.number(), C.double(capacity))
	runtime.KeepAlive(t)
	return Status(s)
}

func (t *table) limit() settings {
	c := C.tbgo_table_get_limit(t.number())
	runtime.KeepAlive(t)
	return limitOf(c)
}

func (t *table) stats() (TableStats, Status) {
	r := C.tbgo_table_get_stats(t.number())
	runtime.KeepAlive(t)
	return TableStats{
		Places:         int64(r.value.places),
		Occupied:       int64(r.value.occupied),
		Evicted:        int64(r.value.evicted),
		TokensForgiven: float64(r.value.tokens_forgiven),
	}, Status(r.status)
}

func addressKey(text keyBytes, ipv6Prefix int32) (string, Status) {
	r := C.tbgo_address_key(text.pointer(), text.length(), C.int32_t(ipv6Prefix))
	return string(unsafe.Slice((*byte)(unsafe.Pointer(&r.key[0])), int(r.size))), Status(r.status)
}
