//go:build cgo

package httplimit

import (
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"tokenbucket"
)

func serve(s *Server, r *http.Request) *http.Response {
	next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusTeapot) })
	w := httptest.NewRecorder()
	s.Middleware(next).ServeHTTP(w, r)
	return w.Result()
}

func get(t *testing.T, headers ...string) *http.Request {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

func expectAnswer(t *testing.T, r *http.Response, status int, policy, limit, retryAfter string) {
	t.Helper()
	expect(t, "status", r.StatusCode, status)
	expect(t, "RateLimit-Policy", r.Header.Get("RateLimit-Policy"), policy)
	expect(t, "RateLimit", r.Header.Get("RateLimit"), limit)
	expect(t, "Retry-After", r.Header.Get("Retry-After"), retryAfter)
}

func TestServer(t *testing.T) {
	clock := newClock(t)
	s := &Server{Clients: newClients(t, 10, clock, 3, 0.4), Policy: "per client"}
	const policy = `"per client";q=3;w=8`
	granted, over := http.StatusTeapot, http.StatusTooManyRequests
	expectAnswer(t, serve(s, get(t)), granted, policy, `"per client";r=2;t=3`, "")
	expectAnswer(t, serve(s, get(t)), granted, policy, `"per client";r=1;t=5`, "")
	expectAnswer(t, serve(s, get(t)), granted, policy, `"per client";r=0;t=3`, "")
	expectAnswer(t, serve(s, get(t)), over, policy, `"per client";r=0;t=3`, "3")
	advance(t, clock, 600*time.Millisecond)
	expectAnswer(t, serve(s, get(t)), over, policy, `"per client";r=0;t=2`, "2")
	advance(t, clock, 1900*time.Millisecond-1)
	expectAnswer(t, serve(s, get(t)), over, policy, `"per client";r=0;t=1`, "1")
	advance(t, clock, 1)
	expectAnswer(t, serve(s, get(t)), granted, policy, `"per client";r=0;t=3`, "")
}

func TestServersProblem(t *testing.T) {
	s := &Server{Clients: newClients(t, 10, newClock(t), 1, 1), Policy: `a "b" \`}
	serve(s, get(t))
	r := serve(s, get(t))
	body := new(strings.Builder)
	if err := r.Write(body); err != nil {
		t.Fatal(err)
	}
	expect(t, "type", r.Header.Get("Content-Type"), "application/problem+json")
	expect(t, "RateLimit", r.Header.Get("RateLimit"), `"a \"b\" \\";r=0;t=1`)
	if !strings.Contains(body.String(), `#quota-exceeded"`) ||
		!strings.Contains(body.String(), `"violated-policies":["a \"b\" \\"]`) {
		t.Errorf("body: %s", body)
	}
}

func TestServersCost(t *testing.T) {
	cost := 4.0
	clients := newClients(t, 10, newClock(t), 10, 2)
	s := &Server{Clients: clients, Cost: func(*http.Request) float64 { return cost }}
	const policy = `"default";q=10;w=5`
	expectAnswer(t, serve(s, get(t)), http.StatusTeapot, policy, `"default";r=6;t=2`, "")
	cost = 8
	expectAnswer(t, serve(s, get(t)), http.StatusTooManyRequests, policy, `"default";r=6;t=1`, "1")
	cost = 11
	expectAnswer(t, serve(s, get(t)), http.StatusTooManyRequests, policy, `"default";r=6`, "")
	cost = 0
	expectAnswer(t, serve(s, get(t)), http.StatusTeapot, "", "", "")
	for _, cost = range []float64{-1, math.NaN(), math.Inf(1)} {
		expectAnswer(t, serve(s, get(t)), http.StatusInternalServerError, "", "", "")
	}
}

func TestServersDenied(t *testing.T) {
	s := &Server{Clients: newClients(t, 10, newClock(t), 1, 1),
		Denied: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusForbidden) })}
	serve(s, get(t))
	expectAnswer(t, serve(s, get(t)), http.StatusForbidden, `"default";q=1;w=1`, `"default";r=0;t=1`, "1")
}

func TestClosedServer(t *testing.T) {
	clients := newClients(t, 1, newClock(t), 1, 1)
	expectError(t, "Close", clients.table.Close(), nil)
	expectAnswer(t, serve(&Server{Clients: clients}, get(t)), http.StatusServiceUnavailable, "", "", "")
}

// A change of the limit shows in the fields.
func TestServersPolicyIsThatInForce(t *testing.T) {
	s := &Server{Clients: newClients(t, 10, newClock(t), 10, 2)}
	expectAnswer(t, serve(s, get(t)), http.StatusTeapot, `"default";q=10;w=5`, `"default";r=9;t=1`, "")
	expectError(t, "SetLimit", s.Clients.table.SetLimit(1), nil)
	expectAnswer(t, serve(s, get(t)), http.StatusTeapot, `"default";q=10;w=10`, `"default";r=8;t=2`, "")
}

func TestTiers(t *testing.T) {
	clock := newClock(t)
	paid := newClients(t, 10, clock, 100, 10)
	s := &Server{Clients: newClients(t, 10, clock, 10, 1), Tier: func(r *http.Request) *Clients {
		if r.Header.Get("X-Plan") == "paid" {
			return paid
		}
		return nil
	}}
	for headers, want := range map[string]struct {
		granted      int
		policy, left string
	}{
		"":     {10, `"default";q=10;w=10`, `"default";r=0;t=1`},
		"paid": {100, `"default";q=100;w=10`, `"default";r=0;t=1`},
	} {
		r := get(t, "X-Plan", headers)
		for i := 0; i < want.granted; i++ {
			expect(t, "status", serve(s, r).StatusCode, http.StatusTeapot)
		}
		expectAnswer(t, serve(s, r), http.StatusTooManyRequests, want.policy, want.left, "1")
	}
	s.Clients = nil
	expectAnswer(t, serve(s, get(t)), http.StatusInternalServerError, "", "", "")
	expectAnswer(t, serve(s, get(t, "X-Plan", "paid")), http.StatusTooManyRequests, `"default";q=100;w=10`,
		`"default";r=0;t=1`, "1")
}

func TestServerWithNothing(t *testing.T) {
	expectAnswer(t, serve(&Server{}, get(t)), http.StatusInternalServerError, "", "", "")
	w := httptest.NewRecorder()
	(&Server{Clients: newClients(t, 1, newClock(t), 1, 1)}).Middleware(nil).ServeHTTP(w, get(t))
	expect(t, "by the default mux", w.Result().StatusCode, http.StatusNotFound)
}

func TestPolicyMustBeAString(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a policy that no field can hold was accepted")
		}
	}()
	(&Server{Clients: newClients(t, 1, newClock(t), 1, 1), Policy: "größe"}).Middleware(nil)
}

// Fields of limits on the way stand beside those of this one.
func TestOtherLimitsFieldsStay(t *testing.T) {
	inner := &Server{Clients: newClients(t, 1, newClock(t), 5, 1), Policy: "inner"}
	outer := &Server{Clients: newClients(t, 1, newClock(t), 7, 1), Policy: "outer"}
	w := httptest.NewRecorder()
	outer.Middleware(inner.Middleware(http.NotFoundHandler())).ServeHTTP(w, get(t))
	expect(t, "RateLimit", strings.Join(w.Result().Header.Values("RateLimit"), ", "), `"outer";r=6;t=1, "inner";r=4;t=1`)
}

func TestPolicyField(t *testing.T) {
	for _, c := range []struct {
		burst, rate float64
		want        string
	}{
		{100, 100.0 / 60, `"p";q=100;w=60`},
		{20, 1000, `"p";q=20;w=1`},
		{0.5, 1, `"p";q=0;w=1`},
		{tokenbucket.MaxBurst, tokenbucket.MinLimit, `"p";q=999999999999999;w=999999999999999`},
	} {
		expect(t, "policy", policyField(`"p"`, c.burst, c.rate), c.want)
	}
}
