//go:build cgo && !tokenbucket_gc && !race

package tokenbucket

import (
	"context"
	"testing"
	"time"
)

// A timer is used again: it comes from a sync.Pool, which forgets at random under the race detector.
func TestWaitThatSleepsAllocatesNothing(t *testing.T) {
	l := newLimiter(t, 1, 1e5, WithInitialTokens(0))
	deadline, cancel := context.WithTimeout(background, time.Hour)
	defer cancel()
	if n := testing.AllocsPerRun(100, func() { _ = l.WaitN(deadline, 1) }); n != 0 {
		t.Errorf("%v times", n)
	}
}
