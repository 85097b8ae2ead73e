package main

import (
	"errors"
	"expvar"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"sync"

	"tokenbucket"
	"tokenbucket/httplimit"
)

// proxy is the handler, and what its metrics show.
type proxy struct {
	handler  http.Handler
	table    *tokenbucket.Table
	clients  *httplimit.Clients
	upstream *tokenbucket.Limiter // nil: the target has no limit
}

func newProxy(c *config) (*proxy, error) {
	table, err := tokenbucket.NewTable(c.burst, c.rate, c.maxClients, c.options()...)
	if err != nil {
		return nil, err
	}
	clients, err := httplimit.NewClients(table)
	if err != nil {
		return nil, err
	}
	p := &proxy{table: table, clients: clients}
	if c.upstreamRate > 0 {
		p.upstream, err = tokenbucket.New(c.upstreamBurst, c.upstreamRate,
			append(c.options(), tokenbucket.WithStatistics())...)
		if err != nil {
			return nil, err
		}
	}
	server := &httplimit.Server{Clients: clients, Policy: "quotaproxy"}
	if c.keyHeader != "" {
		server.Key = httplimit.ByHeader(c.keyHeader)
	}
	p.handler = server.Middleware(p.reverse(c))
	return p, nil
}

func (c *config) options() []tokenbucket.Option {
	if c.clock == nil {
		return nil
	}
	return []tokenbucket.Option{tokenbucket.WithClock(c.clock)}
}

// reverse passes requests on. Without a quota of its own the target's Retry-After still concerns the clients alone.
func (p *proxy) reverse(c *config) http.Handler {
	reverse := httputil.NewSingleHostReverseProxy(c.target)
	direct := reverse.Director
	reverse.Director = func(r *http.Request) {
		direct(r)
		r.Host = c.target.Host
	}
	reverse.BufferPool = &buffers{}
	reverse.Transport = c.transport
	if p.upstream != nil {
		reverse.Transport = &httplimit.Transport{Limiter: p.upstream, Base: c.transport, MaxWait: c.upstreamWait}
	}
	reverse.ErrorHandler = func(w http.ResponseWriter, r *http.Request, err error) {
		if errors.Is(err, tokenbucket.ErrTimedOut) {
			w.Header().Set("Retry-After", "1")
			http.Error(w, "the target is busy", http.StatusServiceUnavailable)
			return
		}
		if r.Context().Err() == nil { // else the client has left
			log.Print(err)
		}
		http.Error(w, "the target cannot be reached", http.StatusBadGateway)
	}
	return reverse
}

// buffers are for the bodies of answers: without them each answer has a new one of that size.
type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte {
	if buffer, ok := b.pool.Get().(*[]byte); ok {
		return *buffer
	}
	return make([]byte, 32<<10)
}

func (b *buffers) Put(buffer []byte) { b.pool.Put(&buffer) }

// metrics shows the figures as JSON. They are not among the program's published ones, which show its command line too.
func (p *proxy) metrics() http.Handler {
	vars := new(expvar.Map).Init()
	vars.Set("clients", p.clients.Var())
	if p.upstream != nil {
		vars.Set("upstream", httplimit.Var(p.upstream))
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/vars", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = io.WriteString(w, vars.String()) // the client may be gone
	})
	return mux
}
