//go:build !cgo

package tokenbucket

import (
	"errors"
	"sync/atomic"
	"time"
)

// What a build without cgo has instead of cgo.go: it compiles, and creating anything says what is missing.

var errNoCgo = errors.New("tokenbucket: this program was built without cgo, which the C library needs: " +
	"build it with CGO_ENABLED=1, a C compiler, pkg-config (Debian, Ubuntu: sudo apt install gcc pkg-config) " +
	"and libtokenbucket's header; " +
	"cgo is off by default where no C compiler is found and when building for another system or architecture")

func (Status) name() string    { return "TB_UNKNOWN" }
func (Status) message() string { return "unknown status" }

type bucket struct{}

type toldClock struct{ now *atomic.Int64 }

func newToldClock() (*toldClock, error) { return nil, errNoCgo }

func newBucket(*settings) (*bucket, error)          { return nil, errNoCgo }
func openShared(string, *settings) (*bucket, error) { return nil, errNoCgo }
func removeShared(string) error                     { return errNoCgo }

func (*bucket) close() Status                                    { return ErrUnsupported }
func (*bucket) allow(float64) Status                             { return ErrUnsupported }
func (*bucket) take(float64) (Decision, Status)                  { return Decision{}, ErrUnsupported }
func (*bucket) takeUpTo(float64) (float64, Status)               { return 0, ErrUnsupported }
func (*bucket) check(uint64) (time.Duration, Status)             { return 0, ErrUnsupported }
func (*bucket) leave(uint64) Status                              { return ErrUnsupported }
func (*bucket) reserve(float64, time.Duration) (promise, Status) { return promise{}, ErrUnsupported }
func (*bucket) cancel(promise)                                   {}
func (*bucket) settle(promise, float64) Status                   { return ErrUnsupported }
func (*bucket) charge(float64) (time.Duration, Status)           { return 0, ErrUnsupported }
func (*bucket) refund(float64) Status                            { return ErrUnsupported }
func (*bucket) reset(float64) Status                             { return ErrUnsupported }
func (*bucket) setTokens(float64) Status                         { return ErrUnsupported }
func (*bucket) setRate(float64) Status                           { return ErrUnsupported }
func (*bucket) setCapacity(float64) Status                       { return ErrUnsupported }
func (*bucket) available() float64                               { return 0 }
func (*bucket) timeUntil(float64) (time.Duration, Status)        { return 0, ErrUnsupported }
func (*bucket) limit() settings                                  { return settings{period: time.Second} }
func (*bucket) stats() (Stats, Status)                           { return Stats{}, ErrUnsupported }

func (*bucket) enqueue(float64, time.Duration, int32, uint64) (uint64, time.Duration, Status) {
	return 0, 0, ErrUnsupported
}

type table struct{}

func newTable(*settings) (*table, error)                { return nil, errNoCgo }
func openSharedTable(string, *settings) (*table, error) { return nil, errNoCgo }

func (*table) close() Status                                             { return ErrUnsupported }
func (*table) allow(keyBytes, float64) Status                            { return ErrUnsupported }
func (*table) take(keyBytes, float64) (Decision, Status)                 { return Decision{}, ErrUnsupported }
func (*table) takeUpTo(keyBytes, float64) (float64, Status)              { return 0, ErrUnsupported }
func (*table) allowMany(keyBytes, []uintptr, []float64, []Status) Status { return ErrUnsupported }
func (*table) check(keyBytes, uint64) (time.Duration, Status)            { return 0, ErrUnsupported }
func (*table) leave(keyBytes, uint64) Status                             { return ErrUnsupported }
func (*table) reserve(keyBytes, float64, time.Duration) (promise, Status) {
	return promise{}, ErrUnsupported
}
func (*table) cancel(keyBytes, promise)                            {}
func (*table) settle(keyBytes, promise, float64) Status            { return ErrUnsupported }
func (*table) charge(keyBytes, float64) (time.Duration, Status)    { return 0, ErrUnsupported }
func (*table) refund(keyBytes, float64) Status                     { return ErrUnsupported }
func (*table) available(keyBytes) float64                          { return 0 }
func (*table) timeUntil(keyBytes, float64) (time.Duration, Status) { return 0, ErrUnsupported }
func (*table) remove(keyBytes) Status                              { return ErrUnsupported }
func (*table) setRate(float64) Status                              { return ErrUnsupported }
func (*table) setCapacity(float64) Status                          { return ErrUnsupported }
func (*table) limit() settings                                     { return settings{period: time.Second} }
func (*table) stats() (TableStats, Status)                         { return TableStats{}, ErrUnsupported }

func (*table) enqueue(keyBytes, float64, time.Duration, int32, uint64) (uint64, time.Duration, Status) {
	return 0, 0, ErrUnsupported
}

func addressKey(keyBytes, int32) (string, Status) { return "", ErrUnsupported }

func (Limits) allow() (Refusal, Status) { return Refusal{Member: -1}, ErrUnsupported }
func (Limits) cancel([]promise)         {}

func (Limits) reserve(time.Duration) ([]promise, Refusal, Status) {
	return nil, Refusal{Member: -1}, ErrUnsupported
}

func (Limits) enqueue(time.Duration, int32, uint64) (waiterAll, time.Duration, Refusal, Status) {
	return 0, 0, Refusal{Member: -1}, ErrUnsupported
}

func (waiterAll) check(Limits) (time.Duration, Refusal, Status) {
	return 0, Refusal{Member: -1}, ErrUnsupported
}
func (waiterAll) leave(Limits) {}

func remoteScript() (text, sha1 string) { return "", "" }
func queueKey(string) string            { return "" }

type remote struct{}

func newRemote(*settings) (*remote, error) { return nil, errNoCgo }

func (*remote) limit() settings { return settings{period: time.Second} }
func (*remote) prepare(operation, float64) (question, Status) {
	return question{}, ErrUnsupported
}
func (*remote) askReserve(float64, time.Duration) (question, Status) {
	return question{}, ErrUnsupported
}
func (*remote) askCancel(promise) (question, Status)          { return question{}, ErrUnsupported }
func (*remote) askSettle(promise, float64) (question, Status) { return question{}, ErrUnsupported }
func (*remote) read(*question, *reply) (remoteAnswer, Status) { return remoteAnswer{}, ErrUnsupported }
func (*remote) readPromise(*question, *reply) (promise, time.Duration, Status) {
	return promise{}, 0, ErrUnsupported
}

type many struct{ numbers []int64 }

func (*many) add(*remote, string, float64) {}
func (*many) empty()                       {}
func (*many) ask(bool) ([]int64, Status)   { return nil, ErrUnsupported }
func (*many) read([]Status) Status         { return ErrUnsupported }
func (*many) retryAfter(int) time.Duration { return 0 }

type clock struct{}

func newClock(time.Duration) (*clock, error) { return nil, errNoCgo }

func (*clock) advance(time.Duration) Status    { return ErrUnsupported }
func (*clock) set(time.Duration) Status        { return ErrUnsupported }
func (*clock) waiters() (int64, time.Duration) { return 0, InfDuration }
