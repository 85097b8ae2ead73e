package tokenbucket

import (
	"context"
	"math"
	"sync"
	"time"
)

// InfDuration is the longest time: no limit to a wait, and as an answer: longer than can be expressed.
const InfDuration = time.Duration(math.MaxInt64)

// InitiallyFull as a number of tokens means: as many as the limiter holds.
const InitiallyFull float64 = -1

// What a limiter can be made of. MaxLimit with MaxBurst never denies anything that a program can ask for; MinLimit is
// one token in 31 years.
const (
	MinLimit float64 = 1e-9 // tokens per second
	MaxLimit float64 = 1e10 // tokens per second
	MinBurst float64 = 1e-6 // tokens
	MaxBurst float64 = 1e15 // tokens
)

// Every is the rate, in tokens per second, of one token per interval: exactly, for New(5, Every(7*time.Millisecond))
// gains a token every 7 ms to the nanosecond. Of an interval that is not above 0 it is infinite, which New refuses.
func Every(interval time.Duration) float64 {
	if interval <= 0 {
		return math.Inf(1)
	}
	return float64(time.Second) / float64(interval)
}

// Limiter is a token bucket. Create it with [New]; the zero value refuses everything. It must not be copied.
type Limiter struct {
	bucket    *bucket
	clock     *ManualClock // nil: the system clock
	waits     *waitCounts  // nil: not counted
	closeOnce sync.Once
	closed    chan struct{}
	ending    sync.Mutex // guards the ended of all its reservations
}

type settings struct {
	capacity, tokens float64
	period           time.Duration
	initial          float64
	clock            *ManualClock
	statistics       bool
}

// Option changes what [New] creates.
type Option func(*settings)

// WithPeriod makes the rate one of tokens per period instead of per second: New(100, 700000, WithPeriod(time.Hour)) is
// exactly 700000 per hour.
func WithPeriod(period time.Duration) Option { return func(s *settings) { s.period = period } }

// WithInitialTokens makes the limiter start with that many tokens, 0 up to its capacity, instead of full.
func WithInitialTokens(tokens float64) Option { return func(s *settings) { s.initial = tokens } }

// WithClock makes the limiter live on the manual clock instead of the system clock. A clock may serve many limiters.
func WithClock(clock *ManualClock) Option { return func(s *settings) { s.clock = clock } }

// New creates a full limiter that holds up to capacity tokens and gains tokensPerSecond.
// ErrInvalidArgument: NaN, infinite, or a period not above 0. ErrOutOfRange: a capacity outside 1e-6 .. 1e15, a rate
// outside 1e-9 .. 1e10 per second, or more initial tokens than the capacity. ErrOutOfMemory.
func New(capacity, tokensPerSecond float64, options ...Option) (*Limiter, error) {
	s := settings{capacity: capacity, tokens: tokensPerSecond, period: time.Second, initial: InitiallyFull}
	for _, option := range options {
		option(&s)
	}
	b, err := newBucket(&s)
	if err != nil {
		return nil, err
	}
	l := &Limiter{bucket: b, clock: s.clock, closed: make(chan struct{})}
	if s.statistics {
		l.waits = new(waitCounts)
	}
	return l, nil
}

// Close closes the limiter for good: who waits gets ErrClosed with the tokens given back, and so does every later call
// that takes tokens or changes the limiter. It may be called at any time, also during other calls, and more than once.
// Memory is freed by the garbage collector: calling Close is not needed for that.
func (l *Limiter) Close() error {
	if s := l.bucket.close(); s != Success {
		return s
	}
	l.closeOnce.Do(func() { close(l.closed) })
	return nil
}

// Allow is AllowN(1).
func (l *Limiter) Allow() bool { return l.AllowN(1) }

// AllowN takes n tokens if they are there now, all or nothing, and reports whether it did; [Limiter.Take] says why not.
func (l *Limiter) AllowN(n float64) bool { return l.bucket.allow(n) == Success }

// Decision is what a limiter's answer tells its client, as for HTTP's RateLimit and Retry-After headers.
type Decision struct {
	Remaining  float64       // tokens left now; 0 while in debt
	RetryAfter time.Duration // until this request would be granted; 0 if it was, InfDuration if it never can be
	ResetAfter time.Duration // until the limiter is full again
}

// Take is AllowN with the reasons: the error is nil if the tokens were taken, else ErrDenied, ErrExceedsCapacity,
// ErrClosed or ErrInvalidArgument. The decision is filled for nil, ErrDenied and ErrExceedsCapacity.
func (l *Limiter) Take(n float64) (Decision, error) {
	d, s := l.bucket.take(n)
	return d, s.err()
}

// TakeUpTo takes as many whole tokens as are there now, at most most, and returns how many: possibly 0.
func (l *Limiter) TakeUpTo(most float64) (float64, error) {
	taken, s := l.bucket.takeUpTo(most)
	return taken, s.err()
}

// Wait is WaitN(ctx, 1).
func (l *Limiter) Wait(ctx context.Context) error { return l.WaitN(ctx, 1) }

// WaitN takes n tokens, sleeping until they are there. They are reserved at the call: later calls, large or small,
// cannot delay it. If they cannot be there by the context's deadline, the answer is ErrTimedOut at once, with
// nothing taken. If the context is cancelled, or the limiter closed (ErrClosed), before the tokens are due, they are
// all given back. A context that is done already takes nothing. Also ErrExceedsCapacity, ErrInvalidArgument, and
// ErrOutOfRange for a debt beyond what can be counted.
//
// On a manual clock it sleeps until the clock has been moved far enough; the real time left until the context's
// deadline is then the longest the wait may be on the manual clock.
func (l *Limiter) WaitN(ctx context.Context, n float64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	// What is there is taken at half the price of a reservation, and a take overtakes nobody who waits. Where it is
	// counted it is not tried: a wait is no denied take.
	if l.waits == nil {
		if s := l.bucket.allow(n); s != ErrDenied {
			return s.err()
		}
	}
	var r Reservation
	l.reserve(&r, n, timeLeft(ctx))
	if r.status != Success {
		return r.status
	}
	if r.promise.wait == 0 {
		return nil
	}
	l.waits.begin()
	err := r.sleep(ctx)
	// What is due is granted, whatever else happened meanwhile.
	left := r.Delay()
	if err != nil && left > 0 {
		l.giveBack(r.promise)
	} else {
		err = nil
	}
	l.waits.end(r.promise.wait-left, err == nil)
	return err
}

// giveBack gives back what was not used. To the library, whose clock is ahead of Go's, it may be due: settling gives
// that back too. Cancelling, which gives nothing back after it, counts, and is what a closed limiter still does.
func (l *Limiter) giveBack(p promise) {
	l.bucket.settle(p, 0)
	l.bucket.cancel(p)
}

func timeLeft(ctx context.Context) time.Duration {
	deadline, limited := ctx.Deadline()
	if !limited {
		return InfDuration
	}
	left := time.Until(deadline)
	if left < 0 {
		return 0
	}
	return left
}

// Charge takes n tokens unconditionally, n may exceed the capacity, going into debt if need be: for work whose cost is
// known afterwards. It returns the time until the debt is repaid, 0 without debt.
func (l *Limiter) Charge(n float64) (time.Duration, error) {
	repaid, s := l.bucket.charge(n)
	return repaid, s.err()
}

// Refund puts n tokens in, at most up to the capacity; the rest is dropped.
func (l *Limiter) Refund(n float64) error { return l.bucket.refund(n).err() }

// Reset sets the tokens in the limiter, 0 up to its capacity or InitiallyFull, and forgives all debt.
func (l *Limiter) Reset(tokens float64) error { return l.bucket.reset(tokens).err() }

// SetLimit changes the rate at once; tokens and debts are kept. Reservations, and waits that sleep already, keep their
// times.
func (l *Limiter) SetLimit(tokensPerSecond float64) error {
	return l.bucket.setRate(tokensPerSecond).err()
}

// SetBurst changes the capacity at once; what exceeds a smaller one is dropped. Reservations, and waits that sleep
// already, keep their times. ErrOutOfRange: outside the range of New, or more than 2^58 of
// the fractions of a token that the limiter has counted in since it was created.
func (l *Limiter) SetBurst(capacity float64) error { return l.bucket.setCapacity(capacity).err() }

// Limit returns the rate in tokens per second.
func (l *Limiter) Limit() float64 {
	c := l.bucket.limit()
	return c.tokens * float64(time.Second) / float64(c.period)
}

// Burst returns the capacity.
func (l *Limiter) Burst() float64 { return l.bucket.limit().capacity }

// Tokens returns the tokens in the limiter now, fractions included; negative while in debt.
func (l *Limiter) Tokens() float64 { return l.bucket.available() }

// TimeUntil returns the time until n tokens would be there if nobody took any; 0 if they are.
// ErrExceedsCapacity: never.
func (l *Limiter) TimeUntil(n float64) (time.Duration, error) {
	left, s := l.bucket.timeUntil(n)
	return left, s.err()
}
