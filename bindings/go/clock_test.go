//go:build cgo

package tokenbucket

import (
	"context"
	"testing"
	"time"
)

func TestManualClock(t *testing.T) {
	c, err := NewManualClock(5 * time.Second)
	expectError(t, "NewManualClock", err, nil)
	at := func(want time.Duration) {
		t.Helper()
		if c.Now() != want {
			t.Errorf("%v, want %v", c.Now(), want)
		}
	}
	at(5 * time.Second)
	expectError(t, "Advance", c.Advance(time.Second), nil)
	at(6 * time.Second)
	expectError(t, "Set back", c.Set(time.Second), nil)
	at(6 * time.Second)
	expectError(t, "Set", c.Set(8*time.Second), nil)
	at(8 * time.Second)
	expectError(t, "Advance by less than 0", c.Advance(-1), ErrInvalidArgument)
	expectError(t, "Set below 0", c.Set(-1), ErrInvalidArgument)
	expectError(t, "Advance past the end", c.Advance(InfDuration), ErrOutOfRange)
	at(8 * time.Second)
}

func TestManualClockStartsAtZeroOrLater(t *testing.T) {
	c, err := NewManualClock(-1)
	expectError(t, "NewManualClock", err, ErrInvalidArgument)
	if c != nil {
		t.Error("a clock beside the error")
	}
}

// A wait is counted from the moment its tokens are reserved until it is due, or ends early.
func TestManualClockCountsWaiters(t *testing.T) {
	c := newManualClock(t)
	l := newLimiter(t, 10, 2, WithClock(c), WithInitialTokens(0))
	other := newLimiter(t, 10, 1, WithClock(c), WithInitialTokens(0))
	expect := func(wantCount int, wantDue time.Duration) {
		t.Helper()
		eventually(t, "counting", func() bool { n, _ := c.Waiters(); return n == wantCount })
		if _, due := c.Waiters(); due != wantDue {
			t.Errorf("next due at %v, want %v", due, wantDue)
		}
	}
	expect(0, InfDuration)
	ctx, cancel := context.WithCancel(background)
	last, first, middle := waiting(t, other, background, 9), waiting(t, l, background, 4), waiting(t, l, ctx, 2)
	expect(3, 2*time.Second)
	advance(t, c, 2*time.Second-1)
	expect(3, 2*time.Second)
	advance(t, c, 1)
	expect(2, 3*time.Second)
	expectError(t, "first", <-first, nil)
	cancel()
	expectError(t, "middle", <-middle, context.Canceled)
	expect(1, 9*time.Second)
	advance(t, c, time.Hour)
	expectError(t, "last", <-last, nil)
	expect(0, InfDuration)
}

// The clock's own time and that of the library move together.
func TestManualClockIsTheLimitersTime(t *testing.T) {
	c := newManualClock(t)
	l := newLimiter(t, 100, 1, WithClock(c), WithInitialTokens(0))
	advance(t, c, 3*time.Second)
	expectTokens(t, l, 3)
	expectError(t, "Set", c.Set(7*time.Second), nil)
	expectTokens(t, l, 7)
}
