package rate

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"tokenbucket"
	"tokenbucket/internal/told"
)

// Limit is a frequency of events, per second. 0 allows none but those of the burst at first.
type Limit float64

// Inf allows all events, even if the burst is 0.
const Inf = Limit(math.MaxFloat64)

// InfDuration is the delay of a reservation that is not OK.
const InfDuration = tokenbucket.InfDuration

// Every is the limit of one event per interval; Inf if that is not above 0.
func Every(interval time.Duration) Limit {
	if interval <= 0 {
		return Inf
	}
	return Limit(tokenbucket.Every(interval))
}

// Limiter is a token bucket that holds up to its burst of tokens, is full at first, and gains tokens at its limit. An
// event takes a token, or n of them. The zero value allows none. All methods may be called from any number of goroutines.
type Limiter struct {
	mu    sync.Mutex // held while the state is replaced
	state atomic.Pointer[state]
}

// state is never changed, only replaced.
type state struct {
	limit Limit
	burst int
	// nil until the first call that needs them; the clock begins with that.
	bucket *tokenbucket.Limiter
	clock  *told.Clock
}

// NewLimiter returns a limiter that allows events up to the limit, and bursts of at most so many.
func NewLimiter(limit Limit, burst int) *Limiter {
	lim := new(Limiter)
	lim.state.Store(&state{limit: limit, burst: burst})
	return lim
}

func (lim *Limiter) load() *state {
	if s := lim.state.Load(); s != nil {
		return s
	}
	return new(state)
}

// at returns the state with the clock at t, or later.
func (lim *Limiter) at(t time.Time) *state {
	s := lim.load()
	if s.bucket == nil {
		s = lim.start(t)
	}
	s.clock.Tell(t)
	return s
}

func (lim *Limiter) now() *state {
	s := lim.load()
	if s.bucket == nil {
		s = lim.start(time.Now())
	}
	s.clock.TellNow()
	return s
}

func (lim *Limiter) start(t time.Time) *state {
	lim.mu.Lock()
	defer lim.mu.Unlock()
	s := lim.load()
	if s.bucket == nil {
		s = newState(t, s.limit, s.burst, tokenbucket.InitiallyFull)
		lim.state.Store(s)
	}
	return s
}

// newState panics where package tokenbucket has no library, or no memory: there is no error to return.
func newState(origin time.Time, limit Limit, burst int, tokens float64) *state {
	bucket, clock, err := told.New(origin, capacityOf(burst), rateOf(limit), tokens)
	if err != nil {
		panic(err)
	}
	return &state{limit, burst, bucket.(*tokenbucket.Limiter), clock}
}

// rateOf is also that of Inf and of 0, where it decides nothing.
func rateOf(limit Limit) float64 {
	if !(limit >= Limit(tokenbucket.MinLimit)) {
		return tokenbucket.MinLimit
	}
	return math.Min(float64(limit), tokenbucket.MaxLimit)
}

// capacityOf a burst of 0 is less than any event needs.
func capacityOf(burst int) float64 {
	if burst <= 0 {
		return tokenbucket.MinBurst
	}
	return math.Min(float64(burst), tokenbucket.MaxBurst)
}

// Limit returns the limit.
func (lim *Limiter) Limit() Limit { return lim.load().limit }

// Burst returns the largest number of events at once.
func (lim *Limiter) Burst() int { return lim.load().burst }

// Tokens returns how many tokens there are now; negative while those of reservations and waits are owed.
func (lim *Limiter) Tokens() float64 { return lim.now().tokens() }

// TokensAt returns how many tokens there are at t.
func (lim *Limiter) TokensAt(t time.Time) float64 { return lim.at(t).tokens() }

func (s *state) tokens() float64 {
	if s.limit == Inf {
		return float64(s.burst)
	}
	return math.Min(s.bucket.Tokens(), math.Max(0, float64(s.burst)))
}

// Allow reports whether an event may happen now. If so, it takes a token.
func (lim *Limiter) Allow() bool { return lim.now().allow(1) }

// AllowN reports whether n events may happen at t. If so, it takes n tokens. None of n below 1.
func (lim *Limiter) AllowN(t time.Time, n int) bool { return lim.at(t).allow(n) }

func (s *state) allow(n int) bool {
	if s.limit == Inf {
		return true
	}
	if n <= 0 {
		return s.tokens() >= 0
	}
	return s.bucket.AllowN(float64(n))
}

// Wait is WaitN(ctx, 1).
func (lim *Limiter) Wait(ctx context.Context) error { return lim.WaitN(ctx, 1) }

// WaitN sleeps until n events may happen, and takes n tokens. The error says why they may not: n is more than the burst,
// the context is done, or its deadline is too near, which is known at once. Then nothing is taken.
func (lim *Limiter) WaitN(ctx context.Context, n int) error {
	s := lim.now()
	switch {
	case s.limit == Inf || n <= 0:
		return ctx.Err()
	case n > s.burst:
		return fmt.Errorf("rate: a wait for %d events, with a burst of %d: %w", n, s.burst, tokenbucket.ErrExceedsCapacity)
	case s.limit > 0:
		return s.bucket.WaitN(ctx, float64(n))
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err := s.bucket.Take(float64(n))
	return err
}

// SetLimit is SetLimitAt(time.Now(), limit).
func (lim *Limiter) SetLimit(limit Limit) { lim.SetLimitAt(time.Now(), limit) }

// SetLimitAt changes the limit at t. Reservations keep their times; who waits is planned anew.
func (lim *Limiter) SetLimitAt(t time.Time, limit Limit) {
	lim.set(t, func(to *state) error {
		to.limit = limit
		return to.bucket.SetLimit(rateOf(limit))
	})
}

// SetBurst is SetBurstAt(time.Now(), burst).
func (lim *Limiter) SetBurst(burst int) { lim.SetBurstAt(time.Now(), burst) }

// SetBurstAt changes the burst at t. Reservations keep their times; a wait for more than the new burst fails.
func (lim *Limiter) SetBurstAt(t time.Time, burst int) {
	lim.set(t, func(to *state) error {
		if to.burst <= 0 && to.bucket.Tokens() > 0 {
			_ = to.bucket.SetTokens(0) // what a burst of 0 has, see capacityOf
		}
		to.burst = burst
		return to.bucket.SetBurst(capacityOf(burst))
	})
}

// set replaces the state. A bucket that counts in fractions which are too fine for the new limit gives way to another one
// with its tokens; who waits for the old one gets what it was promised.
func (lim *Limiter) set(t time.Time, change func(to *state) error) {
	lim.at(t)
	lim.mu.Lock()
	defer lim.mu.Unlock()
	to := *lim.load()
	if err := change(&to); err != nil {
		tokens := to.bucket.Tokens()
		to = *newState(t, to.limit, to.burst, math.Max(0, math.Min(tokens, capacityOf(to.burst))))
		if tokens < 0 {
			_, _ = to.bucket.Charge(-tokens) // at most what the old one could owe
		}
	}
	lim.state.Store(&to)
}
