package tokenbucket

import (
	"time"

	"tokenbucket/internal/told"
)

func init() {
	told.New = newToldLimiter
	told.Promise = func(reservation any) (wait, readyAt time.Duration) {
		p := &reservation.(*Reservation).promise
		return p.wait, p.readyAt
	}
}

func newToldLimiter(origin time.Time, capacity, tokensPerSecond, initial float64) (any, *told.Clock, error) {
	s := newSettings(capacity, tokensPerSecond, []Option{WithInitialTokens(initial)})
	c, err := newToldClock()
	if err != nil {
		return nil, nil, err
	}
	s.told = c
	b, err := newBucket(&s)
	if err != nil {
		return nil, nil, err
	}
	clock := &told.Clock{Origin: origin, Now: c.now}
	return &Limiter{bucket: b, shared: shared{told: clock}}, clock, nil
}
