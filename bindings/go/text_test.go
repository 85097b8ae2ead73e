//go:build cgo

package tokenbucket

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestObjectsPrintWhatTheyAre(t *testing.T) {
	clock := newManualClock(t)
	advance(t, clock, 1500*time.Millisecond)
	l := newLimiter(t, 10, 5, WithClock(clock))
	table, err := NewTable(2.5, 60, 100, WithPeriod(time.Minute), WithClock(clock))
	expectError(t, "NewTable", err, nil)
	remote, err := NewRemote(new(fakeServer).do, 10, 5, WithPrefix("tb:users:"))
	expectError(t, "NewRemote", err, nil)
	const (
		limiterText = "tokenbucket.Limiter(capacity 10 tokens, 5 tokens/s)"
		tableText   = "tokenbucket.Table(capacity 2.5 tokens, 60 tokens per 1m0s)"
		remoteText  = `tokenbucket.Remote(capacity 10 tokens, 5 tokens/s, prefix "tb:users:")`
	)
	due, pending := l.ReserveN(10), l.ReserveN(5)
	joint := Limits{table.Member("ann", 1), table.Member("bob", 1)}.Reserve()
	for _, row := range []struct {
		object any
		want   string
	}{
		{l, limiterText},
		{table, tableText},
		{remote, remoteText},
		{
			Limits{l.Member(1), table.Member("ann", 2)},
			"[1 tokens of " + limiterText + ` 2 tokens of "ann" of ` + tableText + "]",
		},
		{RemoteLimits{remote.Member("ann", 2)}, `[2 tokens of "ann" of ` + remoteText + "]"},
		{due, "tokenbucket.Reservation(10 tokens in 0s)"},
		{pending, "tokenbucket.Reservation(5 tokens in 1s)"},
		{l.ReserveN(11), "tokenbucket.Reservation(" + ErrExceedsCapacity.Error() + ")"},
		{joint, "tokenbucket.Reservations(of 2 members in 0s)"},
		{Limits{}.Reserve(), "tokenbucket.Reservations(tokenbucket: members must be from 1 to 16, got 0)"},
		{&RemoteReservation{promise: promise{tokens: 3}}, "tokenbucket.RemoteReservation(3 tokens in 0s)"},
		{clock, "tokenbucket.ManualClock(1.5s)"},
		{Decision{Remaining: 5, ResetAfter: time.Second}, "{Remaining:5 RetryAfter:0s ResetAfter:1s}"},
		{new(Limiter), "tokenbucket.Limiter(zero value)"},
		{new(Table), "tokenbucket.Table(zero value)"},
		{new(Remote), "tokenbucket.Remote(zero value)"},
		{new(Reservation), "tokenbucket.Reservation(zero value)"},
		{Member{}, "tokenbucket.Member(zero value)"},
		{RemoteMember{}, `0 tokens of "" of <nil>`},
		{(*Limiter)(nil), "<nil>"},
		{(*Table)(nil), "<nil>"},
		{(*Reservation)(nil), "<nil>"},
		{AdmitNew, "AdmitNew"},
		{WhenFull(7), "7"},
	} {
		if got := fmt.Sprint(row.object); got != row.want {
			t.Errorf("%T: %s\n    want: %s", row.object, got, row.want)
		}
	}
	expectError(t, "SetLimit", l.SetLimit(6), nil)
	expectError(t, "Close", l.Close(), nil)
	if got := l.String(); got != "tokenbucket.Limiter(capacity 10 tokens, 6 tokens/s)" {
		t.Error("closed: ", got)
	}
}

// The longest duration means that it cannot be expressed, which "2562047h47m16.854775807s" does not say.
func TestNeverIsNoLength(t *testing.T) {
	l := newLimiter(t, MaxBurst, MinLimit)
	const of = "1e+15 tokens of a limiter of 1e-09 per second, burst 1e+15, are there never"
	if !l.AllowN(MaxBurst) {
		t.Fatal("denied")
	}
	ctx, cancel := context.WithTimeout(background, time.Minute)
	defer cancel()
	for call, row := range map[string]struct {
		err  error
		want string
	}{
		"WaitN":  {l.WaitN(ctx, MaxBurst), "tokenbucket: timed out: " + of},
		"Limits": {Limits{l.Member(MaxBurst)}.Wait(ctx), "tokenbucket: timed out: " + of + " (member 0)"},
	} {
		if !errors.Is(row.err, ErrTimedOut) || fmt.Sprint(row.err) != row.want {
			t.Errorf("%s: %v\n    want: %s", call, row.err, row.want)
		}
	}
	d, _ := l.Take(MaxBurst)
	if got := fmt.Sprint(d); got != "{Remaining:0 RetryAfter:never ResetAfter:never}" {
		t.Error("Take: ", got)
	}
	r, _ := Limits{l.Member(MaxBurst)}.Take()
	if got := fmt.Sprint(r); got != "{Member:0 RetryAfter:never}" {
		t.Error("Limits.Take: ", got)
	}
}
