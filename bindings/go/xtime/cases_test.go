package xtime

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/time/rate"
	"tokenbucket"
)

// The cases of x/time's own test-suite, each as a sequence of ours.

const tick = 100 * time.Millisecond

// ask is what both must answer: n tokens, that many ticks after the start.
type ask struct {
	ticks int
	n     int
	want  bool
}

func runAllows(t *testing.T, p *pair, asks []ask) {
	t.Helper()
	for i, a := range asks {
		p.at(time.Duration(a.ticks) * tick)
		if got := p.allow(a.n); got != a.want {
			t.Errorf("ask %d: both say %v, want %v", i, got, a.want)
		}
	}
}

func TestBurstOfOne(t *testing.T) {
	runAllows(t, newPair(t, 10, 1), []ask{
		{0, 1, true}, {0, 1, false}, {1, 1, true}, {1, 1, false}, {2, 2, false}, {2, 1, true}, {2, 1, false},
		{9, 1, true}, {9, 1, false},
	})
}

func TestBurstOfThree(t *testing.T) {
	runAllows(t, newPair(t, 10, 3), []ask{
		{0, 2, true}, {0, 2, false}, {0, 1, true}, {0, 1, false}, {1, 4, false}, {2, 1, true}, {3, 1, true},
		{4, 1, true}, {4, 1, true}, {4, 1, false}, {9, 3, true}, {9, 1, false},
	})
}

// Ours is full at first, whatever the rate.
func TestRateThatIsNoDecimal(t *testing.T) {
	for _, limit := range []float64{1.0 / 1.3, 1.0 / 3, math.Pi, 1e6 / 7} {
		runAllows(t, newPair(t, limit, 1), []ask{{0, 1, true}, {0, 1, false}})
	}
}

// A time that runs back is held here; x/time rewinds to it, and grants the time in between twice.
func TestTimeThatRunsBack(t *testing.T) {
	p := newPair(t, 10, 3)
	p.at(tick)
	if !p.allow(3) {
		t.Fatal("not full")
	}
	earlier := p.origin
	p.at(0)
	if p.ours.Allow() || p.theirs.AllowN(earlier, 1) {
		t.Error("granted on an empty limiter")
	}
	if p.theirs.TokensAt(earlier) != 0 {
		t.Fatal("x/time holds time now as well")
	}
	p.at(tick)
	if p.ours.Allow() {
		t.Error("granted what was not gained")
	}
	// A refused take leaves x/time where it was, one that is granted moves it back.
	p = newPair(t, 10, 3)
	p.at(tick)
	p.allow(1)
	if !p.ours.Allow() || !p.theirs.AllowN(earlier, 1) {
		t.Error("two tokens are left")
	}
	if ours, theirs := p.ours.Tokens(), p.theirs.TokensAt(p.now()); ours != 1 || theirs != 2 {
		t.Errorf("%v tokens, want 1; x/time %v, which was 2", ours, theirs)
	}
}

func TestManyAtOnce(t *testing.T) {
	const burst, asked = 5, 15
	ours, err := tokenbucket.New(burst, 1e-3)
	if err != nil {
		t.Fatal(err)
	}
	theirs := rate.NewLimiter(1e-3, burst)
	var oursGranted, theirsGranted atomic.Int32
	var done sync.WaitGroup
	for i := 0; i < asked; i++ {
		done.Add(1)
		go func() {
			defer done.Done()
			if ours.Allow() {
				oursGranted.Add(1)
			}
			if theirs.Allow() {
				theirsGranted.Add(1)
			}
		}()
	}
	done.Wait()
	if oursGranted.Load() != burst || theirsGranted.Load() != burst {
		t.Errorf("granted %d, x/time %d, want %d", oursGranted.Load(), theirsGranted.Load(), burst)
	}
}

// Five seconds of asking every 2 ms: ours grants the exact number, x/time one more or less.
func TestLongRun(t *testing.T) {
	const limit, burst, step, duration = 100, 100, 2 * time.Millisecond, 5 * time.Second
	p := newPair(t, limit, burst)
	ours, theirs := 0, 0
	for now := time.Duration(0); now <= duration; now += step {
		p.at(now)
		if p.ours.Allow() {
			ours++
		}
		if p.theirs.AllowN(p.now(), 1) {
			theirs++
		}
	}
	const exact = burst + limit*int(duration/time.Second)
	if ours != exact || theirs < exact-1 || theirs > exact+1 {
		t.Errorf("granted %d, x/time %d, want %d", ours, theirs, exact)
	}
}

// promise is what both must answer to a reservation: due that many ticks after the start, -1: never.
type promise struct {
	ticks int
	n     int
	due   int
}

func runReserves(t *testing.T, p *pair, promises []promise) (last *reserved) {
	t.Helper()
	for i, want := range promises {
		p.at(time.Duration(want.ticks) * tick)
		last = p.reserve(want.n)
		if last.ok() != (want.due >= 0) {
			t.Errorf("reservation %d: both say %v", i, last.ok())
		} else if due := p.clock.Now() + last.delay(); want.due >= 0 && due != time.Duration(want.due)*tick {
			t.Errorf("reservation %d: due at %v, want tick %d", i, due, want.due)
		}
	}
	return last
}

func TestReserve(t *testing.T) {
	runReserves(t, newPair(t, 10, 2), []promise{{0, 2, 0}, {0, 2, 2}, {3, 2, 4}, {3, 3, -1}, {3, 1, 5}})
}

func TestReserveAndAllow(t *testing.T) {
	p := newPair(t, 10, 2)
	runReserves(t, p, []promise{{0, 3, -1}, {0, 2, 0}})
	runAllows(t, p, []ask{{1, 2, false}})
	runReserves(t, p, []promise{{1, 2, 2}})
	runAllows(t, p, []ask{{1, 1, false}, {3, 1, true}})
}

func TestCancelOfARefusal(t *testing.T) {
	p := newPair(t, 10, 2)
	refused := runReserves(t, p, []promise{{0, 2, 0}, {0, 3, -1}})
	refused.ours.Cancel()
	refused.theirs.CancelAt(p.now())
	runReserves(t, p, []promise{{0, 2, 2}})
}

func TestCancelOfTheYoungest(t *testing.T) {
	p := newPair(t, 10, 2)
	r := runReserves(t, p, []promise{{0, 2, 0}, {0, 2, 2}})
	p.at(tick)
	p.cancel(r)
	runReserves(t, p, []promise{{1, 2, 2}})
}

func TestCancelTooLate(t *testing.T) {
	p := newPair(t, 10, 2)
	r := runReserves(t, p, []promise{{0, 2, 0}, {0, 2, 2}})
	p.at(3 * tick)
	r.ours.Cancel()
	r.theirs.CancelAt(p.now())
	runReserves(t, p, []promise{{3, 2, 4}})
}

// Of several the youngest first: all comes back.
func TestCancelOfAll(t *testing.T) {
	p := newPair(t, 10, 4)
	runReserves(t, p, []promise{{0, 4, 0}})
	var all []*reserved
	for _, n := range []int{3, 1, 2, 4} {
		all = append(all, p.reserve(n))
	}
	p.at(tick)
	for i := len(all) - 1; i >= 0; i-- {
		p.cancel(all[i])
	}
	runReserves(t, p, []promise{{1, 3, 3}})
}

// At rates whose intervals are no whole nanoseconds x/time loses tokens on the way; here all come back.
func TestCancelsInARow(t *testing.T) {
	p := newPair(t, 3000.0/7, 4)
	runReserves(t, p, []promise{{0, 4, 0}})
	var all []*reserved
	for _, n := range []int{3, 1, 2, 4, 1, 2} {
		all = append(all, p.reserve(n))
	}
	for i := len(all) - 1; i >= 0; i-- {
		all[i].ours.Cancel()
		all[i].theirs.CancelAt(p.now())
	}
	if ours, theirs := p.ours.Tokens(), p.theirs.TokensAt(p.now()); ours != 0 || theirs > -0.5 {
		t.Errorf("%v tokens, want 0; x/time %v, which lost some", ours, theirs)
	}
}

// What an older one gives back is the two limiters' own affair, but no more than it took, and no later reservation
// moves.
func TestCancelOfAnOlderOne(t *testing.T) {
	p := newPair(t, 10, 2)
	runReserves(t, p, []promise{{0, 2, 0}})
	older := runReserves(t, p, []promise{{0, 2, 2}})
	younger := runReserves(t, p, []promise{{0, 1, 3}})
	before := p.tokens()
	older.ours.Cancel()
	older.theirs.CancelAt(p.now())
	for name, back := range map[string]float64{
		"ours": p.ours.Tokens() - before, "x/time's": p.theirs.TokensAt(p.now()) - before,
	} {
		if back < -tolerance || back > 2+tolerance {
			t.Errorf("%s gave back %v of 2", name, back)
		}
	}
	if younger.delay() != 3*tick {
		t.Errorf("the younger one moved to %v", younger.delay())
	}
}

func TestReservationsKeepTheirTimesWhenTheLimitChanges(t *testing.T) {
	p := newPair(t, 5, 2)
	pending := runReserves(t, p, []promise{{0, 2, 0}, {0, 2, 4}})
	p.at(2 * tick)
	p.setLimit(10)
	if d := pending.delay(); d != 2*tick {
		t.Errorf("delay %v", d)
	}
	// What comes in until then pays for both: there is a token that nobody reserved. In x/time it is behind the debt.
	if ours, theirs := p.ours.Reserve().Delay(), p.theirs.ReserveN(p.now(), 1).DelayFrom(p.now()); ours != 0 || theirs != 2*tick {
		t.Errorf("one more after %v, want 0; x/time %v", ours, theirs)
	}
	if d := pending.delay(); d != 2*tick {
		t.Errorf("delay %v", d)
	}
	p.at(4 * tick)
	if tokens := p.tokens(); tokens != 0 {
		t.Errorf("%v tokens, want 0", tokens)
	}
}

func TestReservationsKeepTheirTimesWhenTheBurstChanges(t *testing.T) {
	p := newPair(t, 5, 2)
	pending := runReserves(t, p, []promise{{0, 2, 0}, {0, 2, 4}})
	p.at(3 * tick)
	p.setBurst(4)
	if d := pending.delay(); d != tick {
		t.Errorf("delay %v", d)
	}
	runReserves(t, p, []promise{{3, 4, 12}})
}

func TestCancelAfterALimitChange(t *testing.T) {
	p := newPair(t, 5, 2)
	r := runReserves(t, p, []promise{{0, 2, 0}, {0, 2, 4}})
	p.at(2 * tick)
	p.setLimit(10)
	r.ours.Cancel()
	r.theirs.CancelAt(p.now())
	if tokens := p.tokens(); tokens != 1 {
		t.Errorf("%v tokens, want 1", tokens)
	}
	runReserves(t, p, []promise{{2, 2, 3}})
}

// Reserving with a longest wait is not public in x/time, whose deadline of a wait is this.
func TestReserveWithin(t *testing.T) {
	p := newPair(t, 10, 2)
	runReserves(t, p, []promise{{0, 2, 0}})
	if r := p.ours.ReserveWithin(1, tick); r.Err() != nil || r.Delay() != tick {
		t.Errorf("%v, delay %v", r.Err(), r.Delay())
	}
	if r := p.ours.ReserveWithin(1, tick); r.Err() != tokenbucket.ErrTimedOut {
		t.Errorf("one tick too early: %v", r.Err())
	}
}

func TestEvery(t *testing.T) {
	for _, interval := range []time.Duration{
		1, 3, time.Microsecond, 7 * time.Millisecond, tick, time.Second, 2500 * time.Millisecond, time.Hour, math.MaxInt64,
	} {
		ours, theirs := tokenbucket.Every(interval), float64(rate.Every(interval))
		if !(math.Abs(ours/theirs-1) < 1e-12) {
			t.Errorf("Every(%v): %v, x/time %v", interval, ours, theirs)
		}
	}
	if tokenbucket.Every(0) <= tokenbucket.MaxLimit || rate.Every(0) != rate.Inf {
		t.Error("no pause at all is not infinite")
	}
}

// In real time, but without waiting for it: both say at once what cannot be, and take nothing.
func TestWaitsThatEndAtOnce(t *testing.T) {
	done, cancel := context.WithCancel(context.Background())
	cancel()
	soon, cancelSoon := context.WithTimeout(context.Background(), 100*time.Second)
	defer cancelSoon()
	ours, err := tokenbucket.New(3, 1e-3)
	if err != nil {
		t.Fatal(err)
	}
	theirs := rate.NewLimiter(1e-3, 3)
	for _, w := range []struct {
		name    string
		ctx     context.Context
		n       int
		granted bool
	}{
		{"a context that is done", done, 1, false},
		{"more than the burst", context.Background(), 4, false},
		{"what is there", context.Background(), 2, true},
		{"what comes too late", soon, 2, false},
		{"what is left", soon, 1, true},
		{"one more", soon, 1, false},
	} {
		oursErr, theirsErr := ours.WaitN(w.ctx, float64(w.n)), theirs.WaitN(w.ctx, w.n)
		if (oursErr == nil) != w.granted || (theirsErr == nil) != w.granted {
			t.Errorf("%s: %v, x/time %v", w.name, oursErr, theirsErr)
		}
	}
}

func TestCancelledWaitsGiveBack(t *testing.T) {
	ours, err := tokenbucket.New(3, 1e-3)
	if err != nil {
		t.Fatal(err)
	}
	theirs := rate.NewLimiter(1e-3, 3)
	ctx, cancel := context.WithCancel(context.Background())
	answers := make(chan error, 2)
	go func() { answers <- ours.WaitN(ctx, 2) }()
	go func() { answers <- theirs.WaitN(ctx, 2) }()
	for i := 0; i < 2; i++ {
		if err := <-answers; err != nil {
			t.Fatal(err)
		}
	}
	go func() { answers <- ours.WaitN(ctx, 3) }()
	go func() { answers <- theirs.WaitN(ctx, 3) }()
	for ours.Tokens() > -1 || theirs.Tokens() > -1 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	for i := 0; i < 2; i++ {
		if err := <-answers; err != context.Canceled {
			t.Errorf("cancelled: %v", err)
		}
	}
	for name, tokens := range map[string]float64{"ours": ours.Tokens(), "x/time": theirs.Tokens()} {
		if tokens < 1 || tokens > 1.1 {
			t.Errorf("%s: %v tokens, want 1", name, tokens)
		}
	}
}

// What x/time has for the two ends of the range has no equal here, only what comes closest.
func TestLimitsOfNothingAndEverything(t *testing.T) {
	nothing, err := tokenbucket.New(1, tokenbucket.MinLimit)
	if err != nil {
		t.Fatal(err)
	}
	theirs := rate.NewLimiter(0, 1)
	for _, want := range []bool{true, false, false} {
		if ours, theirs := nothing.Allow(), theirs.Allow(); ours != want || theirs != want {
			t.Errorf("of nothing: %v, x/time %v, want %v", ours, theirs, want)
		}
	}
	everything, err := tokenbucket.New(tokenbucket.MaxBurst, tokenbucket.MaxLimit)
	if err != nil {
		t.Fatal(err)
	}
	infinite := rate.NewLimiter(rate.Inf, 0)
	for i := 0; i < 10000; i++ {
		if !everything.AllowN(1e6) || !infinite.AllowN(time.Now(), 1e6) {
			t.Fatal("of everything: denied")
		}
	}
}

// Zero tokens are no amount here.
func TestAmountOfZero(t *testing.T) {
	p := newPair(t, 10, 1)
	if p.ours.AllowN(0) || !p.theirs.AllowN(p.now(), 0) {
		t.Error("AllowN(0) changed")
	}
}
