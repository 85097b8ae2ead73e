package httplimit

import (
	"encoding/json"
	"net"
	"net/http"
	"net/netip"

	"tokenbucket"
)

// Server limits the requests of each client. Its fields must not be changed once it is in use.
type Server struct {
	Clients *Clients // required

	// Key tells clients apart. nil: ByAddress. Behind a proxy of your own let it be ByHeader with the header in which
	// that proxy, and nobody else, puts who the client is.
	Key func(*http.Request) string

	// Cost is how many tokens a request takes, 0 for one that is not limited. nil: 1.
	Cost func(*http.Request) float64

	// Policy names the limit in the RateLimit fields; printable ASCII. Empty: "default".
	Policy string

	// Denied answers what is over the limit, after the fields have been set. nil: 429 with a problem description
	// (RFC 9457) of type quota-exceeded.
	Denied http.Handler
}

// Middleware returns a handler that passes on to next what is within the limit. All answers have RateLimit-Policy and
// RateLimit; what is over the limit is answered with 429 and Retry-After in whole seconds, rounded up (without
// Retry-After if it costs more than the limiter can ever hold); all is answered with 503 once the limiter is closed,
// and with 500 if Cost is negative or not finite. It panics if Clients is nil or Policy no printable ASCII.
func (s *Server) Middleware(next http.Handler) http.Handler {
	h := &handler{next: next, clients: s.Clients, key: s.Key, cost: s.Cost, denied: s.Denied}
	if h.key == nil {
		h.key = ByAddress
	}
	policy := s.Policy
	if policy == "" {
		policy = "default"
	}
	name, ok := quotedString(policy)
	if !ok {
		panic("httplimit: the policy's name is no printable ASCII: " + policy)
	}
	h.name, h.policy = name, policyField(name, s.Clients.shared)
	if h.denied == nil {
		h.denied = quotaExceeded(policy)
	}
	return h
}

type handler struct {
	next, denied http.Handler
	clients      *Clients
	key          func(*http.Request) string
	cost         func(*http.Request) float64
	name, policy string
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := 1.0
	if h.cost != nil {
		n = h.cost(r)
	}
	if n == 0 {
		h.next.ServeHTTP(w, r)
		return
	}
	a := h.clients.ask(h.key(r), n)
	switch a.err {
	case nil:
		h.setFields(w, a)
		h.next.ServeHTTP(w, r)
	case tokenbucket.ErrDenied, tokenbucket.ErrExceedsCapacity:
		h.setFields(w, a)
		if a.RetryAfter != tokenbucket.InfDuration {
			w.Header().Set("Retry-After", seconds(a.RetryAfter))
		}
		h.denied.ServeHTTP(w, r)
	case tokenbucket.ErrClosed:
		http.Error(w, "closed", http.StatusServiceUnavailable)
	default:
		http.Error(w, "cannot be limited", http.StatusInternalServerError)
	}
}

// Both fields are lists: what other limits on the way say stands beside this one.
func (h *handler) setFields(w http.ResponseWriter, a answer) {
	w.Header().Add("RateLimit-Policy", h.policy)
	w.Header().Add("RateLimit", limitField(h.name, a))
}

func quotaExceeded(policy string) http.Handler {
	body, err := json.Marshal(struct {
		Type     string   `json:"type"`
		Title    string   `json:"title"`
		Violated []string `json:"violated-policies"`
	}{"https://iana.org/assignments/http-problem-types#quota-exceeded", "Quota exceeded", []string{policy}})
	if err != nil {
		panic(err) // strings can always be marshalled
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = w.Write(body) // the client may be gone
	})
}

// ByAddress is a Key: the address that the connection comes from, without the port; of an IPv6 address the first 64
// bits, since one client commonly has all the others.
func ByAddress(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	address, err := netip.ParseAddr(host)
	if err != nil {
		return "address " + host
	}
	address = address.Unmap().WithZone("")
	if address.Is6() {
		if network, err := address.Prefix(64); err == nil {
			address = network.Addr()
		}
	}
	return "address " + address.String()
}

// ByHeader is a Key: the header's value, such as that of X-Api-Key, or the address where there is none. A client that
// may choose the value freely gets a new limiter for each: only use a header that was checked before.
func ByHeader(name string) func(*http.Request) string {
	return func(r *http.Request) string {
		if value := r.Header.Get(name); value != "" {
			return "header " + value
		}
		return ByAddress(r)
	}
}
