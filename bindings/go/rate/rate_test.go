//go:build cgo

package rate

import (
	"context"
	"errors"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tokenbucket"
)

var (
	origin     = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC) // long past: calls may be at any time
	background = context.Background()
)

func after(d time.Duration) time.Time { return origin.Add(d) }

func expect(t *testing.T, what string, got, want any) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// eventually yields to the other goroutines until the condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for start := time.Now(); !condition(); runtime.Gosched() {
		if time.Since(start) > time.Minute {
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

// One that is cancelled delays nobody: with its tokens the wait behind it would take 1000 s, without them 10 ms.
func TestWaitsMoveUp(t *testing.T) {
	lim := NewLimiter(100, 100000)
	expect(t, "the burst", lim.AllowN(time.Now(), 100000), true)
	ctx, cancel := context.WithCancel(background)
	first, second := make(chan error, 1), make(chan error, 1)
	go func() { first <- lim.WaitN(ctx, 100000) }()
	eventually(t, "the first wait", func() bool { return lim.Tokens() < -50000 })
	lim.SetLimit(1e-3)
	before := lim.Tokens()
	go func() { second <- lim.Wait(background) }()
	eventually(t, "the second wait", func() bool { return lim.Tokens() < before-0.5 })
	lim.SetLimit(100)
	cancel()
	expect(t, "cancelled", <-first, context.Canceled)
	eventually(t, "the wait behind it", func() bool { return len(second) == 1 })
	expect(t, "the wait behind it", <-second, nil)
}

func TestWaitsThatEndAtOnce(t *testing.T) {
	lim := NewLimiter(1e-3, 3)
	done, cancel := context.WithCancel(background)
	cancel()
	soon, cancelSoon := context.WithTimeout(background, 100*time.Second)
	defer cancelSoon()
	for _, w := range []struct {
		name string
		ctx  context.Context
		n    int
		want error
	}{
		{"a context that is done", done, 1, context.Canceled},
		{"nothing, of a context that is done", done, 0, context.Canceled},
		{"more than the burst", background, 4, tokenbucket.ErrExceedsCapacity},
		{"what is there", background, 2, nil},
		{"what comes too late", soon, 2, context.DeadlineExceeded},
		{"what is left", soon, 1, nil},
		{"one more", soon, 1, context.DeadlineExceeded},
		{"nothing", soon, 0, nil},
	} {
		if err := lim.WaitN(w.ctx, w.n); !errors.Is(err, w.want) || (err == nil) != (w.want == nil) {
			t.Errorf("%s: %v, want %v", w.name, err, w.want)
		}
	}
	none := NewLimiter(0, 1)
	expect(t, "of no limit, what is there", none.Wait(background), nil)
	expect(t, "of no limit, one more", none.Wait(background), tokenbucket.ErrDenied)
	expect(t, "of no limit, a context that is done", none.Wait(done), context.Canceled)
}

// Callers that come late are answered for the present: together they get no more than the limit.
func TestCallsInAnyOrder(t *testing.T) {
	const limit, burst, workers = 10, 5, 8
	lim := NewLimiter(limit, burst)
	var granted atomic.Int64
	var done sync.WaitGroup
	for w := 0; w < workers; w++ {
		done.Add(1)
		go func() {
			defer done.Done()
			for ms := 0; ms <= 1000; ms += 10 {
				late := time.Duration(ms%70) * time.Millisecond
				if lim.AllowN(after(time.Duration(ms)*time.Millisecond-late), 1) {
					granted.Add(1)
				}
			}
		}()
	}
	done.Wait()
	for lim.AllowN(after(time.Second), 1) {
		granted.Add(1)
	}
	if got := granted.Load(); got > burst+limit {
		t.Errorf("granted %d, the limit is %d", got, burst+limit)
	}
}

func TestReservations(t *testing.T) {
	lim := NewLimiter(10, 2)
	at := func(d time.Duration, n int) *Reservation { return lim.ReserveN(after(d), n) }
	first, second, third := at(0, 2), at(0, 2), at(0, 1)
	for i, r := range []*Reservation{first, second, third} {
		want := []time.Duration{0, 200 * time.Millisecond, 300 * time.Millisecond}[i]
		if delay := r.DelayFrom(origin); !r.OK() || delay != want {
			t.Errorf("reservation %d: %v, %v, want %v", i, r.OK(), delay, want)
		}
	}
	expect(t, "from when it is over", second.DelayFrom(after(time.Second)), time.Duration(0))
	if r := at(0, 3); r.OK() || r.DelayFrom(origin) != InfDuration {
		t.Error("more than the burst: ", r.OK(), r.DelayFrom(origin))
	}
	second.CancelAt(after(100 * time.Millisecond))
	second.CancelAt(after(100 * time.Millisecond))
	// As if it had never been: full at 0.2 s, and the third takes one at 0.3 s.
	expect(t, "what came back", lim.TokensAt(after(300*time.Millisecond)), 1.0)
	third.CancelAt(after(300 * time.Millisecond))
	expect(t, "what was due", lim.TokensAt(after(300*time.Millisecond)), 1.0)
	(&Reservation{}).Cancel()
}

func TestInf(t *testing.T) {
	lim := NewLimiter(Inf, 0)
	r := lim.ReserveN(origin, 1e9)
	r.Cancel()
	if !lim.AllowN(origin, 1e9) || !r.OK() || r.DelayFrom(origin) != 0 ||
		NewLimiter(Inf, 0).WaitN(background, 1e9) != nil {
		t.Error("denied")
	}
	lim.SetLimitAt(origin, 1)
	expect(t, "of no burst", lim.AllowN(origin, 1), false)
	expect(t, "tokens of no burst", lim.TokensAt(origin), 0.0)
	lim.SetBurstAt(origin, 2)
	expect(t, "once there is a burst", lim.AllowN(after(time.Hour), 2), true)
	lim.SetLimitAt(after(time.Hour), Inf)
	expect(t, "without a limit again", lim.AllowN(after(time.Hour), 100), true)
	expect(t, "tokens without a limit", lim.TokensAt(origin), 2.0)
}

func TestNoLimit(t *testing.T) {
	for _, limit := range []Limit{0, -1, Limit(math.NaN())} {
		lim := NewLimiter(limit, 2)
		if !lim.AllowN(origin, 1) || !lim.ReserveN(after(time.Hour), 1).OK() || lim.ReserveN(after(time.Hour), 1).OK() {
			t.Errorf("of a limit of %v: not the burst", limit)
		}
	}
	var zero Limiter
	if zero.Allow() || zero.Reserve().OK() || zero.Wait(background) == nil || zero.Limit() != 0 || zero.Burst() != 0 ||
		zero.Tokens() != 0 {
		t.Error("the zero limiter grants something")
	}
}

func TestLimitsBeyondTheExtremes(t *testing.T) {
	lim := NewLimiter(1e15, math.MaxInt)
	expect(t, "Limit", lim.Limit(), Limit(1e15))
	expect(t, "Burst", lim.Burst(), math.MaxInt)
	expect(t, "many", lim.AllowN(origin, 1e14), true)
	rare := NewLimiter(Every(math.MaxInt64), 1)
	if !rare.AllowN(origin, 1) || rare.AllowN(after(24*365*time.Hour), 1) {
		t.Error("of one in 292 years: not one")
	}
	expect(t, "no tokens", lim.AllowN(origin, -1), true)
}

// A bucket that has begun with no burst counts too finely for this one.
func TestBurstThatNeedsAnotherBucket(t *testing.T) {
	lim := NewLimiter(1, 0)
	expect(t, "no burst", lim.AllowN(origin, 1), false)
	lim.SetBurstAt(origin, 1e9)
	expect(t, "Burst", lim.Burst(), int(1e9))
	expect(t, "at first", lim.AllowN(origin, 1), false)
	expect(t, "a second later", lim.AllowN(after(time.Second), 1), true)
	expect(t, "at once", lim.ReserveN(after(time.Second), 8).DelayFrom(after(time.Second)), 8*time.Second)
	before := lim.TokensAt(after(time.Second))
	lim.SetBurstAt(after(time.Second), 0)
	lim.SetBurstAt(after(time.Second), math.MaxInt)
	if owed := lim.TokensAt(after(time.Second)); math.Abs(owed-before) > 1e-5 {
		t.Errorf("%v tokens, want %v", owed, before)
	}
}

func TestSometimesAfterAPanic(t *testing.T) {
	var s Sometimes
	calls := 0
	func() {
		defer func() { _ = recover() }()
		s.Do(func() { calls++; panic("the first") })
	}()
	s.Do(func() { calls++ })
	s.Do(func() { calls++ })
	expect(t, "calls", calls, 2)
}

func TestCallsAllocateNothing(t *testing.T) {
	lim, empty := NewLimiter(1e9, 10), NewLimiter(1e-9, 1)
	empty.Allow()
	for name, call := range map[string]func(){
		"Allow":     func() { lim.Allow() },
		"Allow, no": func() { empty.Allow() },
		"AllowN":    func() { lim.AllowN(time.Now(), 1) },
		"Wait":      func() { _ = lim.Wait(background) },
		"Tokens":    func() { lim.Tokens() },
	} {
		if n := testing.AllocsPerRun(1000, call); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
	if n := testing.AllocsPerRun(1000, func() { lim.Reserve().Cancel() }); n > 1 {
		t.Errorf("Reserve allocates %v times, not its answer alone", n)
	}
}

// A limiter is full when it is created, not when it is first asked.
func TestChangeBeforeTheFirstCall(t *testing.T) {
	lim := NewLimiter(1, 1)
	lim.SetBurstAt(origin, 5)
	expect(t, "tokens", lim.TokensAt(after(time.Second)), 2.0)
	var zero Limiter
	zero.SetLimitAt(origin, 1)
	zero.SetBurstAt(origin, 5)
	expect(t, "tokens of what began with none", zero.TokensAt(after(time.Second)), 1.0)
}
