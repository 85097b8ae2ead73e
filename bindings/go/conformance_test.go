//go:build cgo

package tokenbucket

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"
)

// replay carries out the steps of one row of tests/conformance/rows.txt; the README beside that file explains them.
type replay struct {
	*testing.T
	clock        *ManualClock
	limiter      *Limiter
	name         string
	seen         map[string]bool // the kinds of steps carried out, in all rows
	reservations map[string]*Reservation
}

func TestConformance(t *testing.T) {
	rows := strings.Split(strings.TrimSpace(readFile(t, "../../tests/conformance/rows.txt")), "\n")
	if len(rows) < 18 {
		t.Errorf("only %d rows", len(rows))
	}
	seen := map[string]bool{}
	for _, row := range rows {
		fields := strings.Split(row, "|")
		if len(fields) != 3 {
			t.Fatalf("no row: %s", row)
		}
		t.Run(strings.TrimSpace(fields[0]), func(t *testing.T) {
			r := replay{T: t, clock: newManualClock(t), seen: seen, reservations: map[string]*Reservation{}}
			r.create(strings.Fields(fields[1]))
			for _, step := range strings.Split(fields[2], ";") {
				r.step(strings.Fields(strings.ReplaceAll(step, " = ", " ")))
			}
		})
	}
	for _, verb := range []string{
		"peek", "peekx", "take", "upto", "est", "force", "add", "resv", "cancel", "rate",
	} {
		if !seen[verb] {
			t.Errorf("no row has the step %s", verb)
		}
	}
}

func (r *replay) create(limits []string) {
	var capacity, rate float64
	options := []Option{WithClock(r.clock)}
	for _, limit := range limits {
		name, value, _ := strings.Cut(limit, "=")
		switch name {
		case "rate":
			var period time.Duration
			rate, period = r.rate(value)
			options = append(options, WithPeriod(period))
		case "burst":
			capacity = r.number(value)
		case "init":
			options = append(options, WithInitialTokens(r.number(value)))
		default:
			r.Fatalf("unknown limit %s", limit)
		}
	}
	r.limiter = newLimiter(r, capacity, rate, options...)
}

func (r *replay) number(s string) float64 {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil {
		r.Fatal(err)
	}
	return n
}

func (r *replay) duration(s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		r.Fatal(err)
	}
	return d
}

// rate reads "10/s", "1/2s".
func (r *replay) rate(s string) (float64, time.Duration) {
	tokens, period, _ := strings.Cut(s, "/")
	if strings.IndexAny(period, "0123456789") != 0 {
		period = "1" + period
	}
	return r.number(tokens), r.duration(period)
}

func (r *replay) step(words []string) {
	text := strings.Join(words, " ")
	if strings.HasPrefix(words[0], "@") {
		expectError(r.T, text, r.clock.Set(r.duration(words[0][1:])), nil)
		words = words[1:]
	}
	r.name = ""
	if len(words) > 0 && strings.HasSuffix(words[0], ":") {
		r.name = words[0]
		words = words[1:]
	}
	if len(words) > 0 {
		r.run(text, words)
	}
}

func (r *replay) run(text string, words []string) {
	l, last := r.limiter, words[len(words)-1]
	verb, value, _ := strings.Cut(words[0], "=")
	r.seen[verb] = true
	switch verb {
	case "peek":
		r.expect(text, math.Floor(l.Tokens()) == r.number(value))
	case "peekx":
		r.expect(text, l.Tokens() == r.number(value))
	case "take":
		r.take(text, words)
	case "upto":
		taken, err := l.TakeUpTo(r.number(words[1]))
		r.expect(text, err == nil && taken == r.number(last))
	case "est":
		left, err := l.TimeUntil(r.number(words[1]))
		r.expect(text, err == nil && left == r.duration(last))
	case "force":
		repaid, err := l.Charge(r.number(words[1]))
		r.expect(text, err == nil && repaid == r.duration(last))
	case "add":
		r.expect(text, l.Refund(r.number(last)) == nil)
	case "resv":
		r.reserve(text, words)
	case "cancel":
		r.reservations[last+":"].Cancel()
	case "rate":
		tokens, period := r.rate(last)
		r.expect(text, l.SetLimit(tokens*float64(time.Second)/float64(period)) == nil)
	case "burst":
		r.expect(text, l.SetBurst(r.number(last)) == nil)
	default:
		r.Fatalf("unknown step %s", text)
	}
}

func (r *replay) expect(text string, holds bool) {
	r.Helper()
	if !holds {
		r.Errorf("not so: %s", text)
	}
}

func (r *replay) take(text string, words []string) {
	answers := map[string]error{"ok": nil, "no": ErrDenied, "never": ErrExceedsCapacity}
	want, known := answers[words[2]]
	r.expect(text, known)
	times := 1
	for _, word := range words[3:] {
		if strings.HasPrefix(word, "*") {
			times = int(r.number(word[1:]))
		}
	}
	for i := 0; i < times; i++ {
		d, err := r.limiter.Take(r.number(words[1]))
		r.expect(text, err == want)
		for _, word := range words[3:] {
			switch name, value, _ := strings.Cut(word, "="); name {
			case "retry":
				r.expect(text, d.RetryAfter == r.duration(value))
			case "rem":
				r.expect(text, math.Floor(d.Remaining) == r.number(value))
			}
		}
	}
}

func (r *replay) reserve(text string, words []string) {
	max := InfDuration
	if _, value, limited := strings.Cut(words[2], "max="); limited {
		max = r.duration(value)
	}
	reservation := r.limiter.ReserveWithin(r.number(words[1]), max)
	switch last := words[len(words)-1]; last {
	case "no":
		r.expect(text, reservation.Err() == ErrTimedOut)
	case "never":
		r.expect(text, reservation.Err() == ErrExceedsCapacity)
	default:
		r.expect(text, reservation.OK() && reservation.Delay() == r.duration(last))
		r.reservations[r.name] = reservation
	}
}
