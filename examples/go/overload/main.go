// Overload asks a limiter for five times what it allows, from several goroutines at once, and counts what is granted.
// The limiter lives on a manual clock, so the expected number is exact.
package main

import (
	"fmt"
	"log"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"tokenbucket"
)

const (
	capacity  = 500
	perSecond = 2000
	workers   = 4
	asks      = 25 // of each worker at each step
	step      = 10 * time.Millisecond
	duration  = 5 * time.Second
)

func main() {
	log.SetFlags(0)
	clock, err := tokenbucket.NewManualClock(0)
	if err != nil {
		log.Fatal(err)
	}
	limiter, err := tokenbucket.New(capacity, perSecond, tokenbucket.WithClock(clock))
	if err != nil {
		log.Fatal(err)
	}
	asked, granted := 0, int64(0)
	for now := time.Duration(0); now <= duration; now += step {
		if err := clock.Set(now); err != nil {
			log.Fatal(err)
		}
		granted += burst(limiter)
		asked += workers * asks
	}
	expected := capacity + perSecond*int64(duration/time.Second)
	fmt.Printf("overload go asked=%d granted=%d expected=%d\n", asked, granted, expected)
	if granted != expected {
		os.Exit(1)
	}
}

// burst lets every worker ask at once and returns how many tokens were granted.
func burst(limiter *tokenbucket.Limiter) int64 {
	var granted atomic.Int64
	var done sync.WaitGroup
	for w := 0; w < workers; w++ {
		done.Add(1)
		go func() {
			defer done.Done()
			for i := 0; i < asks; i++ {
				if limiter.Allow() {
					granted.Add(1)
				}
			}
		}()
	}
	done.Wait()
	return granted.Load()
}
