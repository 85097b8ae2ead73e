//go:build cgo

package httplimit

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"tokenbucket"
)

func expectTake(t *testing.T, c *Clients, key string, n float64, want error) {
	t.Helper()
	if _, err := c.Take(key, n); err != want {
		t.Errorf("%s takes %v: %v, want %v", key, n, err, want)
	}
}

func TestEachClientHasItsOwnLimiter(t *testing.T) {
	clock := newClock(t)
	c := newClients(t, 10, clock, 2, 1)
	for _, key := range []string{"a", "b"} {
		expectTake(t, c, key, 2, nil)
		expectTake(t, c, key, 1, tokenbucket.ErrDenied)
	}
	advance(t, clock, time.Second)
	expectTake(t, c, "a", 1, nil)
	expectTake(t, c, "a", 1, tokenbucket.ErrDenied)
	expectTake(t, c, "b", 1, nil)
	expectTake(t, c, "b", 3, tokenbucket.ErrExceedsCapacity)
	expect(t, "clients", c.Len(), 2)
}

// Who finds no place shares; who is full makes room, and comes back to a full limiter.
func TestMemoryIsBounded(t *testing.T) {
	clock := newClock(t)
	c := newClients(t, 2, clock, 2, 1)
	expectTake(t, c, "a", 2, nil)
	expectTake(t, c, "b", 1, nil)
	expectTake(t, c, "c", 1, nil)
	expectTake(t, c, "d", 1, nil)
	expectTake(t, c, "c", 1, tokenbucket.ErrDenied)
	advance(t, clock, time.Second)
	expectTake(t, c, "c", 2, nil) // in b's place
	expectTake(t, c, "a", 2, tokenbucket.ErrDenied)
	expectTake(t, c, "a", 1, nil)
	expectTake(t, c, "b", 1, nil)
	expectTake(t, c, "b", 1, tokenbucket.ErrDenied) // it shares now
	expect(t, "clients", c.Len(), 2)
	expect(t, "var", c.Var().String(),
		`{"Clients":2,"Most":2,"Granted":7,"Denied":3,"Crowded":5,"HandedOn":1}`)
}

// However many there are, all beyond the places together get one limit, and the places are found again.
func TestFloodOfClients(t *testing.T) {
	const places, burst = 100, 5
	clock := newClock(t)
	c := newClients(t, places, clock, burst, 1)
	flood := func(round int) (granted int) {
		for i := 0; i < 10*places; i++ {
			if _, err := c.Take(fmt.Sprint(round, " ", i), 1); err == nil {
				granted++
			}
		}
		return granted
	}
	expect(t, "granted at first", flood(1), places+burst)
	expect(t, "granted while all places are taken", flood(2), 0)
	advance(t, clock, time.Second)
	expect(t, "granted when all are full again", flood(3), places+1)
	expect(t, "clients", c.Len(), places)
}

func TestLongKeys(t *testing.T) {
	c := newClients(t, 10, newClock(t), 1, 1)
	long := strings.Repeat("k", 1<<20)
	expectTake(t, c, long+"1", 1, nil)
	expectTake(t, c, long+"2", 1, nil)
	expectTake(t, c, long+"1", 1, tokenbucket.ErrDenied)
	for key := range c.places {
		if len(key) > longestKey {
			t.Errorf("kept a key of %d bytes", len(key))
		}
	}
}

func TestBadClients(t *testing.T) {
	_, err := NewClients(0, func() (*tokenbucket.Limiter, error) { return tokenbucket.New(1, 1) })
	if err == nil {
		t.Error("room for nobody")
	}
	_, err = NewClients(1, func() (*tokenbucket.Limiter, error) { return tokenbucket.New(1, 0) })
	expectError(t, "a bad limit", err, tokenbucket.ErrOutOfRange)
}

// Where a limiter cannot be had, its client shares.
func TestLimiterThatCannotBeCreated(t *testing.T) {
	clock, calls := newClock(t), 0
	c, err := NewClients(10, func() (*tokenbucket.Limiter, error) {
		if calls++; calls > 1 {
			return nil, errors.New("no memory")
		}
		return tokenbucket.New(1, 1, tokenbucket.WithClock(clock))
	})
	expectError(t, "NewClients", err, nil)
	expectTake(t, c, "a", 1, nil)
	expectTake(t, c, "b", 1, tokenbucket.ErrDenied)
	expect(t, "clients", c.Len(), 0)
}

// Clients come and go on all goroutines while limiters are handed on; each key is granted no more than its limit.
func TestConcurrentClients(t *testing.T) {
	const keys, burst = 40, 3
	c := newClients(t, keys/2, newClock(t), burst, 1)
	var mu sync.Mutex
	granted := map[string]int{}
	var done sync.WaitGroup
	for w := 0; w < 8; w++ {
		done.Add(1)
		go func() {
			defer done.Done()
			for i := 0; i < 10*keys; i++ {
				key := fmt.Sprint(i % keys)
				if _, err := c.Take(key, 1); err == nil {
					mu.Lock()
					granted[key]++
					mu.Unlock()
				}
			}
		}()
	}
	done.Wait()
	total := 0
	for key, n := range granted {
		total += n
		if n > 2*burst { // its own, and perhaps all that is shared
			t.Errorf("%s was granted %d", key, n)
		}
	}
	expect(t, "granted to all", total, keys/2*burst+burst)
}

func TestKnownClientsAllocateNothing(t *testing.T) {
	c := newClients(t, 10, newClock(t), 1e9, 1)
	expectTake(t, c, "a", 1, nil)
	if n := testing.AllocsPerRun(1000, func() { _, _ = c.Take("a", 1) }); n != 0 {
		t.Errorf("Take allocates %v times", n)
	}
}
