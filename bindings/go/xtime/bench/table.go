package main

import (
	"bytes"
	"fmt"
	"log"
	"math/rand"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
	"tokenbucket"
)

const (
	tableKeys    = 1000000
	batchSize    = 16
	keysPerRound = 50 * batchSize // of each goroutine
	tableRounds  = 301
	// So that keys are neither empty nor full in the time this program runs.
	capacity     = 1e8
	perSecond    = 1
	takenAtFirst = capacity / 2
)

// keyOf makes a new string: what is asked for is not the very string that a map holds.
func keyOf(number int) string { return fmt.Sprintf("user:%015d", number) }

// limiterMap is what Go programs have for limits by key: a map that never forgets, behind a mutex.
type limiterMap struct {
	mutex sync.Mutex
	of    map[string]*rate.Limiter
}

// limiter is called with the mutex held.
func (m *limiterMap) limiter(key string) *rate.Limiter {
	l, ok := m.of[key]
	if !ok {
		l = rate.NewLimiter(perSecond, capacity)
		m.of[key] = l
	}
	return l
}

func (m *limiterMap) allow(key string) bool {
	m.mutex.Lock()
	l := m.limiter(key)
	m.mutex.Unlock()
	return l.Allow()
}

// allowMany takes the lock once and reads the clock once.
func (m *limiterMap) allowMany(keys []string) bool {
	var limiters [batchSize]*rate.Limiter
	m.mutex.Lock()
	for i, key := range keys {
		limiters[i] = m.limiter(key)
	}
	m.mutex.Unlock()
	now := time.Now()
	all := true
	for _, l := range limiters {
		all = l.AllowN(now, 1) && all
	}
	return all
}

// keyed are both, with the same keys, half full.
type keyed struct {
	table                    *tokenbucket.Table
	bytes                    *tokenbucket.TableOf[[]byte]
	limiters                 *limiterMap
	tableBytes               int64 // resident
	mapResident, mapHeapSize int64
}

func newKeyed() *keyed {
	k := &keyed{limiters: &limiterMap{of: map[string]*rate.Limiter{}}}
	before := settledMemory()
	var err error
	if k.table, err = tokenbucket.NewTable(capacity, perSecond, tableKeys); err != nil {
		log.Fatal(err)
	}
	fill(func(key string) bool { return k.table.AllowN(key, takenAtFirst) })
	after := settledMemory()
	k.tableBytes = after.resident - before.resident + after.heap - before.heap
	if k.bytes, err = tokenbucket.NewTableOf[[]byte](capacity, perSecond, tableKeys); err != nil {
		log.Fatal(err)
	}
	fill(func(key string) bool { return k.bytes.AllowN([]byte(key), takenAtFirst) })
	before = settledMemory()
	now := time.Now()
	fill(func(key string) bool { return k.limiters.limiter(key).AllowN(now, takenAtFirst) })
	after = settledMemory()
	k.mapResident, k.mapHeapSize = after.resident-before.resident, after.heap-before.heap
	return k
}

func fill(take func(key string) bool) {
	for i := 0; i < tableKeys; i++ {
		if !take(keyOf(i)) {
			log.Fatal("a key was not full at first")
		}
	}
}

type memory struct{ resident, heap int64 }

// settledMemory is without what the garbage collector would free.
func settledMemory() memory {
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	text, err := os.ReadFile("/proc/self/statm")
	var size, resident int64
	if err == nil {
		_, err = fmt.Sscan(string(text), &size, &resident)
	}
	if err != nil {
		log.Fatal(err)
	}
	return memory{resident * int64(os.Getpagesize()), int64(m.HeapAlloc)}
}

// stream is keys in the order in which a goroutine asks for them, over and over again. Their bytes stand one behind the
// other, as the keys of requests that have just been read do: that they are in a cache is not the limiter's merit.
type stream struct {
	keys    []string
	bytes   [][]byte
	at      int
	answers [batchSize]tokenbucket.Status
}

func newStream(seed int64) *stream {
	const draws = 200 * keysPerRound
	random := rand.New(rand.NewSource(seed))
	var text bytes.Buffer
	for i := 0; i < draws; i++ {
		text.WriteString(keyOf(random.Intn(tableKeys)))
	}
	s := &stream{}
	all, size := text.String(), text.Len()/draws
	for at := 0; at < len(all); at += size {
		s.keys = append(s.keys, all[at:at+size])
		s.bytes = append(s.bytes, text.Bytes()[at:at+size])
	}
	return s
}

// next moves on by so many keys.
func (s *stream) next(count int) (keys []string, bytes [][]byte) {
	from := s.at
	s.at = (from + count) % len(s.keys)
	return s.keys[from : from+count], s.bytes[from : from+count]
}

// asking is one way to ask for the next keys.
type asking struct {
	keys int // by one call
	ask  func(*stream) bool
}

func (k *keyed) table1() asking {
	return asking{1, func(s *stream) bool { keys, _ := s.next(1); return k.table.Allow(keys[0]) }}
}

func (k *keyed) bytes1() asking {
	return asking{1, func(s *stream) bool { _, keys := s.next(1); return k.bytes.Allow(keys[0]) }}
}

func (k *keyed) map1() asking {
	return asking{1, func(s *stream) bool { keys, _ := s.next(1); return k.limiters.allow(keys[0]) }}
}

func (k *keyed) mapMany() asking {
	return asking{batchSize, func(s *stream) bool { keys, _ := s.next(batchSize); return k.limiters.allowMany(keys) }}
}

func (k *keyed) tableMany() asking {
	return asking{batchSize, func(s *stream) bool {
		keys, _ := s.next(batchSize)
		err := k.table.AllowMany(keys, nil, s.answers[:])
		return err == nil && s.answers == [batchSize]tokenbucket.Status{}
	}}
}

// samples returns nanoseconds of wall time per key of all goroutines together, of each way to ask, round by round; 0 for
// a sample in which the process lost a processor to another, which would count against the slower way. The goroutines
// stay, and wait for each other without sleeping, so that they have come to run side by side. As many keys
// come before each sample, so that none has to fetch first what the other way has displaced.
func samples(ways []asking, streams []*stream) [][]float64 {
	times := make([][]float64, len(ways))
	disturbed := make([][]bool, len(ways))
	for i := range times {
		times[i], disturbed[i] = make([]float64, tableRounds), make([]bool, tableRounds)
	}
	var (
		arrived atomic.Int64
		mutex   sync.Mutex
		done    sync.WaitGroup
	)
	for _, s := range streams {
		done.Add(1)
		go func(s *stream) {
			defer done.Done()
			for step := 0; step < len(ways)*tableRounds; step++ {
				way, round := step%len(ways), step/len(ways)
				repeatFor(ways[way], s)
				for all := arrived.Add(1); all < int64((step+1)*len(streams)); all = arrived.Load() {
				}
				before, start := usage().Nivcsw, time.Now()
				repeatFor(ways[way], s)
				ns, after := time.Since(start).Nanoseconds(), usage().Nivcsw
				mutex.Lock()
				times[way][round] += float64(ns) / float64(keysPerRound*len(streams)*len(streams))
				disturbed[way][round] = disturbed[way][round] || after != before
				mutex.Unlock()
			}
		}(s)
	}
	done.Wait()
	for way := range times {
		for round := range times[way] {
			if disturbed[way][round] {
				times[way][round] = 0
			}
		}
	}
	return times
}

func repeatFor(a asking, s *stream) {
	for i := 0; i < keysPerRound; i += a.keys {
		if !a.ask(s) {
			log.Fatal("a key was denied")
		}
	}
}

// measureTable prints what a key costs in a table and in a map, in turns, and what each holds in memory.
func measureTable() {
	k := newKeyed()
	fmt.Printf("Go, %d keys of 20 bytes, uniform; map: of rate.Limiter behind a sync.Mutex\n", tableKeys)
	fmt.Printf("%-57s %8s %8s  %-20s %3s\n", "", "ns", "map's ns", "x map", "n")
	for _, goroutines := range []int{1, 2} {
		if goroutines > runtime.GOMAXPROCS(0) {
			break
		}
		compare("Table.Allow", k.table1(), k.map1(), goroutines, 1.5)
		compare("TableOf[[]byte].Allow", k.bytes1(), k.map1(), goroutines, 1.5)
		compare("Table.AllowMany, 16; map: one lock for 16", k.tableMany(), k.mapMany(), goroutines, 3)
	}
	perKey := func(bytes int64) float64 { return float64(bytes) / tableKeys }
	least := k.mapHeapSize
	if k.mapResident < least {
		least = k.mapResident
	}
	fmt.Printf("bytes a key: table %.1f, map %.1f of heap, %.1f resident; ", perKey(k.tableBytes), perKey(k.mapHeapSize),
		perKey(k.mapResident))
	share := float64(k.tableBytes) / float64(least)
	fmt.Printf("table / map %.2f  <= 0.20: %s\n", share, verdict(share <= 0.2))
	runtime.KeepAlive(k)
}

func compare(name string, ours, theirs asking, goroutines int, goal float64) {
	var streams []*stream
	for g := 0; g < goroutines; g++ {
		streams = append(streams, newStream(int64(g+1)))
	}
	times := samples([]asking{ours, theirs}, streams)
	var a, b, ratios []float64
	for round, ns := range times[0] {
		if theirNs := times[1][round]; ns != 0 && theirNs != 0 {
			a, b, ratios = append(a, ns), append(b, theirNs), append(ratios, theirNs/ns)
		}
	}
	if goroutines > 1 {
		name += fmt.Sprintf(", %d goroutines", goroutines)
	}
	if len(ratios) == 0 {
		fmt.Printf("%-57s not measured: the machine had other things to do\n", name)
		return
	}
	ratio := median(ratios) // which sorts them
	p10, p90 := ratios[len(ratios)/10], ratios[len(ratios)*9/10]
	fmt.Printf("%-57s %8.1f %8.1f  %5.2f (%5.2f..%5.2f) %3d  >= %.1f: %s\n", name, median(a), median(b), ratio, p10, p90,
		len(ratios), goal, verdict(ratio >= goal))
}

func verdict(reached bool) string {
	if reached {
		return "reached"
	}
	return "MISSED"
}
