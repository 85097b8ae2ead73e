//go:build cgo && !tokenbucket_gc

package tokenbucket

import (
	"runtime"
	"testing"
)

const forcedGC = false

func TestCallsAllocateNothing(t *testing.T) {
	l := newLimiter(t, 10, 1e9)
	empty := newLimiter(t, 10, 1e-9, WithInitialTokens(0))
	for name, call := range map[string]func(){
		"Allow":     func() { l.Allow() },
		"AllowN":    func() { empty.AllowN(1.5) },
		"Take":      func() { _, _ = l.Take(1) },
		"Take, no":  func() { _, _ = empty.Take(1) },
		"TakeUpTo":  func() { _, _ = l.TakeUpTo(2) },
		"Wait":      func() { _ = l.Wait(background) },
		"Tokens":    func() { l.Tokens() },
		"TimeUntil": func() { _, _ = l.TimeUntil(5) },
	} {
		if n := testing.AllocsPerRun(1000, call); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
	if n := testing.AllocsPerRun(1000, func() { l.Reserve().Cancel() }); n > 1 {
		t.Errorf("Reserve allocates %v times, more than the Reservation", n)
	}
}

// A limiter keeps its clock, and is freed without Close: 20000 limiters leave no memory behind.
func TestMemoryIsFreed(t *testing.T) {
	churn := func(n int) {
		for i := 0; i < n; i++ {
			l := newLimiter(t, 10, 2, WithClock(newManualClock(t)))
			if i%500 == 0 {
				runtime.GC()
			}
			l.Allow()
		}
		runtime.GC()
	}
	churn(2000)
	before := processStatus(t, "VmRSS")
	churn(20000)
	if grown := processStatus(t, "VmRSS") - before; grown > 8*1024 {
		t.Errorf("%d kB more than before", grown)
	}
}

func BenchmarkAllow(b *testing.B) {
	l := newLimiter(b, 1e9, 1e9)
	for i := 0; i < b.N; i++ {
		l.Allow()
	}
}

func BenchmarkDeny(b *testing.B) {
	l := newLimiter(b, 1, 1e-9, WithInitialTokens(0))
	for i := 0; i < b.N; i++ {
		l.Allow()
	}
}
