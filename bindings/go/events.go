package tokenbucket

import "time"

// Event is a request that was refused, or a wait that is over.
type Event struct {
	Status Status        // Success of a wait that got its tokens; ErrInterrupted of one that its context ended
	N      float64       // the tokens asked for
	Waited time.Duration // how long it waited, by the limiter's clock; 0 if it did not
}

// WithOnEvent calls f for each take that is denied, for the end of each wait that had to sleep, whatever its status, for
// each wait refused at once with ErrTimedOut or ErrQueueFull, and for each reservation refused with ErrTimedOut. It runs
// on the goroutine concerned, after the decision, and may use the limiter. Of [Limits] it is told what the limiter itself
// refused, and each wait that slept and got all tokens or was given up.
func WithOnEvent(f func(Event)) Option { return func(s *settings) { s.onEvent = f } }

func (l *shared) tell(s Status, n float64, waited time.Duration) {
	if l.onEvent != nil {
		l.onEvent(Event{s, n, waited})
	}
}

var start = time.Now()

// now is the limiter's time, where events need it.
func (l *shared) now() time.Duration {
	switch {
	case l.onEvent == nil:
		return 0
	case l.clock != nil:
		return l.clock.Now()
	default:
		return time.Since(start)
	}
}
