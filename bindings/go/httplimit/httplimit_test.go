//go:build cgo

package httplimit

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"tokenbucket"
)

// What all tests of the package share.

var background = context.Background()

func newClock(t testing.TB) *tokenbucket.ManualClock {
	t.Helper()
	clock, err := tokenbucket.NewManualClock(0)
	if err != nil {
		t.Fatal(err)
	}
	return clock
}

func newLimiter(t testing.TB, clock *tokenbucket.ManualClock, burst, rate float64) *tokenbucket.Limiter {
	t.Helper()
	l, err := tokenbucket.New(burst, rate, tokenbucket.WithClock(clock))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func newClients(t testing.TB, most int, clock *tokenbucket.ManualClock, burst, rate float64) *Clients {
	t.Helper()
	table, err := tokenbucket.NewTable(burst, rate, most, tokenbucket.WithClock(clock))
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewClients(table)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func advance(t testing.TB, clock *tokenbucket.ManualClock, d time.Duration) {
	t.Helper()
	if err := clock.Advance(d); err != nil {
		t.Fatal(err)
	}
}

// expectWaiter returns once somebody waits on the clock.
func expectWaiter(t *testing.T, clock *tokenbucket.ManualClock) {
	t.Helper()
	for start := time.Now(); ; runtime.Gosched() {
		if n, _ := clock.Waiters(); n == 1 {
			return
		}
		if time.Since(start) > time.Minute {
			t.Fatal("nobody waits within a minute")
		}
	}
}

func expect[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func expectError(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}
