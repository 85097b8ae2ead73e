package tokenbucket

import (
	"context"
	"math"
	"time"
)

// RedisDo sends a command to a server of Redis or Valkey and returns the reply. The arguments are the command's name,
// [Remote]'s script, keys and numbers: strings, which may hold any bytes, and int64s, which go as decimal text. A reply
// is an int64 or an []any of them; the server's own error comes back as an error with its text. Of go-redis it is
//
//	func(ctx context.Context, args ...any) (any, error) { return client.Do(ctx, args...).Result() }
//
// It is called by any number of goroutines at once, and must return soon after the context is done or by a timeout of
// the client's own. It must not send a command again whose answer was lost: that would take twice.
type RedisDo func(ctx context.Context, args ...any) (any, error)

// Remote is a limit for each of many keys, such as users or addresses, for all processes of a fleet: its buckets lie on
// a server of Redis or Valkey, which decides, by its own clock, in one call. It counts exactly, as a [Limiter] does,
// but in whole microseconds. Create it with [NewRemote]; the zero value refuses everything.
//
// Errors of every call are a [*RemoteError] if the server gave no answer, which is neither a grant nor a denial; the
// context's own if it was done before or is cancelled; and an [*ArgumentError]. What was asked may have been done even
// so, if only the answer was lost. [WithOnUnavailable] says what becomes of takes and waits.
//
// The server's key is the prefix and the key. Calls that wait, reserve, charge or put back have a second one beside it;
// they are ErrInvalidArgument for a key that has a } and no {tag}, unless the prefix has a tag, as "tb:{users}:" has.
type Remote struct {
	*remote
	do      RedisDo
	prefix  string
	instead fallback // nil: the error is the answer
}

const (
	defaultPrefix  = "tb:"
	defaultMaxWait = time.Minute
)

// WithPrefix is what the names of a [Remote]'s keys begin with on the server, instead of "tb:". Each limit needs a
// prefix of its own, such as "tb:logins:", the same in all processes.
func WithPrefix(prefix string) Option { return func(s *settings) { s.prefix = prefix } }

// WithMaxWait is how long the tokens of a [Remote] may be ahead: the longest that Wait, Reserve and Charge may put off,
// in whole microseconds, instead of a minute. 0: nothing waits. All processes must use the same.
func WithMaxWait(most time.Duration) Option { return func(s *settings) { s.maxWait = most } }

// NewRemote prepares a limit whose buckets hold up to capacity tokens and gain tokensPerSecond; it sends nothing.
// Options: [WithPeriod], [WithPrefix], [WithMaxWait], [WithOnUnavailable].
// Errors as [New]. ErrInvalidArgument: also no function, or a share outside of 0 .. 1. ErrOutOfRange: also a limit
// that the server, which counts with 53 bits, cannot count exactly: as a rule a rate of more than 9 digits, or a bucket
// that takes more than 285 years to fill. ErrUnsupported: another option.
func NewRemote(do RedisDo, capacity, tokensPerSecond float64, options ...Option) (*Remote, error) {
	s := newSettings(capacity, tokensPerSecond, options)
	if do == nil {
		return nil, &ArgumentError{ErrInvalidArgument, "do", "a function", "nil"}
	}
	if err := s.check(aRemote, "a Remote"); err != nil {
		return nil, err
	}
	prepared, err := newRemote(&s)
	if err != nil {
		return nil, err
	}
	instead, err := newFallback(&s)
	if err != nil {
		return nil, err
	}
	return &Remote{prepared, do, s.prefix, instead}, nil
}

// Limit returns the rate in tokens per second.
func (r *Remote) Limit() float64 { return r.limit().rate() }

// Burst returns the capacity.
func (r *Remote) Burst() float64 { return r.limit().capacity }

// Allow is AllowN(ctx, key, 1).
func (r *Remote) Allow(ctx context.Context, key string) (bool, error) { return r.AllowN(ctx, key, 1) }

// AllowN takes n tokens if they are there now, all or nothing, and reports whether it did. The error is nil if the
// answer is a plain no; [Remote.Take] says why.
func (r *Remote) AllowN(ctx context.Context, key string, n float64) (bool, error) {
	_, err := r.Take(ctx, key, n)
	return granted(err)
}

func granted(err error) (bool, error) {
	if err == ErrDenied || err == ErrExceedsCapacity {
		return false, nil
	}
	return err == nil, err
}

// Take is AllowN with the reasons: the error is nil if the tokens were taken, else ErrDenied, ErrExceedsCapacity, which
// is known without the server, so that the decision has RetryAfter alone, ErrInvalidArgument, or as [Remote] says.
func (r *Remote) Take(ctx context.Context, key string, n float64) (Decision, error) {
	q, s := r.prepare(opTake, n)
	if s == ErrExceedsCapacity {
		return Decision{RetryAfter: InfDuration}, s
	}
	a, err := r.ask(ctx, key, oneKey, q, refusedAmount(s, "n", n))
	if f := r.fallback(err); f != nil {
		return f.take(key, n)
	}
	return Decision{math.Max(0, a.remaining), a.retry, a.reset}, err
}

// TakeUpTo takes as many whole tokens as are there now, at most most, and returns how many: possibly 0.
func (r *Remote) TakeUpTo(ctx context.Context, key string, most float64) (float64, error) {
	q, s := r.prepare(opTakeUpTo, most)
	a, err := r.ask(ctx, key, oneKey, q, refusedAmount(s, "most", most))
	if f := r.fallback(err); f != nil {
		return f.takeUpTo(key, most)
	}
	return a.tokens, err
}

// Charge takes n tokens unconditionally, going into debt if need be: for work whose cost is known afterwards. It returns
// the time until the debt is repaid, 0 without debt. ErrOutOfRange: more debt than accrues in the time of [WithMaxWait].
func (r *Remote) Charge(ctx context.Context, key string, n float64) (time.Duration, error) {
	q, s := r.prepare(opCharge, n)
	a, err := r.ask(ctx, key, twoKeys, q, refusedDebt(s.err(), "n", n))
	return a.retry, refusedDebt(err, "n", n)
}

// Refund puts n tokens in, at most up to the capacity; the rest is dropped.
func (r *Remote) Refund(ctx context.Context, key string, n float64) error {
	q, s := r.prepare(opRefund, n)
	_, err := r.ask(ctx, key, twoKeys, q, refusedAmount(s, "n", n))
	return err
}

// Reset sets the tokens of the key, 0 up to the capacity or InitiallyFull, and forgives all debt, pending reservations
// too.
func (r *Remote) Reset(ctx context.Context, key string, tokens float64) error {
	q, s := r.prepare(opReset, tokens)
	_, err := r.ask(ctx, key, twoKeys, q, refusedBalance(s, tokens))
	return err
}

// Tokens returns the tokens of the key now, fractions included; negative while in debt.
func (r *Remote) Tokens(ctx context.Context, key string) (float64, error) {
	q, s := r.prepare(opPeek, r.Burst())
	a, err := r.ask(ctx, key, oneKey, q, refusedCall(s))
	return a.remaining, err
}

// TimeUntil returns the time until n tokens would be there if nobody took any; 0 if they are.
// ErrExceedsCapacity: never.
func (r *Remote) TimeUntil(ctx context.Context, key string, n float64) (time.Duration, error) {
	q, s := r.prepare(opPeek, n)
	a, err := r.ask(ctx, key, oneKey, q, refusedAmount(s, "n", n))
	return a.retry, err
}
