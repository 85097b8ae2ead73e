//go:build cgo

package tokenbucket

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func newTableOf[K Key](t testing.TB, capacity, tokensPerSecond float64, keys int, options ...Option) *TableOf[K] {
	t.Helper()
	table, err := NewTableOf[K](capacity, tokensPerSecond, keys, options...)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func expectTokensOf[K Key](t *testing.T, table *TableOf[K], key K, want float64) {
	t.Helper()
	if got := table.Tokens(key); got != want {
		t.Errorf("%v tokens of %v, want %v", got, key, want)
	}
}

func TestTableTakes(t *testing.T) {
	clock := newManualClock(t)
	table, err := NewTable(10, 2, 100, WithClock(clock))
	expectError(t, "NewTable", err, nil)
	if !table.AllowN("a", 7.5) || table.AllowN("a", 3) || !table.Allow("b") {
		t.Error("7.5 of 10 leave 2.5, and nothing of another key")
	}
	for _, step := range []struct {
		n    float64
		want Decision
		err  error
	}{
		{3, Decision{2.5, 250 * time.Millisecond, 3750 * time.Millisecond}, ErrDenied},
		{11, Decision{2.5, InfDuration, 3750 * time.Millisecond}, ErrExceedsCapacity},
		{-1, Decision{}, ErrInvalidArgument},
		{2.5, Decision{0, 0, 5 * time.Second}, nil},
	} {
		got, err := table.Take("a", step.n)
		expectError(t, "Take", err, step.err)
		if got != step.want {
			t.Errorf("Take(%v): %+v, want %+v", step.n, got, step.want)
		}
	}
	advance(t, clock, 1750*time.Millisecond)
	if taken, err := table.TakeUpTo("a", 9); taken != 3 || err != nil {
		t.Errorf("TakeUpTo: %v, %v", taken, err)
	}
	expectTokensOf(t, table, "a", 0.5)
	expectTokensOf(t, table, "b", 10)
}

func TestTableAdjusts(t *testing.T) {
	table := newTableOf[string](t, 10, 2, 100, WithClock(newManualClock(t)))
	if repaid, err := table.Charge("a", 14); repaid != 2*time.Second || err != nil {
		t.Errorf("Charge: %v, %v", repaid, err)
	}
	expectError(t, "Refund", table.Refund("a", 5), nil)
	expectTokensOf(t, table, "a", 1)
	if left, err := table.TimeUntil("a", 4); left != 1500*time.Millisecond || err != nil {
		t.Errorf("TimeUntil: %v, %v", left, err)
	}
	_, err := table.TimeUntil("a", 11)
	expectError(t, "TimeUntil", err, ErrExceedsCapacity)
	expectError(t, "SetBurst", table.SetBurst(12), nil)
	expectError(t, "SetLimit", table.SetLimit(0.5), nil)
	if table.Burst() != 12 || table.Limit() != 0.5 {
		t.Errorf("%v per second, burst %v", table.Limit(), table.Burst())
	}
	expectTokensOf(t, table, "b", 12)
	expectError(t, "Remove", table.Remove("a"), nil)
	expectTokensOf(t, table, "a", 12)
	expectError(t, "SetLimit", table.SetLimit(-1), ErrOutOfRange)
	expectError(t, "SetBurst", table.SetBurst(0), ErrOutOfRange)
}

func TestTableReserves(t *testing.T) {
	clock := newManualClock(t)
	table := newTableOf[string](t, 10, 2, 100, WithClock(clock))
	first, second := table.ReserveN("a", 10), table.ReserveN("a", 5)
	if first.Delay() != 0 || second.Delay() != 2500*time.Millisecond || table.Reserve("b").Delay() != 0 {
		t.Errorf("delays %v and %v", first.Delay(), second.Delay())
	}
	expectError(t, "too late", table.ReserveWithin("a", 1, 3*time.Second-1).Err(), ErrTimedOut)
	second.Cancel()
	second.Cancel()
	expectTokensOf(t, table, "a", 0)
	third := table.ReserveWithin("a", 4, 2*time.Second)
	expectError(t, "Settle", third.Settle(1), nil)
	expectTokensOf(t, table, "a", -1)
	expectError(t, "Settle again", third.Settle(1), ErrInvalidArgument)
	expectError(t, "Settle what is due", first.Settle(7.5), nil)
	expectTokensOf(t, table, "a", 1.5)
	expectTokensOf(t, table, "b", 9)
}

// A slice that changes while it is waited for, or reserved, is still the key it was.
func TestSlicesAsKeys(t *testing.T) {
	clock := newManualClock(t)
	table := newTableOf[[]byte](t, 1, 1, 100, WithClock(clock))
	key := []byte("a")
	if !table.Allow(key) || table.Allow([]byte("a")) || !table.Allow([]byte{}) || table.Allow(nil) {
		t.Error("equal bytes are not one key")
	}
	reserved := table.Reserve(key)
	answer := make(chan error, 1)
	go func(ctx context.Context) { answer <- table.Wait(ctx, key) }(background)
	eventually(t, "reserving", func() bool { return table.Tokens([]byte("a")) == -2 })
	key[0] = 'b'
	reserved.Cancel()
	expectTokensOf(t, table, []byte("a"), -1)
	advance(t, clock, time.Second)
	expectError(t, "Wait", <-answer, nil)
	expectTokensOf(t, table, []byte("b"), 1)
}

type user string

func TestOtherTypesOfKeys(t *testing.T) {
	table := newTableOf[user](t, 1, 1, 100, WithClock(newManualClock(t)))
	if !table.Allow("x") || table.Allow(user("x")) {
		t.Error("x is granted other than once")
	}
}

// All bytes count, a zero too.
func TestUnusualKeys(t *testing.T) {
	table := newTableOf[string](t, 1, 1, 100, WithClock(newManualClock(t)))
	for _, key := range []string{"", "\x00", "a\x00b", "a\x00c", "a", strings.Repeat("k", MaxKeySize), "\xff"} {
		if !table.Allow(key) || table.Allow(key) {
			t.Errorf("%.9q is granted other than once", key)
		}
	}
}

func TestKeysThatAreTooLong(t *testing.T) {
	table := newTableOf[string](t, 1, 1, 100, WithClock(newManualClock(t)))
	long := strings.Repeat("k", MaxKeySize+1)
	if table.Allow(long) {
		t.Error("Allow granted")
	}
	for name, call := range map[string]func() error{
		"Take":      func() error { _, err := table.Take(long, 1); return err },
		"TakeUpTo":  func() error { _, err := table.TakeUpTo(long, 1); return err },
		"AllowMany": func() error { return table.AllowMany([]string{"a", long}, nil, make([]Status, 2)) },
		"Wait":      func() error { return table.Wait(background, long) },
		"Reserve":   func() error { return table.Reserve(long).Err() },
		"Charge":    func() error { _, err := table.Charge(long, 1); return err },
		"Refund":    func() error { return table.Refund(long, 1) },
		"TimeUntil": func() error { _, err := table.TimeUntil(long, 1); return err },
		"Remove":    func() error { return table.Remove(long) },
	} {
		err := call()
		var of *ArgumentError
		if !errors.As(err, &of) || of.Argument != "key" || of.Value != "65537 bytes" {
			t.Errorf("%s: %v", name, err)
		}
		expectError(t, name, err, ErrInvalidArgument)
	}
	const want = "tokenbucket: key must be at most 65536 bytes, got 65537 bytes"
	if err := table.Remove(long); err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if _, err := table.Take("a", -1); !errors.Is(err, ErrInvalidArgument) {
		t.Errorf("a bad amount: %v", err)
	}
	expectTokensOf(t, table, "a", 1)
}

func TestAllowMany(t *testing.T) {
	table := newTableOf[string](t, 3, 1, 1000, WithClock(newManualClock(t)))
	answers := make([]Status, 5)
	expectStatuses := func(want ...Status) {
		t.Helper()
		for i := range want {
			if answers[i] != want[i] {
				t.Errorf("answer %d: %v, want %v", i, answers[i], want[i])
			}
		}
	}
	keys := []string{"a", "b", "", "a", "a"}
	expectError(t, "AllowMany", table.AllowMany(keys, nil, answers), nil)
	expectStatuses(Success, Success, Success, Success, Success)
	expectError(t, "AllowMany", table.AllowMany(keys, []float64{1, 2, 2.5, 4, -1}, answers), nil)
	expectStatuses(ErrDenied, Success, ErrDenied, ErrExceedsCapacity, ErrInvalidArgument)
	expectTokensOf(t, table, "b", 0)
	expectTokensOf(t, table, "", 2)
	expectError(t, "of nothing", table.AllowMany(nil, nil, nil), nil)
	expectError(t, "too few answers", table.AllowMany(keys, nil, answers[:4]), ErrInvalidArgument)
	expectError(t, "too few amounts", table.AllowMany(keys, []float64{}, answers), ErrInvalidArgument)
	expectTokensOf(t, table, "", 2)

	many := make([]string, 1000)
	for i := range many {
		many[i] = strings.Repeat("k", i)
	}
	answers = make([]Status, len(many))
	expectError(t, "AllowMany", table.AllowMany(many, nil, answers), nil)
	for i, answer := range answers {
		if answer != Success {
			t.Errorf("key %d: %v", i, answer)
		}
	}
	expectTokensOf(t, table, many[999], 2)
}

// Four places, all taken.
func TestTableFull(t *testing.T) {
	for whenFull, want := range map[WhenFull]error{EvictFullest: nil, DenyNew: ErrTableFull, AdmitNew: nil} {
		table := newTableOf[string](t, 10, 1, 0, WithClock(newManualClock(t)), WithMaxBytes(64), WithWhenFull(whenFull))
		stats, err := table.Stats()
		expectError(t, "Stats", err, nil)
		for i := int64(0); i < stats.Places; i++ {
			table.AllowN(fmt.Sprint(i), 5+float64(i))
		}
		_, err = table.Take("new", 2)
		expectError(t, fmt.Sprint("when full ", whenFull), err, want)
		forgiven := map[WhenFull]TableStats{EvictFullest: {4, 4, 1, 5}, DenyNew: {4, 4, 0, 0}, AdmitNew: {4, 4, 0, 2}}
		if stats, err := table.Stats(); stats != forgiven[whenFull] || err != nil {
			t.Errorf("when full %v: %+v, %v", whenFull, stats, err)
		}
		if whenFull == DenyNew {
			if table.Allow("new") {
				t.Error("Allow granted")
			}
			expectError(t, "Wait", table.Wait(background, "new"), ErrTableFull)
			expectError(t, "Reserve", table.Reserve("new").Err(), ErrTableFull)
		}
	}
}

func TestTableThatCannotBe(t *testing.T) {
	for name, c := range map[string]struct {
		capacity, rate float64
		keys           int
		options        []Option
		want           error
	}{
		"no keys":          {1, 1, 0, nil, ErrInvalidArgument},
		"fewer":            {1, 1, -1, nil, ErrInvalidArgument},
		"keys and bytes":   {1, 1, 1, []Option{WithMaxBytes(64)}, ErrInvalidArgument},
		"few bytes":        {1, 1, 0, []Option{WithMaxBytes(63)}, ErrInvalidArgument},
		"capacity 0":       {0, 1, 1, nil, ErrOutOfRange},
		"rate 0":           {1, 0, 1, nil, ErrOutOfRange},
		"when full":        {1, 1, 1, []Option{WithWhenFull(3)}, ErrUnsupported},
		"tokens":           {1, 1, 1, []Option{WithInitialTokens(0)}, ErrUnsupported},
		"statistics":       {1, 1, 1, []Option{WithStatistics()}, ErrUnsupported},
		"events":           {1, 1, 1, []Option{WithOnEvent(func(Event) {})}, ErrUnsupported},
		"waiters":          {1, 1, 1, []Option{WithMaxWaiters(-1)}, ErrInvalidArgument},
		"more than memory": {1, 1, 1 << 62, nil, ErrOutOfRange},
	} {
		table, err := NewTable(c.capacity, c.rate, c.keys, c.options...)
		expectError(t, name, err, c.want)
		if table != nil {
			t.Errorf("%s: a table beside the error", name)
		}
	}
	for _, option := range []Option{WithMaxBytes(64), WithWhenFull(DenyNew)} {
		_, err := New(1, 1, option)
		expectError(t, "an option of tables", err, ErrUnsupported)
	}
	var zero Table
	if zero.Allow("a") || zero.Limit() != 0 {
		t.Error("the zero Table granted")
	}
	expectError(t, "Wait", zero.Wait(background, "a"), ErrInvalidArgument)
	expectError(t, "AllowMany", zero.AllowMany([]string{"a"}, nil, make([]Status, 1)), ErrInvalidArgument)
}

func TestPeriodOfATable(t *testing.T) {
	table := newTableOf[string](t, 10, 700000, 1, WithPeriod(time.Hour), WithClock(newManualClock(t)))
	table.AllowN("a", 10)
	if wait, err := table.TimeUntil("a", 7); err != nil || wait != 36*time.Millisecond {
		t.Errorf("7 tokens of 700000 per hour: after %v, %v", wait, err)
	}
}

// Whoever comes, waits or leaves: each key is granted what it had.
func TestConcurrentKeys(t *testing.T) {
	const workers, keys, burst = 16, 100, 30
	rounds := 10 + fewerWithForcedGC(4000)
	clock := newManualClock(t)
	table := newTableOf[string](t, burst, 1e-9, 10*keys, WithClock(clock))
	var granted [keys]atomic.Int64
	var done sync.WaitGroup
	for w := 0; w < workers; w++ {
		w := w
		done.Add(1)
		go func() {
			defer done.Done()
			for i := 0; i < rounds; i++ {
				k := (w + i) % keys
				key := fmt.Sprint(k)
				switch i % 4 {
				case 0:
					ctx, cancel := context.WithCancel(background)
					answer := make(chan error, 1)
					go func() { answer <- table.Wait(ctx, key) }()
					cancel()
					if err := <-answer; err == nil {
						granted[k].Add(1)
					} else {
						expectError(t, "Wait", err, context.Canceled)
					}
				case 1:
					answers := make([]Status, 2)
					expectError(t, "AllowMany", table.AllowMany([]string{key, key}, nil, answers), nil)
					for _, answer := range answers {
						if answer == Success {
							granted[k].Add(1)
						}
					}
				default:
					if table.Allow(key) {
						granted[k].Add(1)
					}
				}
			}
		}()
	}
	done.Wait()
	for k := range granted {
		expectTokensOf(t, table, fmt.Sprint(k), burst-float64(granted[k].Load()))
	}
	if len(asleep.byTag) != 0 {
		t.Errorf("%d sleepers are left", len(asleep.byTag))
	}
}

// As TestHandleOutlivesTheCall.
func TestTableOutlivesTheCall(t *testing.T) {
	k := bytesOf("a")
	fresh := func() *table { return newTableOf[string](t, 10, 2, 100).table }
	enqueued := func() (*table, uint64) {
		f := fresh()
		f.charge(k, 10)
		waiter, _, s := f.enqueue(k, 10, InfDuration, 0, 0)
		if s != Pending {
			t.Errorf("enqueue: %v", s)
		}
		return f, waiter
	}
	for name, call := range map[string]func() Status{
		"close":       func() Status { return fresh().close() },
		"allow":       func() Status { return fresh().allow(k, 1) },
		"take":        func() Status { _, s := fresh().take(k, 1); return s },
		"takeUpTo":    func() Status { _, s := fresh().takeUpTo(k, 1); return s },
		"allowMany":   func() Status { return fresh().allowMany(k, []uintptr{1}, nil, make([]Status, 1)) },
		"reserve":     func() Status { _, s := fresh().reserve(k, 1, 0); return s },
		"cancel":      func() Status { fresh().cancel(k, promise{tokens: 1}); return Success },
		"charge":      func() Status { _, s := fresh().charge(k, 1); return s },
		"refund":      func() Status { return fresh().refund(k, 1) },
		"remove":      func() Status { return fresh().remove(k) },
		"enqueue":     func() Status { _, _, s := fresh().enqueue(k, 1, 0, 0, 0); return s },
		"check":       func() Status { f, waiter := enqueued(); _, s := f.check(k, waiter); return s - Pending },
		"leave":       func() Status { f, waiter := enqueued(); return f.leave(k, waiter) },
		"setRate":     func() Status { return fresh().setRate(5) },
		"setCapacity": func() Status { return fresh().setCapacity(5) },
		"timeUntil":   func() Status { _, s := fresh().timeUntil(k, 5); return s },
		"settle": func() Status {
			f := fresh()
			p, _ := f.reserve(k, 1, 0)
			return f.settle(k, p, 0)
		},
		"stats": func() Status { _, s := fresh().stats(); return s },
	} {
		if s := call(); s != Success {
			t.Errorf("%s: %v", name, s)
		}
	}
	if tokens := fresh().available(k); tokens != 10 {
		t.Errorf("available: %v", tokens)
	}
	if limit := fresh().limit(); limit.capacity != 10 {
		t.Errorf("limit: %+v", limit)
	}
}

func TestAddressKey(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.1":              "\xc0\x00\x02\x01",
		"192.0.2.1:80":           "\xc0\x00\x02\x01",
		"::ffff:192.0.2.1":       "\xc0\x00\x02\x01",
		"[2001:db8:1:2:3::]:80":  "\x20\x01\x0d\xb8\x00\x01\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00",
		"2001:db8:1:2:ffff::%e0": "\x20\x01\x0d\xb8\x00\x01\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00",
	} {
		if got, err := AddressKey(address, 64); got != want || err != nil {
			t.Errorf("%s: %q, %v", address, got, err)
		}
	}
	for _, bad := range []string{"", "@", "192.0.2", "192.0.2.1:x"} {
		got, err := AddressKey(bad, 64)
		expectError(t, bad, err, ErrInvalidArgument)
		if got != "" {
			t.Errorf("%s: %q beside the error", bad, got)
		}
	}
	_, err := AddressKey("::1", 129)
	expectError(t, "a prefix of 129", err, ErrInvalidArgument)
}
