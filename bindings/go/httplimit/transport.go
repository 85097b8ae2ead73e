package httplimit

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"tokenbucket"
)

// Transport is an http.RoundTripper that keeps to an upstream's quota. Before a request is sent it waits for tokens of
// the limiter, and as long as the upstream asked for with Retry-After (on 429 and 503) or a RateLimit with nothing
// left. A RateLimit that leaves less than the limiter holds, because others use the same quota, lowers the limiter;
// those who wait for it keep their order. A request whose wait cannot end by its context's deadline fails at once,
// unsent, with a *tokenbucket.TimeoutError or a *PauseError; one that is cancelled while it waits gives its tokens back.
//
// It stands for one upstream: give each its own. Its fields must not be changed once it is in use.
type Transport struct {
	Limiter *tokenbucket.Limiter // the quota; nil: only what the answers say
	Base    http.RoundTripper    // what sends; nil: http.DefaultTransport

	// Cost is how many tokens a request takes, 0 for one that is not limited. nil: 1.
	Cost func(*http.Request) float64

	// MaxWait is the longest time a request may wait before it is sent; one that would have to wait longer fails at
	// once, as above. 0: as long as its context allows; less is tokenbucket.ErrInvalidArgument.
	MaxWait time.Duration

	// MaxPause is the longest pause the upstream can ask for; longer ones are cut to it. 0: ten minutes; less
	// is tokenbucket.ErrInvalidArgument.
	MaxPause time.Duration

	// Retries is how often a request answered with 429 is sent again, after the pause that the answer asks for. An
	// answer that asks for none is handed to the caller, as is the last one, one whose pause would outlast the
	// context, and one to a request whose body cannot be read anew (http.Request.GetBody).
	Retries int

	mu          sync.Mutex
	pausedUntil time.Time
	waiting     float64 // the tokens that requests wait for

	now   func() time.Time // nil: time.Now
	sleep func(ctx context.Context, d time.Duration) error
}

// PauseError says that the upstream asked for a longer pause than a request may wait.
// errors.Is(err, context.DeadlineExceeded) and errors.Is(err, tokenbucket.ErrTimedOut) hold.
type PauseError struct {
	RetryAfter time.Duration // until the pause is over
}

// Error returns a message with the time.
func (e *PauseError) Error() string {
	if e.RetryAfter == tokenbucket.InfDuration {
		return "httplimit: timed out: the upstream asked for a pause that never ends"
	}
	return fmt.Sprintf("httplimit: timed out: the upstream asked for a pause of another %v", e.RetryAfter)
}

// Timeout returns true, as the context's own error does.
func (e *PauseError) Timeout() bool { return true }

// Unwrap returns tokenbucket.ErrTimedOut.
func (e *PauseError) Unwrap() error { return tokenbucket.ErrTimedOut }

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	for sent := 0; ; sent++ {
		if err := t.wait(r); err != nil {
			if r.Body != nil {
				_ = r.Body.Close() // the contract of RoundTrip; the request was not sent
			}
			return nil, err
		}
		response, err := t.base().RoundTrip(r)
		if err != nil {
			return nil, err
		}
		pause, asked := t.learn(response)
		final := sent == t.Retries || response.StatusCode != http.StatusTooManyRequests
		if final || !asked || !inTime(r.Context(), pause) {
			return response, nil
		}
		again, ok := renewed(r)
		if !ok {
			return response, nil
		}
		discard(response)
		r = again
	}
}

// CloseIdleConnections closes those of the transport that sends.
func (t *Transport) CloseIdleConnections() {
	if c, ok := t.base().(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

func (t *Transport) base() http.RoundTripper {
	if t.Base == nil {
		return http.DefaultTransport
	}
	return t.Base
}

func (t *Transport) cost(r *http.Request) float64 {
	if t.Cost == nil {
		return 1
	}
	return t.Cost(r)
}

// wait returns once the request may be sent, its tokens taken.
func (t *Transport) wait(r *http.Request) error {
	ctx := r.Context()
	if t.MaxWait < 0 || t.MaxPause < 0 {
		return tokenbucket.ErrInvalidArgument
	}
	if t.MaxWait > 0 {
		limited, cancel := context.WithTimeout(ctx, t.MaxWait)
		defer cancel()
		ctx = limited
	}
	err := t.waitWithin(ctx, t.cost(r))
	if err == context.DeadlineExceeded && r.Context().Err() == nil {
		return tokenbucket.ErrTimedOut
	}
	return err
}

// Tokens are taken after the pause, not while it lasts: otherwise all who waited would be sent together at its end.
func (t *Transport) waitWithin(ctx context.Context, n float64) error {
	for {
		if err := t.sitOut(ctx); err != nil {
			return err
		}
		limited := t.Limiter != nil && n != 0
		if limited {
			if err := t.waitForTokens(ctx, n); err != nil {
				return err
			}
		}
		if t.pause() == 0 {
			return nil
		}
		if limited {
			_ = t.Limiter.Refund(n) // fails only if the limiter is closed, as the next WaitN will say
		}
	}
}

func (t *Transport) waitForTokens(ctx context.Context, n float64) error {
	if n > 0 && n <= tokenbucket.MaxBurst { // else WaitN says what is wrong
		t.addWaiting(n)
		defer t.addWaiting(-n)
	}
	return t.Limiter.WaitN(ctx, n)
}

func (t *Transport) addWaiting(n float64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting += n
}

// sitOut returns when no pause is left.
func (t *Transport) sitOut(ctx context.Context) error {
	for left := t.pause(); left > 0; left = t.pause() {
		if !inTime(ctx, left) {
			return &PauseError{left}
		}
		if err := t.sleepFor(ctx, left); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// pause returns what is left of it.
func (t *Transport) pause() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if left := t.pausedUntil.Sub(t.time()); left > 0 {
		return left
	}
	return 0
}

func inTime(ctx context.Context, d time.Duration) bool {
	deadline, limited := ctx.Deadline()
	return !limited || time.Until(deadline) >= d
}

func (t *Transport) time() time.Time {
	if t.now == nil {
		return time.Now()
	}
	return t.now()
}

func (t *Transport) sleepFor(ctx context.Context, d time.Duration) error {
	if t.sleep != nil {
		return t.sleep(ctx, d)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// learn does as the response says from now on, and returns the pause it asks for, if it asks.
func (t *Transport) learn(r *http.Response) (pause time.Duration, asked bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now, quota := t.time(), readQuota(r.Header)
	if r.StatusCode == http.StatusTooManyRequests || r.StatusCode == http.StatusServiceUnavailable {
		pause, asked = retryAfter(r.Header, now)
	}
	if !asked && quota.empty {
		pause, asked = quota.window, true
	}
	if most := t.maxPause(); pause > most {
		pause = most
	}
	if until := now.Add(pause); until.After(t.pausedUntil) {
		t.pausedUntil = until
	}
	if quota.known && t.Limiter != nil {
		t.lower(quota.remaining)
	}
	return pause, asked
}

func (t *Transport) maxPause() time.Duration {
	if t.MaxPause == 0 {
		return 10 * time.Minute
	}
	return t.MaxPause
}

// lower takes away what the limiter holds above that many tokens; takes that run meanwhile count on both sides. What is
// promised to those who wait is held, and stays theirs in their order.
func (t *Transport) lower(tokens float64) {
	if t.Limiter.Tokens()+t.waiting > tokens {
		_ = t.Limiter.SetTokens(tokens) // fails only if the limiter is closed, as the next WaitN will say
	}
}

// renewed returns the request as it was before it was sent; false if its body is used up.
func renewed(r *http.Request) (again *http.Request, ok bool) {
	again = r.Clone(r.Context())
	if r.Body == nil || r.Body == http.NoBody {
		return again, true
	}
	if r.GetBody == nil {
		return nil, false
	}
	body, err := r.GetBody()
	again.Body = body
	return again, err == nil
}

// discard lets the connection be used again, unless much would have to be read for that.
func discard(r *http.Response) {
	_, _ = io.CopyN(io.Discard, r.Body, 64<<10)
	_ = r.Body.Close()
}
