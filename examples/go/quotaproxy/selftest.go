package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"tokenbucket"
)

// The load of the self-test: clients that ask with so many requests in each round, rounds a second apart on a clock of
// the test's, so that what must be granted is known exactly.
const (
	testRounds = 11
	testParts  = 60 // of a round, in each of which a client makes one request at most
	testRate   = 5.0
	testBurst  = 20.0
	testHeader = "X-Real-Ip"
)

var testLoads = []struct {
	client, address string
	requests        int // in each round, at most testParts
}{
	{"within", "192.0.2.1", 3}, {"at-limit", "192.0.2.2", 5}, {"greedy", "192.0.2.3", 15}, {"hasty", "192.0.2.4", 60},
}

// expectedGrants is what a bucket grants to so many requests in each round.
func expectedGrants(requests int) int {
	granted, tokens := 0, testBurst
	for round := 0; round < testRounds; round++ {
		now := requests
		if float64(now) > tokens {
			now = int(tokens)
		}
		granted += now
		if tokens += testRate - float64(now); tokens > testBurst {
			tokens = testBurst
		}
	}
	return granted
}

// tally is what one client saw.
type tally struct {
	asked, granted, denied, wrong atomic.Int64
}

// selfTest runs a target, the proxy in front of it and a load, over real connections, and prints a table.
func selfTest(out io.Writer) error {
	clock, err := tokenbucket.NewManualClock(0)
	if err != nil {
		return err
	}
	var served atomic.Int64
	target, stopTarget, err := listen(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { served.Add(1) }))
	if err != nil {
		return err
	}
	defer stopTarget()
	p, err := newProxy(&config{target: target, rate: testRate, burst: testBurst, maxClients: 100,
		keyHeader: testHeader, clock: clock})
	if err != nil {
		return err
	}
	address, stopProxy, err := listen(p.handler)
	if err != nil {
		return err
	}
	defer stopProxy()
	tallies, err := load(address, clock, nil)
	if err != nil {
		return err
	}
	return table(out, tallies, served.Load())
}

// listen serves on a free port of this machine.
func listen(handler http.Handler) (address *url.URL, stop func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = serve(ctx, handler, listener, time.Second)
	}()
	return &url.URL{Scheme: "http", Host: listener.Addr().String()}, func() { cancel(); <-ended }, nil
}

// load lets the clients ask. Their requests of a part are on their way when it calls meanwhile, if that is not nil.
func load(address *url.URL, clock *tokenbucket.ManualClock, meanwhile func(round, part int)) ([]*tally, error) {
	transport := &http.Transport{MaxConnsPerHost: 16, MaxIdleConnsPerHost: 16}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: time.Minute}
	tallies := make([]*tally, len(testLoads))
	for i := range tallies {
		tallies[i] = new(tally)
	}
	for round := 0; round < testRounds; round++ {
		if err := clock.Set(time.Duration(round) * time.Second); err != nil {
			return nil, err
		}
		var done sync.WaitGroup
		for part := 0; part < testParts; part++ {
			for i, l := range testLoads {
				if part >= l.requests {
					continue
				}
				done.Add(1)
				go func(from string, t *tally) {
					defer done.Done()
					t.ask(client, address.String(), from)
				}(l.address, tallies[i])
			}
			if meanwhile != nil {
				meanwhile(round, part)
			}
		}
		done.Wait()
	}
	return tallies, nil
}

func (t *tally) ask(client *http.Client, address, from string) {
	t.asked.Add(1)
	r, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		t.wrong.Add(1)
		return
	}
	r.Header.Set(testHeader, from)
	response, err := client.Do(r)
	if err != nil {
		t.wrong.Add(1)
		return
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	retryAfter := response.Header.Get("Retry-After")
	switch {
	case response.Header.Get("RateLimit") == "":
		t.wrong.Add(1)
	case response.StatusCode == http.StatusOK && retryAfter == "":
		t.granted.Add(1)
	// The next token is a fifth of a second away: a whole one in the header.
	case response.StatusCode == http.StatusTooManyRequests && retryAfter == strconv.Itoa(1):
		t.denied.Add(1)
	default:
		t.wrong.Add(1)
	}
}

func table(out io.Writer, tallies []*tally, served int64) error {
	fmt.Fprintf(out, "%d s of load; each client may make %g requests at once and %g per second\n", testRounds, testBurst, testRate)
	fmt.Fprintf(out, "  %-10s %7s %8s %7s %9s\n", "client", "asked", "granted", "denied", "expected")
	right, total := true, int64(0)
	for i, l := range testLoads {
		t, expected := tallies[i], int64(expectedGrants(l.requests))
		asked, granted, denied := t.asked.Load(), t.granted.Load(), t.denied.Load()
		verdict := "ok"
		if granted != expected || denied != asked-expected || t.wrong.Load() != 0 {
			verdict, right = fmt.Sprintf("WRONG, %d odd answers", t.wrong.Load()), false
		}
		total += granted
		fmt.Fprintf(out, "  %-10s %7d %8d %7d %9d   %s\n", l.client, asked, granted, denied, expected, verdict)
	}
	fmt.Fprintf(out, "  the target served %d, all clients were granted %d\n", served, total)
	if !right || served != total {
		return fmt.Errorf("the figures are not those expected")
	}
	return nil
}
