package tokenbucket

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"
)

// OnUnavailable is what becomes of takes and waits while the server of a [Remote] gives no answer. The other calls, such
// as Reserve, Charge and Tokens, return the error.
type OnUnavailable struct {
	policy policy
	share  float64
}

type policy int8

const (
	failError policy = iota
	failClosed
	failOpen
	failLocal
)

var (
	FailError  = OnUnavailable{}                   // the error is the answer: the default
	FailClosed = OnUnavailable{policy: failClosed} // ErrDenied, as if the bucket were empty
	FailOpen   = OnUnavailable{policy: failOpen}   // granted, as if the bucket were full
)

// FailLocal asks a [Table] of the process, with the limit's capacity and rate times share, above 0 and at most 1: with
// 1/N in each of N processes they grant together what the limit does. The table has room for 65536 keys, 1.6 MB. What
// exceeds its capacity is ErrDenied, so a share of the capacity below 1 grants no whole token.
func FailLocal(share float64) OnUnavailable { return OnUnavailable{failLocal, share} }

const localKeys = 65536

// WithOnUnavailable is what a [Remote] does while its server gives no answer, instead of FailError. It is done after
// what the client does to get one: that needs short timeouts.
func WithOnUnavailable(o OnUnavailable) Option { return func(s *settings) { s.onUnavailable = o } }

// fallback answers instead of the server. Amounts are above 0 and at most the capacity, but for most.
type fallback interface {
	take(key string, n float64) (Decision, error)
	takeUpTo(key string, most float64) (float64, error)
	wait(ctx context.Context, key string, n float64) error
}

func newFallback(s *settings) (fallback, error) {
	switch s.onUnavailable.policy {
	case failClosed:
		return emptyBucket{s.capacity, s.rate()}, nil
	case failOpen:
		return fullBucket{s.capacity, s.rate()}, nil
	case failLocal:
		share := s.onUnavailable.share
		if !(share > 0 && share <= 1) {
			return nil, &ArgumentError{ErrInvalidArgument, "share", "more than 0 and at most 1", share}
		}
		t, err := NewTable(s.capacity*share, s.tokens*share, localKeys, WithPeriod(s.period))
		if err != nil {
			return nil, fmt.Errorf("tokenbucket: FailLocal: a limit times the share: %w", err)
		}
		return localTable{emptyBucket{s.capacity, s.rate()}, t, s.maxWait}, nil
	}
	return nil, nil
}

// fallback is nil if the error is the answer.
func (r *Remote) fallback(err error) fallback {
	if err == nil || r.instead == nil || !errors.Is(err, ErrUnavailable) {
		return nil
	}
	return r.instead
}

type emptyBucket struct{ capacity, rate float64 }

func (b emptyBucket) take(_ string, n float64) (Decision, error) {
	return Decision{0, b.timeOf(n), b.timeOf(b.capacity)}, ErrDenied
}
func (emptyBucket) takeUpTo(string, float64) (float64, error)   { return 0, nil }
func (emptyBucket) wait(context.Context, string, float64) error { return ErrDenied }

// timeOf is how long so many tokens take to accrue.
func (b emptyBucket) timeOf(tokens float64) time.Duration { return accrual(tokens, b.rate) }

func accrual(tokens, perSecond float64) time.Duration {
	ns := math.Ceil(tokens / perSecond * float64(time.Second))
	if ns >= float64(InfDuration) {
		return InfDuration
	}
	return time.Duration(ns)
}

type fullBucket struct{ capacity, rate float64 }

func (b fullBucket) take(_ string, n float64) (Decision, error) {
	return Decision{b.capacity - n, 0, accrual(n, b.rate)}, nil
}
func (b fullBucket) takeUpTo(_ string, most float64) (float64, error) {
	return math.Floor(math.Min(most, b.capacity)), nil
}
func (fullBucket) wait(context.Context, string, float64) error { return nil }

// localTable is a share of the limit. What is more than it ever holds is not more than the limit does.
type localTable struct {
	refusing emptyBucket
	table    *Table
	maxWait  time.Duration
}

func (l localTable) take(key string, n float64) (Decision, error) {
	d, err := l.table.Take(key, n)
	if err == ErrExceedsCapacity {
		return l.refusing.take(key, n)
	}
	return d, err
}

func (l localTable) takeUpTo(key string, most float64) (float64, error) {
	return l.table.TakeUpTo(key, most)
}

func (l localTable) wait(ctx context.Context, key string, n float64) error {
	most := timeLeft(ctx)
	if l.maxWait < most {
		most = l.maxWait
	}
	err := l.table.wait(ctx, key, n, most, 0)
	if err == ErrExceedsCapacity {
		return ErrDenied
	}
	return err
}
