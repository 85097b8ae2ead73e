package tokenbucket

import (
	"sync"
	"time"
)

// Stats is what a limiter created with [WithStatistics] has decided so far. TokensTaken less TokensGivenBack is what was
// used.
type Stats struct {
	Granted         int64         // takes, waits and reservations that got their tokens
	Denied          int64         // takes: ErrDenied
	TimedOut        int64         // waits and reservations: ErrTimedOut
	Cancelled       int64         // reservations cancelled, and waits that a context or Close ended
	Waits           int64         // waits that slept and are over
	TotalWait       time.Duration // of all those, by the limiter's clock
	LongestWait     time.Duration
	Waiting         int64 // waits that sleep now
	TokensTaken     float64
	TokensGivenBack float64 // of these, by Cancel, by Settle, and by waits that ended early
}

// WithStatistics makes the limiter count for [Limiter.Stats], at the price of some 15 ns a call.
func WithStatistics() Option { return func(s *settings) { s.statistics = true } }

// Stats returns the counters; those of other goroutines' calls in progress may be missing. ErrUnsupported: the limiter
// was created without [WithStatistics].
func (l *Limiter) Stats() (Stats, error) {
	stats, status := l.bucket.stats()
	if status == Success {
		l.waits.addTo(&stats)
	}
	return stats, status.err()
}

// waitCounts counts what the library cannot see: to it a wait is a reservation, and one that ends early a reservation
// granted and cancelled. A nil waitCounts counts nothing.
type waitCounts struct {
	mu             sync.Mutex
	waiting        int64
	over           int64
	endedEarly     int64
	total, longest time.Duration
}

func (w *waitCounts) begin() {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting++
}

func (w *waitCounts) end(waited time.Duration, granted bool) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting--
	w.over++
	w.total += waited
	if waited > w.longest {
		w.longest = waited
	}
	if !granted {
		w.endedEarly++
	}
}

func (w *waitCounts) addTo(s *Stats) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s.Granted -= w.endedEarly
	s.Waits, s.Waiting = w.over, w.waiting
	s.TotalWait, s.LongestWait = w.total, w.longest
}
