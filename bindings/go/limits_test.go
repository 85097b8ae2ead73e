//go:build cgo

package tokenbucket

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

// severalLimits are requests, 10 with 1 per second, and tokens, 100 with 10 per second, both empty at 0; and users,
// full, 5 with 1 per second.
type severalLimits struct {
	*testing.T
	clock            *ManualClock
	requests, tokens *Limiter
	users            *Table
	all              Limits
}

func newSeveralLimits(t *testing.T, options ...Option) *severalLimits {
	s := &severalLimits{T: t, clock: newManualClock(t)}
	options = append(options, WithClock(s.clock))
	s.users = newTableOf[string](t, 5, 1, 100, WithClock(s.clock))
	options = append(options, WithInitialTokens(0))
	s.requests, s.tokens = newLimiter(t, 10, 1, options...), newLimiter(t, 100, 10, options...)
	s.all = Limits{s.requests.Member(2), s.tokens.Member(50), s.users.Member("u", 1)}
	return s
}

// fill makes all limits full.
func (s *severalLimits) fill() {
	s.Helper()
	expectError(s.T, "Reset", s.requests.Reset(InitiallyFull), nil)
	expectError(s.T, "Reset", s.tokens.Reset(InitiallyFull), nil)
	expectError(s.T, "Remove", s.users.Remove("u"), nil)
}

func (s *severalLimits) expectLeft(requests, tokens, user float64) {
	s.Helper()
	expectTokens(s.T, s.requests, requests)
	expectTokens(s.T, s.tokens, tokens)
	expectTokensOf(s.T, s.users, "u", user)
}

// enter starts a wait for all and returns once it sleeps and so many wait on the clock.
func (s *severalLimits) enter(ctx context.Context, count int) <-chan error {
	s.Helper()
	answer := make(chan error, 1)
	sleeps := make(chan struct{}, 1)
	go func() { answer <- s.all.Wait(noticing{ctx, sleeps}) }()
	<-sleeps
	s.expectWaiting(count)
	return answer
}

// noticing notices that a wait sleeps, so that the race detector knows what came before.
type noticing struct {
	context.Context
	sleeps chan struct{} // holds one
}

func (n noticing) Done() <-chan struct{} {
	select {
	case n.sleeps <- struct{}{}:
	default:
	}
	return n.Context.Done()
}

func (s *severalLimits) expectWaiting(count int) {
	s.Helper()
	eventually(s.T, "waiting", func() bool { n, _ := s.clock.Waiters(); return n == count })
}

func (s *severalLimits) expectNext(want time.Duration) {
	s.Helper()
	if _, next := s.clock.Waiters(); next != want {
		s.Fatalf("the next is due at %v, not %v", next, want)
	}
}

func expectRefusal(t *testing.T, got, want Refusal) {
	t.Helper()
	if got != want {
		t.Errorf("refusal %+v, want %+v", got, want)
	}
}

func expectRefused(t *testing.T, err error, want Refusal, why error) {
	t.Helper()
	var e *RefusalError
	if !errors.As(err, &e) || e.Refusal != want {
		t.Errorf("%v, want one with %+v", err, want)
	}
	expectError(t, "refused", err, why)
}

func TestLimitsTakeFromAllOrNone(t *testing.T) {
	s := newSeveralLimits(t)
	s.fill()
	if !s.all.Allow() {
		t.Error("all are full")
	}
	s.expectLeft(8, 50, 4)
	r, err := s.all.Take()
	expectError(t, "Take", err, nil)
	expectRefusal(t, r, Refusal{-1, 0})
	s.expectLeft(6, 0, 3)
	if s.all.Allow() {
		t.Error("there are no tokens")
	}
	r, err = s.all.Take()
	expectError(t, "Take", err, ErrDenied)
	expectRefusal(t, r, Refusal{1, 5 * time.Second})
	s.expectLeft(6, 0, 3)
	if !(Limits{s.requests.Member(6), s.users.Member("v", 5)}).Allow() {
		t.Error("another key is full")
	}
	// Of two the one that takes longest.
	r, _ = Limits{s.requests.Member(7), s.tokens.Member(10)}.Take()
	expectRefusal(t, r, Refusal{0, 7 * time.Second})
	s.expectLeft(0, 0, 3)
}

func TestLimitsThatCanNeverGrant(t *testing.T) {
	s := newSeveralLimits(t)
	s.fill()
	s.all[1] = s.tokens.Member(101)
	r, err := s.all.Take()
	expectError(t, "Take", err, ErrExceedsCapacity)
	expectRefusal(t, r, Refusal{1, InfDuration})
	expectRefused(t, s.all.Wait(background), Refusal{1, InfDuration}, ErrExceedsCapacity)
	expectRefused(t, s.all.Reserve().Err(), Refusal{1, InfDuration}, ErrExceedsCapacity)
	s.all[1] = s.tokens.Member(1)
	expectError(t, "Close", s.users.Close(), nil)
	r, err = s.all.Take()
	expectError(t, "Take", err, ErrClosed)
	expectRefusal(t, r, Refusal{2, InfDuration})
	expectRefused(t, s.all.Wait(background), Refusal{2, InfDuration}, ErrClosed)
	s.expectLeft(10, 100, 5)
}

func TestMembersOfAFullTable(t *testing.T) {
	s := newSeveralLimits(t)
	s.fill()
	tiny := newTableOf[string](t, 1, 1e-9, 0, WithMaxBytes(64), WithWhenFull(DenyNew), WithClock(s.clock))
	for i := 0; i < 100; i++ {
		key := string(rune('a' + i))
		r, err := Limits{s.requests.Member(0.001), tiny.Member(key, 1)}.Take()
		if err == nil {
			continue
		}
		expectError(t, "Take", err, ErrTableFull)
		expectRefusal(t, r, Refusal{1, InfDuration})
		expectTokens(t, s.requests, 10-0.001*float64(i))
		return
	}
	t.Error("never full")
}

func TestBadMembers(t *testing.T) {
	s := newSeveralLimits(t)
	s.fill()
	long := strings.Repeat("k", MaxKeySize+1)
	for name, bad := range map[string]Limits{
		"none":         nil,
		"zero":         {s.requests.Member(1), Member{}},
		"zero Limiter": {new(Limiter).Member(1)},
		"nil Limiter":  {(*Limiter)(nil).Member(1)},
		"zero Table":   {new(Table).Member("a", 1)},
		"twice":        {s.requests.Member(1), s.requests.Member(2)},
		"key twice":    {s.users.Member("u", 1), s.users.Member("v", 1), s.users.Member("u", 1)},
		"0":            {s.requests.Member(1), s.tokens.Member(0)},
		"NaN":          {s.requests.Member(1), s.users.Member("u", math.NaN())},
		"17":           make(Limits, MaxMembers+1),
		"long key":     {s.requests.Member(1), s.users.Member(long, 1)},
	} {
		r, err := bad.Take()
		expectError(t, name, err, ErrInvalidArgument)
		expectRefusal(t, r, Refusal{-1, 0})
		expectError(t, name, bad.Wait(background), ErrInvalidArgument)
		all := bad.Reserve()
		expectError(t, name, all.Err(), ErrInvalidArgument)
		if bad.Allow() || all.OK() || all.Delay() != InfDuration {
			t.Errorf("%s: granted", name)
		}
		all.Cancel()
		var of *ArgumentError
		if !errors.As(err, &of) || (of.Argument == "key") != (name == "long key") {
			t.Errorf("%s: %v", name, err)
		}
	}
	expectError(t, "negative", s.all.ReserveWithin(-1).Err(), ErrInvalidArgument)
	s.expectLeft(10, 100, 5)
	// The longest key, and the most members.
	most := make(Limits, MaxMembers)
	for i := range most {
		most[i] = s.users.Member(long[:MaxKeySize-i], 5)
	}
	if !most.Allow() || most.Allow() {
		t.Error("16 members grant once")
	}
	expectTokensOf(t, s.users, long[:MaxKeySize], 0)
	expectTokensOf(t, s.users, long[:MaxKeySize-15], 0)
}

func TestReservationsOfSeveralLimits(t *testing.T) {
	s := newSeveralLimits(t)
	first := s.all.Reserve()
	if !first.OK() || first.Err() != nil || first.Delay() != 5*time.Second {
		t.Errorf("%v after %v", first.Err(), first.Delay())
	}
	s.expectLeft(-2, -50, 4)
	late := s.all.ReserveWithin(9 * time.Second)
	expectRefused(t, late.Err(), Refusal{1, 10 * time.Second}, ErrTimedOut)
	if late.OK() || late.Delay() != InfDuration {
		t.Errorf("refused, but OK %v with delay %v", late.OK(), late.Delay())
	}
	late.Cancel()
	second := s.all.ReserveWithin(10 * time.Second)
	advance(t, s.clock, 3*time.Second)
	if first.Delay() != 2*time.Second || second.Delay() != 7*time.Second {
		t.Errorf("delays %v and %v", first.Delay(), second.Delay())
	}
	// What is due of the requests comes back too.
	first.Cancel()
	s.expectLeft(1, -20, 5)
	first.Cancel()
	s.expectLeft(1, -20, 5)
	advance(t, s.clock, 7*time.Second)
	if second.Delay() != 0 {
		t.Errorf("delay %v when due", second.Delay())
	}
	second.Cancel()
	s.expectLeft(8, 50, 5)
}

// What was due at once was lost with each reservation that was cancelled while another limit was waited for.
func TestCancelledReservationsLoseNothing(t *testing.T) {
	s := newSeveralLimits(t)
	expectError(t, "Reset", s.requests.Reset(10), nil)
	for i := 0; i < 10; i++ {
		s.all.Reserve().Cancel()
	}
	s.expectLeft(10, 0, 5)
}

// Both of a key that was a slice, which may be changed once the call has begun.
func TestReservationsAndWaitsKeepTheirKeys(t *testing.T) {
	s := newSeveralLimits(t)
	slices := newTableOf[[]byte](t, 5, 1, 100, WithClock(s.clock))
	key := []byte("a")
	slices.AllowN(key, 5)
	s.all = Limits{s.requests.Member(1), slices.Member(key, 2)}
	reserved := s.all.Reserve()
	expectTokensOf(t, slices, []byte("a"), -2)
	answer := s.enter(background, 2)
	key[0] = 'b'
	expectTokensOf(t, slices, key, 5)
	reserved.Cancel()
	expectTokensOf(t, slices, []byte("a"), -2)
	expectError(t, "SetBurst", slices.SetLimit(1e-9), nil)
	advance(t, s.clock, time.Second)
	expectError(t, "Close", slices.Close(), nil)
	expectRefused(t, <-answer, Refusal{1, InfDuration}, ErrClosed)
}

func TestReservationsOnTheSystemClock(t *testing.T) {
	s := newSeveralLimits(t)
	slow := newLimiter(t, 1, 1e-3, WithInitialTokens(0))
	slower := newLimiter(t, 1, 0.5e-3, WithInitialTokens(0))
	r := Limits{slower.Member(1), s.requests.Member(1), slow.Member(1)}.Reserve()
	if d := r.Delay(); d <= 1900*time.Second || d > 2000*time.Second {
		t.Errorf("delay %v, want just below 2000 s", d)
	}
	r.Cancel()
	expectTokens(t, s.requests, 0)
	full := newLimiter(t, 1, 1)
	now := Limits{full.Member(0.5), s.requests.Member(1)}.Reserve()
	if d := now.Delay(); d != time.Second {
		t.Errorf("delay %v of the manual clock", d)
	}
	if d := (Limits{full.Member(0.5)}).Reserve().Delay(); d != 0 {
		t.Errorf("delay %v of what is there", d)
	}
}
