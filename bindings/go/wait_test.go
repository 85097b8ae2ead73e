//go:build cgo

package tokenbucket

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var background = context.Background()

// processStatus reads a number from /proc/self/status.
func processStatus(t *testing.T, name string) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range bytes.Split(text, []byte("\n")) {
		if fields := bytes.Fields(line); len(fields) >= 2 && string(fields[0]) == name+":" {
			n, err := strconv.Atoi(string(fields[1]))
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no %s in /proc/self/status", name)
	return 0
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

// waiting starts WaitN(ctx, n) and returns once its tokens are reserved; the channel receives its answer.
func waiting(t *testing.T, l *Limiter, ctx context.Context, n float64) <-chan error {
	t.Helper()
	before := l.Tokens()
	answer := make(chan error, 1)
	go func() { answer <- l.WaitN(ctx, n) }()
	eventually(t, "reserving", func() bool { return l.Tokens() == before-n })
	return answer
}

func TestReservation(t *testing.T) {
	clock := newManualClock(t)
	l := newLimiter(t, 10, 2, WithClock(clock))
	first, second := l.ReserveN(10), l.ReserveN(5)
	if !first.OK() || first.Delay() != 0 || !second.OK() || second.Delay() != 2500*time.Millisecond {
		t.Errorf("delays %v and %v", first.Delay(), second.Delay())
	}
	advance(t, clock, time.Second)
	if second.Delay() != 1500*time.Millisecond {
		t.Errorf("delay %v after one second", second.Delay())
	}
	second.Cancel()
	expectTokens(t, l, 2)
	third := l.ReserveN(3)
	second.Cancel()
	expectTokens(t, l, -1)
	advance(t, clock, time.Second)
	if third.Delay() != 0 {
		t.Errorf("delay %v when due", third.Delay())
	}
	third.Cancel()
	expectTokens(t, l, 1)
}

// A reservation of the same place in the order as a cancelled one is not cancelled with it.
func TestReservationIsCancelledOnce(t *testing.T) {
	l := newLimiter(t, 10, 2, WithClock(newManualClock(t)), WithInitialTokens(0))
	first := l.ReserveN(3)
	first.Cancel()
	l.ReserveN(3)
	first.Cancel()
	expectTokens(t, l, -3)
}

func TestReservationIsSettledOnce(t *testing.T) {
	l := newLimiter(t, 10, 1, WithClock(newManualClock(t)))
	cheap := l.ReserveN(4)
	expectError(t, "a negative cost", cheap.Settle(-1), ErrInvalidArgument)
	expectTokens(t, l, 6)
	expectError(t, "Settle", cheap.Settle(1.5), nil)
	expectTokens(t, l, 8.5)
	expectError(t, "the second time", cheap.Settle(1.5), ErrInvalidArgument)
	cheap.Cancel()
	expectTokens(t, l, 8.5)

	expectError(t, "Settle for more", l.ReserveN(2).Settle(3.5), nil)
	expectTokens(t, l, 5)

	cancelled := l.ReserveN(2)
	expectError(t, "a NaN", cancelled.Settle(math.NaN()), ErrInvalidArgument)
	cancelled.Cancel()
	expectTokens(t, l, 3)
	expectError(t, "after Cancel", cancelled.Settle(1), ErrInvalidArgument)
	expectError(t, "not OK", l.ReserveN(11).Settle(1), ErrExceedsCapacity)
	expectTokens(t, l, 3)
}

func TestWhatIsDueIsGivenBackBySettlingNotByCancelling(t *testing.T) {
	clock := newManualClock(t)
	l := newLimiter(t, 10, 1, WithClock(clock))
	l.ReserveN(4).Cancel()
	expectTokens(t, l, 6)
	expectError(t, "due at once", l.ReserveN(6).Settle(0), nil)
	expectTokens(t, l, 6)

	cancelled, settled := l.ReserveN(7), l.ReserveN(3)
	advance(t, clock, 4*time.Second)
	cancelled.Cancel()
	expectTokens(t, l, 0)
	expectError(t, "due by now", settled.Settle(0), nil)
	expectTokens(t, l, 3)
}

func TestReserveWithin(t *testing.T) {
	l := newLimiter(t, 10, 2, WithClock(newManualClock(t)), WithInitialTokens(0))
	r := l.ReserveWithin(1, 500*time.Millisecond-1)
	expectError(t, "one nanosecond short", r.Err(), ErrTimedOut)
	if r.OK() || r.Delay() != InfDuration {
		t.Errorf("refused, but OK %v with delay %v", r.OK(), r.Delay())
	}
	r.Cancel()
	expectTokens(t, l, 0)
	expectError(t, "in time", l.ReserveWithin(1, 500*time.Millisecond).Err(), nil)
	expectError(t, "negative", l.ReserveWithin(1, -1).Err(), ErrInvalidArgument)
	expectTokens(t, l, -1)
}

func TestReservationOnTheSystemClock(t *testing.T) {
	l := newLimiter(t, 1, 1e-3, WithInitialTokens(0))
	r := l.Reserve()
	if d := r.Delay(); d <= 900*time.Second || d > 1000*time.Second {
		t.Errorf("delay %v, want just below 1000 s", d)
	}
	r.Cancel()
	if now := newLimiter(t, 1, 1e-3).Reserve(); now.Delay() != 0 {
		t.Errorf("delay %v of a token that is there", now.Delay())
	}
}

func TestWaitOnManualClockFollowsIt(t *testing.T) {
	clock := newManualClock(t)
	l := newLimiter(t, 10, 2, WithClock(clock), WithInitialTokens(0))
	first := waiting(t, l, background, 4)
	second := waiting(t, l, background, 2)
	advance(t, clock, 2*time.Second)
	expectError(t, "first", <-first, nil)
	expectError(t, "Set", clock.Set(3*time.Second), nil)
	expectError(t, "second", <-second, nil)
	expectTokens(t, l, 0)
}

func TestWaitOnManualClockEndsAtTheExactTime(t *testing.T) {
	clock := newManualClock(t)
	l := newLimiter(t, 10, 2, WithClock(clock), WithInitialTokens(0))
	answer := waiting(t, l, background, 4)
	advance(t, clock, 2*time.Second-1)
	if count, next := clock.Waiters(); count != 1 || next != 2*time.Second {
		t.Errorf("one nanosecond early %d wait, the next until %v", count, next)
	}
	advance(t, clock, 1)
	expectError(t, "when due", <-answer, nil)
}

func TestWaitThatMissesItsDeadlineFailsAtOnce(t *testing.T) {
	for name, options := range map[string][]Option{"manual": {WithClock(newManualClock(t))}, "system": nil} {
		l := newLimiter(t, 1, 1e-3, append(options, WithInitialTokens(0))...)
		ctx, cancel := context.WithTimeout(background, 500*time.Second)
		expectTimeout(t, l.Wait(ctx), l, 1, 1000*time.Second)
		cancel()
		if l.Tokens() < 0 {
			t.Errorf("%s: took tokens", name)
		}
	}
}

// expectTimeout allows a second of real time.
func expectTimeout(t *testing.T, err error, l *Limiter, n float64, after time.Duration) {
	t.Helper()
	var late *TimeoutError
	if !errors.As(err, &late) || late.Limiter != l || late.N != n || late.RetryAfter > after ||
		late.RetryAfter < after-time.Second || !late.Timeout() {
		t.Errorf("%v, want one for %v tokens after %v", err, n, after)
	}
	expectError(t, "of the deadline", err, context.DeadlineExceeded)
	expectError(t, "of the deadline", err, ErrTimedOut)
}

func TestTimeoutErrorSaysWhichLimitAndWhen(t *testing.T) {
	l := newLimiter(t, 10, 0.5, WithClock(newManualClock(t)), WithInitialTokens(0))
	ctx, cancel := context.WithTimeout(background, time.Second)
	defer cancel()
	const want = "tokenbucket: timed out: 4 tokens of a limiter of 0.5 per second, burst 10, are there only after 8s"
	if err := l.WaitN(ctx, 4); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	for _, s := range []Status{ErrDenied, ErrQueueFull} {
		if s.Timeout() || errors.Is(s, context.DeadlineExceeded) || errors.Is(s, ErrTimedOut) {
			t.Errorf("%v is a timeout", s)
		}
	}
}

func TestWaitThatIsPutBehindItsDeadline(t *testing.T) {
	clock := newManualClock(t)
	l := newLimiter(t, 10, 1, WithClock(clock), WithInitialTokens(0))
	ctx, cancel := context.WithTimeout(background, 1000*time.Second)
	defer cancel()
	answer := waiting(t, l, ctx, 5)
	expectError(t, "SetLimit", l.SetLimit(0.001), nil)
	expectTimeout(t, <-answer, l, 5, 5000*time.Second)
	expectTokens(t, l, 0)
}

// The real time that is left ends a wait on a clock that stands still.
func TestDeadlineEndsAWaitOnAManualClock(t *testing.T) {
	l := newLimiter(t, 10, 100, WithClock(newManualClock(t)), WithInitialTokens(0))
	ctx, cancel := context.WithTimeout(background, 20*time.Millisecond)
	defer cancel()
	err := l.Wait(ctx)
	expectError(t, "Wait", err, context.DeadlineExceeded)
	expectTokens(t, l, 0)
}

func TestHigherPriorityIsServedFirst(t *testing.T) {
	clock := newManualClock(t)
	l := newLimiter(t, 10, 1, WithClock(clock), WithInitialTokens(0))
	low := waiting(t, l, background, 3)
	high := make(chan error, 1)
	go func() { high <- l.WaitPriority(background, 1, 5) }()
	eventually(t, "entering", func() bool { n, _ := clock.Waiters(); return n == 2 })
	advance(t, clock, time.Second)
	expectError(t, "high", <-high, nil)
	if count, next := clock.Waiters(); count != 1 || next != 4*time.Second {
		t.Errorf("%d wait, the next until %v", count, next)
	}
	advance(t, clock, 3*time.Second)
	expectError(t, "low", <-low, nil)
}

func TestMaxWaiters(t *testing.T) {
	clock := newManualClock(t)
	l := newLimiter(t, 10, 1, WithClock(clock), WithInitialTokens(0), WithMaxWaiters(2))
	ctx, cancel := context.WithCancel(background)
	first, second := waiting(t, l, ctx, 1), waiting(t, l, background, 1)
	expectError(t, "third", l.Wait(background), ErrQueueFull)
	expectTokens(t, l, -2)
	cancel()
	expectError(t, "first", <-first, context.Canceled)
	third := waiting(t, l, background, 1)
	advance(t, clock, 2*time.Second)
	expectError(t, "second", <-second, nil)
	expectError(t, "third", <-third, nil)
}

func TestBadOptionsOfWaits(t *testing.T) {
	for _, option := range []Option{WithMaxWaiters(-1), WithMaxLateness(-1)} {
		_, err := New(1, 1, option)
		expectError(t, "New", err, ErrInvalidArgument)
	}
}

// Only the first of those who come late is served at once.
func TestLateOnesArePlannedAnew(t *testing.T) {
	clock := newManualClock(t)
	l := newLimiter(t, 1, 10, WithClock(clock), WithInitialTokens(0), WithMaxLateness(10*time.Millisecond))
	first, second := waiting(t, l, background, 1), waiting(t, l, background, 1)
	advance(t, clock, 2*time.Second)
	expectError(t, "first", <-first, nil)
	eventually(t, "planned anew", func() bool { _, next := clock.Waiters(); return next == 2100*time.Millisecond })
	advance(t, clock, 100*time.Millisecond)
	expectError(t, "second", <-second, nil)
}

// What others do wakes a goroutine whose timer has been set for much later.
func TestChangesWakeRealSleepers(t *testing.T) {
	for name, change := range map[string]func(l *Limiter) error{
		"SetLimit":  func(l *Limiter) error { return l.SetLimit(1e6) },
		"Refund":    func(l *Limiter) error { return l.Refund(5) },
		"Reset":     func(l *Limiter) error { return l.Reset(5) },
		"SetTokens": func(l *Limiter) error { return l.SetTokens(5) },
	} {
		l := newLimiter(t, 10, 1e-3, WithInitialTokens(0))
		start := l.Tokens()
		answer := make(chan error, 1)
		go func() { answer <- l.WaitN(background, 5) }()
		eventually(t, "entering", func() bool { return l.Tokens() < start-4 })
		expectError(t, name, change(l), nil)
		expectError(t, name, <-answer, nil)
	}
}

// Whoever comes, leaves, is served or woken by others at the same time: nothing is lost.
func TestWaitersThatComeAndGo(t *testing.T) {
	const workers = 16
	rounds := 2 + fewerWithForcedGC(200)
	l := newLimiter(t, 1e6, 1, WithClock(newManualClock(t)), WithInitialTokens(0), WithStatistics())
	var granted atomic.Int64
	var done sync.WaitGroup
	for w := 0; w < workers; w++ {
		w := w
		done.Add(1)
		go func() {
			defer done.Done()
			for i := 0; i < rounds; i++ {
				n := 1 + (w+i)%5
				ctx, cancel := context.WithCancel(background)
				answer := make(chan error, 1)
				go func() { answer <- l.WaitPriority(ctx, float64(n), int32(i%3)) }()
				if i%2 == 0 {
					runtime.Gosched()
				}
				expectError(t, "Refund", l.Refund(1), nil)
				expectError(t, "SetLimit", l.SetLimit(float64(1+i%2)), nil)
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
	expectTokens(t, l, float64(int64(workers*rounds)-granted.Load()))
	if s, err := l.Stats(); err != nil || s.Waiting != 0 || s.TokensTaken-s.TokensGivenBack != float64(granted.Load()) {
		t.Errorf("counted %+v, %v, with %d granted", s, err, granted.Load())
	}
	if len(asleep.byTag) != 0 {
		t.Errorf("%d sleepers are left", len(asleep.byTag))
	}
}

func TestWaitWithADoneContextTakesNothing(t *testing.T) {
	l := newLimiter(t, 10, 2, WithClock(newManualClock(t)))
	ctx, cancel := context.WithCancel(background)
	cancel()
	expectError(t, "Wait", l.Wait(ctx), context.Canceled)
	expectError(t, "Wait for a bad amount", l.WaitN(ctx, -1), context.Canceled)
	expired, cancel := context.WithTimeout(background, -1)
	defer cancel()
	expectError(t, "Wait", l.Wait(expired), context.DeadlineExceeded)
	expectTokens(t, l, 10)
}

func TestCancelledWaitGivesBack(t *testing.T) {
	for name, options := range map[string][]Option{"manual": {WithClock(newManualClock(t))}, "system": nil} {
		l := newLimiter(t, 10, 1e-9, options...)
		if !l.AllowN(10) {
			t.Fatal(name, "not full")
		}
		start := l.Tokens()
		ctx, cancel := context.WithCancel(background)
		answer := make(chan error, 1)
		go func() { answer <- l.WaitN(ctx, 5) }()
		eventually(t, "reserving", func() bool { return l.Tokens() < start-4 })
		cancel()
		expectError(t, name, <-answer, context.Canceled)
		if l.Tokens() < start {
			t.Errorf("%s: %v tokens, %v before the wait", name, l.Tokens(), start)
		}
	}
}

func TestCloseEndsWaits(t *testing.T) {
	for name, options := range map[string][]Option{"manual": {WithClock(newManualClock(t))}, "system": nil} {
		l := newLimiter(t, 10, 1e-9, append(options, WithInitialTokens(0))...)
		answer := make(chan error, 1)
		go func() { answer <- l.WaitN(background, 5) }()
		eventually(t, "reserving", func() bool { return l.Tokens() < -4 })
		expectError(t, "Close", l.Close(), nil)
		expectError(t, name, <-answer, ErrClosed)
		if l.Tokens() < 0 {
			t.Errorf("%s: kept the tokens", name)
		}
	}
}

// It lets real time pass.
func TestWaitTakesTheTimeItMust(t *testing.T) {
	start := time.Now()
	l := newLimiter(t, 1, 50, WithInitialTokens(0))
	r := l.Reserve()
	expectError(t, "Wait", l.Wait(background), nil)
	// Not 40 ms to the nanosecond: Go's clock and the library's are two.
	if took := time.Since(start); took < 39*time.Millisecond {
		t.Errorf("the second token of 50 per second came after %v", took)
	}
	if r.Delay() != 0 {
		t.Errorf("the first one is still %v away", r.Delay())
	}
}

func TestWaitersOccupyNoThreads(t *testing.T) {
	for _, waiters := range []int{100, 1000} {
		l := newLimiter(t, 1, 1e-3, WithInitialTokens(0))
		before := processStatus(t, "Threads")
		ctx, cancel := context.WithCancel(background)
		var done sync.WaitGroup
		for i := 0; i < waiters; i++ {
			done.Add(1)
			go func() {
				defer done.Done()
				expectError(t, "Wait", l.Wait(ctx), context.Canceled)
			}()
		}
		eventually(t, "reserving", func() bool { return l.Tokens() < float64(1-waiters) })
		during := processStatus(t, "Threads")
		cancel()
		done.Wait()
		// Some for the calls into C that happen to be running at the same time.
		if during > before+10 {
			t.Errorf("%d threads with %d goroutines waiting, %d before", during, waiters, before)
		}
	}
}
