package redigo

import (
	"errors"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tokenbucket"
)

// Limits of these tests gain a token in 1000 seconds, so that nothing but the calls changes them. What accrues while a
// test runs is allowed for.
const (
	slow = 0.001
	slop = 0.1 // tokens: what accrues in 100 seconds
)

func expectTokens(t *testing.T, r *tokenbucket.Remote, key string, want float64) {
	t.Helper()
	got, err := r.Tokens(background, key)
	if err != nil || got < want || got > want+slop {
		t.Errorf("%q has %v tokens, %v, want %v", key, got, err, want)
	}
}

func expectWithin(t *testing.T, what string, got, most time.Duration) {
	t.Helper()
	if got > most || got < most-100*time.Second || got%time.Microsecond != 0 {
		t.Errorf("%s: %v, want at most %v", what, got, most)
	}
}

func TestTake(t *testing.T) {
	r := newRemote(t, 3, slow)
	for left := 2.0; left >= 0; left-- {
		d, err := r.Take(background, "ann", 1)
		if err != nil || d.Remaining < left || d.Remaining > left+slop || d.RetryAfter != 0 {
			t.Errorf("with %v left: %v, %v", left, d, err)
		}
		expectWithin(t, "reset", d.ResetAfter, time.Duration(3-left)*1000*time.Second)
	}
	d, err := r.Take(background, "ann", 2)
	if err != tokenbucket.ErrDenied || d.Remaining > slop {
		t.Errorf("when it is empty: %v, %v", d, err)
	}
	expectWithin(t, "retry", d.RetryAfter, 2000*time.Second)
	if ok, err := r.Allow(background, "ann"); ok || err != nil {
		t.Errorf("Allow when it is empty: %v, %v", ok, err)
	}
	if ok, err := r.AllowN(background, "bob", 3); !ok || err != nil {
		t.Errorf("another key: %v, %v", ok, err)
	}
	until, err := r.TimeUntil(background, "bob", 3)
	if err != nil {
		t.Error(err)
	}
	expectWithin(t, "TimeUntil", until, 3000*time.Second)
	expectTokens(t, r, "nobody", 3)
	if exists := mustCommand(t, "EXISTS", prefixOf(t)+"nobody"); exists != int64(0) {
		t.Error("a look has made a key")
	}
}

// After the wait that is told the tokens are there.
func TestRetryAfterIsTrue(t *testing.T) {
	r := newRemote(t, 1, 1000.0/7)
	if ok, err := r.Allow(background, "a"); !ok || err != nil {
		t.Fatal(ok, err)
	}
	for i := 0; i < 5; i++ {
		d, err := r.Take(background, "a", 1)
		if err == tokenbucket.ErrDenied {
			time.Sleep(d.RetryAfter)
			_, err = r.Take(background, "a", 1)
		}
		if err != nil || d.RetryAfter > 7*time.Millisecond {
			t.Errorf("take %d, after %v: %v", i, d.RetryAfter, err)
		}
	}
}

func TestTakeUpTo(t *testing.T) {
	r := newRemote(t, 3.5, slow)
	for _, c := range []struct{ most, want float64 }{{2, 2}, {math.MaxFloat64, 1}, {5, 0}} {
		if n, err := r.TakeUpTo(background, "a", c.most); n != c.want || err != nil {
			t.Errorf("up to %v: %v, %v, want %v", c.most, n, err, c.want)
		}
	}
	expectTokens(t, r, "a", 0.5)
}

func TestChargeRefundReset(t *testing.T) {
	r := newRemote(t, 10, slow, tokenbucket.WithMaxWait(20000*time.Second)) // owes 20 at most
	repaid, err := r.Charge(background, "a", 15)
	if err != nil {
		t.Fatal(err)
	}
	expectWithin(t, "repaid", repaid, 5000*time.Second)
	expectTokens(t, r, "a", -5)
	if d, err := r.Take(background, "a", 1); err != tokenbucket.ErrDenied || d.Remaining != 0 {
		t.Errorf("in debt: %v, %v", d, err)
	}
	if _, err := r.Charge(background, "a", 16); !errors.Is(err, tokenbucket.ErrOutOfRange) {
		t.Error("more debt than is allowed: ", err)
	}
	if err := r.Refund(background, "a", 7); err != nil {
		t.Error(err)
	}
	expectTokens(t, r, "a", 2)
	if err := r.Reset(background, "a", 4); err != nil {
		t.Error(err)
	}
	expectTokens(t, r, "a", 4)
	if err := r.Reset(background, "a", tokenbucket.InitiallyFull); err != nil {
		t.Error(err)
	}
	if exists := mustCommand(t, "EXISTS", prefixOf(t)+"a"); exists != int64(0) {
		t.Error("a full bucket has a key")
	}
}

func TestAllowMany(t *testing.T) {
	c := &counting{do: doOf(shared.pool)}
	r := newRemoteBy(t, c.ask, 3, slow)
	answers := make([]tokenbucket.Status, 4)
	if _, err := r.Allow(background, "a"); err != nil { // the server knows the script
		t.Fatal(err)
	}
	c.count.Store(0)
	keys := []string{"a", "b", "a", "a"}
	if err := r.AllowMany(background, keys, []float64{2, 3, 1, 0.5}, answers); err != nil {
		t.Fatal(err)
	}
	denied := tokenbucket.ErrDenied
	if want := [4]tokenbucket.Status{0, 0, denied, denied}; *(*[4]tokenbucket.Status)(answers) != want {
		t.Errorf("%v, want %v", answers, want)
	}
	err := r.AllowMany(background, keys[:2], nil, answers[:2])
	if err != nil || answers[0] != denied || answers[1] != denied {
		t.Errorf("again: %v, %v", answers, err)
	}
	if sent := c.count.Load(); sent != 2 {
		t.Errorf("%d commands for two calls", sent)
	}
	most := make([]string, tokenbucket.MaxRemoteKeys)
	for i := range most {
		most[i] = "many" + strings.Repeat("k", i)
	}
	answers = make([]tokenbucket.Status, len(most))
	if err := r.AllowMany(background, most, nil, answers); err != nil {
		t.Fatal(err)
	}
	for i, s := range answers {
		if s != tokenbucket.Success {
			t.Fatalf("key %d: %v", i, s)
		}
	}
	expectTokens(t, r, most[1023], 2)
}

func TestAllOrNothing(t *testing.T) {
	second := newRemote(t, 5, slow, tokenbucket.WithPrefix(prefixOf(t)+"second:"))
	day := newRemote(t, 8, slow, tokenbucket.WithPrefix(prefixOf(t)+"day:"))
	take := func(n, m float64) (tokenbucket.Refusal, error) {
		return tokenbucket.RemoteLimits{second.Member("{ann}", n), day.Member("{ann}", m)}.Take(background)
	}
	if refusal, err := take(3, 6); err != nil || refusal.Member != -1 {
		t.Errorf("%v, %v", refusal, err)
	}
	refusal, err := take(1, 4)
	if err != tokenbucket.ErrDenied || refusal.Member != 1 {
		t.Errorf("the second lacks 2: %v, %v", refusal, err)
	}
	expectWithin(t, "retry", refusal.RetryAfter, 2000*time.Second)
	refusal, err = take(5, 3)
	if err != tokenbucket.ErrDenied || refusal.Member != 0 {
		t.Errorf("the first lacks 3, the second 1: %v, %v", refusal, err)
	}
	expectWithin(t, "retry", refusal.RetryAfter, 3000*time.Second)
	expectTokens(t, second, "{ann}", 2)
	expectTokens(t, day, "{ann}", 2)
	left := tokenbucket.RemoteLimits{second.Member("{ann}", 2), day.Member("{ann}", 2)}
	if ok, err := left.Allow(background); !ok || err != nil {
		t.Errorf("what is left: %v, %v", ok, err)
	}
}

// The script is lost by SCRIPT FLUSH, as by a restart or a failover.
func TestNoScript(t *testing.T) {
	c := &counting{do: doOf(shared.pool)}
	r := newRemoteBy(t, c.ask, 10, slow)
	flush := func() { mustCommand(t, "SCRIPT", "FLUSH") }
	flush()
	for i, want := range []string{"EVALSHA EVAL", "EVALSHA"} {
		if ok, err := r.Allow(background, "a"); !ok || err != nil {
			t.Errorf("take %d: %v, %v", i, ok, err)
		}
		if sent := c.sent(); sent != want {
			t.Errorf("take %d: sent %s, want %s", i, sent, want)
		}
	}
	flush()
	if reservation, err := r.ReserveN(background, "a", 3); err != nil || reservation.Delay() != 0 {
		t.Error("Reserve: ", err)
	}
	flush()
	if err := r.AllowMany(background, []string{"a", "b"}, nil, make([]tokenbucket.Status, 2)); err != nil {
		t.Error("AllowMany: ", err)
	}
	if sent := c.sent(); sent != "EVALSHA EVAL EVALSHA EVAL" {
		t.Error("sent ", sent)
	}
	expectTokens(t, r, "a", 4)
}

// A key that holds something else is an error, no denial, and no policy grants it.
func TestWrongType(t *testing.T) {
	r := newRemote(t, 10, slow, tokenbucket.WithOnUnavailable(tokenbucket.FailOpen))
	mustCommand(t, "RPUSH", prefixOf(t)+"list", "1")
	mustCommand(t, "SET", prefixOf(t)+"text", "abc")
	mustCommand(t, "RPUSH", "q:{"+prefixOf(t)+"queue}", "1")
	errs := map[string]error{}
	_, errs["list"] = r.Take(background, "list", 1)
	_, errs["text"] = r.Allow(background, "text")
	errs["list, Wait"] = r.Wait(background, "list")
	_, errs["queue, Reserve"] = r.ReserveN(background, "queue", 10)
	_, errs["queue, Charge"] = r.Charge(background, "queue", 11)
	errs["among many"] = r.AllowMany(background, []string{"x", "list"}, nil, make([]tokenbucket.Status, 2))
	for what, err := range errs {
		var remote *tokenbucket.RemoteError
		if !errors.Is(err, tokenbucket.ErrMismatch) || !errors.As(err, &remote) || errors.Is(err, tokenbucket.ErrDenied) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// All bytes are keys, each of its own.
func TestKeys(t *testing.T) {
	r := newRemote(t, 5, slow, tokenbucket.WithPrefix(prefixOf(t)+"{all}:"))
	every := ""
	for b := 0; b < 256; b++ {
		every += string([]byte{byte(b)})
	}
	keys := []string{"", every, strings.Repeat("k", 60000)}
	for b := range every {
		keys = append(keys, every[b:b+1])
	}
	for _, key := range keys {
		if ok, err := r.AllowN(background, key, 4); !ok || err != nil {
			t.Errorf("%.20q: %v, %v", key, ok, err)
		}
		if exists := mustCommand(t, "EXISTS", prefixOf(t)+"{all}:"+key); exists != int64(1) {
			t.Errorf("%.20q: no such key", key)
		}
		if reservation, err := r.ReserveN(background, key, 2); err != nil || reservation.Delay() == 0 {
			t.Errorf("reserving of %.20q: %v", key, err)
		}
		if exists := mustCommand(t, "EXISTS", "q:"+prefixOf(t)+"{all}:"+key); exists != int64(1) {
			t.Errorf("%.20q: no second key", key)
		}
	}
	for _, key := range keys {
		expectTokens(t, r, key, -1)
	}
}

// Many processes and goroutines are one limit.
func TestFleet(t *testing.T) {
	const processes, goroutines, each = 3, 4, 20
	var granted atomic.Int64
	var done sync.WaitGroup
	for p := 0; p < processes; p++ {
		r := newRemote(t, 100, slow)
		for g := 0; g < goroutines; g++ {
			done.Add(1)
			go func() {
				defer done.Done()
				for i := 0; i < each; i++ {
					if ok, err := r.Allow(background, "a"); err != nil {
						t.Error(err)
					} else if ok {
						granted.Add(1)
					}
				}
			}()
		}
	}
	done.Wait()
	if granted.Load() != 100 {
		t.Errorf("%d granted, want 100", granted.Load())
	}
}
