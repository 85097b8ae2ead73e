package tokenbucket

import (
	"sync"
	"time"
)

// ManualClock stands still until it is moved: for tests and simulations, which then need not sleep. Its time is a
// duration since an origin of your choice. It must not be copied.
type ManualClock struct {
	handle *clock

	// The library's clock moves only under mu, so that now is always its time.
	mu  sync.Mutex
	now time.Duration
}

// NewManualClock creates a clock that stands at start, which must not be negative.
func NewManualClock(start time.Duration) (*ManualClock, error) {
	if start < 0 {
		return nil, &ArgumentError{ErrInvalidArgument, "start", notNegative, start}
	}
	handle, err := newClock(start)
	if err != nil {
		return nil, err
	}
	return &ManualClock{handle: handle, now: start}, nil
}

// Now returns the clock's time.
func (c *ManualClock) Now() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock on by d and wakes whoever is due. ErrInvalidArgument: d is negative. ErrOutOfRange: past the
// longest duration.
func (c *ManualClock) Advance(d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.handle.advance(d); s != Success {
		return whyRefused(s, "d", notNegative+", and no more than up to the longest duration", d, false)
	}
	c.now += d
	return nil
}

// Set moves the clock to now and wakes whoever is due. A clock never runs back: an earlier time leaves it where it is.
// ErrInvalidArgument: now is negative.
func (c *ManualClock) Set(now time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.handle.set(now); s != Success {
		return whyRefused(s, "now", notNegative, now, false)
	}
	if now > c.now {
		c.now = now
	}
	return nil
}

// Waiters returns how many waits on the clock, of all its limiters, are not due yet, and when the first of them is
// (InfDuration: none). A wait is counted once its place in the order is fixed, so a test that started one in another
// goroutine knows without sleeping when to move the clock.
func (c *ManualClock) Waiters() (count int, nextDue time.Duration) {
	n, nextDue := c.handle.waiters()
	return int(n), nextDue
}
