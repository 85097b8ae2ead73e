package redigo

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"tokenbucket"
	"tokenbucket/httplimit"
)

// deadServer was there.
func deadServer(t *testing.T) tokenbucket.RedisDo {
	t.Helper()
	s, err := startServer()
	if err != nil {
		t.Fatal(err)
	}
	do := doOf(s.pool)
	if ok, err := newRemoteBy(t, do, 10, 1).Allow(background, "a"); !ok || err != nil {
		t.Fatal(ok, err)
	}
	s.stop()
	return do
}

func TestDeadServer(t *testing.T) {
	do := deadServer(t)
	var remote *tokenbucket.RemoteError
	_, err := newRemoteBy(t, do, 10, 1).Take(background, "a", 1)
	if !errors.Is(err, tokenbucket.ErrUnavailable) || !errors.As(err, &remote) || remote.Err == nil {
		t.Error("FailError: ", err)
	}
	granted := func(o tokenbucket.OnUnavailable) (n int) {
		r := newRemoteBy(t, do, 10, slow, tokenbucket.WithOnUnavailable(o))
		for i := 0; i < 20; i++ {
			if ok, err := r.Allow(background, "a"); err != nil {
				t.Error(err)
			} else if ok {
				n++
			}
		}
		return n
	}
	for want, o := range map[int]tokenbucket.OnUnavailable{
		0: tokenbucket.FailClosed, 20: tokenbucket.FailOpen, 5: tokenbucket.FailLocal(0.5),
	} {
		if n := granted(o); n != want {
			t.Errorf("%v: %d granted, want %d", o, n, want)
		}
	}
}

func serve(t *testing.T, r *tokenbucket.Remote) *http.Response {
	t.Helper()
	clients, err := httplimit.NewClients(r)
	if err != nil {
		t.Fatal(err)
	}
	next := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	w := httptest.NewRecorder()
	(&httplimit.Server{Clients: clients}).Middleware(next).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	return w.Result()
}

func expectAnswer(t *testing.T, what string, r *http.Response, status int, limit, retryAfter string) {
	t.Helper()
	if r.StatusCode != status || r.Header.Get("RateLimit") != limit || r.Header.Get("Retry-After") != retryAfter {
		t.Errorf("%s: %d, %v", what, r.StatusCode, r.Header)
	}
}

// The middleware takes a Remote where it takes a table.
func TestMiddleware(t *testing.T) {
	r := newRemote(t, 2, slow)
	expectAnswer(t, "first", serve(t, r), http.StatusTeapot, `"default";r=1;t=1000`, "")
	expectAnswer(t, "second", serve(t, r), http.StatusTeapot, `"default";r=0;t=1000`, "")
	denied := serve(t, r)
	expectAnswer(t, "third", denied, http.StatusTooManyRequests, `"default";r=0;t=1000`, "1000")
	if policy := denied.Header.Get("RateLimit-Policy"); policy != `"default";q=2;w=2000` {
		t.Error("policy: ", policy)
	}
}

func TestMiddlewareWithADeadServer(t *testing.T) {
	do := deadServer(t)
	with := func(o tokenbucket.OnUnavailable) *http.Response {
		return serve(t, newRemoteBy(t, do, 2, slow, tokenbucket.WithOnUnavailable(o)))
	}
	expectAnswer(t, "FailError", with(tokenbucket.FailError), http.StatusServiceUnavailable, "", "")
	expectAnswer(t, "FailOpen", with(tokenbucket.FailOpen), http.StatusTeapot, `"default";r=1;t=1000`, "")
	expectAnswer(t, "FailClosed", with(tokenbucket.FailClosed), http.StatusTooManyRequests, `"default";r=0;t=1000`, "1000")
	expectAnswer(t, "FailLocal", with(tokenbucket.FailLocal(0.5)), http.StatusTeapot, `"default";r=0;t=1000`, "")
}

func TestMiddlewareAndAKeyThatHoldsSomethingElse(t *testing.T) {
	mustCommand(t, "RPUSH", prefixOf(t)+"address \xc0\x00\x02\x01", "1") // 192.0.2.1
	expectAnswer(t, "list", serve(t, newRemote(t, 2, slow)), http.StatusInternalServerError, "", "")
}

func TestCountsOfClients(t *testing.T) {
	clients, err := httplimit.NewClients(newRemoteBy(t, deadServer(t), 2, slow))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := clients.Take("a", 1); !errors.Is(err, tokenbucket.ErrUnavailable) {
		t.Error(err)
	}
	if v := clients.Var().String(); v != `{"Granted":0,"Denied":0,"Unavailable":1}` {
		t.Error("var: ", v)
	}
}
