package tokenbucket

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Wait is WaitN(ctx, 1).
func (l *Limiter) Wait(ctx context.Context) error { return l.WaitPriority(ctx, 1, 0) }

// WaitN is WaitPriority(ctx, n, 0).
func (l *Limiter) WaitN(ctx context.Context, n float64) error { return l.WaitPriority(ctx, n, 0) }

// WaitPriority takes n tokens, sleeping until they are there. All who wait stand in one queue: those of a higher
// priority first, then in the order in which they came; no take and no later reservation overtakes them. A change of
// the limiter plans them all anew, in the same order.
//
// If the tokens cannot be there by the context's deadline, the answer is a [*TimeoutError] at once, with nothing taken;
// later, if a change or somebody of a higher priority puts the wait behind the deadline. If the context is cancelled,
// or the limiter closed (ErrClosed), everything is given back, and those behind move up. A context that is done already
// takes nothing. Also ErrQueueFull, ErrExceedsCapacity, ErrInvalidArgument, and ErrOutOfRange for a debt beyond what
// can be counted.
//
// On a manual clock it sleeps until the clock has been moved far enough; the real time left until the context's
// deadline is then the longest the wait may be on the manual clock.
func (l *Limiter) WaitPriority(ctx context.Context, n float64, priority int32) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	// The price of a take, where there is nothing to wait for. A take overtakes nobody, so it is not tried where somebody
	// waits; nor where it is counted, since a wait is no denied take.
	if !l.counted && l.waiting.Load() == 0 {
		if s := l.bucket.allow(n); s != ErrDenied {
			return refusedAmount(s, "n", n)
		}
	}
	l.waiting.Add(1)
	defer l.waiting.Add(-1)
	return queue(ctx, l, n, timeLeft(ctx), priority)
}

// account is what tokens are waited for and reserved of: a Limiter, or a key of a table.
type account interface {
	enqueue(n float64, timeout time.Duration, priority int32, tag uint64) (uint64, time.Duration, Status)
	check(waiter uint64) (time.Duration, Status)
	leave(waiter uint64) Status
	reserve(n float64, max time.Duration) (promise, Status)
	cancel(p promise)
	settle(p promise, actual float64) Status
	timeUntil(n float64) (time.Duration, Status)
	limit() settings
	common() *shared
	refused(s Status, argument string, n float64) error
	late(n float64, left time.Duration) *TimeoutError
}

func (l *Limiter) refused(s Status, argument string, n float64) error {
	return refusedAmount(s, argument, n)
}

func (l *Limiter) late(n float64, left time.Duration) *TimeoutError {
	return &TimeoutError{Limiter: l, N: n, RetryAfter: left, of: l}
}

func queue(ctx context.Context, a account, n float64, timeout time.Duration, priority int32) error {
	s := asleep.add()
	defer asleep.remove(s)
	since := a.common().now()
	waiter, left, status := a.enqueue(n, timeout, priority, s.tag)
	switch status {
	case Pending:
		return sleep(ctx, a, n, s, waiter, left, since)
	case ErrTimedOut:
		a.common().tell(status, n, 0)
		return a.late(n, left)
	case ErrQueueFull:
		a.common().tell(status, n, 0)
	}
	return a.refused(status, "n", n)
}

func sleep(ctx context.Context, a account, n float64, s *sleeper, waiter uint64, left, since time.Duration) error {
	of := a.common()
	for status := Pending; ; {
		if err := s.sleep(ctx, of.nap(left), of.clock == nil); err != nil {
			a.leave(waiter)
			of.tell(ErrInterrupted, n, of.now()-since)
			return err
		}
		if of.told != nil {
			of.told.TellNow()
		}
		if left, status = a.check(waiter); status == Pending {
			continue
		}
		of.tell(status, n, of.now()-since)
		if status == ErrTimedOut {
			left, _ = a.timeUntil(n)
			return a.late(n, left)
		}
		return a.refused(status, "n", n)
	}
}

// lookEvery is how often a wait asks what other processes have changed.
const lookEvery = 100 * time.Millisecond

// nap is how long a wait may sleep before it asks the library again.
func (s *shared) nap(left time.Duration) time.Duration {
	if s.ofHost && left > lookEvery {
		return lookEvery
	}
	return left
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

// TimeoutError says that a wait cannot be over by its context's deadline. errors.Is(err, context.DeadlineExceeded) and
// errors.Is(err, ErrTimedOut) hold.
type TimeoutError struct {
	Limiter    *Limiter      // whose tokens they are; nil: those of a key of a table or a Remote
	Key        string        // that key
	N          float64       // the tokens asked for
	RetryAfter time.Duration // until they would be there

	of interface{ limit() settings }
}

// Error returns a message with the limit and the time.
func (e *TimeoutError) Error() string {
	limit, when := e.of.limit(), "only after "
	if e.RetryAfter == InfDuration {
		when = ""
	}
	return fmt.Sprintf("tokenbucket: timed out: %g tokens of a limiter of %g per second, burst %g, are there %s%s",
		e.N, limit.rate(), limit.capacity, when, textOf(e.RetryAfter))
}

// Timeout returns true, as the context's own error does.
func (e *TimeoutError) Timeout() bool { return true }

// Unwrap returns ErrTimedOut.
func (e *TimeoutError) Unwrap() error { return ErrTimedOut }

// sleeper is a goroutine in a wait. A wake more than needed does no harm: it asks the library again.
type sleeper struct {
	tag   uint64
	woken chan struct{} // holds one
	timer *time.Timer
}

// sleep returns nil when it is woken, or after d where the clock is real, else the context's error.
func (s *sleeper) sleep(ctx context.Context, d time.Duration, real bool) error {
	var due <-chan time.Time
	if real {
		if s.timer == nil {
			s.timer = time.NewTimer(d)
		} else {
			s.timer.Reset(d)
		}
		due = s.timer.C
	}
	select {
	case <-due:
		return nil
	case <-s.woken:
	case <-ctx.Done():
	}
	if real && !s.timer.Stop() {
		select {
		case <-s.timer.C:
		default:
		}
	}
	return ctx.Err()
}

// asleep are all sleepers.
var asleep = sleepers{byTag: map[uint64]*sleeper{}}

type sleepers struct {
	idle sync.Pool

	mu    sync.Mutex // not held in calls into C, which call wake
	last  uint64
	byTag map[uint64]*sleeper
}

// add returns a sleeper that can be woken from now on.
func (a *sleepers) add() *sleeper {
	s, used := a.idle.Get().(*sleeper)
	if !used {
		s = &sleeper{woken: make(chan struct{}, 1)}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last++
	s.tag = a.last
	a.byTag[s.tag] = s
	return s
}

func (a *sleepers) remove(s *sleeper) {
	a.mu.Lock()
	delete(a.byTag, s.tag)
	a.mu.Unlock()
	a.idle.Put(s)
}

// wake is called by the library, from within a call on any goroutine. One that is gone is none.
func (a *sleepers) wake(tag uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s := a.byTag[tag]; s != nil {
		select {
		case s.woken <- struct{}{}:
		default:
		}
	}
}
