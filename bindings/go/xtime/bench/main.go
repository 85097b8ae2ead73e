// Bench measures what calls cost, beside golang.org/x/time/rate, in one process and in turns: rounds of the one and the
// other alternate, and the medians are compared. `bench table` does so for limits by key.
package main

import (
	"context"
	"fmt"
	"log"
	"math/rand"
	"os"
	"runtime"
	"sort"
	"sync"
	"syscall"
	"time"

	"golang.org/x/time/rate"
	"tokenbucket"
	dropin "tokenbucket/rate"
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
	if len(os.Args) > 1 && os.Args[1] == "table" {
		measureTable()
		return
	}
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
	same, sameEmpty := dropin.NewLimiter(1e9, 1e9), dropin.NewLimiter(1e-9, 1)
	sameEmpty.Allow()
	threads := runtime.GOMAXPROCS(0)
	fmt.Println("language | call | ns per call | peer's name | peer's ns | ratio")
	for _, m := range []measure{
		{"Allow", 1, func() { ours.Allow() }, func() { theirs.Allow() }},
		{"Allow, denied", 1, func() { oursEmpty.Allow() }, func() { theirsEmpty.Allow() }},
		{"Reserve", 1, func() { ours.Reserve() }, func() { theirs.Reserve() }},
		{"Wait, nothing to wait for", 1, func() { must(ours.Wait(ctx)) }, func() { must(theirs.Wait(ctx)) }},
		{"Wait with a deadline", 1, func() { must(ours.Wait(deadline)) }, func() { must(theirs.Wait(deadline)) }},
		{"rate.Allow", 1, func() { same.Allow() }, func() { theirs.Allow() }},
		{"rate.Allow, denied", 1, func() { sameEmpty.Allow() }, func() { theirsEmpty.Allow() }},
		{"rate.AllowN(time.Now(), 1)", 1, func() { same.AllowN(time.Now(), 1) }, func() { theirs.AllowN(time.Now(), 1) }},
		{"rate.Reserve", 1, func() { same.Reserve() }, func() { theirs.Reserve() }},
		{"rate.Wait, nothing to wait for", 1, func() { must(same.Wait(ctx)) }, func() { must(theirs.Wait(ctx)) }},
		{"Allow", threads, func() { ours.Allow() }, func() { theirs.Allow() }},
		{"Allow, denied", threads, func() { oursEmpty.Allow() }, func() { theirsEmpty.Allow() }},
		{"Reserve", threads, func() { ours.Reserve() }, func() { theirs.Reserve() }},
		{"rate.Allow", threads, func() { same.Allow() }, func() { theirs.Allow() }},
	} {
		report(m)
	}
	sleeping(1, 200)
	sleeping(100, 20)
	cancelled()
}

// sleeping measures the processor time of a wait that sleeps, of goroutines that wait in turn.
func sleeping(goroutines, waits int) {
	ours, theirs := pair(10000, 1)
	var a, b []float64
	for i := 0; i < 11; i++ {
		a = append(a, processorTime(goroutines, waits, ours.Wait))
		b = append(b, processorTime(goroutines, waits, theirs.Wait))
	}
	print(fmt.Sprintf("Wait that sleeps, processor time, of %d", goroutines), median(a), median(b))
}

// processorTime is that of one call, in nanoseconds.
func processorTime(goroutines, calls int, wait func(context.Context) error) float64 {
	before := usedByProcess()
	round(func() {
		if err := wait(context.Background()); err != nil {
			log.Fatal(err)
		}
	}, goroutines, calls)
	return float64((usedByProcess() - before).Nanoseconds()) / float64(goroutines*calls)
}

func usedByProcess() time.Duration {
	u := usage()
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func usage() syscall.Rusage {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		log.Fatal(err)
	}
	return u
}

// cancelled measures many waits that begin, and are then cancelled one by one in random order.
func cancelled() {
	const waiters = 100000
	ours, theirs := pair(1, 1)
	a := cancelAll(waiters, ours.Wait, func() float64 { return -ours.Tokens() })
	b := cancelAll(waiters, theirs.Wait, func() float64 { return -theirs.Tokens() })
	print("Wait, one of 100000, cancelled in random order", a, b)
}

func cancelAll(waiters int, wait func(context.Context) error, waiting func() float64) float64 {
	runtime.GC()
	start := time.Now()
	cancels := make([]context.CancelFunc, waiters)
	var done sync.WaitGroup
	for i := range cancels {
		ctx, cancel := context.WithCancel(context.Background())
		cancels[i] = cancel
		done.Add(1)
		go func() {
			defer done.Done()
			_ = wait(ctx) // some get a token before they are cancelled
		}()
	}
	for waiting() < float64(waiters)-100 {
		time.Sleep(time.Millisecond)
	}
	rand.Shuffle(waiters, func(i, j int) { cancels[i], cancels[j] = cancels[j], cancels[i] })
	for _, cancel := range cancels {
		cancel()
	}
	done.Wait()
	return float64(time.Since(start).Nanoseconds()) / float64(waiters)
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
	print(name, a, b)
}

func print(name string, ours, theirs float64) {
	fmt.Printf("Go | %s | %.1f | x/time/rate | %.1f | %.2f\n", name, ours, theirs, ours/theirs)
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
