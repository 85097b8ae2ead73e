package xtime

import (
	"fmt"
	"math"
	"math/rand"
	"testing"
	"time"

	dropin "tokenbucket/rate"
)

const (
	sequences = 40
	steps     = 400
)

// Random sequences of every call, at rates that are decimals and rates that are not.
func TestRandomSequences(t *testing.T) {
	for _, limit := range []float64{10, 0.25, 1000, 1.0 / 3, 1.0 / 1.3, math.Pi, 1e6 / 7, 123456.789} {
		for _, burst := range []int{1, 3, 20, 1000} {
			t.Run(fmt.Sprintf("%.4g per second, burst %d", limit, burst), func(t *testing.T) {
				var granted, refused, cancelled, skipped int
				for seed := int64(1); seed <= sequences; seed++ {
					s := &sequence{pair: newPair(t, limit, burst), random: rand.New(rand.NewSource(seed)), burst: burst}
					s.same = dropin.NewLimiter(dropin.Limit(limit), burst)
					s.tokens() // its clock begins here
					s.run()
					granted, refused, cancelled = granted+s.granted, refused+s.refused, cancelled+s.cancelled
					skipped += s.skipped
				}
				if granted < sequences || refused < sequences || cancelled < sequences {
					t.Errorf("only %d granted, %d refused, %d cancelled", granted, refused, cancelled)
				}
				if most := sequences * steps / 20; skipped > most {
					t.Errorf("%d steps of %d were too close to ask, at most %d may be", skipped, sequences*steps, most)
				}
			})
		}
	}
}

type sequence struct {
	*pair
	random   *rand.Rand
	burst    int
	youngest *reserved // nil: none that is known to come back whole

	granted, refused, cancelled, skipped int
}

func (s *sequence) run() {
	for i := 0; i < steps; i++ {
		switch s.random.Intn(8) {
		case 0, 1, 2:
			s.pass()
		case 3, 4:
			s.ask()
		case 5:
			s.promise()
		case 6:
			s.cancelYoungest()
		case 7:
			s.change()
		}
	}
}

// pass lets up to the time of a few tokens go by.
func (s *sequence) pass() {
	most := int64(math.Min(float64(s.burst), 4)/s.limit*1e9) + 1
	s.at(s.clock.Now() + time.Duration(s.random.Int63n(most)))
}

// close reports whether x/time's rounding would decide.
func (s *sequence) close(n int) bool {
	if math.Abs(s.ours.Tokens()-float64(n)) > tolerance || s.ours.Tokens() == s.theirs.TokensAt(s.now()) {
		return false
	}
	s.skipped++
	return true
}

func (s *sequence) amount() int { return 1 + s.random.Intn(s.burst+s.burst/4+1) }

func (s *sequence) ask() {
	n := s.amount()
	if s.close(n) {
		return
	}
	if s.allow(n) {
		s.youngest = nil // nothing is owed
		s.granted++
	} else {
		s.refused++
	}
}

func (s *sequence) promise() {
	// x/time goes into debt without bound; here so many tokens can be owed that no test comes near.
	if r := s.reserve(s.amount()); r.ok() {
		s.youngest = r
	}
}

// One in a row: x/time rounds the time to which it goes back, and of those before gives back less (TestCancelsInARow).
func (s *sequence) cancelYoungest() {
	r := s.youngest
	s.youngest = nil
	// One that is due, or nearly, is kept by the one and perhaps given back by the other.
	if r != nil && float64(r.delay()) > 1+tolerance/s.limit*1e9 {
		s.cancel(r)
		s.cancelled++
	}
}

// change first lets all reservations come due: a new limit has its own rules for those that are pending.
func (s *sequence) change() {
	owed, err := s.ours.TimeUntil(1e-6)
	if err != nil {
		s.Fatal(err)
	}
	s.at(s.clock.Now() + owed)
	if s.random.Intn(2) == 0 {
		s.setLimit(s.limit * (0.5 + s.random.Float64()))
		s.tokens()
	} else {
		s.burst = 1 + s.random.Intn(2*s.burst)
		s.setBurst(s.burst)
	}
	s.youngest = nil
}
