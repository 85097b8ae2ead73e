package httplimit

import (
	"encoding/json"
	"errors"
	"net/http"

	"tokenbucket"
)

// Server limits the requests of each client. Its fields must not be changed once it is in use.
type Server struct {
	Clients *Clients // the limit of each client

	// Tier chooses the limit of a request among several, such as that of those who pay. nil, or where it returns nil:
	// Clients.
	Tier func(*http.Request) *Clients

	// Key tells clients apart. nil: ByAddress. Behind proxies of your own let it be ByForwardedFor, or ByHeader with the
	// header in which they, and nobody else, put who the client is.
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
// Retry-After if it costs more than the limit can ever hold); all is answered with 503 once the table is closed or has
// no room for the client, or while the server of a tokenbucket.Remote gives no answer, unless that is made for it, and
// with 500 if Cost is negative or not finite, or neither Clients nor Tier gives a limit.
// next may be nil: http.DefaultServeMux. It panics if Policy is no printable ASCII.
func (s *Server) Middleware(next http.Handler) http.Handler {
	h := &handler{next: next, clients: s.Clients, tier: s.Tier, key: s.Key, cost: s.Cost, denied: s.Denied}
	if h.next == nil {
		h.next = http.DefaultServeMux
	}
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
	h.name = name
	if h.denied == nil {
		h.denied = quotaExceeded(policy)
	}
	return h
}

type handler struct {
	next, denied http.Handler
	clients      *Clients
	tier         func(*http.Request) *Clients
	key          func(*http.Request) string
	cost         func(*http.Request) float64
	name         string
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
	clients := h.limit(r)
	a := clients.ask(r.Context(), h.key(r), n)
	switch {
	case a.err == nil:
		h.setFields(w, clients.policy(), a)
		h.next.ServeHTTP(w, r)
	case a.err == tokenbucket.ErrDenied || a.err == tokenbucket.ErrExceedsCapacity:
		h.setFields(w, clients.policy(), a)
		if a.RetryAfter != tokenbucket.InfDuration {
			w.Header().Set("Retry-After", seconds(a.RetryAfter))
		}
		h.denied.ServeHTTP(w, r)
	case a.err == tokenbucket.ErrClosed:
		http.Error(w, "closed", http.StatusServiceUnavailable)
	case a.err == tokenbucket.ErrTableFull:
		http.Error(w, "too many clients", http.StatusServiceUnavailable)
	case errors.Is(a.err, tokenbucket.ErrUnavailable) || r.Context().Err() != nil:
		http.Error(w, "the limit is unavailable", http.StatusServiceUnavailable)
	default:
		http.Error(w, "cannot be limited", http.StatusInternalServerError)
	}
}

func (h *handler) limit(r *http.Request) *Clients {
	if h.tier != nil {
		if clients := h.tier(r); clients != nil {
			return clients
		}
	}
	return h.clients
}

// Both fields are lists: what other limits on the way say stands beside this one.
func (h *handler) setFields(w http.ResponseWriter, limit policy, a answer) {
	w.Header().Add("RateLimit-Policy", policyField(h.name, limit.Burst(), limit.Limit()))
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
