//go:build cgo

package tokenbucket

import (
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func newLimiter(t testing.TB, capacity, tokensPerSecond float64, options ...Option) *Limiter {
	t.Helper()
	l, err := New(capacity, tokensPerSecond, options...)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// newToldTestLimiter is one of package rate.
func newToldTestLimiter(t testing.TB) *Limiter {
	t.Helper()
	l, _, err := newToldLimiter(time.Now(), 10, 2, InitiallyFull)
	if err != nil {
		t.Fatal(err)
	}
	return l.(*Limiter)
}

func newManualClock(t testing.TB) *ManualClock {
	t.Helper()
	c, err := NewManualClock(0)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func advance(t testing.TB, c *ManualClock, d time.Duration) {
	t.Helper()
	if err := c.Advance(d); err != nil {
		t.Fatal(err)
	}
}

func expectError(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) || (want == nil && got != nil) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func expectTokens(t *testing.T, l *Limiter, want float64) {
	t.Helper()
	if got := l.Tokens(); got != want {
		t.Errorf("%v tokens, want %v", got, want)
	}
}

// fewerWithForcedGC is for loops that take too long when every call collects garbage.
func fewerWithForcedGC(n int) int {
	if forcedGC {
		return n / 100
	}
	return n
}

func TestAllow(t *testing.T) {
	clock := newManualClock(t)
	l := newLimiter(t, 2, 10, WithClock(clock))
	for i, want := range []bool{true, true, false} {
		if got := l.Allow(); got != want {
			t.Errorf("call %d of a burst of 2: %v", i, got)
		}
	}
	advance(t, clock, 100*time.Millisecond-1)
	if l.Allow() {
		t.Error("granted one nanosecond early")
	}
	advance(t, clock, 1)
	if !l.AllowN(0.7) || !l.AllowN(0.3) || l.AllowN(1e-9) {
		t.Error("0.7 + 0.3 is not 1")
	}
}

func TestTake(t *testing.T) {
	clock := newManualClock(t)
	l := newLimiter(t, 10, 2, WithClock(clock))
	steps := []struct {
		n    float64
		want Decision
		err  error
	}{
		{7.5, Decision{2.5, 0, 3750 * time.Millisecond}, nil},
		{3, Decision{2.5, 250 * time.Millisecond, 3750 * time.Millisecond}, ErrDenied},
		{11, Decision{2.5, InfDuration, 3750 * time.Millisecond}, ErrExceedsCapacity},
		{-1, Decision{}, ErrInvalidArgument},
	}
	for _, step := range steps {
		got, err := l.Take(step.n)
		expectError(t, "Take", err, step.err)
		if got != step.want {
			t.Errorf("Take(%v): %+v, want %+v", step.n, got, step.want)
		}
	}
}

func TestInitialTokensAndPeriod(t *testing.T) {
	clock := newManualClock(t)
	l := newLimiter(t, 10, 700000, WithPeriod(time.Hour), WithInitialTokens(0), WithClock(clock))
	expectTokens(t, l, 0)
	if wait, err := l.TimeUntil(7); err != nil || wait != 36*time.Millisecond {
		t.Errorf("7 tokens of 700000 per hour: after %v, %v", wait, err)
	}
	expectTokens(t, newLimiter(t, 10, 1, WithInitialTokens(2.5), WithClock(clock)), 2.5)
	expectTokens(t, newLimiter(t, 10, 1, WithInitialTokens(InitiallyFull), WithClock(clock)), 10)
}

// Exactly, though the rate of most of these intervals is no decimal fraction.
func TestEvery(t *testing.T) {
	for _, interval := range []time.Duration{
		1, 3, 7 * time.Millisecond, time.Second, 3 * time.Second, time.Hour, 11 * time.Hour, 365 * 24 * time.Hour,
	} {
		l := newLimiter(t, 10, Every(interval), WithClock(newManualClock(t)), WithInitialTokens(0))
		if wait, err := l.TimeUntil(9); err != nil || wait != 9*interval {
			t.Errorf("9 tokens, one every %v: after %v, %v", interval, wait, err)
		}
	}
	for _, interval := range []time.Duration{0, -time.Second} {
		_, err := New(1, Every(interval))
		expectError(t, "never pausing", err, ErrInvalidArgument)
	}
}

func TestExtremes(t *testing.T) {
	clock := newManualClock(t)
	unlimited := newLimiter(t, MaxBurst, MaxLimit, WithClock(clock))
	for i := 0; i < 1000; i++ {
		if !unlimited.AllowN(1e9) {
			t.Fatal("the largest limiter denied 1e9 tokens")
		}
	}
	never := newLimiter(t, MinBurst, MinLimit, WithClock(clock))
	if !never.AllowN(MinBurst) || never.AllowN(MinBurst) {
		t.Error("the smallest limiter holds another number of tokens")
	}
	for _, c := range [][2]float64{
		{MaxBurst * 1.01, 1}, {MinBurst * 0.99, 1}, {1, MaxLimit * 1.01}, {1, MinLimit * 0.99},
	} {
		_, err := New(c[0], c[1])
		expectError(t, "beyond the extremes", err, ErrOutOfRange)
	}
}

func TestLimitAndBurst(t *testing.T) {
	l := newLimiter(t, 10, 1800, WithPeriod(time.Hour), WithClock(newManualClock(t)))
	if l.Limit() != 0.5 || l.Burst() != 10 {
		t.Errorf("limit %v, burst %v", l.Limit(), l.Burst())
	}
	expectError(t, "SetLimit", l.SetLimit(20), nil)
	expectError(t, "SetBurst", l.SetBurst(5), nil)
	if l.Limit() != 20 || l.Burst() != 5 {
		t.Errorf("limit %v, burst %v", l.Limit(), l.Burst())
	}
	expectTokens(t, l, 5)
}

func TestAdjusting(t *testing.T) {
	l := newLimiter(t, 10, 2, WithClock(newManualClock(t)))
	if repaid, err := l.Charge(16); err != nil || repaid != 3*time.Second {
		t.Errorf("Charge: %v, %v", repaid, err)
	}
	expectTokens(t, l, -6)
	expectError(t, "Refund", l.Refund(8.5), nil)
	expectTokens(t, l, 2.5)
	if taken, err := l.TakeUpTo(10); err != nil || taken != 2 {
		t.Errorf("TakeUpTo: %v, %v", taken, err)
	}
	expectError(t, "Reset", l.Reset(InitiallyFull), nil)
	expectTokens(t, l, 10)
	expectError(t, "Reset", l.Reset(11), ErrExceedsCapacity)
	expectError(t, "SetTokens", l.SetTokens(2.5), nil)
	expectTokens(t, l, 2.5)
	expectError(t, "SetTokens", l.SetTokens(11), ErrExceedsCapacity)
	expectError(t, "SetTokens", l.SetTokens(-1), ErrInvalidArgument)
	expectTokens(t, l, 2.5)
}

func TestBadLimits(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct {
		capacity, rate float64
		options        []Option
		want           error
	}{
		{nan, 1, nil, ErrInvalidArgument},
		{inf, 1, nil, ErrInvalidArgument},
		{1, nan, nil, ErrInvalidArgument},
		{1, inf, nil, ErrInvalidArgument},
		{0, 1, nil, ErrOutOfRange},
		{1e16, 1, nil, ErrOutOfRange},
		{1, 0, nil, ErrOutOfRange},
		{1, 1e11, nil, ErrOutOfRange},
		{1, 1, []Option{WithPeriod(0)}, ErrInvalidArgument},
		{1, 1, []Option{WithPeriod(-time.Second)}, ErrInvalidArgument},
		{1, 1, []Option{WithInitialTokens(nan)}, ErrInvalidArgument},
		{1, 1, []Option{WithInitialTokens(-2)}, ErrInvalidArgument},
		{1, 1, []Option{WithInitialTokens(2)}, ErrOutOfRange},
	} {
		l, err := New(c.capacity, c.rate, c.options...)
		expectError(t, "New", err, c.want)
		if l != nil {
			t.Errorf("New(%v, %v): a limiter beside the error", c.capacity, c.rate)
		}
	}
}

// everyAnswer is what each taking call says to n; AllowN cannot say it.
func everyAnswer(l *Limiter, n float64) map[string]error {
	_, take := l.Take(n)
	_, upTo := l.TakeUpTo(n)
	_, charge := l.Charge(n)
	return map[string]error{
		"Take": take, "TakeUpTo": upTo, "Charge": charge, "Refund": l.Refund(n),
		"Reserve": l.ReserveN(n).Err(), "Wait": l.WaitN(background, n),
	}
}

func TestBadAmounts(t *testing.T) {
	l := newLimiter(t, 10, 2, WithClock(newManualClock(t)))
	for _, n := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, math.Copysign(0, -1), -1} {
		if l.AllowN(n) {
			t.Errorf("AllowN(%v) granted", n)
		}
		for name, err := range everyAnswer(l, n) {
			expectError(t, name, err, ErrInvalidArgument)
		}
		_, err := l.TimeUntil(n)
		expectError(t, "TimeUntil", err, ErrInvalidArgument)
	}
	_, err := l.Take(10.5)
	expectError(t, "Take", err, ErrExceedsCapacity)
	expectError(t, "Wait", l.WaitN(background, 10.5), ErrExceedsCapacity)
	expectError(t, "Reserve", l.ReserveN(10.5).Err(), ErrExceedsCapacity)
	if l.AllowN(10.5) {
		t.Error("AllowN granted more than the capacity")
	}
	expectTokens(t, l, 10)
}

func TestZeroLimiterRefusesEverything(t *testing.T) {
	var l Limiter
	if l.Allow() || l.Tokens() != 0 || l.Limit() != 0 || l.Burst() != 0 {
		t.Error("the zero Limiter holds something")
	}
	for name, err := range everyAnswer(&l, 1) {
		expectError(t, name, err, ErrInvalidArgument)
	}
	expectError(t, "Close", l.Close(), ErrInvalidArgument)
}

func TestClosedLimiterSaysSo(t *testing.T) {
	l := newLimiter(t, 10, 2)
	expectError(t, "Close", l.Close(), nil)
	expectError(t, "Close again", l.Close(), nil)
	if l.Allow() {
		t.Error("a closed limiter granted")
	}
	for name, err := range everyAnswer(l, 1) {
		expectError(t, name, err, ErrClosed)
	}
}

// Calls on many goroutines, all running when the limiter is closed, end in ErrClosed and nothing worse.
func TestCloseRacesCalls(t *testing.T) {
	calls := []func(l *Limiter) error{
		func(l *Limiter) error { _, err := l.Take(1); return err },
		func(l *Limiter) error { return l.Refund(1) },
		func(l *Limiter) error {
			r := l.Reserve()
			r.Cancel()
			return r.Err()
		},
		func(l *Limiter) error { return l.WaitN(background, 50) },
	}
	for round := 0; round < 1+fewerWithForcedGC(10); round++ {
		l := newLimiter(t, 100, 1e6)
		var started, done sync.WaitGroup
		for _, call := range calls {
			call := call
			for i := 0; i < 2; i++ {
				started.Add(1)
				done.Add(1)
				go func() {
					defer done.Done()
					err := call(l)
					started.Done()
					for err == nil || errors.Is(err, ErrDenied) {
						err = call(l)
					}
					expectError(t, "after Close", err, ErrClosed)
				}()
			}
		}
		started.Wait()
		expectError(t, "Close", l.Close(), nil)
		done.Wait()
	}
}

func TestConcurrentTakesGrantTheExactNumber(t *testing.T) {
	const capacity, rate, workers = 100, 1000, 8
	steps := 10 + fewerWithForcedGC(200)
	clock := newManualClock(t)
	l := newLimiter(t, capacity, rate, WithClock(clock))
	var granted atomic.Int64
	ask := func(times int) {
		var done sync.WaitGroup
		for w := 0; w < workers; w++ {
			done.Add(1)
			go func() {
				defer done.Done()
				for i := 0; i < times; i++ {
					if l.Allow() {
						granted.Add(1)
					}
				}
			}()
		}
		done.Wait()
	}
	ask(20)
	for s := 0; s < steps; s++ {
		advance(t, clock, 7*time.Millisecond)
		ask(2)
	}
	if want := int64(capacity + rate*7*steps/1000); granted.Load() != want {
		t.Errorf("granted %d, want %d", granted.Load(), want)
	}
}

// Each call is the last use of its handle: only the binding keeps the memory alive. With forced collections a missing
// KeepAlive makes this fail, or crash.
func TestHandleOutlivesTheCall(t *testing.T) {
	fresh := func() *bucket { return newLimiter(t, 10, 2).bucket }
	clock := func() *clock { return newManualClock(t).handle }
	enqueued := func() (*bucket, uint64) {
		b := newLimiter(t, 10, 2, WithInitialTokens(0)).bucket
		waiter, _, s := b.enqueue(10, InfDuration, 0, 0)
		if s != Pending {
			t.Errorf("enqueue: %v", s)
		}
		return b, waiter
	}
	for name, call := range map[string]func() Status{
		"close":       func() Status { return fresh().close() },
		"allow":       func() Status { return fresh().allow(1) },
		"allow, told": func() Status { return newToldTestLimiter(t).bucket.allow(1) },
		"take":        func() Status { _, s := fresh().take(1); return s },
		"takeUpTo":    func() Status { _, s := fresh().takeUpTo(1); return s },
		"reserve":     func() Status { _, s := fresh().reserve(1, 0); return s },
		"cancel":      func() Status { fresh().cancel(promise{tokens: 1}); return Success },
		"charge":      func() Status { _, s := fresh().charge(1); return s },
		"refund":      func() Status { return fresh().refund(1) },
		"reset":       func() Status { return fresh().reset(1) },
		"setTokens":   func() Status { return fresh().setTokens(1) },
		"enqueue":     func() Status { _, _, s := fresh().enqueue(1, 0, 0, 0); return s },
		"check":       func() Status { b, waiter := enqueued(); _, s := b.check(waiter); return s - Pending },
		"leave":       func() Status { b, waiter := enqueued(); return b.leave(waiter) },
		"setRate":     func() Status { return fresh().setRate(5) },
		"setCapacity": func() Status { return fresh().setCapacity(5) },
		"timeUntil":   func() Status { _, s := fresh().timeUntil(5); return s },
		"settle": func() Status {
			b := fresh()
			p, _ := b.reserve(1, 0)
			return b.settle(p, 0)
		},
		"stats":   func() Status { _, s := newLimiter(t, 10, 2, WithStatistics()).bucket.stats(); return s },
		"advance": func() Status { return clock().advance(1) },
		"set":     func() Status { return clock().set(1) },
	} {
		if s := call(); s != Success {
			t.Errorf("%s: %v", name, s)
		}
	}
	if tokens := fresh().available(); tokens != 10 {
		t.Errorf("available: %v", tokens)
	}
	if count, next := clock().waiters(); count != 0 || next != InfDuration {
		t.Errorf("waiters: %d, %v", count, next)
	}
	if limit := fresh().limit(); limit.capacity != 10 {
		t.Errorf("limit: %+v", limit)
	}
	b, err := newBucket(&settings{capacity: 10, tokens: 2, period: time.Hour, clock: newManualClock(t)})
	if err != nil || b.available() != 0 || b.allow(1) != ErrDenied {
		t.Errorf("newBucket: %v", err)
	}
}
