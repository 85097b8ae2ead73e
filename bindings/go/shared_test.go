//go:build cgo

package tokenbucket

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"strings"
	"syscall"
	"testing"
	"time"
)

const sharedSlow = 1e-6 // next to nothing accrues during a test

// sharedName is a name of the test's own, which is removed in the end.
func sharedName(t *testing.T) string {
	t.Helper()
	name := fmt.Sprintf("tokenbucket-go-%d-%s", os.Getpid(), path.Base(t.Name()))
	if err := RemoveShared(name); err == ErrUnsupported {
		t.Skip("skipped: the library has no shared memory here")
	}
	t.Cleanup(func() {
		if err := RemoveShared(name); err != nil {
			t.Error("RemoveShared: ", err)
		}
	})
	return name
}

func openForTest(t *testing.T, name string, capacity, rate float64, options ...Option) *Limiter {
	t.Helper()
	l, err := OpenShared(name, capacity, rate, options...)
	if err != nil {
		t.Fatal("OpenShared: ", err)
	}
	return l
}

func TestSharedTokensAreThoseOfAll(t *testing.T) {
	name := sharedName(t)
	a, b := openForTest(t, name, 10, sharedSlow), openForTest(t, name, 10, sharedSlow)
	if !a.AllowN(6) || b.AllowN(5) || !b.AllowN(4) || a.Allow() {
		t.Error("two handles have tokens of their own")
	}
	if err := b.SetLimit(3); err != nil || a.Limit() != 3 {
		t.Error("SetLimit: ", a.Limit(), err)
	}
}

// sharedLimit is a limiter, or a key of a table, of which all that is said of shared waits and reservations holds.
type sharedLimit interface {
	AllowN(n float64) bool
	Tokens() float64
	Refund(n float64) error
	WaitN(ctx context.Context, n float64) error
	ReserveWithin(n float64, max time.Duration) *Reservation
	Member(n float64) Member
	Close() error
}

type keyOfTable struct{ *Table }

func (k keyOfTable) AllowN(n float64) bool   { return k.Table.AllowN("ann", n) }
func (k keyOfTable) Tokens() float64         { return k.Table.Tokens("ann") }
func (k keyOfTable) Refund(n float64) error  { return k.Table.Refund("ann", n) }
func (k keyOfTable) Member(n float64) Member { return k.Table.Member("ann", n) }
func (k keyOfTable) WaitN(ctx context.Context, n float64) error {
	return k.Table.WaitN(ctx, "ann", n)
}

func (k keyOfTable) ReserveWithin(n float64, max time.Duration) *Reservation {
	return k.Table.ReserveWithin("ann", n, max)
}

var sharedLimits = map[string]func(name string, options ...Option) (sharedLimit, error){
	"limiter": func(name string, options ...Option) (sharedLimit, error) {
		return OpenShared(name, 10, sharedSlow, options...)
	},
	"key": func(name string, options ...Option) (sharedLimit, error) {
		table, err := OpenSharedTable(name, 10, sharedSlow, 100, options...)
		return keyOfTable{table}, err
	},
}

// ofEachShared runs the test for each kind; opened returns a handle of its own.
func ofEachShared(t *testing.T, test func(t *testing.T, kind, name string, opened func(...Option) sharedLimit)) {
	for kind := range sharedLimits {
		t.Run(t.Name()+"-"+kind, func(t *testing.T) {
			name := sharedName(t)
			test(t, kind, name, func(options ...Option) sharedLimit {
				l, err := sharedLimits[kind](name, options...)
				if err == ErrUnsupported {
					t.Skip("skipped: the library has no such shared memory here")
				}
				expectError(t, "opening", err, nil)
				return l
			})
		})
	}
}

// The other process takes four tokens, puts five in when told so, and closes the limit when its standard input ends.
const sharedChild = "TOKENBUCKET_TEST_SHARED" // the kind and the name

func TestMain(m *testing.M) {
	which, isChild := os.LookupEnv(sharedChild)
	if !isChild {
		os.Exit(m.Run())
	}
	kind, name, _ := strings.Cut(which, " ")
	l, err := sharedLimits[kind](name)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(l.AllowN(4), l.AllowN(7))
	for told := bufio.NewScanner(os.Stdin); err == nil && told.Scan(); {
		err = l.Refund(5)
	}
	if err == nil {
		err = l.Close()
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func TestSharedWithAnotherProcess(t *testing.T) {
	ofEachShared(t, func(t *testing.T, kind, name string, opened func(...Option) sharedLimit) {
		l := opened()
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), sharedChild+"="+kind+" "+name)
		child.Stderr = os.Stderr
		input, err := child.StdinPipe()
		expectError(t, "StdinPipe", err, nil)
		output, err := child.StdoutPipe()
		expectError(t, "StdoutPipe", err, nil)
		expectError(t, "Start", child.Start(), nil)
		if line, _ := bufio.NewReader(output).ReadString('\n'); line != "true false\n" {
			t.Errorf("the other process says %q", line)
		}
		if l.AllowN(7) || !l.AllowN(6) {
			t.Error("the other process has taken from something else")
		}
		waited := waitingForShared(t, l, background, 5)
		_, err = io.WriteString(input, "\n")
		expectError(t, "telling it", err, nil)
		expectSoon(t, "a wait for what another process puts in", waited, nil)
		waited = waitingForShared(t, l, background, 5)
		input.Close()
		expectSoon(t, "a wait when another process closes", waited, ErrClosed)
		expectError(t, "the other process", child.Wait(), nil)
	})
}

// waitingForShared is waiting, for a limit that gains a little meanwhile.
func waitingForShared(t *testing.T, l sharedLimit, ctx context.Context, n float64) <-chan error {
	t.Helper()
	before := l.Tokens()
	answer := make(chan error, 1)
	go func() { answer <- l.WaitN(ctx, n) }()
	eventually(t, "reserving", func() bool { return l.Tokens() < before-n+0.5 })
	return answer
}

// Soon is long before the tokens are due.
func expectSoon(t *testing.T, what string, answer <-chan error, want error) {
	t.Helper()
	select {
	case err := <-answer:
		expectError(t, what, err, want)
	case <-time.After(10 * time.Second):
		t.Error(what, ": it does not end")
	}
}

// The wait learns of what another handle does, as of what another process does, by asking.
func TestSharedWaitsAskForWhatOthersChange(t *testing.T) {
	ofEachShared(t, func(t *testing.T, _, _ string, opened func(...Option) sharedLimit) {
		a, b := opened(), opened(WithMaxWaiters(1))
		a.AllowN(10)
		limited, cancel := context.WithTimeout(background, time.Minute)
		defer cancel()
		waited := waitingForShared(t, a, background, 2)
		if b.AllowN(1) {
			t.Error("a take overtakes a wait of the other handle")
		}
		expectError(t, "another wait", b.WaitN(limited, 1), ErrQueueFull)
		expectError(t, "Refund", b.Refund(2), nil)
		expectSoon(t, "a wait for what another handle puts in", waited, nil)

		ctx, leave := context.WithCancel(background)
		waited = waitingForShared(t, a, ctx, 3)
		leave()
		expectSoon(t, "a wait that was cancelled", waited, context.Canceled)
		expectTokensNear(t, b, 0)

		var late *TimeoutError
		if err := a.WaitN(limited, 3); !errors.As(err, &late) || late.N != 3 || late.RetryAfter < time.Hour {
			t.Error("a wait beyond its deadline: ", err)
		}
		expectTokensNear(t, b, 0)

		waited = waitingForShared(t, a, background, 2)
		expectError(t, "Close", b.Close(), nil)
		expectSoon(t, "a wait when the other handle is closed", waited, ErrClosed)
	})
}

func expectTokensNear(t *testing.T, l sharedLimit, want float64) {
	t.Helper()
	if got := l.Tokens(); got < want || got > want+0.5 {
		t.Errorf("%v tokens, want %v", got, want)
	}
}

func TestSharedReservations(t *testing.T) {
	ofEachShared(t, func(t *testing.T, kind, _ string, opened func(...Option) sharedLimit) {
		a, b := opened(), opened()
		a.AllowN(10)
		first, second := a.ReserveWithin(3, InfDuration), b.ReserveWithin(4, InfDuration)
		expectError(t, "first", first.Err(), nil)
		expectError(t, "second", second.Err(), nil)
		expectTokensNear(t, b, -7)
		first.Cancel()
		expectTokensNear(t, b, -4)
		expectError(t, "Settle", second.Settle(1), nil)
		expectTokensNear(t, a, -1)
		expectError(t, "within a minute", a.ReserveWithin(3, time.Minute).Err(), ErrTimedOut)
		expectTokensNear(t, b, -1)

		most := map[string]int{"limiter": 1000, "key": 128}[kind]
		for i := 1; i < most; i++ {
			expectError(t, fmt.Sprint("reservation ", i), a.ReserveWithin(1, InfDuration).Err(), nil)
		}
		expectError(t, "one too many", b.ReserveWithin(1, InfDuration).Err(), ErrOutOfMemory)
		expectTokensNear(t, b, float64(-most))
	})
}

// They grant and reserve, but nobody waits for them, also where all is there.
func TestSharedMembers(t *testing.T) {
	ofEachShared(t, func(t *testing.T, _, _ string, opened func(...Option) sharedLimit) {
		a, b, own := opened(), opened(), newLimiter(t, 10, sharedSlow)
		both := Limits{a.Member(5), own.Member(1)}
		const want = "tokenbucket: members must be made by New or NewTable, none in shared memory, to wait for all of " +
			"them; else sleep for the RetryAfter of Take, and try again"
		err := both.Wait(background)
		expectError(t, "Wait", err, ErrUnsupported)
		if fmt.Sprint(err) != want {
			t.Errorf("%v, want %s", err, want)
		}
		if b.Tokens() != 10 || own.Tokens() != 10 {
			t.Error("a wait that is not supported took: ", b.Tokens(), own.Tokens())
		}
		if !both.Allow() {
			t.Error("denied")
		}
		expectTokensNear(t, b, 5)
		b.AllowN(5)
		reserved := both.Reserve()
		expectError(t, "Reserve", reserved.Err(), nil)
		if reserved.Delay() < time.Hour || own.Tokens() >= 9 {
			t.Error("reserved: ", reserved.Delay(), own.Tokens())
		}
		expectTokensNear(t, b, -5)
		reserved.Cancel()
		expectTokensNear(t, b, 0)
		if own.Tokens() < 9 {
			t.Error("Cancel: ", own.Tokens())
		}
	})
}

func expectMismatch(t *testing.T, name string, err error, what string) {
	t.Helper()
	var shared *SharedError
	if !errors.Is(err, ErrMismatch) || !errors.As(err, &shared) || shared.Name != name ||
		err.Error() != ErrMismatch.Error()+": "+name+": "+what {
		t.Errorf("%v\n    want: %s", err, what)
	}
}

func TestSharedMismatch(t *testing.T) {
	name := sharedName(t)
	openForTest(t, name, 10, 1)
	for what, open := range map[string]func() (*Limiter, error){
		"capacity must be 10, which WithAdopt takes, got 11": func() (*Limiter, error) {
			return OpenShared(name, 11, 1)
		},
		"tokensPerSecond must be 1, which WithAdopt takes, got 2": func() (*Limiter, error) {
			return OpenShared(name, 10, 2)
		},
		"tokensPerSecond must be 60 per 1m0s, which WithAdopt takes, got 90 per 1m0s": func() (*Limiter, error) {
			return OpenShared(name, 10, 90, WithPeriod(time.Minute))
		},
	} {
		l, err := open()
		if l != nil {
			t.Error(what, ": opened")
		}
		expectMismatch(t, name, err, what)
	}
	if l := openForTest(t, name, 99, 99, WithAdopt()); l.Burst() != 10 || l.Limit() != 1 {
		t.Error("adopted: ", l.Burst(), l.Limit())
	}
	openForTest(t, name, 10, 60, WithPeriod(time.Minute))
}

func TestSharedNameThatWasRemoved(t *testing.T) {
	name := sharedName(t)
	old := openForTest(t, name, 10, sharedSlow)
	if err := RemoveShared(name); err != nil {
		t.Fatal(err)
	}
	fresh := openForTest(t, name, 5, sharedSlow, WithInitialTokens(2))
	if !old.AllowN(10) || !fresh.AllowN(2) || fresh.Allow() {
		t.Error("a new bucket of the name is the old one")
	}
}

func TestSharedBadArguments(t *testing.T) {
	name := sharedName(t)
	for _, bad := range []string{"", ".", "a/b", "a\x00b", strings.Repeat("x", 2000)} {
		if l, err := OpenShared(bad, 10, 1); l != nil || !errors.Is(err, ErrInvalidArgument) {
			t.Errorf("%.10q: %v", bad, err)
		}
		if err := RemoveShared(bad); !errors.Is(err, ErrInvalidArgument) {
			t.Errorf("RemoveShared of %.10q: %v", bad, err)
		}
	}
	for what, option := range map[string]Option{
		"a clock":  WithClock(newManualClock(t)),
		"a table":  WithMaxBytes(1 << 20),
		"a prefix": WithPrefix("a"),
	} {
		if _, err := OpenShared(name, 10, 1, option); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := OpenShared(name, -1, 1); !errors.Is(err, ErrOutOfRange) {
		t.Error("a negative capacity: ", err)
	}
	_, err := OpenShared("/no/such/folder", 10, 1)
	if !errors.Is(err, ErrSystem) || !errors.Is(err, syscall.ENOENT) || !errors.Is(err, fs.ErrNotExist) {
		t.Error("a folder that is not there: ", err)
	}
	if _, err := New(1, 1, WithAdopt()); !errors.Is(err, ErrUnsupported) {
		t.Error("New: ", err)
	}
	if _, err := NewTable(1, 1, 1, WithAdopt()); !errors.Is(err, ErrUnsupported) {
		t.Error("NewTable: ", err)
	}
	if _, err := NewRemote(new(fakeServer).do, 1, 1, WithAdopt()); !errors.Is(err, ErrUnsupported) {
		t.Error("NewRemote: ", err)
	}
}
