// Quotaproxy is a reverse proxy that gives each client a rate limit, and if asked keeps to the upstream's own quota:
//
//	quotaproxy -target http://127.0.0.1:9000 -rate 10 -burst 20 -key-header X-Api-Key
//
// A client over its limit is answered with 429 and Retry-After; every answer says what is left in the RateLimit fields.
// Figures are at /debug/vars of the address given as -metrics. SIGTERM and Ctrl-C let requests in progress finish.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"tokenbucket"
)

type config struct {
	listen, metrics             string
	target                      *url.URL
	rate, burst                 float64
	maxClients                  int
	keyHeader                   string
	upstreamRate, upstreamBurst float64
	upstreamWait, grace         time.Duration
	clock                       *tokenbucket.ManualClock // nil: the system clock
	transport                   http.RoundTripper        // to the target; nil: http.DefaultTransport
	selfTest, floodTest         bool
}

func parseFlags() (*config, error) {
	c := &config{}
	target := ""
	flag.StringVar(&c.listen, "listen", "127.0.0.1:8080", "`address` to serve on")
	flag.StringVar(&target, "target", "", "`URL` that requests are passed on to; required")
	flag.Float64Var(&c.rate, "rate", 10, "requests per second and client")
	flag.Float64Var(&c.burst, "burst", 20, "requests that a client may make at once")
	flag.StringVar(&c.keyHeader, "key-header", "", "`header` that tells clients apart, one that clients cannot choose freely (default: their address)")
	flag.IntVar(&c.maxClients, "max-clients", 100000, "clients remembered at a time; if more come, those that have taken least are forgotten")
	flag.Float64Var(&c.upstreamRate, "upstream-rate", 0, "requests per second to the target, of all clients; 0: no limit")
	flag.Float64Var(&c.upstreamBurst, "upstream-burst", 1, "requests to the target at once")
	flag.DurationVar(&c.upstreamWait, "upstream-wait", 5*time.Second, "longest time that a request waits for the target's quota, then 503")
	flag.StringVar(&c.metrics, "metrics", "", "`address` that serves /debug/vars; keep it private (default: none)")
	flag.DurationVar(&c.grace, "grace", 10*time.Second, "time for requests in progress at the end")
	flag.BoolVar(&c.selfTest, "selftest", false, "put a load on a proxy of this very program and check what it granted")
	flag.BoolVar(&c.floodTest, "floodtest", false, "as -selftest, while a million other addresses ask for something")
	flag.Parse()
	if flag.NArg() > 0 {
		return nil, fmt.Errorf("unknown argument %q", flag.Arg(0))
	}
	if c.selfTest || c.floodTest {
		return c, nil
	}
	var err error
	c.target, err = parseTarget(target)
	return c, err
}

func parseTarget(s string) (*url.URL, error) {
	target, err := url.Parse(s)
	if err != nil {
		return nil, err
	}
	if (target.Scheme != "http" && target.Scheme != "https") || target.Host == "" {
		return nil, fmt.Errorf("-target %q is no http or https URL", s)
	}
	return target, nil
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("quotaproxy: ")
	c, err := parseFlags()
	if err != nil {
		log.Print(err)
		flag.Usage()
		os.Exit(2)
	}
	switch {
	case c.selfTest:
		err = selfTest(os.Stdout)
	case c.floodTest:
		err = floodTest(os.Stdout)
	default:
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		err = run(ctx, c, nil)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// run serves until the context is done, then lets requests in progress finish. It reports the address that it listens
// on, if that is asked for.
func run(ctx context.Context, c *config, listening chan<- net.Addr) error {
	p, err := newProxy(c)
	if err != nil {
		return err
	}
	if c.metrics != "" {
		listener, err := net.Listen("tcp", c.metrics)
		if err != nil {
			return err
		}
		metrics := &http.Server{Handler: p.metrics(), ReadHeaderTimeout: 10 * time.Second}
		go func() { _ = metrics.Serve(listener) }()
		defer metrics.Close()
	}
	listener, err := net.Listen("tcp", c.listen)
	if err != nil {
		return err
	}
	log.Printf("%s -> %s, %g requests per second and client, bursts of %g", listener.Addr(), c.target, c.rate, c.burst)
	if listening != nil {
		listening <- listener.Addr()
	}
	return serve(ctx, p.handler, listener, c.grace)
}

func serve(ctx context.Context, handler http.Handler, listener net.Listener, grace time.Duration) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	if err := server.Shutdown(last); err != nil {
		_ = server.Close()
		return fmt.Errorf("requests were cut off after %v: %w", grace, err)
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
