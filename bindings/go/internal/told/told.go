// Package told is what package tokenbucket has for package tokenbucket/rate alone, whose calls say when they happen.
package told

import (
	"sync/atomic"
	"time"
)

// Clock is the clock of one limiter: its time is the latest that it was told. It is told before each call.
type Clock struct {
	Origin time.Time     // where its time begins
	Now    *atomic.Int64 // in nanoseconds from then; the library reads it
}

// Tell moves the clock to t, unless it is there already or later.
func (c *Clock) Tell(t time.Time) { c.tell(t.Sub(c.Origin)) }

// TellNow moves the clock to the present.
func (c *Clock) TellNow() { c.tell(time.Since(c.Origin)) }

func (c *Clock) tell(now time.Duration) {
	for {
		latest := c.Now.Load()
		if int64(now) <= latest || c.Now.CompareAndSwap(latest, int64(now)) {
			return
		}
	}
}

// Set by package tokenbucket.
var (
	// New creates a *tokenbucket.Limiter on such a clock.
	New func(origin time.Time, capacity, tokensPerSecond, initial float64) (limiter any, clock *Clock, err error)

	// Promise returns what a *tokenbucket.Reservation that is OK was promised: how long after the call, and when on the
	// limiter's clock, its tokens may be used.
	Promise func(reservation any) (wait, readyAt time.Duration)
)
