//go:build cgo

package httplimit

import (
	"context"
	"errors"
	"expvar"
	"testing"
	"time"

	"tokenbucket"
)

// What go-grpc-middleware's interceptors take.
type grpcLimiter interface {
	Limit(ctx context.Context) error
}

func TestDeny(t *testing.T) {
	l := newLimiter(t, newClock(t), 1, 2)
	var limiter grpcLimiter = Deny(l)
	expectError(t, "first", limiter.Limit(background), nil)
	err := limiter.Limit(background)
	var denied *DeniedError
	if !errors.As(err, &denied) || denied.RetryAfter != 500*time.Millisecond {
		t.Errorf("second: %v", err)
	}
	expectError(t, "second", err, tokenbucket.ErrDenied)
	expect(t, "message", err.Error(), "denied: retry after 500ms")
	expectError(t, "Close", l.Close(), nil)
	expectError(t, "closed", limiter.Limit(background), tokenbucket.ErrClosed)
}

type callerKey struct{}

func TestDenyByClient(t *testing.T) {
	c := newClients(t, 10, newClock(t), 1, 1)
	var limiter grpcLimiter = c.Deny(func(ctx context.Context) string { return ctx.Value(callerKey{}).(string) })
	for _, name := range []string{"a", "b"} {
		ctx := context.WithValue(background, callerKey{}, name)
		expectError(t, "first", limiter.Limit(ctx), nil)
		expectError(t, "second", limiter.Limit(ctx), tokenbucket.ErrDenied)
	}
}

func TestNilLimits(t *testing.T) {
	for name, limiter := range map[string]grpcLimiter{
		"Deny": Deny(nil), "Wait": Wait(nil), "Clients.Deny": newClients(t, 1, newClock(t), 1, 1).Deny(nil),
	} {
		expectError(t, name, limiter.Limit(background), tokenbucket.ErrInvalidArgument)
	}
	expect(t, "var", Var(nil).String(), `{"Limit":0,"Burst":0,"Tokens":0}`)
}

func TestWait(t *testing.T) {
	clock := newClock(t)
	var limiter grpcLimiter = Wait(newLimiter(t, clock, 1, 1))
	expectError(t, "first", limiter.Limit(background), nil)
	answer := make(chan error)
	go func() { answer <- limiter.Limit(background) }()
	expectWaiter(t, clock)
	advance(t, clock, time.Second)
	expectError(t, "second", <-answer, nil)
}

func TestVar(t *testing.T) {
	clock := newClock(t)
	l, err := tokenbucket.New(10, 2.5, tokenbucket.WithClock(clock), tokenbucket.WithStatistics())
	expectError(t, "New", err, nil)
	l.AllowN(4)
	var v expvar.Var = Var(l)
	expect(t, "var", v.String(), `{"Limit":2.5,"Burst":10,"Tokens":6,"Stats":{"Granted":1,`+
		`"Denied":0,"TimedOut":0,"Cancelled":0,"Waits":0,"TotalWait":0,"LongestWait":0,"Waiting":0,"TokensTaken":4,`+
		`"TokensGivenBack":0}}`)
	expect(t, "without statistics", Var(newLimiter(t, clock, 10, 2.5)).String(), `{"Limit":2.5,"Burst":10,"Tokens":10}`)
}

func TestErrorsSayNever(t *testing.T) {
	for _, row := range []struct {
		err  error
		want string
	}{
		{&DeniedError{time.Second}, "denied: retry after 1s"},
		{&DeniedError{tokenbucket.InfDuration}, "denied: never granted"},
		{&PauseError{time.Second}, "httplimit: timed out: the upstream asked for a pause of another 1s"},
		{&PauseError{tokenbucket.InfDuration}, "httplimit: timed out: the upstream asked for a pause that never ends"},
	} {
		if row.err.Error() != row.want {
			t.Errorf("%v\n    want: %s", row.err, row.want)
		}
	}
}
