//go:build cgo

package tokenbucket

import (
	"context"
	"sync"
	"testing"
	"time"
)

// heard collects events.
type heard struct {
	mu     sync.Mutex
	events []Event
}

func (h *heard) on(e Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, e)
}

// expect also forgets them.
func (h *heard) expect(t *testing.T, want ...Event) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.events) != len(want) {
		t.Errorf("heard %v, want %v", h.events, want)
	}
	for i := 0; i < len(want) && i < len(h.events); i++ {
		if h.events[i] != want[i] {
			t.Errorf("heard %+v, want %+v", h.events[i], want[i])
		}
	}
	h.events = nil
}

func TestEventsOfWhatIsRefused(t *testing.T) {
	var h heard
	l := newLimiter(t, 10, 1, WithClock(newManualClock(t)), WithOnEvent(h.on), WithMaxWaiters(1))
	if !l.AllowN(8) || l.AllowN(3) {
		t.Error("8 of 10 leave 2")
	}
	h.expect(t, Event{ErrDenied, 3, 0})
	_, err := l.Take(4)
	expectError(t, "Take", err, ErrDenied)
	h.expect(t, Event{ErrDenied, 4, 0})
	l.ReserveWithin(5, time.Second)
	h.expect(t, Event{ErrTimedOut, 5, 0})
	ctx, cancel := context.WithTimeout(background, time.Second)
	defer cancel()
	expectError(t, "WaitN", l.WaitN(ctx, 6), ErrTimedOut)
	h.expect(t, Event{ErrTimedOut, 6, 0})
	// None for what is granted at once, can never be, or whose context is done.
	expectError(t, "Wait", l.Wait(background), nil)
	expectError(t, "WaitN", l.WaitN(background, 11), ErrExceedsCapacity)
	cancel()
	expectError(t, "Wait", l.Wait(ctx), context.Canceled)
	_, err = l.Take(11)
	expectError(t, "Take", err, ErrExceedsCapacity)
	h.expect(t)

	waits := waiting(t, l, background, 3)
	expectError(t, "WaitN", l.WaitN(background, 4), ErrQueueFull)
	h.expect(t, Event{ErrQueueFull, 4, 0})
	expectError(t, "Close", l.Close(), nil)
	expectError(t, "WaitN", <-waits, ErrClosed)
	h.expect(t, Event{ErrClosed, 3, 0})
}

func TestEventsOfWaits(t *testing.T) {
	var h heard
	clock := newManualClock(t)
	l := newLimiter(t, 10, 1, WithClock(clock), WithInitialTokens(0), WithOnEvent(h.on))
	ctx, cancel := context.WithCancel(background)
	first, second := waiting(t, l, background, 2), waiting(t, l, ctx, 3)
	advance(t, clock, 2*time.Second)
	expectError(t, "first", <-first, nil)
	h.expect(t, Event{Success, 2, 2 * time.Second})
	advance(t, clock, time.Second)
	cancel()
	expectError(t, "second", <-second, context.Canceled)
	h.expect(t, Event{ErrInterrupted, 3, 3 * time.Second})
}

// However long the goroutine is kept from running once it has entered; that is rare, so there are many tries.
func TestEventOfAWaitCountsFromItsBeginning(t *testing.T) {
	var h heard
	clock := newManualClock(t)
	l := newLimiter(t, 1, 1, WithClock(clock), WithOnEvent(h.on))
	all := Limits{l.Member(1), newLimiter(t, 1, 1, WithClock(clock)).Member(1)}
	waits := []func(context.Context) error{l.Wait, all.Wait}
	for i := 0; i < 2000 && !t.Failed(); i++ {
		l.SetTokens(0)
		answer := make(chan error, 1)
		go func() { answer <- waits[i%2](background) }()
		eventually(t, "waiting", func() bool { n, _ := clock.Waiters(); return n > 0 })
		advance(t, clock, time.Second)
		expectError(t, "Wait", <-answer, nil)
		h.expect(t, Event{Success, 1, time.Second})
	}
}

// It may use the limiter, and a wait's time is real where the clock is.
func TestEventOfARealWait(t *testing.T) {
	var l *Limiter
	waited, tokens := time.Duration(0), 1.0
	l = newLimiter(t, 1, 5, WithInitialTokens(0), WithOnEvent(func(e Event) { waited, tokens = e.Waited, l.Tokens() }))
	expectError(t, "Wait", l.Wait(background), nil)
	if waited <= 0 || waited > time.Minute || tokens == 1 {
		t.Errorf("waited %v, with %v tokens left", waited, tokens)
	}
}
