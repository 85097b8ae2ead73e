package redigo

import (
	"context"
	"errors"
	"testing"
	"time"

	"tokenbucket"
)

func tokens(t *testing.T, r *tokenbucket.Remote, key string) float64 {
	t.Helper()
	n, err := r.Tokens(background, key)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestWait(t *testing.T) {
	r := newRemote(t, 2, 100)
	start := time.Now()
	for i := 0; i < 4; i++ {
		if err := r.Wait(background, "a"); err != nil {
			t.Fatal(err)
		}
	}
	// The first two at once, the others 10 ms apart.
	if took := time.Since(start); took < 20*time.Millisecond {
		t.Errorf("4 tokens after %v", took)
	}
	if left := tokens(t, r, "a"); left < 0 {
		t.Errorf("%v tokens when all is due", left)
	}
}

// What cannot be in time is refused at once, and nothing is taken.
func TestWaitThatIsTooLong(t *testing.T) {
	r := newRemote(t, 2, slow, tokenbucket.WithMaxWait(3000*time.Second))
	if err := r.WaitN(background, "a", 2); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(background, time.Minute)
	defer cancel()
	start := time.Now()
	var late *tokenbucket.TimeoutError
	if err := r.Wait(ctx, "a"); !errors.As(err, &late) || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal("a deadline: ", err)
	}
	expectWithin(t, "retry", late.RetryAfter, 1000*time.Second)
	if late.Key != "a" || late.N != 1 || late.Limiter != nil || late.Error() == "" {
		t.Errorf("%+v", late)
	}
	if _, err := r.ReserveWithin(background, "a", 1, 900*time.Second); !errors.As(err, &late) {
		t.Error("a reservation: ", err)
	}
	reservation, err := r.ReserveN(background, "a", 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.WaitN(background, "a", 2); !errors.As(err, &late) {
		t.Error("the longest wait: ", err)
	}
	expectWithin(t, "retry", late.RetryAfter, 4000*time.Second)
	if err := reservation.Cancel(background); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("refused after %v", took)
	}
	expectTokens(t, r, "a", 0)
}

// Who gives up during the sleep gives the tokens back.
func TestWaitThatIsGivenUp(t *testing.T) {
	r := newRemote(t, 5, slow)
	if err := r.WaitN(background, "a", 5); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(background)
	defer cancel()
	answer := make(chan error)
	go func() { answer <- r.WaitN(ctx, "a", 3) }()
	for begin := time.Now(); tokens(t, r, "a") > -1; time.Sleep(time.Millisecond) { // until it waits
		if time.Since(begin) > time.Minute {
			t.Fatal("nobody waits within a minute")
		}
	}
	cancel()
	if err := <-answer; err != context.Canceled {
		t.Error(err)
	}
	expectTokens(t, r, "a", 0)
}

// The answer comes so late that the deadline is before the tokens: they come back at once.
func TestWaitWithALateAnswer(t *testing.T) {
	do := doOf(shared.pool)
	slowly := func(ctx context.Context, args ...any) (any, error) {
		v, err := do(ctx, args...)
		time.Sleep(30 * time.Millisecond)
		return v, err
	}
	r := newRemoteBy(t, slowly, 4, 20)
	if err := r.WaitN(background, "a", 4); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(background, 110*time.Millisecond)
	defer cancel()
	var late *tokenbucket.TimeoutError
	if err := r.WaitN(ctx, "a", 2.5); !errors.As(err, &late) { // due in 95 ms
		t.Fatal(err)
	}
	if left := tokens(t, r, "a"); left < 0.6 { // 30 ms of 20 a second
		t.Errorf("%v tokens", left)
	}
}

// A server that dies while somebody waits does not end the wait: its tokens are reserved.
func TestWaitWhoseServerDies(t *testing.T) {
	s, err := startServer()
	if err != nil {
		t.Fatal(err)
	}
	do, replied := doOf(s.pool), make(chan struct{}, 10)
	r := newRemoteBy(t, func(ctx context.Context, args ...any) (any, error) {
		v, err := do(ctx, args...)
		if err == nil {
			replied <- struct{}{}
		}
		return v, err
	}, 1, 20)
	if err := r.Wait(background, "a"); err != nil {
		t.Fatal(err)
	}
	<-replied
	answer := make(chan error)
	go func() { answer <- r.Wait(background, "a") }()
	<-replied
	s.stop()
	if err := <-answer; err != nil {
		t.Error(err)
	}
	start := time.Now()
	if err := r.Wait(background, "a"); !errors.Is(err, tokenbucket.ErrUnavailable) || time.Since(start) > 5*time.Second {
		t.Error(err)
	}
}

func TestReservation(t *testing.T) {
	r := newRemote(t, 10, slow)
	first, err := r.ReserveN(background, "a", 10)
	if err != nil || first.Delay() != 0 {
		t.Fatal(err)
	}
	// It was due at once, so it is used; what was not needed comes back.
	if err := first.Settle(background, 4); err != nil {
		t.Error(err)
	}
	expectTokens(t, r, "a", 6)
	if err := first.Settle(background, 4); !errors.Is(err, tokenbucket.ErrInvalidArgument) {
		t.Error("settled twice: ", err)
	}

	ahead, err := r.ReserveN(background, "a", 8)
	if err != nil {
		t.Fatal(err)
	}
	expectWithin(t, "delay", (ahead.Delay() + time.Microsecond - 1).Truncate(time.Microsecond), 2000*time.Second)
	expectTokens(t, r, "a", -2)
	if err := ahead.Settle(background, -1); !errors.Is(err, tokenbucket.ErrInvalidArgument) {
		t.Error("a negative cost: ", err)
	}
	if err := ahead.Settle(background, 20); !errors.Is(err, tokenbucket.ErrOutOfRange) { // an hour of debt is 3.6
		t.Error("more debt than is allowed: ", err)
	}
	for i := 0; i < 2; i++ { // the second time nothing comes back
		if err := ahead.Cancel(background); err != nil {
			t.Error(err)
		}
		expectTokens(t, r, "a", 6)
	}
	if err := ahead.Settle(background, 0); !errors.Is(err, tokenbucket.ErrInvalidArgument) {
		t.Error("settled after it was cancelled: ", err)
	}

	single, err := r.Reserve(background, "a")
	if err != nil || single.Delay() != 0 {
		t.Error(err)
	}
	expectTokens(t, r, "a", 5)
}

// After an error nobody knows whether it was done, so it is not done again.
func TestReservationIsSettledOnce(t *testing.T) {
	do := doOf(shared.pool)
	lost := false
	r := newRemoteBy(t, func(ctx context.Context, args ...any) (any, error) {
		v, err := do(ctx, args...)
		if lost && err == nil {
			return nil, errors.New("connection reset by peer")
		}
		return v, err
	}, 10, slow)
	reservation, err := r.ReserveN(background, "a", 8)
	if err != nil {
		t.Fatal(err)
	}
	lost = true
	if err := reservation.Settle(background, 5); !errors.Is(err, tokenbucket.ErrUnavailable) {
		t.Error(err)
	}
	lost = false
	if err := reservation.Settle(background, 5); !errors.Is(err, tokenbucket.ErrInvalidArgument) {
		t.Error("settled again: ", err)
	}
	if err := reservation.Cancel(background); err != nil {
		t.Error(err)
	}
	expectTokens(t, r, "a", 5)
}
