package tokenbucket

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"tokenbucket/internal/told"
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
	*bucket
	shared
	counted bool
	waiting atomic.Int64
}

// shared is what a limiter and a table have beside the library's handle.
type shared struct {
	clock   *ManualClock // nil: the system clock
	told    *told.Clock  // not nil: instead of the system clock
	onEvent func(Event)  // may be nil
	ending  sync.Mutex   // guards the ended of all reservations
	ofHost  bool         // other processes have it too, and wake nobody here
}

func (s *shared) common() *shared { return s }

type settings struct {
	capacity, tokens float64
	period           time.Duration
	initial          float64
	clock            *ManualClock
	told             *toldClock
	statistics       bool
	maxWaiters       int
	maxLateness      time.Duration
	onEvent          func(Event)

	// Of a table.
	keys     int
	maxBytes int64
	whenFull WhenFull

	// Of OpenShared and OpenSharedTable.
	adopt bool

	// Of a Remote.
	prefix        string
	maxWait       time.Duration
	onUnavailable OnUnavailable
}

func newSettings(capacity, tokensPerSecond float64, options []Option) settings {
	s := settings{capacity: capacity, tokens: tokensPerSecond, period: time.Second, initial: InitiallyFull,
		prefix: defaultPrefix, maxWait: defaultMaxWait}
	for _, option := range options {
		option(&s)
	}
	return s
}

// Option changes what [New], [NewTable], [OpenShared], [OpenSharedTable] or [NewRemote] creates.
type Option func(*settings)

// WithPeriod makes the rate one of tokens per period instead of per second: New(100, 700000, WithPeriod(time.Hour)) is
// exactly 700000 per hour.
func WithPeriod(period time.Duration) Option { return func(s *settings) { s.period = period } }

// WithInitialTokens makes the limiter start with that many tokens, 0 up to its capacity, instead of full.
func WithInitialTokens(tokens float64) Option { return func(s *settings) { s.initial = tokens } }

// WithClock makes the limiter live on the manual clock instead of the system clock. A clock may serve many limiters.
func WithClock(clock *ManualClock) Option { return func(s *settings) { s.clock = clock } }

// WithMaxWaiters lets at most so many wait at a time; the next is told ErrQueueFull. 0: no limit.
func WithMaxWaiters(most int) Option { return func(s *settings) { s.maxWaiters = most } }

// WithMaxLateness is how long the tokens of a wait are kept for it once they are due. A goroutine that comes later,
// because the process was stopped or had no processor, is planned anew from then on with all behind it, so that late
// ones do not act all at once. 0: 10 ms, and no limit on a manual clock.
func WithMaxLateness(most time.Duration) Option { return func(s *settings) { s.maxLateness = most } }

// New creates a full limiter that holds up to capacity tokens and gains tokensPerSecond.
//
// The error is ErrOutOfMemory or an [*ArgumentError]. ErrInvalidArgument: NaN, infinite, a period not above 0, or a
// negative option. ErrOutOfRange: a capacity outside 1e-6 .. 1e15, a rate outside 1e-9 .. 1e10 per second, or more initial
// tokens than the capacity. ErrUnsupported: an option of a limit of another kind.
func New(capacity, tokensPerSecond float64, options ...Option) (*Limiter, error) {
	s := newSettings(capacity, tokensPerSecond, options)
	if err := s.check(aLimiter, "a Limiter of New"); err != nil {
		return nil, err
	}
	b, err := newBucket(&s)
	if err != nil {
		return nil, err
	}
	return &Limiter{bucket: b, shared: shared{clock: s.clock, onEvent: s.onEvent}, counted: s.statistics}, nil
}

// Close closes the limiter for good: who waits gets ErrClosed, unless its tokens are due, and so does every later call
// that takes tokens or changes the limiter. It may be called at any time, also during other calls, and more than once.
// Memory is freed by the garbage collector: calling Close is not needed for that.
func (l *Limiter) Close() error { return refusedCall(l.bucket.close()) }

// Allow is AllowN(1).
func (l *Limiter) Allow() bool { return l.AllowN(1) }

// AllowN takes n tokens if they are there now, all or nothing, and reports whether it did; [Limiter.Take] says why not.
func (l *Limiter) AllowN(n float64) bool {
	s := l.bucket.allow(n)
	if s == ErrDenied {
		l.tell(s, n, 0)
	}
	return s == Success
}

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
	if s == ErrDenied {
		l.tell(s, n, 0)
	}
	return d, refusedAmount(s, "n", n)
}

// TakeUpTo takes as many whole tokens as are there now, at most most, and returns how many: possibly 0.
func (l *Limiter) TakeUpTo(most float64) (float64, error) {
	taken, s := l.bucket.takeUpTo(most)
	return taken, refusedAmount(s, "most", most)
}

// Charge takes n tokens unconditionally, n may exceed the capacity, going into debt if need be: for work whose cost is
// known afterwards. Who waits is planned anew, later if need be. It returns the time until the debt is repaid, 0 without
// debt.
func (l *Limiter) Charge(n float64) (time.Duration, error) {
	repaid, s := l.bucket.charge(n)
	return repaid, refusedAmount(s, "n", n)
}

// Refund puts n tokens in, at most up to the capacity; the rest is dropped. Who waits moves up.
func (l *Limiter) Refund(n float64) error { return refusedAmount(l.bucket.refund(n), "n", n) }

// Reset sets the tokens in the limiter, 0 up to its capacity or InitiallyFull, and forgives all debt, pending
// reservations too. The tokens go to who waits first.
func (l *Limiter) Reset(tokens float64) error { return refusedBalance(l.bucket.reset(tokens), tokens) }

// SetTokens sets the tokens in the limiter, 0 up to its capacity, to what a server said is left: what was taken or owed
// so far is forgotten. Who waits keeps the place and is planned anew, reservations keep their times and tokens; what
// both hold is taken off what Tokens then returns.
func (l *Limiter) SetTokens(tokens float64) error {
	return refusedBalance(l.bucket.setTokens(tokens), tokens)
}

// SetLimit changes the rate at once; tokens and debts are kept. Reservations keep their times; who waits is planned
// anew.
func (l *Limiter) SetLimit(tokensPerSecond float64) error {
	return refusedRate(l.bucket.setRate(tokensPerSecond), tokensPerSecond,
		"such that at most 2^58 units of this bucket come in until the last reservation is due")
}

// SetBurst changes the capacity at once; what exceeds a smaller one is dropped. Reservations keep their times; who waits
// is planned anew, or told ErrExceedsCapacity. ErrOutOfRange: outside the range of New, or more than 2^58 of the
// fractions of a token that the limiter has counted in since it was created.
func (l *Limiter) SetBurst(capacity float64) error {
	return refusedCapacity(l.bucket.setCapacity(capacity), capacity, "from 1 to 2^58 units of this bucket")
}

// Limit returns the rate in tokens per second.
func (l *Limiter) Limit() float64 { return l.bucket.limit().rate() }

func (s settings) rate() float64 { return s.tokens * float64(time.Second) / float64(s.period) }

// Burst returns the capacity.
func (l *Limiter) Burst() float64 { return l.bucket.limit().capacity }

// Tokens returns the tokens in the limiter now, fractions included; negative while in debt.
func (l *Limiter) Tokens() float64 { return l.bucket.available() }

// TimeUntil returns the time until n tokens would be there if nobody took any; 0 if they are.
// ErrExceedsCapacity: never.
func (l *Limiter) TimeUntil(n float64) (time.Duration, error) {
	left, s := l.bucket.timeUntil(n)
	return left, refusedAmount(s, "n", n)
}
