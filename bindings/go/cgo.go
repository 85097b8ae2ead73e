//go:build cgo

package tokenbucket

/*
#cgo pkg-config: tokenbucket
#include "shim.h"
*/
import "C"

import (
	"runtime"
	"time"
	"unsafe"
)

// The header's numbers; another one does not compile.
var (
	_ [0]int = [Success - C.TB_SUCCESS]int{}
	_ [0]int = [ErrDenied - C.TB_DENIED]int{}
	_ [0]int = [ErrTimedOut - C.TB_TIMED_OUT]int{}
	_ [0]int = [ErrExceedsCapacity - C.TB_EXCEEDS_CAPACITY]int{}
	_ [0]int = [ErrClosed - C.TB_CLOSED]int{}
	_ [0]int = [ErrInterrupted - C.TB_INTERRUPTED]int{}
	_ [0]int = [ErrQueueFull - C.TB_QUEUE_FULL]int{}
	_ [0]int = [ErrTableFull - C.TB_TABLE_FULL]int{}
	_ [0]int = [Pending - C.TB_PENDING]int{}
	_ [0]int = [ErrInvalidArgument - C.TB_E_INVALID_ARGUMENT]int{}
	_ [0]int = [ErrOutOfRange - C.TB_E_OUT_OF_RANGE]int{}
	_ [0]int = [ErrOutOfMemory - C.TB_E_OUT_OF_MEMORY]int{}
	_ [0]int = [ErrUnsupported - C.TB_E_UNSUPPORTED]int{}
	_ [0]int = [ErrSystem - C.TB_E_SYSTEM]int{}
	_ [0]int = [ErrUnavailable - C.TB_E_UNAVAILABLE]int{}
	_ [0]int = [ErrMismatch - C.TB_E_MISMATCH]int{}
	_ [0]int = [InfDuration - C.TB_FOREVER]int{}
	_ [0]int = [int(InitiallyFull - C.TB_INITIALLY_FULL)]int{}
)

func (s Status) name() string    { return C.GoString(C.tb_status_name(C.tb_status(s))) }
func (s Status) message() string { return C.GoString(C.tb_status_message(C.tb_status(s))) }

// bucket owns a tb_bucket. The finalizer alone frees it, and KeepAlive after each C call keeps the finalizer from
// running during the call: so no call can meet freed memory, whatever else is going on.
type bucket struct {
	handle C.tbgo_bucket
	told   *toldClock // nil: another clock; finalized after the bucket, which points to it
}

func newBucket(s *settings) (*bucket, error) {
	timer := s.timer()
	defer runtime.KeepAlive(timer)
	r := C.tbgo_create(s.config(timer))
	if status := Status(r.status); status != Success {
		f := C.tbgo_config_check(s.config(timer))
		return nil, s.refused(status, C.GoString(f.field), C.GoString(f.allowed))
	}
	return bucketOf(r.value, s.told), nil
}

// timer is nil for the system clock.
func (s *settings) timer() *clock {
	switch {
	case s.told != nil:
		return &s.told.clock
	case s.clock != nil:
		return s.clock.handle
	}
	return nil
}

func bucketOf(handle C.uintptr_t, told *toldClock) *bucket {
	b := &bucket{C.tbgo_bucket(handle), told}
	runtime.SetFinalizer(b, func(b *bucket) { C.tbgo_destroy(b.handle) })
	return b
}

// config is for the library, as long as the clock is kept alive.
func (s *settings) config(timer *clock) C.tb_config {
	return C.tbgo_config(C.double(s.capacity), C.double(s.tokens), C.int64_t(s.period), C.double(s.initial),
		C.uint32_t(s.flags()), C.int64_t(s.maxWaiters), C.int64_t(s.maxLateness), timer.number())
}

func (s *settings) flags() uint32 {
	if s.statistics {
		return C.TB_STATISTICS
	}
	return 0
}

// number of a nil bucket is that of NULL, which the library refuses.
func (b *bucket) number() C.tbgo_bucket {
	if b == nil {
		return 0
	}
	handle := b.handle
	collectGarbage()
	return handle
}

func (b *bucket) close() Status {
	s := C.tbgo_close(b.number())
	runtime.KeepAlive(b)
	return Status(s)
}

func (b *bucket) allow(n float64) Status {
	s := C.tbgo_allow(b.number(), C.double(n))
	runtime.KeepAlive(b)
	return Status(s)
}

func (b *bucket) take(n float64) (Decision, Status) {
	d := C.tbgo_take(b.number(), C.double(n))
	runtime.KeepAlive(b)
	return decision(d), Status(d.status)
}

func decision(d C.tb_decision) Decision {
	return Decision{
		Remaining:  float64(d.remaining),
		RetryAfter: time.Duration(d.retry_after_ns),
		ResetAfter: time.Duration(d.reset_after_ns),
	}
}

func (b *bucket) takeUpTo(most float64) (float64, Status) {
	r := C.tbgo_take_up_to(b.number(), C.double(most))
	runtime.KeepAlive(b)
	return float64(r.value), Status(r.status)
}

//export tbgoWake
func tbgoWake(_ unsafe.Pointer, tag C.uint64_t) { asleep.wake(uint64(tag)) }

// enqueue returns Pending with the number of a waiter, whose tokens are due after that time; of ErrTimedOut the time
// alone.
func (b *bucket) enqueue(n float64, timeout time.Duration, priority int32, tag uint64) (uint64, time.Duration, Status) {
	r := C.tbgo_enqueue(b.number(), C.double(n), C.int64_t(timeout), C.int32_t(priority), C.uint64_t(tag))
	runtime.KeepAlive(b)
	return uint64(r.number), time.Duration(r.wait_ns), Status(r.status)
}

func (b *bucket) check(waiter uint64) (time.Duration, Status) {
	r := C.tbgo_waiter_check(b.number(), C.uint64_t(waiter))
	runtime.KeepAlive(b)
	return time.Duration(r.value), Status(r.status)
}

func (b *bucket) leave(waiter uint64) Status {
	s := C.tbgo_waiter_leave(b.number(), C.uint64_t(waiter))
	runtime.KeepAlive(b)
	return Status(s)
}

func (b *bucket) reserve(n float64, max time.Duration) (promise, Status) {
	r := C.tbgo_reserve(b.number(), C.double(n), C.int64_t(max))
	runtime.KeepAlive(b)
	return promised(r.value), Status(r.status)
}

func promised(r C.tb_reservation) promise {
	return promise{
		tokens:  float64(r.tokens),
		wait:    time.Duration(r.wait_ns),
		readyAt: time.Duration(r.ready_at_ns),
		ticket:  uint64(r.ticket),
	}
}

func (p promise) reservation() C.tb_reservation {
	return C.tb_reservation{
		tokens:      C.double(p.tokens),
		wait_ns:     C.int64_t(p.wait),
		ready_at_ns: C.int64_t(p.readyAt),
		ticket:      C.uint64_t(p.ticket),
	}
}

func (b *bucket) cancel(p promise) {
	C.tbgo_cancel(b.number(), p.reservation())
	runtime.KeepAlive(b)
}

func (b *bucket) settle(p promise, actual float64) Status {
	s := C.tbgo_settle(b.number(), p.reservation(), C.double(actual))
	runtime.KeepAlive(b)
	return Status(s)
}

func (b *bucket) charge(n float64) (time.Duration, Status) {
	r := C.tbgo_charge(b.number(), C.double(n))
	runtime.KeepAlive(b)
	return time.Duration(r.value), Status(r.status)
}

func (b *bucket) refund(n float64) Status {
	s := C.tbgo_refund(b.number(), C.double(n))
	runtime.KeepAlive(b)
	return Status(s)
}

func (b *bucket) reset(tokens float64) Status {
	s := C.tbgo_reset(b.number(), C.double(tokens))
	runtime.KeepAlive(b)
	return Status(s)
}

func (b *bucket) setTokens(tokens float64) Status {
	s := C.tbgo_set_tokens(b.number(), C.double(tokens))
	runtime.KeepAlive(b)
	return Status(s)
}

func (b *bucket) setRate(tokensPerSecond float64) Status {
	s := C.tbgo_set_rate(b.number(), C.double(tokensPerSecond))
	runtime.KeepAlive(b)
	return Status(s)
}

func (b *bucket) setCapacity(capacity float64) Status {
	s := C.tbgo_set_capacity(b.number(), C.double(capacity))
	runtime.KeepAlive(b)
	return Status(s)
}

func (b *bucket) available() float64 {
	r := C.tbgo_available(b.number())
	runtime.KeepAlive(b)
	return float64(r.value)
}

func (b *bucket) timeUntil(n float64) (time.Duration, Status) {
	r := C.tbgo_time_until(b.number(), C.double(n))
	runtime.KeepAlive(b)
	return time.Duration(r.value), Status(r.status)
}

func (b *bucket) limit() settings {
	c := C.tbgo_get_limit(b.number())
	runtime.KeepAlive(b)
	return limitOf(c)
}

func limitOf(c C.tb_config) settings {
	return settings{
		capacity: float64(c.capacity),
		tokens:   float64(c.rate_tokens),
		period:   time.Duration(c.rate_period_ns),
	}
}

func (b *bucket) stats() (Stats, Status) {
	r := C.tbgo_get_stats(b.number())
	runtime.KeepAlive(b)
	return Stats{
		Granted:         int64(r.value.granted),
		Denied:          int64(r.value.denied),
		TimedOut:        int64(r.value.timed_out),
		Cancelled:       int64(r.value.cancelled),
		Waits:           int64(r.value.waits),
		TotalWait:       time.Duration(r.value.total_wait_ns),
		LongestWait:     time.Duration(r.value.longest_wait_ns),
		Waiting:         int64(r.value.waiting),
		TokensTaken:     float64(r.value.tokens_taken),
		TokensGivenBack: float64(r.value.tokens_given_back),
	}, Status(r.status)
}

// clock owns the creator's hold on a tb_clock; buckets have their own.
type clock struct{ handle C.tbgo_clock }

func newClock(start time.Duration) (*clock, error) {
	r := C.tbgo_clock_create(C.int64_t(start))
	if status := Status(r.status); status != Success {
		return nil, status
	}
	c := &clock{C.tbgo_clock(r.value)}
	runtime.SetFinalizer(c, func(c *clock) { C.tbgo_clock_destroy(c.handle) })
	return c, nil
}

// number of a nil clock is that of NULL: the system clock.
func (c *clock) number() C.tbgo_clock {
	if c == nil {
		return 0
	}
	handle := c.handle
	collectGarbage()
	return handle
}

func (c *clock) advance(d time.Duration) Status {
	s := C.tbgo_clock_advance(c.number(), C.int64_t(d))
	runtime.KeepAlive(c)
	return Status(s)
}

func (c *clock) set(now time.Duration) Status {
	s := C.tbgo_clock_set(c.number(), C.int64_t(now))
	runtime.KeepAlive(c)
	return Status(s)
}

func (c *clock) waiters() (int64, time.Duration) {
	r := C.tbgo_clock_waiters(c.number())
	runtime.KeepAlive(c)
	return int64(r.count), time.Duration(r.next_due_ns)
}
