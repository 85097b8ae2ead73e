package httplimit

import (
	"context"
	"fmt"
	"time"

	"tokenbucket"
)

// LimitFunc is a limit on calls for middlewares that ask Limit(ctx) before each, as the ratelimit interceptors of
// go-grpc-middleware do for servers and clients: nil lets the call through.
type LimitFunc func(ctx context.Context) error

// Limit calls f(ctx).
func (f LimitFunc) Limit(ctx context.Context) error { return f(ctx) }

// DeniedError says when to come back. errors.Is(err, tokenbucket.ErrDenied) holds.
type DeniedError struct {
	RetryAfter time.Duration // until the call would be granted
}

// Error returns a message with the time.
func (e *DeniedError) Error() string {
	if e.RetryAfter == tokenbucket.InfDuration {
		return "denied: never granted"
	}
	return fmt.Sprintf("denied: retry after %v", e.RetryAfter)
}

// Unwrap returns tokenbucket.ErrDenied.
func (e *DeniedError) Unwrap() error { return tokenbucket.ErrDenied }

// Deny lets a call through if a token is there now; otherwise the error is a *DeniedError or one of
// [tokenbucket.Limiter.Take]. It never blocks: for servers. Of a nil limiter it is tokenbucket.ErrInvalidArgument.
func Deny(l *tokenbucket.Limiter) LimitFunc {
	l = orRefusing(l)
	return func(context.Context) error { return denied(l.Take(1)) }
}

// Deny is as the function of that name, with a limit for each client, told apart by key. Of a nil key it is
// tokenbucket.ErrInvalidArgument.
func (c *Clients) Deny(key func(ctx context.Context) string) LimitFunc {
	if key == nil {
		return Deny(nil)
	}
	return func(ctx context.Context) error { return denied(c.TakeContext(ctx, key(ctx), 1)) }
}

// Wait makes each call wait for its token, as [tokenbucket.Limiter.Wait]: for clients that respect a server's quota. Of
// a nil limiter it is tokenbucket.ErrInvalidArgument.
func Wait(l *tokenbucket.Limiter) LimitFunc { return orRefusing(l).Wait }

// The zero Limiter refuses everything.
func orRefusing(l *tokenbucket.Limiter) *tokenbucket.Limiter {
	if l == nil {
		return new(tokenbucket.Limiter)
	}
	return l
}

func denied(d tokenbucket.Decision, err error) error {
	if err == tokenbucket.ErrDenied {
		return &DeniedError{d.RetryAfter}
	}
	return err
}
