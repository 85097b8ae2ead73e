//go:build cgo

package httplimit

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"tokenbucket"
)

// upstream answers from a script and notes when requests came, in a time that only sleeping moves.
type upstream struct {
	mu      sync.Mutex
	now     time.Time
	clock   *tokenbucket.ManualClock // moves along; may be nil
	answers []answerOf               // the last one repeats
	came    []time.Duration
	bodies  []string
}

type answerOf struct {
	status  int
	headers []string
}

var (
	origin = time.Date(2026, 5, 23, 0, 0, 0, 0, time.UTC)
	fine   = answerOf{http.StatusOK, nil}
)

func (u *upstream) RoundTrip(r *http.Request) (*http.Response, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	body := ""
	if r.Body != nil {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		body = string(text)
	}
	u.bodies = append(u.bodies, body)
	u.came = append(u.came, u.now.Sub(origin))
	a := u.answers[0]
	if len(u.answers) > 1 {
		u.answers = u.answers[1:]
	}
	response := &http.Response{StatusCode: a.status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("x"))}
	for i := 0; i < len(a.headers); i += 2 {
		response.Header.Add(a.headers[i], a.headers[i+1])
	}
	return response, nil
}

func (u *upstream) transport(l *tokenbucket.Limiter) *Transport {
	return &Transport{Limiter: l, Base: u,
		now: func() time.Time {
			u.mu.Lock()
			defer u.mu.Unlock()
			return u.now
		},
		sleep: func(ctx context.Context, d time.Duration) error {
			u.mu.Lock()
			defer u.mu.Unlock()
			u.now = u.now.Add(d)
			if u.clock != nil {
				return u.clock.Advance(d)
			}
			return nil
		}}
}

func newUpstream(clock *tokenbucket.ManualClock, answers ...answerOf) *upstream {
	return &upstream{now: origin, clock: clock, answers: answers}
}

// send returns the status, 0 beside an error.
func send(t *testing.T, transport http.RoundTripper, ctx context.Context) (int, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://upstream.test/", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	response, err := transport.RoundTrip(r)
	if err != nil {
		return 0, err
	}
	_ = response.Body.Close()
	return response.StatusCode, nil
}

func expectSent(t *testing.T, transport http.RoundTripper, want int) {
	t.Helper()
	status, err := send(t, transport, background)
	if err != nil || status != want {
		t.Errorf("status %d, %v, want %d", status, err, want)
	}
}

func expectCame(t *testing.T, u *upstream, want ...time.Duration) {
	t.Helper()
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.came) != len(want) {
		t.Fatalf("requests came at %v, want %v", u.came, want)
	}
	for i := range want {
		if u.came[i] != want[i] {
			t.Fatalf("requests came at %v, want %v", u.came, want)
		}
	}
}

func within(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(background, d)
	_ = cancel // it ends with the test's process
	return ctx
}

func TestTransportWaitsForTokens(t *testing.T) {
	clock := newClock(t)
	l := newLimiter(t, clock, 2, 1)
	u := newUpstream(nil, fine)
	transport := u.transport(l)
	expectSent(t, transport, http.StatusOK)
	expectSent(t, transport, http.StatusOK)
	answer := make(chan error)
	go func() {
		_, err := send(t, transport, background)
		answer <- err
	}()
	expectWaiter(t, clock)
	expectCame(t, u, 0, 0)
	advance(t, clock, time.Second)
	expectError(t, "after a second", <-answer, nil)
	expectCame(t, u, 0, 0, 0)
}

func TestTransportsCost(t *testing.T) {
	l := newLimiter(t, newClock(t), 10, 1)
	cost := 4.0
	transport := newUpstream(nil, fine).transport(l)
	transport.Cost = func(*http.Request) float64 { return cost }
	expectSent(t, transport, http.StatusOK)
	expect(t, "tokens", l.Tokens(), 6)
	cost = 0
	expectSent(t, transport, http.StatusOK)
	expect(t, "tokens", l.Tokens(), 6)
	cost = 11
	_, err := send(t, transport, background)
	expectError(t, "more than the quota", err, tokenbucket.ErrExceedsCapacity)
}

func TestRequestThatCannotBeSentInTimeFailsAtOnce(t *testing.T) {
	l := newLimiter(t, newClock(t), 1, 1e-3)
	u := newUpstream(nil, fine)
	transport := u.transport(l)
	expectSent(t, transport, http.StatusOK)
	_, err := send(t, transport, within(500*time.Second))
	expectError(t, "a short context", err, tokenbucket.ErrTimedOut)
	expectError(t, "a short context", err, context.DeadlineExceeded)
	transport.MaxWait = 500 * time.Second
	_, err = send(t, transport, background)
	expectError(t, "a short MaxWait", err, tokenbucket.ErrTimedOut)
	expect(t, "tokens", l.Tokens(), 0)
	expectCame(t, u, 0)
}

func TestCancelledRequestGivesItsTokensBack(t *testing.T) {
	clock := newClock(t)
	l := newLimiter(t, clock, 1, 1e-3)
	u := newUpstream(nil, fine)
	transport := u.transport(l)
	expectSent(t, transport, http.StatusOK)
	ctx, cancel := context.WithCancel(background)
	answer := make(chan error)
	go func() {
		_, err := send(t, transport, ctx)
		answer <- err
	}()
	expectWaiter(t, clock)
	expect(t, "tokens", l.Tokens(), -1)
	cancel()
	expectError(t, "cancelled", <-answer, context.Canceled)
	expect(t, "tokens", l.Tokens(), 0)
	expectCame(t, u, 0)
}

type closeSpy struct {
	io.Reader
	closed bool
}

func (c *closeSpy) Close() error { c.closed = true; return nil }

func TestBodyOfAnUnsentRequestIsClosed(t *testing.T) {
	ctx, cancel := context.WithCancel(background)
	cancel()
	body := &closeSpy{Reader: strings.NewReader("body")}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://upstream.test/", body)
	expectError(t, "NewRequest", err, nil)
	_, err = newUpstream(nil, fine).transport(nil).RoundTrip(r)
	expectError(t, "cancelled before", err, context.Canceled)
	expect(t, "closed", body.closed, true)
}

func TestRetryAfterPausesAllRequests(t *testing.T) {
	for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		u := newUpstream(nil, answerOf{status, []string{"Retry-After", "30", "RateLimit", `"a";r=0;t=90`}}, fine)
		transport := u.transport(nil)
		expectSent(t, transport, status)
		expectSent(t, transport, http.StatusOK)
		expectSent(t, transport, http.StatusOK)
		expectCame(t, u, 0, 30*time.Second, 30*time.Second)
	}
}

func TestRetryAfterOfOtherAnswersIsNoPause(t *testing.T) {
	u := newUpstream(nil, answerOf{http.StatusFound, []string{"Retry-After", "30"}}, fine)
	transport := u.transport(nil)
	expectSent(t, transport, http.StatusFound)
	expectSent(t, transport, http.StatusOK)
	expectCame(t, u, 0, 0)
}

func TestEmptyQuotaPauses(t *testing.T) {
	u := newUpstream(nil, answerOf{http.StatusOK, []string{"RateLimit", `"a";r=0;t=7`}}, fine)
	transport := u.transport(nil)
	expectSent(t, transport, http.StatusOK)
	expectSent(t, transport, http.StatusOK)
	expectCame(t, u, 0, 7*time.Second)
}

func TestPauseIsCut(t *testing.T) {
	hour := answerOf{http.StatusTooManyRequests, []string{"Retry-After", "3600"}}
	u := newUpstream(nil, hour, hour, fine)
	transport := u.transport(nil)
	expectSent(t, transport, http.StatusTooManyRequests)
	expectSent(t, transport, http.StatusTooManyRequests)
	transport.MaxPause = time.Second
	expectSent(t, transport, http.StatusOK)
	expectCame(t, u, 0, 10*time.Minute, 20*time.Minute)
	u = newUpstream(nil, hour, fine)
	transport = u.transport(nil)
	transport.MaxPause = time.Second
	expectSent(t, transport, http.StatusTooManyRequests)
	expectSent(t, transport, http.StatusOK)
	expectCame(t, u, 0, time.Second)
}

// The pause of a later answer does not shorten that of an earlier one.
func TestPausesDoNotShorten(t *testing.T) {
	u := newUpstream(nil, fine)
	transport := u.transport(nil)
	for _, seconds := range []string{"30", "5"} {
		transport.learn(&http.Response{StatusCode: 429, Header: http.Header{"Retry-After": {seconds}}})
	}
	expectSent(t, transport, http.StatusOK)
	expectCame(t, u, 30*time.Second)
}

func TestPauseBeyondTheDeadlineFailsAtOnce(t *testing.T) {
	l := newLimiter(t, newClock(t), 5, 1)
	u := newUpstream(nil, answerOf{http.StatusTooManyRequests, []string{"Retry-After", "300"}}, fine)
	transport := u.transport(l)
	transport.Retries = 5
	status, err := send(t, transport, within(100*time.Second))
	expectError(t, "first", err, nil)
	expect(t, "status, not retried", status, http.StatusTooManyRequests)
	_, err = send(t, transport, within(100*time.Second))
	var paused *PauseError
	if !errors.As(err, &paused) || paused.RetryAfter != 300*time.Second || !paused.Timeout() {
		t.Errorf("second: %v", err)
	}
	expectError(t, "second", err, context.DeadlineExceeded)
	expect(t, "message", err.Error(), "httplimit: timed out: the upstream asked for a pause of another 5m0s")
	expect(t, "tokens", l.Tokens(), 4)
	expectCame(t, u, 0)
}

// A pause that begins while a request waits for tokens holds it too, and it pays once.
func TestPauseDuringTheWait(t *testing.T) {
	clock := newClock(t)
	l := newLimiter(t, clock, 3, 1)
	u := newUpstream(clock, fine)
	transport := u.transport(l)
	if !l.AllowN(3) {
		t.Fatal("not full")
	}
	answer := make(chan error)
	go func() {
		_, err := send(t, transport, background)
		answer <- err
	}()
	expectWaiter(t, clock)
	transport.learn(&http.Response{StatusCode: 429, Header: http.Header{"Retry-After": {"2"}}})
	advance(t, clock, time.Second)
	expectError(t, "sent", <-answer, nil)
	expectCame(t, u, 2*time.Second)
	expect(t, "tokens", l.Tokens(), 2) // three seconds' tokens, less one
}

func TestQuotaSharedWithOthersLowersTheLimiter(t *testing.T) {
	l := newLimiter(t, newClock(t), 100, 1)
	u := newUpstream(nil, answerOf{http.StatusOK, []string{"RateLimit", `"a";r=12;t=30, "b";r=7;t=3`}},
		answerOf{http.StatusOK, []string{"RateLimit", `"a";r=50;t=30`}},
		answerOf{http.StatusOK, []string{"RateLimit", `"a";r=0`}})
	transport := u.transport(l)
	expectSent(t, transport, http.StatusOK)
	expect(t, "tokens", l.Tokens(), 7)
	expectSent(t, transport, http.StatusOK)
	expect(t, "tokens, never raised", l.Tokens(), 6)
	expectSent(t, transport, http.StatusOK)
	expect(t, "tokens", l.Tokens(), 0)
	expectCame(t, u, 0, 0, 0)
}

// What a request waits for is promised to it, and still lies in the limiter: it is lowered too, and the request keeps
// its place.
func TestQuotaIsLoweredWhileARequestWaits(t *testing.T) {
	clock := newClock(t)
	l := newLimiter(t, clock, 10, 1)
	u := newUpstream(nil, fine)
	transport := u.transport(l)
	transport.Cost = func(*http.Request) float64 { return 8 }
	if !l.AllowN(4) {
		t.Fatal("not full")
	}
	answer := make(chan error)
	go func() {
		_, err := send(t, transport, background)
		answer <- err
	}()
	expectWaiter(t, clock)
	learn := func(remaining string, want time.Duration) {
		t.Helper()
		transport.learn(&http.Response{Header: http.Header{"Ratelimit": {`"a";r=` + remaining}}})
		_, next := clock.Waiters()
		expect(t, "due at", next, want)
	}
	learn("7", 2*time.Second)
	learn("3", 5*time.Second)
	learn("3", 5*time.Second)
	learn("9", 5*time.Second)
	advance(t, clock, 5*time.Second)
	expectError(t, "sent", <-answer, nil)
	expect(t, "tokens", l.Tokens(), 0)
}

func TestNegativeTimesAreRefused(t *testing.T) {
	l := newLimiter(t, newClock(t), 1, 1)
	u := newUpstream(nil, fine)
	for _, transport := range []*Transport{{Limiter: l, Base: u, MaxWait: -1}, {Limiter: l, Base: u, MaxPause: -1}} {
		_, err := send(t, transport, background)
		expectError(t, "RoundTrip", err, tokenbucket.ErrInvalidArgument)
	}
	expect(t, "tokens", l.Tokens(), 1)
	expectCame(t, u)
}

func TestRetries(t *testing.T) {
	denied := answerOf{http.StatusTooManyRequests, []string{"Retry-After", "2"}}
	u := newUpstream(nil, denied, denied, fine)
	l := newLimiter(t, newClock(t), 10, 1)
	transport := u.transport(l)
	transport.Retries = 2
	expectSent(t, transport, http.StatusOK)
	expectCame(t, u, 0, 2*time.Second, 4*time.Second)
	expect(t, "bodies", strings.Join(u.bodies, " "), "body body body")
	expect(t, "tokens", l.Tokens(), 7)

	u = newUpstream(nil, denied)
	transport = u.transport(nil)
	transport.Retries = 2
	expectSent(t, transport, http.StatusTooManyRequests)
	expectCame(t, u, 0, 2*time.Second, 4*time.Second)
}

func TestWhatIsNotRetried(t *testing.T) {
	for name, c := range map[string]struct {
		answer answerOf
		body   io.Reader
		want   int // times sent
	}{
		"no pause":      {answerOf{429, nil}, nil, 1},
		"no 429":        {answerOf{503, []string{"Retry-After", "1"}}, nil, 1},
		"used-up body":  {answerOf{429, []string{"Retry-After", "1"}}, io.MultiReader(strings.NewReader("b")), 1},
		"retry at once": {answerOf{429, []string{"Retry-After", "0"}}, nil, 2},
		"empty quota":   {answerOf{429, []string{"RateLimit", `"a";r=0;t=1`}}, nil, 2},
	} {
		u := newUpstream(nil, c.answer, fine)
		transport := u.transport(nil)
		transport.Retries = 1
		r, err := http.NewRequest(http.MethodPost, "http://upstream.test/", c.body)
		expectError(t, "NewRequest", err, nil)
		response, err := transport.RoundTrip(r)
		expectError(t, name, err, nil)
		_ = response.Body.Close()
		expect(t, name, len(u.came), c.want)
	}
}

type failing struct{ err error }

func (f failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

func TestErrorsOfTheBasePass(t *testing.T) {
	want := errors.New("no route")
	_, err := send(t, &Transport{Base: failing{want}, Retries: 3}, background)
	expectError(t, "RoundTrip", err, want)
}

// A wait that MaxWait ends is no end of the request's own context. The limiter's clock stands still, so real time ends it.
func TestMaxWaitEndsTheWait(t *testing.T) {
	l := newLimiter(t, newClock(t), 1, 100)
	transport := newUpstream(nil, fine).transport(l)
	transport.MaxWait = 20 * time.Millisecond
	expectSent(t, transport, http.StatusOK)
	_, err := send(t, transport, background)
	expectError(t, "second", err, tokenbucket.ErrTimedOut)
	expect(t, "tokens", l.Tokens(), 0)
}

// Pauses of the real clock, ended by it and by a context.
func TestRealPause(t *testing.T) {
	u := newUpstream(nil, answerOf{http.StatusTooManyRequests, []string{"Retry-After", "3600"}}, fine)
	transport := &Transport{Base: u, MaxPause: 20 * time.Millisecond}
	start := time.Now()
	expectSent(t, transport, http.StatusTooManyRequests)
	expectSent(t, transport, http.StatusOK)
	if took := time.Since(start); took < 20*time.Millisecond {
		t.Errorf("sent after %v", took)
	}
	ctx, cancel := context.WithCancel(background)
	time.AfterFunc(10*time.Millisecond, cancel)
	expectError(t, "sleepFor", transport.sleepFor(ctx, time.Hour), context.Canceled)
}
