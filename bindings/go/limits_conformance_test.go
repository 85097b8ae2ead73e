//go:build cgo

package tokenbucket

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestConformanceOfSeveralLimits(t *testing.T) {
	replayFile(t, "limits.txt", 60, "all", "resv", "cancel", "wait", "leave", "waiting", "next", "take", "peek",
		"force", "add", "rate", "burst", "close")
}

// nameAll reads "r rate=10/s burst=10; u rate=1/s burst=5 keys=100".
func (r *replay) nameAll(limits string) {
	r.named = map[string]limitOfRow{}
	for _, limit := range strings.Split(limits, ";") {
		words := strings.Fields(limit)
		r.named[words[0]] = r.create(words[1:])
	}
}

func isMember(word string) bool { return strings.Contains(word, ":") }

// members reads "r:1 u.a:2", and returns their names and the words behind them.
func (r *replay) members(words []string) (limits Limits, names, behind []string) {
	for len(words) > 0 && isMember(words[0]) {
		name, n, _ := strings.Cut(words[0], ":")
		limit, key, ofKey := strings.Cut(name, ".")
		of := r.named[limit]
		if ofKey {
			limits = append(limits, of.table.Member(key, r.number(n)))
		} else {
			limits = append(limits, of.limiter.Member(r.number(n)))
		}
		names, words = append(names, name), words[1:]
	}
	return limits, names, words
}

// expectRefusal is for "no by=r retry=1s".
func (r *replay) expectRefusal(text string, names, words []string, s Status, refusal Refusal) {
	want, known := answersOfTakes[words[0]]
	if words[0] == "late" {
		want, known = ErrTimedOut, true
	}
	r.expect(text, known && s == want && (s == Success) == (refusal.Member < 0))
	for _, word := range words[1:] {
		switch name, value, _ := strings.Cut(word, "="); name {
		case "by":
			r.expect(text, refusal.Member >= 0 && names[refusal.Member] == value)
		case "retry":
			r.expect(text, refusal.RetryAfter == r.duration(value))
		default:
			r.Fatalf("unknown word %s in %s", word, text)
		}
	}
}

func (r *replay) takeAll(text string, words []string) {
	limits, names, words := r.members(words)
	refusal, err := limits.Take()
	s, _ := err.(Status)
	r.expectRefusal(text, names, words, s, refusal)
}

func (r *replay) reserveAll(text string, words []string) {
	limits, names, words := r.members(words)
	max := InfDuration
	if _, value, limited := strings.Cut(words[0], "max="); limited {
		max, words = r.duration(value), words[1:]
	}
	all := limits.ReserveWithin(max)
	var refused *RefusalError
	if errors.As(all.Err(), &refused) {
		var s Status
		errors.As(refused, &s)
		r.expectRefusal(text, names, words, s, refused.Refusal)
		return
	}
	r.expect(text, all.OK() && all.Delay() == r.duration(words[0]))
	r.reservations[r.name] = all
}

func (r *replay) enterAll(text string, words []string) {
	limits, names, words := r.members(words)
	r.enter(text, words, &waitOfRow{members: names},
		func(ctx context.Context, within time.Duration, priority int32) error {
			return limits.wait(ctx, within, priority)
		})
}
