package rate

import (
	"time"

	"tokenbucket"
	"tokenbucket/internal/told"
)

// Reservation holds tokens for events that may happen after a delay.
type Reservation struct {
	ok        bool
	timeToAct time.Time
	tokens    tokenbucket.Reservation
	clock     *told.Clock // nil: it is not OK, or nothing was taken
}

// Reserve is ReserveN(time.Now(), 1).
func (lim *Limiter) Reserve() *Reservation { return lim.ReserveN(time.Now(), 1) }

// ReserveN takes n tokens at t, also those that are not there yet, and says how long to wait before the events may
// happen. It is not OK if n is more than the burst. To wait with a deadline, use WaitN.
func (lim *Limiter) ReserveN(t time.Time, n int) *Reservation {
	r := new(Reservation)
	r.make(lim, t, n, InfDuration)
	return r
}

// make makes a reservation that is not OK if the events would have to wait longer than max.
func (r *Reservation) make(lim *Limiter, t time.Time, n int, max time.Duration) {
	s := lim.at(t)
	if s.limit == Inf || n <= 0 {
		r.ok, r.timeToAct = true, t
		return
	}
	if !(s.limit > 0) {
		max = 0
	}
	r.tokens = *s.bucket.ReserveWithin(float64(n), max) // not used before it is copied
	if !r.tokens.OK() {
		return
	}
	r.ok, r.timeToAct, r.clock = true, t, s.clock
	if wait, readyAt := told.Promise(&r.tokens); wait > 0 {
		r.timeToAct = s.clock.Origin.Add(readyAt)
	}
}

// OK reports whether the events may happen, if only after a delay.
func (r *Reservation) OK() bool { return r.ok }

// Delay is DelayFrom(time.Now()).
func (r *Reservation) Delay() time.Duration { return r.DelayFrom(time.Now()) }

// DelayFrom returns how long after t the events may happen: 0 at once, InfDuration if the reservation is not OK.
func (r *Reservation) DelayFrom(t time.Time) time.Duration {
	if !r.ok {
		return InfDuration
	}
	delay := r.timeToAct.Sub(t)
	if delay < 0 {
		return 0
	}
	return delay
}

// Cancel is CancelAt(time.Now()).
func (r *Reservation) Cancel() { r.CancelAt(time.Now()) }

// CancelAt says at t that the events will not happen: the tokens come back, unless the delay was over before. Later
// reservations keep their times.
func (r *Reservation) CancelAt(t time.Time) {
	if r.clock != nil {
		r.clock.Tell(t)
		r.tokens.Cancel()
	}
}
