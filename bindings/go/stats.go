package tokenbucket

import "time"

// Stats is what a limiter created with [WithStatistics] has decided so far. TokensTaken less TokensGivenBack is what was
// used.
type Stats struct {
	Granted         int64         // takes, waits and reservations that got their tokens
	Denied          int64         // takes: ErrDenied
	TimedOut        int64         // waits and reservations: ErrTimedOut, at once or later
	Cancelled       int64         // reservations cancelled, and waits that a context, Close or a smaller burst ended
	Waits           int64         // waits in the queue that are over
	TotalWait       time.Duration // of all those, by the limiter's clock
	LongestWait     time.Duration
	Waiting         int64   // waits in the queue that are not due
	TokensTaken     float64 // by all that was granted, and by waits that ended otherwise
	TokensGivenBack float64 // of these, by Cancel, by Settle, and by waits that ended otherwise
}

// WithStatistics makes the limiter count for [Limiter.Stats], at the price of some 15 ns a call.
func WithStatistics() Option { return func(s *settings) { s.statistics = true } }

// Stats returns the counters; those of other goroutines' calls in progress may be missing. ErrUnsupported: the limiter
// was created without [WithStatistics].
func (l *Limiter) Stats() (Stats, error) {
	stats, status := l.bucket.stats()
	return stats, refusedCall(status)
}
