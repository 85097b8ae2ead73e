// Quotaproxy is a reverse proxy that gives each client a rate limit, and if asked keeps to the upstream's own quota:
//
//	quotaproxy --target http://127.0.0.1:9000 --rate 10 --burst 20 --key-header X-Api-Key
//
// A client over its limit is answered with 429 and Retry-After; every answer says what is left in the RateLimit fields.
// Figures are at /debug/vars of the address given as --metrics. SIGTERM and Ctrl-C let requests in progress finish.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("quotaproxy: ")
	c, err := parseFlags(os.Args[1:])
	if err == flag.ErrHelp {
		_, err = io.WriteString(os.Stdout, help)
		end(err)
	}
	if err != nil {
		log.Print(err)
		fmt.Fprintln(os.Stderr, "Try 'quotaproxy --help'.")
		os.Exit(2)
	}
	switch {
	case c.version:
		_, err = fmt.Printf("quotaproxy (tokenbucket) %s\n", version)
	case c.selfTest:
		err = selfTest(os.Stdout)
	case c.floodTest:
		err = floodTest(os.Stdout)
	default:
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		go func() {
			<-ctx.Done()
			stop() // a second signal ends the program
		}()
		err = run(ctx, c, nil)
	}
	end(err)
}

func end(err error) {
	if err != nil {
		log.Fatal(err)
	}
	os.Exit(0)
}

// run serves until the context is done, then lets requests in progress finish. It reports the address that it listens
// on, if that is asked for.
func run(ctx context.Context, c *config, listening chan<- net.Addr) error {
	p, err := newProxy(c)
	if err != nil {
		return err
	}
	if c.metrics != "" {
		listener, err := listenOn(c.metrics)
		if err != nil {
			return err
		}
		metrics := &http.Server{Handler: p.metrics(), ReadHeaderTimeout: 10 * time.Second}
		go func() { _ = metrics.Serve(listener) }()
		defer metrics.Close()
	}
	listener, err := listenOn(c.listen)
	if err != nil {
		return err
	}
	log.Printf("%s -> %s, %g requests per second and client, bursts of %g", listener.Addr(), c.target, c.rate, c.burst)
	if listening != nil {
		listening <- listener.Addr()
	}
	return serve(ctx, p.handler, listener, c.grace)
}

func listenOn(address string) (net.Listener, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on '%s': %w", address, reason(err))
	}
	return listener, nil
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
