//go:build cgo && !tokenbucket_gc

package tokenbucket

import (
	"context"
	"runtime"
	"testing"
	"time"
)

const forcedGC = false

func TestCallsAllocateNothing(t *testing.T) {
	l := newLimiter(t, 10, 1e9)
	counted := newLimiter(t, 10, 1e9, WithStatistics())
	empty := newLimiter(t, 10, 1e-9, WithInitialTokens(0))
	deadline, cancel := context.WithTimeout(background, time.Hour)
	defer cancel()
	for name, call := range map[string]func(){
		"Allow":          func() { l.Allow() },
		"Allow, counted": func() { counted.Allow() },
		"AllowN":         func() { empty.AllowN(1.5) },
		"Take":           func() { _, _ = l.Take(1) },
		"Take, no":       func() { _, _ = empty.Take(1) },
		"TakeUpTo":       func() { _, _ = l.TakeUpTo(2) },
		"Wait":           func() { _ = l.Wait(background) },
		"Wait, deadline": func() { _ = l.WaitN(deadline, 2) },
		"Reserve":        func() { l.Reserve().Cancel() },
		"ReserveN, due":  func() { _ = l.ReserveN(2).Settle(0.5) },
		"ReserveN, later": func() {
			if r := empty.ReserveN(2); r.Delay() > 0 {
				r.Cancel()
			}
		},
		"ReserveWithin": func() { empty.ReserveWithin(2, time.Second).Cancel() },
		"Charge":        func() { _, _ = l.Charge(1) },
		"Refund":        func() { _ = l.Refund(1) },
		"SetLimit":      func() { _ = l.SetLimit(1e9) },
		"Limit":         func() { l.Limit() },
		"Burst":         func() { l.Burst() },
		"Tokens":        func() { l.Tokens() },
		"TimeUntil":     func() { _, _ = l.TimeUntil(5) },
		"Stats":         func() { _, _ = counted.Stats() },
	} {
		if n := testing.AllocsPerRun(1000, call); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
	if n := testing.AllocsPerRun(1000, func() { _ = empty.WaitN(deadline, 2) }); n > 1 {
		t.Errorf("Wait, timed out, allocates %v times, not its error alone", n)
	}
}

func TestCallsOfTablesAllocateNothing(t *testing.T) {
	table := newTableOf[string](t, 10, 60, 100)
	slices := newTableOf[[]byte](t, 10, 60, 100)
	text := string([]byte("a key made when the program runs"))
	slice := []byte(text)
	for name, call := range map[string]func(){
		"Allow":           func() { table.Allow(text) },
		"Allow, constant": func() { table.Allow("constant") },
		"Allow, slice":    func() { slices.Allow(slice) },
		"AllowN":          func() { table.AllowN(text, 1.5) },
		"Take":            func() { _, _ = table.Take(text, 1) },
		"TakeUpTo":        func() { _, _ = table.TakeUpTo(text, 2) },
		"Wait, at once":   func() { _ = table.Remove("w"); _ = table.Wait(background, "w") },
		"Charge":          func() { _, _ = table.Charge("c", 1) },
		"Refund":          func() { _ = table.Refund("c", 1) },
		"Remove":          func() { _ = table.Remove(text) },
		"SetLimit":        func() { _ = table.SetLimit(60) },
		"Limit":           func() { table.Limit() },
		"Tokens":          func() { table.Tokens(text) },
		"TimeUntil":       func() { _, _ = table.TimeUntil(text, 5) },
		"Stats":           func() { _, _ = table.Stats() },
	} {
		if n := testing.AllocsPerRun(1000, call); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
	if n := testing.AllocsPerRun(1000, func() { _, _ = AddressKey("192.0.2.1:80", 64) }); n > 1 {
		t.Errorf("AddressKey allocates %v times, not its answer alone", n)
	}
}

// A limiter keeps its clock, and is freed without Close: 20000 limiters of each kind leave no memory behind.
func TestMemoryIsFreed(t *testing.T) {
	churn := func(n int) {
		for i := 0; i < n; i++ {
			l := newLimiter(t, 10, 2, WithClock(newManualClock(t)))
			if i%500 == 0 {
				runtime.GC()
			}
			l.Allow()
			newToldTestLimiter(t).Allow()
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

// The client's: the name of the key, the arguments, and each number in an interface.
func TestWhatARemoteAllocates(t *testing.T) {
	var v any = int64(9e9)
	do := func(context.Context, ...any) (any, error) { return v, nil }
	r, err := NewRemote(do, 10, 1)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	if n := testing.AllocsPerRun(1000, func() { _, _ = r.Take(ctx, "ann", 1) }); n > 8 {
		t.Errorf("Take allocates %v times", n)
	}
}
