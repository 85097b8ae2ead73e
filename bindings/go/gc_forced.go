//go:build cgo && tokenbucket_gc

package tokenbucket

import "runtime"

// collectGarbage collects, and returns when the finalizers of everything unreachable have run: a C call whose handle is
// not kept alive then meets freed memory. The finalizers of one collection run in no particular order, but before those
// of the next.
func collectGarbage() {
	for i := 0; i < 2; i++ {
		done := make(chan struct{})
		runtime.SetFinalizer(&struct{ _ [64]byte }{}, func(any) { close(done) })
		runtime.GC()
		<-done
	}
}
