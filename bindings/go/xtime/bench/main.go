// Bench measures what calls cost, beside golang.org/x/time/rate, in one process and in turns: rounds of the one and the
// other alternate, and the medians are compared.
package main

import (
	"context"
	"fmt"
	"log"
	"runtime"
	"sort"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"tokenbucket"
)

const (
	rounds    = 201
	roundTime = time.Millisecond
)

// measure is a call of both, on as many goroutines.
type measure struct {
	name         string
	goroutines   int
	ours, theirs func()
}

func main() {
	log.SetFlags(0)
	ours, theirs := pair(1e9, 1e9)
	oursEmpty, theirsEmpty := pair(1e-9, 1)
	ours0, theirs0 := oursEmpty.AllowN(1), theirsEmpty.AllowN(time.Now(), 1)
	if !ours0 || !theirs0 {
		log.Fatal("not full at first")
	}
	ctx := context.Background()
	deadline, cancel := context.WithTimeout(ctx, time.Hour)
	defer cancel()
	must := func(err error) {
		if err != nil {
			log.Fatal(err)
		}
	}
	threads := runtime.GOMAXPROCS(0)
	fmt.Println("language | call | ns per call | peer's name | peer's ns | ratio")
	for _, m := range []measure{
		{"Allow", 1, func() { ours.Allow() }, func() { theirs.Allow() }},
		{"Allow, denied", 1, func() { oursEmpty.Allow() }, func() { theirsEmpty.Allow() }},
		{"Reserve", 1, func() { ours.Reserve() }, func() { theirs.Reserve() }},
		{"Wait, nothing to wait for", 1, func() { must(ours.Wait(ctx)) }, func() { must(theirs.Wait(ctx)) }},
		{"Wait with a deadline", 1, func() { must(ours.Wait(deadline)) }, func() { must(theirs.Wait(deadline)) }},
		{"Allow", threads, func() { ours.Allow() }, func() { theirs.Allow() }},
		{"Allow, denied", threads, func() { oursEmpty.Allow() }, func() { theirsEmpty.Allow() }},
		{"Reserve", threads, func() { ours.Reserve() }, func() { theirs.Reserve() }},
	} {
		report(m)
	}
}

func pair(limit float64, burst int) (*tokenbucket.Limiter, *rate.Limiter) {
	ours, err := tokenbucket.New(float64(burst), limit)
	if err != nil {
		log.Fatal(err)
	}
	return ours, rate.NewLimiter(rate.Limit(limit), burst)
}

func report(m measure) {
	var ours, theirs []float64
	oursCalls, theirsCalls := calibrate(m.ours), calibrate(m.theirs)
	for i := 0; i < rounds; i++ {
		ours = append(ours, round(m.ours, m.goroutines, oursCalls))
		theirs = append(theirs, round(m.theirs, m.goroutines, theirsCalls))
	}
	a, b := median(ours), median(theirs)
	name := m.name
	if m.goroutines > 1 {
		name += fmt.Sprintf(", %d goroutines", m.goroutines)
	}
	fmt.Printf("Go | %s | %.1f | x/time/rate | %.1f | %.2f\n", name, a, b, a/b)
}

// calibrate returns how many calls take about the time of a round.
func calibrate(call func()) int {
	for calls := 100; ; calls *= 2 {
		start := time.Now()
		repeat(call, calls)
		if time.Since(start) > roundTime {
			return calls
		}
	}
}

// round returns the nanoseconds of wall time per call of all the goroutines together.
func round(call func(), goroutines, calls int) float64 {
	var done sync.WaitGroup
	start := time.Now()
	for g := 0; g < goroutines; g++ {
		done.Add(1)
		go func() {
			defer done.Done()
			repeat(call, calls)
		}()
	}
	done.Wait()
	return float64(time.Since(start).Nanoseconds()) / float64(calls*goroutines)
}

func repeat(call func(), times int) {
	for i := 0; i < times; i++ {
		call()
	}
}

func median(values []float64) float64 {
	sort.Float64s(values)
	return values[len(values)/2]
}
