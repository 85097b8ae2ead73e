//go:build xtime

package rate

import (
	"context"
	"runtime"
	"time"
)

// What the tests of x/time use of its inside; xtime/test.sh runs them with this package.

// reserveN is ReserveN with a longest wait.
func (lim *Limiter) reserveN(t time.Time, n int, max time.Duration) (r Reservation) {
	r.make(lim, t, n, max)
	return r
}

// wait is WaitN at t, in a time that newTimer's last result moves on to when the wait is over.
func (lim *Limiter) wait(ctx context.Context, n int, t time.Time,
	newTimer func(time.Duration) (<-chan time.Time, func() bool, func()),
) error {
	s := lim.at(t)
	delay := InfDuration
	if n > 0 {
		delay, _ = s.bucket.TimeUntil(float64(n))
	}
	answer, before := make(chan error, 1), s.tokens()
	go func() { answer <- lim.WaitN(ctx, n) }()
	if delay > 0 && s.limit != Inf && n <= s.burst {
		for s.tokens() > before-0.5 {
			runtime.Gosched()
			select {
			case err := <-answer:
				return err
			default:
			}
		}
		_, _, advance := newTimer(delay)
		advance()
	}
	return <-answer
}

// What they log.
func (lim *Limiter) tokens()    {}
func (lim *Limiter) last()      {}
func (lim *Limiter) lastEvent() {}
