//go:build cgo

package tokenbucket

import (
	"context"
	"testing"
	"time"
)

func expectStats(t *testing.T, l *Limiter, want Stats) {
	t.Helper()
	got, err := l.Stats()
	expectError(t, "Stats", err, nil)
	if got != want {
		t.Errorf("counted %+v, want %+v", got, want)
	}
}

func TestStats(t *testing.T) {
	clock := newManualClock(t)
	l := newLimiter(t, 10, 2, WithClock(clock), WithStatistics())
	expectStats(t, l, Stats{})
	l.AllowN(4)
	l.AllowN(7)
	l.ReserveWithin(8, 0)
	want := Stats{Granted: 1, Denied: 1, TimedOut: 1, TokensTaken: 4}
	expectStats(t, l, want)

	reserved := l.ReserveN(8)
	want.Granted, want.TokensTaken = 2, 12
	expectStats(t, l, want)
	reserved.Cancel()
	want.Cancelled, want.TokensGivenBack = 1, 8
	expectStats(t, l, want)
}

func TestStatsOfWaits(t *testing.T) {
	clock := newManualClock(t)
	l := newLimiter(t, 10, 2, WithClock(clock), WithInitialTokens(0), WithStatistics())
	first := waiting(t, l, background, 4)
	ctx, cancel := context.WithCancel(background)
	second := waiting(t, l, ctx, 6)
	eventually(t, "counting", func() bool { s, _ := l.Stats(); return s.Waiting == 2 })
	advance(t, clock, 2*time.Second)
	expectError(t, "first", <-first, nil)
	advance(t, clock, time.Second)
	cancel()
	expectError(t, "second", <-second, context.Canceled)
	expectStats(t, l, Stats{
		Granted: 1, Cancelled: 1, Waits: 2, TotalWait: 5 * time.Second, LongestWait: 3 * time.Second,
		TokensTaken: 10, TokensGivenBack: 6,
	})
}

// What is there at once is no wait.
func TestStatsOfAWaitThatDoesNotSleep(t *testing.T) {
	l := newLimiter(t, 10, 2, WithClock(newManualClock(t)), WithStatistics())
	expectError(t, "Wait", l.Wait(background), nil)
	expectStats(t, l, Stats{Granted: 1, TokensTaken: 1})
}

func TestWithoutStatistics(t *testing.T) {
	_, err := newLimiter(t, 10, 2).Stats()
	expectError(t, "Stats", err, ErrUnsupported)
	var zero Limiter
	_, err = zero.Stats()
	expectError(t, "Stats of the zero Limiter", err, ErrInvalidArgument)
}
