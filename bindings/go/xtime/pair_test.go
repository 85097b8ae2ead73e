// Package xtime holds tokenbucket against golang.org/x/time/rate: the same sequences of calls, in one virtual time. In
// the random ones tokenbucket/rate must answer as tokenbucket does, to the letter.
//
// What is compared, and how closely:
//
//   - What is granted and what is refused: equal. A take for which the exact balance is within the tolerance of the
//     amount, where x/time's rounding decides, is not asked in the random sequences; how many those are is bounded.
//   - Balances: within the tolerance. x/time keeps them as a double, here they are exact.
//   - Delays: within 1 ns, to which x/time rounds down and this library up, and the time that the tolerance takes.
//
// What differs by intent, and is asserted as a difference or left out: amounts of 0, times that run back, limits of 0
// and infinity, cancelling what is due at once, how much a reservation gives back that is not the youngest, or was not
// when the youngest was cancelled, and what a new limit makes of pending reservations: x/time keeps the debt, this
// library their times.
package xtime

import (
	"math"
	"testing"
	"time"

	"golang.org/x/time/rate"
	"tokenbucket"
	dropin "tokenbucket/rate"
)

// tolerance of balances and amounts, in tokens: the unit that this library counts in where limits are as in these
// tests, which is also far above the error of doubles as large as their balances.
const tolerance = 1e-6

// pair is the same limiter twice, in a virtual time.
type pair struct {
	*testing.T
	ours   *tokenbucket.Limiter
	theirs *rate.Limiter
	same   *dropin.Limiter // answers to the letter as ours does; nil: not asked
	clock  *tokenbucket.ManualClock
	origin time.Time
	limit  float64
}

func newPair(t *testing.T, limit float64, burst int) *pair {
	t.Helper()
	clock, err := tokenbucket.NewManualClock(0)
	if err != nil {
		t.Fatal(err)
	}
	ours, err := tokenbucket.New(float64(burst), limit, tokenbucket.WithClock(clock))
	if err != nil {
		t.Fatal(err)
	}
	return &pair{t, ours, rate.NewLimiter(rate.Limit(limit), burst), nil, clock, time.Unix(1e9, 0), limit}
}

func (p *pair) now() time.Time { return p.origin.Add(p.clock.Now()) }

func (p *pair) at(now time.Duration) {
	p.Helper()
	if err := p.clock.Set(now); err != nil {
		p.Fatal(err)
	}
}

func (p *pair) tokens() float64 {
	p.Helper()
	ours, theirs := p.ours.Tokens(), p.theirs.TokensAt(p.now())
	if !(math.Abs(ours-theirs) <= tolerance) {
		p.Fatalf("at %v: %v tokens, x/time %v", p.clock.Now(), ours, theirs)
	}
	if p.same != nil && p.same.TokensAt(p.now()) != ours {
		p.Fatalf("at %v: %v tokens, package rate %v", p.clock.Now(), ours, p.same.TokensAt(p.now()))
	}
	return ours
}

func (p *pair) allow(n int) bool {
	p.Helper()
	p.tokens()
	ours, theirs := p.ours.AllowN(float64(n)), p.theirs.AllowN(p.now(), n)
	if ours != theirs {
		p.Fatalf("at %v: AllowN(%d) %v, x/time %v", p.clock.Now(), n, ours, theirs)
	}
	if p.same != nil && p.same.AllowN(p.now(), n) != ours {
		p.Fatalf("at %v: AllowN(%d) %v, package rate %v", p.clock.Now(), n, ours, !ours)
	}
	return ours
}

// reserved is the same reservation twice.
type reserved struct {
	ours   *tokenbucket.Reservation
	theirs *rate.Reservation
	same   *dropin.Reservation // nil: not asked
	n      int
}

func (r *reserved) ok() bool             { return r.ours.OK() }
func (r *reserved) delay() time.Duration { return r.ours.Delay() }

func (p *pair) reserve(n int) *reserved {
	p.Helper()
	p.tokens()
	r := &reserved{p.ours.ReserveN(float64(n)), p.theirs.ReserveN(p.now(), n), nil, n}
	if r.ours.OK() != r.theirs.OK() {
		p.Fatalf("at %v: ReserveN(%d) %v, x/time %v", p.clock.Now(), n, r.ours.OK(), r.theirs.OK())
	}
	ours, theirs := r.ours.Delay(), r.theirs.DelayFrom(p.now())
	slack := time.Duration(math.Ceil(tolerance/p.limit*1e9)) + 1
	if d := ours - theirs; r.ok() && (d < -slack || d > slack) {
		p.Fatalf("at %v: ReserveN(%d) after %v, x/time %v", p.clock.Now(), n, ours, theirs)
	}
	if p.same != nil {
		r.same = p.same.ReserveN(p.now(), n)
		if r.same.OK() != r.ok() || r.same.DelayFrom(p.now()) != ours {
			p.Fatalf("at %v: ReserveN(%d) after %v, package rate %v", p.clock.Now(), n, ours, r.same.DelayFrom(p.now()))
		}
	}
	return r
}

// cancel gives back the youngest of the reservations that are not due; both give back all of it.
func (p *pair) cancel(r *reserved) {
	p.Helper()
	before := p.tokens()
	r.ours.Cancel()
	r.theirs.CancelAt(p.now())
	if r.same != nil {
		r.same.CancelAt(p.now())
	}
	if after := p.tokens(); !(math.Abs(after-before-float64(r.n)) <= tolerance) {
		p.Fatalf("at %v: cancelling %d gave back %v", p.clock.Now(), r.n, after-before)
	}
}

// setLimit leaves the balances to the caller where reservations are pending.
func (p *pair) setLimit(limit float64) {
	p.Helper()
	p.theirs.SetLimitAt(p.now(), rate.Limit(limit))
	if p.same != nil {
		p.same.SetLimitAt(p.now(), dropin.Limit(limit))
	}
	if err := p.ours.SetLimit(limit); err != nil {
		p.Fatal(err)
	}
	p.limit = limit
}

func (p *pair) setBurst(burst int) {
	p.Helper()
	p.theirs.SetBurstAt(p.now(), burst)
	if p.same != nil {
		p.same.SetBurstAt(p.now(), burst)
	}
	if err := p.ours.SetBurst(float64(burst)); err != nil {
		p.Fatal(err)
	}
	p.tokens()
}
