//go:build cgo

package httplimit

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tokenbucket"
)

func expectTake(t *testing.T, c *Clients, key string, n float64, want error) {
	t.Helper()
	if _, err := c.Take(key, n); !errors.Is(err, want) {
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
	expect(t, "var", c.Var().String(), fmt.Sprintf(`{"Granted":4,"Denied":4,"Crowded":0,"Places":%d,"Occupied":2,`+
		`"Evicted":0,"TokensForgiven":0}`, c.places(t)))
}

func (c *Clients) places(t *testing.T) int64 {
	t.Helper()
	stats, err := c.table.Stats()
	expectError(t, "Stats", err, nil)
	return stats.Places
}

// A table that denies new clients has no room for more than it has places.
func TestFloodOfClients(t *testing.T) {
	table, err := tokenbucket.NewTable(5, 1, 0, tokenbucket.WithMaxBytes(64), tokenbucket.WithClock(newClock(t)),
		tokenbucket.WithWhenFull(tokenbucket.DenyNew))
	expectError(t, "NewTable", err, nil)
	c, err := NewClients(table)
	expectError(t, "NewClients", err, nil)
	for i := 0; i < 10; i++ {
		_, err := c.Take(fmt.Sprint(i), 1)
		if i < 4 {
			expectError(t, "with room", err, nil)
		} else {
			expectError(t, "without", err, tokenbucket.ErrTableFull)
		}
	}
	expect(t, "var", c.Var().String(),
		`{"Granted":4,"Denied":0,"Crowded":6,"Places":4,"Occupied":4,"Evicted":0,"TokensForgiven":0}`)
	expectAnswer(t, serve(&Server{Clients: c}, get(t)), http.StatusServiceUnavailable, "", "", "")
}

func TestLongKeys(t *testing.T) {
	c := newClients(t, 10, newClock(t), 1, 1)
	long := strings.Repeat("k", 1<<20)
	expectTake(t, c, long, 1, nil)
	expectTake(t, c, long[:tokenbucket.MaxKeySize], 1, tokenbucket.ErrDenied)
	expectTake(t, c, long[:tokenbucket.MaxKeySize-1], 1, nil)
}

func TestNoTable(t *testing.T) {
	c, err := NewClients[*tokenbucket.Table](nil)
	expectError(t, "NewClients", err, tokenbucket.ErrInvalidArgument)
	if c != nil {
		t.Error("Clients beside the error")
	}
	var zero Clients
	for _, c := range []*Clients{nil, &zero} {
		expectTake(t, c, "a", 1, tokenbucket.ErrInvalidArgument)
		expectAnswer(t, serve(&Server{Clients: c}, get(t)), http.StatusInternalServerError, "", "", "")
	}
	expect(t, "var", zero.Var().String(),
		`{"Granted":0,"Denied":0,"Crowded":0,"Places":0,"Occupied":0,"Evicted":0,"TokensForgiven":0}`)
}

// On all goroutines each key is granted its limit.
func TestConcurrentClients(t *testing.T) {
	const keys, burst = 40, 3
	c := newClients(t, 100*keys, newClock(t), burst, 1)
	var granted [keys]atomic.Int64
	var done sync.WaitGroup
	for w := 0; w < 8; w++ {
		done.Add(1)
		go func() {
			defer done.Done()
			for i := 0; i < 10*keys; i++ {
				if _, err := c.Take(fmt.Sprint(i%keys), 1); err == nil {
					granted[i%keys].Add(1)
				}
			}
		}()
	}
	done.Wait()
	for key := range granted {
		expect(t, fmt.Sprint("granted to ", key), granted[key].Load(), burst)
	}
}

func TestClientsAllocateNothing(t *testing.T) {
	c := newClients(t, 10, newClock(t), 1e9, 1)
	if n := testing.AllocsPerRun(1000, func() { _, _ = c.Take("a", 1) }); n != 0 {
		t.Errorf("Take allocates %v times", n)
	}
}
