package rate

import (
	"sync"
	"time"
)

// Sometimes calls a function now and then: the first time, and whenever one of its conditions asks for it. The zero value
// does so once.
type Sometimes struct {
	First    int           // the first so many times
	Every    int           // the first time, and every so many times from then on
	Interval time.Duration // when so long has passed since the function was last called

	mu   sync.Mutex
	asks int // so far, but for those whose function has panicked
	last time.Time
}

// Do calls f, or not. One call of Do waits until another is over, so f must not take long, nor call Do.
func (s *Sometimes) Do(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asks == 0 || s.asks < s.First || (s.Every > 0 && s.asks%s.Every == 0) ||
		(s.Interval > 0 && time.Since(s.last) >= s.Interval) {
		f()
		s.last = time.Now()
	}
	s.asks++
}
