//go:build cgo

package tokenbucket

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

// waitingFor starts WaitN(ctx, key, n) and returns once its tokens are reserved; the channel receives its answer.
func waitingFor(t *testing.T, table *Table, ctx context.Context, key string, n float64) <-chan error {
	t.Helper()
	before := table.Tokens(key)
	answer := make(chan error, 1)
	go func() { answer <- table.WaitN(ctx, key, n) }()
	eventually(t, "reserving", func() bool { return table.Tokens(key) == before-n })
	return answer
}

func TestKeysWaitInQueuesOfTheirOwn(t *testing.T) {
	clock := newManualClock(t)
	table := newTableOf[string](t, 10, 2, 100, WithClock(clock), WithMaxWaiters(2))
	table.AllowN("a", 10)
	table.AllowN("b", 9)
	first, second := waitingFor(t, table, background, "a", 4), waitingFor(t, table, background, "a", 2)
	other := waitingFor(t, table, background, "b", 2)
	expectError(t, "third", table.Wait(background, "a"), ErrQueueFull)
	if count, next := clock.Waiters(); count != 3 || next != 500*time.Millisecond {
		t.Errorf("%d wait, the next until %v", count, next)
	}
	if table.Allow("a") {
		t.Error("a take overtakes")
	}
	advance(t, clock, 500*time.Millisecond)
	expectError(t, "other", <-other, nil)
	advance(t, clock, 1500*time.Millisecond)
	expectError(t, "first", <-first, nil)
	expectError(t, "Remove", table.Remove("a"), nil)
	expectError(t, "second", <-second, nil)
	expectTokensOf(t, table, "a", 8)
}

func TestPrioritiesOfAKey(t *testing.T) {
	clock := newManualClock(t)
	table := newTableOf[string](t, 10, 1, 100, WithClock(clock))
	table.AllowN("a", 10)
	low := waitingFor(t, table, background, "a", 3)
	high := make(chan error, 1)
	go func() { high <- table.WaitPriority(background, "a", 1, 5) }()
	eventually(t, "entering", func() bool { n, _ := clock.Waiters(); return n == 2 })
	advance(t, clock, time.Second)
	expectError(t, "high", <-high, nil)
	if count, next := clock.Waiters(); count != 1 || next != 4*time.Second {
		t.Errorf("%d wait, the next until %v", count, next)
	}
	advance(t, clock, 3*time.Second)
	expectError(t, "low", <-low, nil)
}

// Everything comes back, and those behind move up.
func TestCancelledWaitForAKeyGivesBack(t *testing.T) {
	clock := newManualClock(t)
	table := newTableOf[string](t, 10, 1, 100, WithClock(clock))
	table.AllowN("a", 10)
	ctx, cancel := context.WithCancel(background)
	first, second := waitingFor(t, table, ctx, "a", 9), waitingFor(t, table, background, "a", 1)
	cancel()
	expectError(t, "first", <-first, context.Canceled)
	expectTokensOf(t, table, "a", -1)
	advance(t, clock, time.Second)
	expectError(t, "second", <-second, nil)
	expectTokensOf(t, table, "a", 0)
	expectError(t, "done before", table.Wait(ctx, "b"), context.Canceled)
	expectTokensOf(t, table, "b", 10)
}

func TestDeadlineOfAWaitForAKey(t *testing.T) {
	table := newTableOf[string](t, 10, 0.5, 100, WithClock(newManualClock(t)))
	table.AllowN("a", 10)
	ctx, cancel := context.WithTimeout(background, time.Second)
	defer cancel()
	err := table.WaitN(ctx, "a", 4)
	const want = "tokenbucket: timed out: 4 tokens of a limiter of 0.5 per second, burst 10, are there only after 8s"
	var late *TimeoutError
	if !errors.As(err, &late) || late.Key != "a" || late.N != 4 || late.RetryAfter != 8*time.Second ||
		late.Limiter != nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	expectError(t, "of the deadline", err, context.DeadlineExceeded)
	expectTokensOf(t, table, "a", 0)
}

func TestChangesWakeThoseWhoWaitForAKey(t *testing.T) {
	for name, change := range map[string]func(table *Table) error{
		"SetLimit": func(table *Table) error { return table.SetLimit(1000) },
		"Refund":   func(table *Table) error { return table.Refund("a", 5) },
		"Remove":   func(table *Table) error { return table.Remove("a") },
	} {
		table := newTableOf[string](t, 10, 1e-3, 100)
		table.AllowN("a", 10)
		answer := make(chan error, 1)
		go func() { answer <- table.WaitN(background, "a", 5) }()
		eventually(t, "entering", func() bool { return table.Tokens("a") < -4 })
		expectError(t, name, change(table), nil)
		expectError(t, name, <-answer, nil)
	}
}

func TestCloseEndsWaitsForAllKeys(t *testing.T) {
	table := newTableOf[string](t, 10, 1, 100, WithClock(newManualClock(t)))
	var answers []<-chan error
	for i := 0; i < 5; i++ {
		key := fmt.Sprint(i % 3)
		table.TakeUpTo(key, 10)
		answers = append(answers, waitingFor(t, table, background, key, 2))
	}
	expectError(t, "Close", table.Close(), nil)
	for _, answer := range answers {
		expectError(t, "Wait", <-answer, ErrClosed)
	}
	expectTokensOf(t, table, "0", 0)
	_, err := table.Take("new", 1)
	expectError(t, "Take", err, ErrClosed)
	expectError(t, "Close again", table.Close(), nil)
}
