package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"tokenbucket"
)

// start runs the program as main does, in front of a target, nil: of the one in c. stop is SIGTERM, and returns what run
// returned.
func start(t *testing.T, c *config, target http.HandlerFunc) (address string, stop func() error) {
	t.Helper()
	if target != nil {
		server := httptest.NewServer(target)
		t.Cleanup(server.Close)
		c.target = parse(t, server.URL)
	}
	c.listen, c.maxClients = "127.0.0.1:0", 10
	ctx, cancel := context.WithCancel(context.Background())
	listening, ended := make(chan net.Addr, 1), make(chan error, 1)
	go func() { ended <- run(ctx, c, listening) }()
	select {
	case a := <-listening:
		return "http://" + a.String(), func() error { cancel(); return <-ended }
	case err := <-ended:
		t.Fatal(err)
		panic("not reached")
	}
}

func parse(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := parseTarget(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func newClock(t *testing.T) *tokenbucket.ManualClock {
	t.Helper()
	clock, err := tokenbucket.NewManualClock(0)
	if err != nil {
		t.Fatal(err)
	}
	return clock
}

func expectGet(t *testing.T, address string, status int, retryAfter, body string) {
	t.Helper()
	response, err := http.Get(address)
	if err != nil {
		t.Error(err)
		return
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Error(err)
	}
	if response.StatusCode != status || response.Header.Get("Retry-After") != retryAfter || !strings.Contains(string(text), body) {
		t.Errorf("%s: %s, Retry-After %q, %s", address, response.Status, response.Header.Get("Retry-After"), text)
	}
}

func TestLimitAndPath(t *testing.T) {
	c := &config{rate: 0.5, burst: 2, grace: time.Minute, clock: newClock(t)}
	address, stop := start(t, c,
		func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Host+r.URL.String()) })
	for i := 0; i < 2; i++ {
		expectGet(t, address+"/a?b=c", http.StatusOK, "", c.target.Host+"/a?b=c")
	}
	expectGet(t, address, http.StatusTooManyRequests, "2", "quota-exceeded")
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestBusyTarget(t *testing.T) {
	address, stop := start(t, &config{rate: 100, burst: 100, upstreamRate: 0.1, upstreamBurst: 1,
		upstreamWait: 5 * time.Second, grace: time.Minute, clock: newClock(t)}, func(http.ResponseWriter, *http.Request) {})
	expectGet(t, address, http.StatusOK, "", "")
	expectGet(t, address, http.StatusServiceUnavailable, "1", "busy")
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestTargetThatIsNotThere(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	address, stop := start(t, &config{rate: 100, burst: 100, grace: time.Minute, clock: newClock(t), target: parse(t, gone.URL)}, nil)
	expectGet(t, address, http.StatusBadGateway, "", "cannot be reached")
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// A request that is in progress at the end is answered, if it keeps to the grace.
func TestGracefulEnd(t *testing.T) {
	for _, grace := range []time.Duration{time.Minute, 0} {
		arrived, proceed := make(chan struct{}), make(chan struct{})
		address, stop := start(t, &config{rate: 1, burst: 1, grace: grace}, func(w http.ResponseWriter, r *http.Request) {
			close(arrived)
			<-proceed
			_, _ = io.WriteString(w, "whole")
		})
		body := make(chan string, 1)
		go func() {
			response, err := http.Get(address)
			if err != nil {
				body <- "cut off"
				return
			}
			defer response.Body.Close()
			text, _ := io.ReadAll(response.Body)
			body <- string(text)
		}()
		<-arrived
		ended := make(chan error, 1)
		go func() { ended <- stop() }()
		if grace == 0 {
			if err := <-ended; !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("ended with %v", err)
			}
			if got := <-body; got != "cut off" {
				t.Errorf("got %q, want to be cut off", got)
			}
			close(proceed)
			continue
		}
		// No new connection is taken from now on; the request goes on.
		for {
			connection, err := net.Dial("tcp", strings.TrimPrefix(address, "http://"))
			if err != nil {
				break
			}
			_ = connection.Close()
		}
		close(proceed)
		if got, err := <-body, <-ended; got != "whole" || err != nil {
			t.Errorf("got %q, ended with %v", got, err)
		}
	}
}

func TestMetrics(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	metrics := free.Addr().String()
	_ = free.Close()
	address, stop := start(t, &config{rate: 1, burst: 1, upstreamRate: 5, upstreamBurst: 7, metrics: metrics,
		grace: time.Minute, clock: newClock(t)}, func(http.ResponseWriter, *http.Request) {})
	expectGet(t, address, http.StatusOK, "", "")
	expectGet(t, "http://"+metrics+"/debug/vars", http.StatusOK, "", `"clients": {"Granted":1,"Denied":0,"Crowded":0,"Places":`)
	expectGet(t, "http://"+metrics+"/debug/vars", http.StatusOK, "", `"upstream": {"Limit":5,"Burst":7,`)
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestBadTargets(t *testing.T) {
	for _, s := range []string{"", "127.0.0.1:80", "ftp://a", "http://", "http://[", "/path"} {
		if u, err := parseTarget(s); err == nil {
			t.Errorf("%q is %v", s, u)
		}
	}
}

func TestBadConfig(t *testing.T) {
	for _, c := range []config{
		{rate: 0, burst: 1, maxClients: 1}, {rate: 1, burst: 0, maxClients: 1}, {rate: 1, burst: 1},
		{rate: 1, burst: 1, maxClients: 1, upstreamRate: 1},
	} {
		c := c
		c.target = parse(t, "http://127.0.0.1:1")
		if err := run(context.Background(), &c, nil); err == nil {
			t.Errorf("%+v runs", c)
		}
	}
}

func TestSelfTest(t *testing.T) {
	var out strings.Builder
	if err := selfTest(&out); err != nil || strings.Count(out.String(), "   ok\n") != len(testLoads) {
		t.Errorf("%v\n%s", err, &out)
	}
	wrong := make([]*tally, len(testLoads))
	for i := range wrong {
		wrong[i] = new(tally)
	}
	if err := table(io.Discard, wrong, 0); err == nil {
		t.Error("a load that asked nothing passes")
	}
}

func TestFloodReport(t *testing.T) {
	const asked, granted = 1290000, 1190000
	full := tokenbucket.TableStats{Places: 10, Occupied: 10, Evicted: 1}
	right := strangers{asked: asked, granted: granted, denied: asked - granted, memory: []int64{1, 2, 3}}
	if err := right.report(io.Discard, full); err != nil {
		t.Error(err)
	}
	if err := right.report(io.Discard, tokenbucket.TableStats{Places: 10, Occupied: 9}); err == nil {
		t.Error("a table that was never full passes")
	}
	for _, wrong := range []strangers{
		{memory: right.memory},
		{asked: asked, granted: granted, denied: asked - granted, wrong: 1, memory: right.memory},
		{asked: asked, granted: granted, denied: asked - granted, memory: []int64{1, 2, 100000000}},
		{asked: asked, granted: granted, denied: asked - granted, memory: []int64{-1, -1, -1}},
	} {
		if err := wrong.report(io.Discard, full); err == nil {
			t.Errorf("%+v passes", wrong)
		}
	}
}
