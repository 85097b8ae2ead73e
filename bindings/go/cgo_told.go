//go:build cgo

package tokenbucket

/*
#include <stdlib.h>
#include "shim_told.h"
*/
import "C"

import (
	"runtime"
	"sync/atomic"
	"unsafe"
)

// toldClock owns a clock of the library that reads a number: memory of C, since the library keeps its address. Its
// buckets keep it alive.
type toldClock struct {
	clock
	now *atomic.Int64
}

func newToldClock() (*toldClock, error) {
	now := C.calloc(1, C.sizeof_int64_t)
	if now == nil {
		return nil, ErrOutOfMemory
	}
	r := C.tbgo_told_clock_create((*C.int64_t)(now))
	if status := Status(r.status); status != Success {
		C.free(now)
		return nil, status
	}
	c := &toldClock{clock{C.tbgo_clock(r.value)}, (*atomic.Int64)(now)}
	runtime.SetFinalizer(c, func(c *toldClock) {
		C.tbgo_clock_destroy(c.handle)
		C.free(unsafe.Pointer(c.now))
	})
	return c, nil
}
