//go:build cgo

package tokenbucket

import (
	"context"
	"errors"
	"testing"
	"time"
)

// What is answered while the server gives no answer: to a limit of 10 tokens, one per second.

func newDownRemote(t *testing.T, o OnUnavailable) *Remote {
	t.Helper()
	r, _ := newFakeRemote(t, []any{errDown}, WithOnUnavailable(o))
	return r
}

func TestFailError(t *testing.T) {
	ctx := context.Background()
	r := newDownRemote(t, FailError)
	answers := []Status{ErrClosed}
	for what, err := range map[string]error{
		"Take":         second(r.Take(ctx, "a", 1)),
		"Allow":        second(r.Allow(ctx, "a")),
		"TakeUpTo":     second(r.TakeUpTo(ctx, "a", 1)),
		"Wait":         r.Wait(ctx, "a"),
		"Reserve":      second(r.Reserve(ctx, "a")),
		"AllowMany":    r.AllowMany(ctx, []string{"a"}, nil, answers),
		"RemoteLimits": second(RemoteLimits{r.Member("a", 1)}.Take(ctx)),
	} {
		var remote *RemoteError
		if !errors.Is(err, ErrUnavailable) || !errors.Is(err, errDown) || !errors.As(err, &remote) {
			t.Errorf("%s: %v", what, err)
		}
		if errors.Is(err, ErrDenied) || err.Error() != ErrUnavailable.Error()+": connection refused" {
			t.Errorf("%s: %v", what, err)
		}
	}
	if answers[0] != ErrClosed {
		t.Errorf("AllowMany wrote %v", answers)
	}
}

// Only takes and waits have a policy.
func TestOtherCallsAlwaysFail(t *testing.T) {
	ctx := context.Background()
	for _, o := range []OnUnavailable{FailError, FailClosed, FailOpen, FailLocal(1)} {
		r := newDownRemote(t, o)
		for what, err := range map[string]error{
			"Reserve":   second(r.Reserve(ctx, "a")),
			"Charge":    second(r.Charge(ctx, "a", 1)),
			"Refund":    r.Refund(ctx, "a", 1),
			"Reset":     r.Reset(ctx, "a", InitiallyFull),
			"Tokens":    second(r.Tokens(ctx, "a")),
			"TimeUntil": second(r.TimeUntil(ctx, "a", 1)),
		} {
			if !errors.Is(err, ErrUnavailable) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
}

func TestFailClosed(t *testing.T) {
	ctx := context.Background()
	r := newDownRemote(t, FailClosed)
	if d, err := r.Take(ctx, "a", 3); err != ErrDenied || d != (Decision{0, 3 * time.Second, 10 * time.Second}) {
		t.Errorf("Take: %v, %v", d, err)
	}
	if ok, err := r.Allow(ctx, "a"); ok || err != nil {
		t.Errorf("Allow: %v, %v", ok, err)
	}
	if n, err := r.TakeUpTo(ctx, "a", 3); n != 0 || err != nil {
		t.Errorf("TakeUpTo: %v, %v", n, err)
	}
	if err := r.Wait(ctx, "a"); err != ErrDenied {
		t.Error("Wait: ", err)
	}
	answers := make([]Status, 2)
	err := r.AllowMany(ctx, []string{"a", "b"}, nil, answers)
	if err != nil || answers[0] != ErrDenied || answers[1] != ErrDenied {
		t.Errorf("AllowMany: %v, %v", answers, err)
	}
}

func TestFailOpen(t *testing.T) {
	ctx := context.Background()
	r := newDownRemote(t, FailOpen)
	if d, err := r.Take(ctx, "a", 3); err != nil || d != (Decision{7, 0, 3 * time.Second}) {
		t.Errorf("Take: %v, %v", d, err)
	}
	if ok, err := r.Allow(ctx, "a"); !ok || err != nil {
		t.Errorf("Allow: %v, %v", ok, err)
	}
	for most, want := range map[float64]float64{0.5: 0, 3.9: 3, 12: 10} {
		if n, err := r.TakeUpTo(ctx, "a", most); n != want || err != nil {
			t.Errorf("TakeUpTo %v: %v, %v", most, n, err)
		}
	}
	if err := r.Wait(ctx, "a"); err != nil {
		t.Error("Wait: ", err)
	}
	answers := []Status{ErrDenied}
	if err := r.AllowMany(ctx, []string{"a"}, nil, answers); err != nil || answers[0] != Success {
		t.Errorf("AllowMany: %v, %v", answers, err)
	}
}

// A share of one half is a table of 5 tokens, one per 2 seconds.
func TestFailLocal(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	r := newDownRemote(t, FailLocal(0.5))
	if d, err := r.Take(ctx, "a", 5); err != nil || d.Remaining != 0 || d.ResetAfter != 10*time.Second {
		t.Errorf("Take: %v, %v", d, err)
	}
	d, err := r.Take(ctx, "a", 1)
	if err != ErrDenied || d.RetryAfter > 2*time.Second || d.RetryAfter < time.Second {
		t.Errorf("a second Take: %v, %v", d, err)
	}
	if d, err := r.Take(ctx, "a", 6); err != ErrDenied || d.RetryAfter != 6*time.Second {
		t.Errorf("more than the share holds: %v, %v", d, err)
	}
	if n, err := r.TakeUpTo(ctx, "b", 9); n != 5 || err != nil {
		t.Errorf("TakeUpTo: %v, %v", n, err)
	}
	var late *TimeoutError
	if err := r.Wait(ctx, "a"); !errors.As(err, &late) {
		t.Error("Wait: ", err)
	}
	if err := r.WaitN(ctx, "c", 6); err != ErrDenied {
		t.Error("Wait for more than the share holds: ", err)
	}
	answers := make([]Status, 2)
	err = r.AllowMany(ctx, []string{"a", "d"}, nil, answers)
	if err != nil || answers[0] != ErrDenied || answers[1] != Success {
		t.Errorf("AllowMany: %v, %v", answers, err)
	}
}

// In a table of its own, too, a wait takes no longer than the limit allows.
func TestFailLocalHasTheMaxWait(t *testing.T) {
	ctx := context.Background()
	do := (&fakeServer{replies: []any{errDown}}).do
	local := func(rate float64) *Remote {
		r, err := NewRemote(do, 2, rate, WithMaxWait(time.Minute), WithOnUnavailable(FailLocal(1)))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	fast, slow := local(1000), local(0.01)
	for i := 0; i < 3; i++ {
		if err := fast.Wait(ctx, "a"); err != nil {
			t.Error("Wait: ", err)
		}
	}
	if err := slow.WaitN(ctx, "a", 2); err != nil {
		t.Error("what is there: ", err)
	}
	var late *TimeoutError
	if err := slow.WaitN(ctx, "a", 1); !errors.As(err, &late) || late.RetryAfter <= time.Minute {
		t.Error("a wait that takes longer: ", err)
	}
}

// The server answers again.
func TestAfterAnOutage(t *testing.T) {
	ctx := context.Background()
	r, _ := newFakeRemote(t, []any{errDown, int64(9e9)}, WithOnUnavailable(FailClosed))
	if ok, err := r.Allow(ctx, "a"); ok || err != nil {
		t.Errorf("while it does not: %v, %v", ok, err)
	}
	if ok, err := r.Allow(ctx, "a"); !ok || err != nil {
		t.Errorf("then: %v, %v", ok, err)
	}
}

func TestLimitsWhileUnavailable(t *testing.T) {
	ctx := context.Background()
	fails, closed, open := newDownRemote(t, FailError), newDownRemote(t, FailClosed), newDownRemote(t, FailOpen)
	half, other := newDownRemote(t, FailLocal(0.5)), newDownRemote(t, FailLocal(0.5))
	for i, c := range []struct {
		limits     RemoteLimits
		member     int
		retryAfter time.Duration // rounded up
		want       error
	}{
		{RemoteLimits{closed.Member("{a}1", 1), half.Member("{a}2", 1), fails.Member("{a}3", 1)}, -1, 0, ErrUnavailable},
		{RemoteLimits{open.Member("{a}1", 1), closed.Member("{a}2", 1), closed.Member("{a}3", 2)}, 2, 2 * time.Second, ErrDenied},
		{RemoteLimits{open.Member("{a}1", 1)}, -1, 0, nil},
		{RemoteLimits{open.Member("{a}1", 1), half.Member("{a}2", 5)}, -1, 0, nil},
		{RemoteLimits{other.Member("{a}1", 5), open.Member("{a}2", 1), half.Member("{a}3", 6)}, 2, 6 * time.Second, ErrDenied},
		{RemoteLimits{other.Member("{a}1", 5), half.Member("{a}2", 4)}, 1, 8 * time.Second, ErrDenied},
		{RemoteLimits{other.Member("{a}1", 5)}, -1, 0, nil}, // which the ones before have left alone
	} {
		refusal, err := c.limits.Take(ctx)
		seconds := refusal.RetryAfter + time.Second - 1
		seconds -= seconds % time.Second
		if refusal.Member != c.member || seconds != c.retryAfter || !errors.Is(err, c.want) {
			t.Errorf("limits %d: %v, %v", i, refusal, err)
		}
	}
}
