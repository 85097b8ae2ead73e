//go:build cgo

package tokenbucket

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestWaitForSeveralLimitsHoldsWhatIsDue(t *testing.T) {
	s := newSeveralLimits(t)
	answer := s.enter(background, 2)
	s.expectLeft(-2, -50, 4)
	s.expectNext(2 * time.Second)
	advance(t, s.clock, 2*time.Second)
	s.expectWaiting(1)
	s.expectNext(5 * time.Second)
	if s.requests.Allow() {
		t.Error("took what is held")
	}
	advance(t, s.clock, 3*time.Second-1)
	s.expectWaiting(1)
	advance(t, s.clock, 1)
	expectError(t, "Wait", <-answer, nil)
	s.expectLeft(3, 0, 5)
	advance(t, s.clock, 5*time.Second)
	expectError(t, "at once", s.all.Wait(background), nil)
	s.expectLeft(6, 0, 4)
}

// Also what it held of the requests; and those behind move up.
func TestCancelledWaitForSeveralLimitsGivesAllBack(t *testing.T) {
	for held := 0; held < 2; held++ {
		s := newSeveralLimits(t)
		ctx, cancel := context.WithCancel(background)
		answer := s.enter(ctx, 2)
		advance(t, s.clock, time.Duration(held)*2*time.Second)
		s.expectWaiting(2 - held)
		behind := waiting(t, s.tokens, background, 20)
		cancel()
		expectError(t, "Wait", <-answer, context.Canceled)
		if held == 0 {
			s.expectNext(2 * time.Second)
			advance(t, s.clock, 2*time.Second)
		}
		expectError(t, "behind", <-behind, nil)
		s.expectLeft(2, 0, 5)
		s.fill()
		expectError(t, "done before", s.all.Wait(ctx), context.Canceled)
		s.expectLeft(10, 100, 5)
	}
}

func TestDeadlineOfAWaitForSeveralLimits(t *testing.T) {
	s := newSeveralLimits(t)
	ctx, cancel := context.WithTimeout(background, 4*time.Second)
	defer cancel()
	err := s.all.Wait(ctx)
	expectRefused(t, err, Refusal{1, 5 * time.Second}, context.DeadlineExceeded)
	expectError(t, "Wait", err, ErrTimedOut)
	const want = "tokenbucket: timed out: 50 tokens of a limiter of 10 per second, burst 100, are there only after 5s" +
		" (member 1)"
	var late *TimeoutError
	if !errors.As(err, &late) || late.Limiter != s.tokens || late.N != 50 || !err.(*RefusalError).Timeout() ||
		err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	s.expectLeft(0, 0, 5)
	s.all[2] = s.users.Member("u", 5)
	s.fill()
	if !s.all.Allow() {
		t.Error("all are full")
	}
	err = s.all.Wait(ctx)
	expectRefused(t, err, Refusal{2, 5 * time.Second}, ErrTimedOut)
	if !errors.As(err, &late) || late.Key != "u" || late.Limiter != nil {
		t.Errorf("%v, want one for the key", err)
	}
	closed := &RefusalError{Refusal{0, InfDuration}, ErrClosed}
	if closed.Timeout() || closed.Error() != ErrClosed.Error()+" (member 0)" {
		t.Errorf("%v, timeout %v", closed, closed.Timeout())
	}
}

func TestWaitForSeveralLimitsThatIsPutBehindItsDeadline(t *testing.T) {
	s := newSeveralLimits(t)
	ctx, cancel := context.WithTimeout(background, 1000*time.Second)
	defer cancel()
	answer := s.enter(ctx, 2)
	advance(t, s.clock, 2*time.Second)
	s.expectWaiting(1)
	expectError(t, "SetLimit", s.tokens.SetLimit(0.01), nil)
	expectRefused(t, <-answer, Refusal{1, 3000 * time.Second}, ErrTimedOut)
	s.expectLeft(2, 20, 5)
}

// The real time that is left ends a wait on a clock that stands still.
func TestDeadlineEndsAWaitForSeveralLimits(t *testing.T) {
	s := newSeveralLimits(t)
	ctx, cancel := context.WithTimeout(background, 20*time.Millisecond)
	defer cancel()
	s.all = Limits{s.requests.Member(1e-3), s.users.Member("u", 1)}
	expectError(t, "Wait", s.all.Wait(ctx), context.DeadlineExceeded)
	s.expectLeft(0, 0, 5)
}

func TestMembersEndAWait(t *testing.T) {
	for name, c := range map[string]struct {
		change func(s *severalLimits) error
		by     int
		why    error
	}{
		"SetBurst": {func(s *severalLimits) error { return s.tokens.SetBurst(40) }, 1, ErrExceedsCapacity},
		"Close":    {func(s *severalLimits) error { return s.tokens.Close() }, 1, ErrClosed},
		// What it holds of that one already does not help.
		"Close, held":  {func(s *severalLimits) error { return s.requests.Close() }, 0, ErrClosed},
		"Close, table": {func(s *severalLimits) error { return s.users.Close() }, 2, ErrClosed},
	} {
		s := newSeveralLimits(t)
		answer := s.enter(background, 2)
		advance(t, s.clock, 2*time.Second)
		s.expectWaiting(1)
		expectError(t, name, c.change(s), nil)
		expectRefused(t, <-answer, Refusal{c.by, InfDuration}, c.why)
		s.expectWaiting(0)
		if c.by == 1 {
			s.expectLeft(2, 20, 5)
		}
	}
}

func TestPrioritiesOfWaitsForSeveralLimits(t *testing.T) {
	s := newSeveralLimits(t)
	low := waiting(t, s.tokens, background, 10)
	answer := make(chan error, 1)
	go func() { answer <- s.all.WaitPriority(background, 1) }()
	s.expectWaiting(3)
	s.expectNext(2 * time.Second)
	advance(t, s.clock, 5*time.Second)
	expectError(t, "high", <-answer, nil)
	s.expectWaiting(1)
	s.expectNext(6 * time.Second)
	advance(t, s.clock, time.Second)
	expectError(t, "low", <-low, nil)
}

func TestMaxWaitersOfAMember(t *testing.T) {
	s := newSeveralLimits(t, WithMaxWaiters(1))
	ctx, cancel := context.WithCancel(background)
	first := s.enter(ctx, 2)
	expectRefused(t, s.all.Wait(background), Refusal{0, InfDuration}, ErrQueueFull)
	expectError(t, "one of them", s.tokens.Wait(background), ErrQueueFull)
	cancel()
	expectError(t, "first", <-first, context.Canceled)
	s.expectLeft(0, 0, 5)
}

// What others do wakes a goroutine whose timer has been set for much later.
func TestChangesWakeWhoSleepsForSeveralLimits(t *testing.T) {
	slow, slower := newLimiter(t, 10, 1e-3, WithInitialTokens(0)), newTableOf[string](t, 10, 1e-4, 100)
	slower.AllowN("a", 10)
	answer := make(chan error, 1)
	go func() { answer <- Limits{slow.Member(5), slower.Member("a", 5)}.Wait(background) }()
	eventually(t, "entering", func() bool { return slower.Tokens("a") < -4 })
	expectError(t, "Refund", slow.Refund(5), nil)
	expectError(t, "Refund", slower.Refund("a", 5), nil)
	expectError(t, "Wait", <-answer, nil)
}

// It lets real time pass.
func TestWaitForSeveralLimitsTakesTheTimeItMust(t *testing.T) {
	start := time.Now()
	l, other := newLimiter(t, 1, 100, WithInitialTokens(0)), newLimiter(t, 1, 50, WithInitialTokens(0))
	expectError(t, "Wait", Limits{l.Member(1), other.Member(1)}.Wait(background), nil)
	if took := time.Since(start); took < 19*time.Millisecond {
		t.Errorf("the first token of 50 per second came after %v", took)
	}
}

func TestMembersMayHaveClocksOfTheirOwn(t *testing.T) {
	s, other := newSeveralLimits(t), newSeveralLimits(t)
	real := newLimiter(t, 1, 1000, WithInitialTokens(0))
	s.all = Limits{s.requests.Member(2), other.requests.Member(1), real.Member(1)}
	answer := s.enter(background, 1)
	other.expectWaiting(1)
	advance(t, other.clock, time.Second)
	advance(t, s.clock, 2*time.Second)
	expectError(t, "Wait", <-answer, nil)
}

// A wait has members of its own: a caller may change its costs for the next one.
func TestLimitsMayChangeAfterAWaitHasBegun(t *testing.T) {
	var h heard
	s := newSeveralLimits(t, WithOnEvent(h.on))
	answer := s.enter(background, 2)
	for i := range s.all {
		s.all[i] = Member{}
	}
	runtime.GC()
	advance(t, s.clock, 5*time.Second)
	expectError(t, "Wait", <-answer, nil)
	s.expectLeft(3, 0, 5)
	h.expect(t, Event{Success, 2, 5 * time.Second}, Event{Success, 50, 5 * time.Second})
}

// The members alone keep limiters and tables from being freed.
func TestLimitsKeepWhatTheyAreMadeOf(t *testing.T) {
	clock := newManualClock(t)
	made := func(n float64) Limits {
		return Limits{newLimiter(t, 10, 1, WithClock(clock)).Member(1),
			newTableOf[[]byte](t, 10, 1, 100, WithClock(clock)).Member([]byte("a"), n)}
	}
	_, allowed := made(10).allow()
	_, _, reserved := made(10).reserve(InfDuration)
	_, _, _, entered := made(10).enqueue(0, 0, 0)
	if allowed != Success || reserved != Success || entered != Success {
		t.Errorf("%v, %v, %v", allowed, reserved, entered)
	}
	made(10).Reserve().Cancel()
	all := made(10)
	if !all.Allow() {
		t.Error("all are full")
	}
	answer := make(chan error, 1)
	go func() { answer <- all.Wait(background) }()
	eventually(t, "waiting", func() bool { n, _ := clock.Waiters(); return n == 1 })
	all = nil
	runtime.GC()
	advance(t, clock, 10*time.Second)
	expectError(t, "Wait", <-answer, nil)
}

// A context's panic leaves nothing behind.
func TestPanicInAWaitGivesAllBack(t *testing.T) {
	s := newSeveralLimits(t)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		_ = s.all.Wait(panicking{background})
	}()
	s.expectWaiting(0)
	s.expectLeft(0, 0, 5)
}

type panicking struct{ context.Context }

func (panicking) Done() <-chan struct{} { panic("Done") }

func TestEventsOfSeveralLimits(t *testing.T) {
	var h heard
	s := newSeveralLimits(t, WithOnEvent(h.on), WithMaxWaiters(1))
	if s.all.Allow() {
		t.Error("there are no tokens")
	}
	h.expect(t, Event{ErrDenied, 50, 0})
	_, err := s.all.Take()
	expectError(t, "Take", err, ErrDenied)
	h.expect(t, Event{ErrDenied, 50, 0})
	s.all.ReserveWithin(time.Second)
	h.expect(t, Event{ErrTimedOut, 50, 0})
	ctx, cancel := context.WithTimeout(background, time.Second)
	defer cancel()
	expectError(t, "Wait", s.all.Wait(ctx), ErrTimedOut)
	h.expect(t, Event{ErrTimedOut, 50, 0})

	ctx, leave := context.WithCancel(background)
	answer := s.enter(ctx, 2)
	expectError(t, "Wait", s.all.Wait(background), ErrQueueFull)
	h.expect(t, Event{ErrQueueFull, 2, 0})
	advance(t, s.clock, time.Second)
	leave()
	expectError(t, "Wait", <-answer, context.Canceled)
	h.expect(t, Event{ErrInterrupted, 2, time.Second}, Event{ErrInterrupted, 50, time.Second})

	answer = s.enter(background, 2)
	expectError(t, "Close", s.tokens.Close(), nil)
	expectError(t, "Wait", <-answer, ErrClosed)
	h.expect(t, Event{ErrClosed, 50, 0})
}

// Whoever comes, leaves, is served or woken by others at the same time: nothing is lost.
func TestWaitersForSeveralLimitsThatComeAndGo(t *testing.T) {
	const workers = 8
	rounds := 2 + fewerWithForcedGC(200)
	clock := newManualClock(t)
	a := newLimiter(t, 1e6, 1, WithClock(clock), WithInitialTokens(0), WithStatistics())
	b := newLimiter(t, 1e6, 1, WithClock(clock), WithInitialTokens(0), WithStatistics())
	users := newTableOf[string](t, 1e6, 1, 100, WithClock(clock))
	users.AllowN("u", 1e6)
	var granted atomic.Int64
	var done sync.WaitGroup
	for w := 0; w < workers; w++ {
		w := w
		done.Add(1)
		go func() {
			defer done.Done()
			all := Limits{a.Member(0), users.Member("u", 0), b.Member(0)}
			for i := 0; i < rounds; i++ {
				n := 1 + (w+i)%5
				for m := range all {
					all[m].n = float64(n)
				}
				ctx, cancel := context.WithCancel(background)
				answer := make(chan error, 1)
				go func() { answer <- all.WaitPriority(ctx, int32(i%3)) }()
				if i%2 == 0 {
					runtime.Gosched()
				}
				if all.Allow() {
					granted.Add(int64(n))
				}
				// What is due at once counts as used.
				if r := all.Reserve(); i%4 == 0 && r.Delay() > 0 {
					r.Cancel()
				} else {
					granted.Add(int64(n))
				}
				for _, refund := range []error{a.Refund(4), b.Refund(4), users.Refund("u", 4)} {
					expectError(t, "Refund", refund, nil)
				}
				cancel()
				switch err := <-answer; err {
				case nil:
					granted.Add(int64(n))
				default:
					expectError(t, "Wait", err, context.Canceled)
				}
			}
		}()
	}
	done.Wait()
	left := float64(int64(workers*rounds*4) - granted.Load())
	expectTokens(t, a, left)
	expectTokens(t, b, left)
	expectTokensOf(t, users, "u", left)
	if s, err := b.Stats(); err != nil || s.Waiting != 0 || s.TokensTaken-s.TokensGivenBack != float64(granted.Load()) {
		t.Errorf("counted %+v, %v, with %d granted", s, err, granted.Load())
	}
	if len(asleep.byTag) != 0 {
		t.Errorf("%d sleepers are left", len(asleep.byTag))
	}
}

// It is no denied take, also where it counts, and is counted where it was refused.
func TestWaitForSeveralLimitsIsCounted(t *testing.T) {
	s := newSeveralLimits(t, WithStatistics())
	ctx, cancel := context.WithTimeout(background, time.Second)
	defer cancel()
	expectError(t, "Wait", s.all.Wait(ctx), ErrTimedOut)
	answer := s.enter(background, 2)
	advance(t, s.clock, 5*time.Second)
	expectError(t, "Wait", <-answer, nil)
	for l, want := range map[*Limiter]Stats{
		s.requests: {Granted: 1, Waits: 1, TotalWait: 5 * time.Second, LongestWait: 5 * time.Second, TokensTaken: 2},
		s.tokens: {Granted: 1, TimedOut: 1, Waits: 1, TotalWait: 5 * time.Second, LongestWait: 5 * time.Second,
			TokensTaken: 50},
	} {
		if got, err := l.Stats(); err != nil || got != want {
			t.Errorf("%+v, %v, want %+v", got, err, want)
		}
	}
}
