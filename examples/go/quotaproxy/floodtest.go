package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"

	"tokenbucket"
)

// The flood: so many strangers in each second but the first, each from an address of its own. Most make one request,
// which is granted, for a stranger is a client like any other; one in so many hammers. The table has room for fewer
// clients than come in a second, so it is full all the time.
const (
	floodRoom       = 20000
	floodPerRound   = 100000
	floodHammering  = 100 // one in so many
	floodHammers    = 30  // requests at once
	floodStrangers  = floodPerRound * (testRounds - 1)
	floodMostGrowth = 16 // bytes of memory for each stranger after the first second; a map needs ten times as many
)

// inProcess is the target: a million requests over sockets would take minutes.
type inProcess struct{ served atomic.Int64 }

func (t *inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	t.served.Add(1)
	return &http.Response{StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: http.NoBody, Request: r}, nil
}

// strangers ask through the handler itself, as if by a proxy in front that says who they are.
type strangers struct {
	handler                       http.Handler
	request                       *http.Request
	came                          uint32
	asked, granted, denied, wrong int64
	memory                        []int64 // before they come, after a second of them, after all
}

// come is called in each part of each round.
func (s *strangers) come(round, part int) {
	if part == 0 && (round == 1 || round == 2) {
		s.memory = append(s.memory, residentBytes())
	}
	if round == 0 {
		return
	}
	for until := uint32((round-1)*floodPerRound + (part+1)*floodPerRound/testParts); s.came < until; s.came++ {
		// An odd factor permutes the numbers. Each is a network of 64 bits, which is what one client has.
		number := s.came * 2654435769
		address := fmt.Sprintf("2001:db8:%x:%x::1", number>>16, number&0xffff)
		requests := 1
		if s.came%floodHammering == 0 {
			requests = floodHammers
		}
		for i := 0; i < requests; i++ {
			s.ask(address)
		}
	}
}

func (s *strangers) ask(address string) {
	s.asked++
	s.request.Header[testHeader] = []string{address}
	a := &answer{header: http.Header{}}
	s.handler.ServeHTTP(a, s.request)
	switch {
	case a.header.Get("RateLimit") == "":
		s.wrong++
	case a.status == http.StatusOK:
		s.granted++
	case a.status == http.StatusTooManyRequests:
		s.denied++
	default:
		s.wrong++
	}
}

// answer keeps the status and the fields.
type answer struct {
	header http.Header
	status int
}

func (a *answer) Header() http.Header    { return a.header }
func (a *answer) WriteHeader(status int) { a.status = status }
func (a *answer) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	return len(b), nil
}

// residentBytes is the memory of this process without what the garbage collector would free; -1 where the system does
// not tell.
func residentBytes() int64 {
	debug.FreeOSMemory()
	var size, pages int64
	text, err := os.ReadFile("/proc/self/statm")
	if err == nil {
		_, err = fmt.Sscan(string(text), &size, &pages)
	}
	if err != nil {
		return -1
	}
	return pages * int64(os.Getpagesize())
}

// floodTest runs the load of the self-test, over real connections, in the midst of the flood: what each client is
// granted must be the same.
func floodTest(out io.Writer) error {
	start := time.Now()
	clock, err := tokenbucket.NewManualClock(0)
	if err != nil {
		return err
	}
	target := &inProcess{}
	url, err := parseTarget("http://target.invalid")
	if err != nil {
		return err
	}
	p, err := newProxy(&config{target: url, transport: target, rate: testRate, burst: testBurst, maxClients: floodRoom,
		keyHeader: testHeader, clock: clock})
	if err != nil {
		return err
	}
	address, stop, err := listen(p.handler)
	if err != nil {
		return err
	}
	defer stop()
	request, err := http.NewRequest(http.MethodGet, "http://proxy.invalid/", nil)
	if err != nil {
		return err
	}
	request.RemoteAddr = "198.51.100.1:1"
	s := &strangers{handler: p.handler, request: request}
	tallies, err := load(address, clock, s.come)
	if err != nil {
		return err
	}
	s.memory = append(s.memory, residentBytes())
	stats, err := p.table.Stats()
	if err != nil {
		return err
	}
	clientsErr := table(out, tallies, target.served.Load()-s.granted)
	floodErr := s.report(out, stats)
	fmt.Fprintf(out, "  done in %.1f s; the seconds of the load are those of a manual clock\n", time.Since(start).Seconds())
	if clientsErr != nil {
		return clientsErr
	}
	return floodErr
}

func (s *strangers) report(out io.Writer, stats tokenbucket.TableStats) error {
	const hammering = floodStrangers / floodHammering
	expected := int64(floodStrangers - hammering + hammering*testBurst)
	grew := s.memory[2] - s.memory[1]
	fmt.Fprintf(out, "%d strangers meanwhile, each with an address of its own, 1 in %d asks %d x\n",
		floodStrangers, floodHammering, floodHammers)
	fmt.Fprintf(out, "  asked %d, granted %d, denied %d, expected %d granted\n", s.asked, s.granted, s.denied, expected)
	fmt.Fprintf(out, "  a table for %d clients is full (%d of %d places), has forgotten %d\n",
		floodRoom, stats.Occupied, stats.Places, stats.Evicted)
	fmt.Fprintf(out, "  memory in MB: %.1f before, %.1f after a tenth of them, %.1f after all\n", megabytes(s.memory[0]),
		megabytes(s.memory[1]), megabytes(s.memory[2]))
	switch {
	case s.memory[0] < 0:
		return fmt.Errorf("this system does not tell how much memory a process has")
	case s.granted != expected || s.denied != s.asked-expected || s.wrong != 0:
		return fmt.Errorf("the strangers were granted %d, not %d, with %d odd answers", s.granted, expected, s.wrong)
	case stats.Evicted == 0 || stats.Occupied > stats.Places:
		return fmt.Errorf("the table was never full")
	case grew > floodMostGrowth*(floodStrangers-floodPerRound):
		return fmt.Errorf("the memory grew by %d bytes", grew)
	}
	return nil
}

func megabytes(bytes int64) float64 { return float64(bytes) / 1e6 }
