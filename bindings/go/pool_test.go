//go:build cgo && !tokenbucket_gc && !race

package tokenbucket

import (
	"context"
	"testing"
	"time"
)

// What these tests use again comes from a sync.Pool, which forgets at random under the race detector.

func TestWaitThatSleepsAllocatesNothing(t *testing.T) {
	l := newLimiter(t, 1, 1e5, WithInitialTokens(0))
	deadline, cancel := context.WithTimeout(background, time.Hour)
	defer cancel()
	if n := testing.AllocsPerRun(100, func() { _ = l.WaitN(deadline, 1) }); n != 0 {
		t.Errorf("%v times", n)
	}
}

func TestCallsOfSeveralLimitsAllocateNothing(t *testing.T) {
	second, empty := newLimiter(t, 10, 1e9), newLimiter(t, 10, 1e-9, WithInitialTokens(0))
	table, slices := newTableOf[string](t, 1e15, 1e9, 100), newTableOf[[]byte](t, 1e15, 1e9, 100)
	text := string([]byte("a key made when the program runs"))
	slice := []byte(text)
	deadline, cancel := context.WithTimeout(background, time.Hour)
	defer cancel()
	all := Limits{second.Member(1), table.Member(text, 1)}
	none := Limits{second.Member(1), empty.Member(1)}
	for name, call := range map[string]func(){
		"Allow":          func() { all.Allow() },
		"Allow, literal": func() { Limits{second.Member(1), table.Member(text, 2), slices.Member(slice, 3)}.Allow() },
		"Allow, no":      func() { none.Allow() },
		"Take":           func() { _, _ = all.Take() },
		"Take, no":       func() { _, _ = none.Take() },
		"Take, constant": func() { _, _ = Limits{empty.Member(1), table.Member("constant", 2)}.Take() },
		"Wait":           func() { _ = all.Wait(background) },
		"Wait, literal":  func() { _ = Limits{second.Member(1), table.Member(text, 2)}.Wait(deadline) },
	} {
		if n := testing.AllocsPerRun(1000, call); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}
