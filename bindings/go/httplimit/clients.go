package httplimit

import (
	"crypto/sha256"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"tokenbucket"
)

const (
	// A client that comes for the first time looks at no more of the others than this for one who can make room.
	looks = 64
	// Longer keys are stored as their hash: a key is of the client's making, and so would be its memory.
	longestKey = 64
)

// Clients keeps a limiter for each of many clients, all with the same limit, in bounded memory. A client whose limiter
// is full again is no different from one that never came, and is forgotten when the place is needed. Clients for whom
// no place is found share one limiter until there is one: nobody ever gets more than the limit by there being many.
type Clients struct {
	most       int
	newLimiter func() (*tokenbucket.Limiter, error)
	shared     *tokenbucket.Limiter

	// Held, at least for reading, while a client's limiter is used: so no limiter is handed on to another client in
	// the middle of it.
	mu     sync.RWMutex
	places map[string]int // by key, into all
	all    []client
	hand   int // where in all the next look for room begins

	granted, denied, crowded, handedOn atomic.Int64
}

type client struct {
	key     string
	limiter *tokenbucket.Limiter
}

// NewClients makes room for that many clients at a time, at least 1. newLimiter creates the limiter of one of them, and
// must always create the same; it is called at once for the one that is shared, and an error of it returned.
func NewClients(most int, newLimiter func() (*tokenbucket.Limiter, error)) (*Clients, error) {
	if most < 1 {
		return nil, errors.New("httplimit: no room for any client")
	}
	shared, err := newLimiter()
	if err != nil {
		return nil, err
	}
	return &Clients{most: most, newLimiter: newLimiter, shared: shared, places: map[string]int{}}, nil
}

// Take takes n tokens from the limiter of the client with that key, as [tokenbucket.Limiter.Take].
func (c *Clients) Take(key string, n float64) (tokenbucket.Decision, error) {
	a := c.ask(key, n)
	return a.Decision, a.err
}

// Len returns how many clients have a limiter of their own now.
func (c *Clients) Len() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.all)
}

// answer is a decision, and for a server's fields what it does not say.
type answer struct {
	tokenbucket.Decision
	err       error
	nextAfter time.Duration // until the same amount would be granted once more; of use where no whole token is left
}

func (c *Clients) ask(key string, n float64) answer {
	a := c.askOwn(key, n)
	switch a.err {
	case nil:
		c.granted.Add(1)
	case tokenbucket.ErrDenied, tokenbucket.ErrExceedsCapacity:
		c.denied.Add(1)
	}
	return a
}

func (c *Clients) askOwn(key string, n float64) answer {
	if len(key) > longestKey {
		sum := sha256.Sum256([]byte(key))
		key = "\x00hash" + string(sum[:]) // no header and no address begins like that
	}
	if a, known := c.askKnown(key, n); known {
		return a
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return ask(c.admit(key), n)
}

func (c *Clients) askKnown(key string, n float64) (a answer, known bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	place, known := c.places[key]
	if !known {
		return answer{}, false
	}
	return ask(c.all[place].limiter, n), true
}

func ask(l *tokenbucket.Limiter, n float64) answer {
	var a answer
	a.Decision, a.err = l.Take(n)
	a.nextAfter = a.RetryAfter
	if a.err == nil && a.Remaining < 1 {
		a.nextAfter, _ = l.TimeUntil(n)
	}
	return a
}

// admit returns the limiter of a client that was not known when mu was free.
func (c *Clients) admit(key string) *tokenbucket.Limiter {
	place, known := c.places[key]
	if !known {
		place, known = c.makeRoom()
		if !known {
			c.crowded.Add(1)
			return c.shared
		}
		c.all[place].key = key
		c.places[key] = place
	}
	return c.all[place].limiter
}

// makeRoom returns a place with a full limiter and no key.
func (c *Clients) makeRoom() (place int, found bool) {
	if len(c.all) < c.most {
		limiter, err := c.newLimiter()
		if err != nil {
			return 0, false
		}
		c.all = append(c.all, client{limiter: limiter})
		return len(c.all) - 1, true
	}
	for i := 0; i < looks && i < len(c.all); i++ {
		place := c.hand
		c.hand = (c.hand + 1) % len(c.all)
		if full(c.all[place].limiter) {
			delete(c.places, c.all[place].key)
			c.handedOn.Add(1)
			return place, true
		}
	}
	return 0, false
}

func full(l *tokenbucket.Limiter) bool {
	left, err := l.TimeUntil(l.Burst())
	return err == nil && left == 0
}
