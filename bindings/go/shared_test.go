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
	"strings"
	"syscall"
	"testing"
	"time"
)

const sharedSlow = 1e-6 // next to nothing accrues during a test

// sharedName is a name of the test's own, which is removed in the end.
func sharedName(t *testing.T) string {
	t.Helper()
	name := fmt.Sprintf("tokenbucket-go-%d-%s", os.Getpid(), t.Name())
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

// The other process takes four tokens, then waits until its standard input ends, and closes the limiter. Of a table it
// takes four tokens of a key, and closes nothing.
const (
	sharedChild      = "TOKENBUCKET_TEST_SHARED"
	sharedTableChild = "TOKENBUCKET_TEST_SHARED_TABLE"
)

func TestMain(m *testing.M) {
	if name, isChild := os.LookupEnv(sharedTableChild); isChild {
		table, err := OpenSharedTable(name, 10, sharedSlow, 100)
		fmt.Println(err, table.AllowN("ann", 4), table.AllowN("ann", 7))
		return
	}
	name, isChild := os.LookupEnv(sharedChild)
	if !isChild {
		os.Exit(m.Run())
	}
	l, err := OpenShared(name, 10, sharedSlow)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(l.AllowN(4), l.AllowN(7))
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := l.Close(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func TestSharedWithAnotherProcess(t *testing.T) {
	name := sharedName(t)
	l := openForTest(t, name, 10, sharedSlow)
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), sharedChild+"="+name)
	child.Stderr = os.Stderr
	input, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if line, _ := bufio.NewReader(output).ReadString('\n'); line != "true false\n" {
		t.Errorf("the other process says %q", line)
	}
	if l.AllowN(7) || !l.AllowN(6) {
		t.Error("the other process has taken from something else")
	}
	waited := make(chan error, 1)
	go func() { waited <- l.WaitN(context.Background(), 5) }()
	for l.Tokens() > -4 {
		time.Sleep(time.Millisecond)
	}
	input.Close()
	select {
	case err := <-waited:
		if err != ErrClosed {
			t.Error("the wait: ", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("a close by another process does not end a wait")
	}
	if err := child.Wait(); err != nil {
		t.Error(err)
	}
}

// The wait learns of what another handle does, as of what another process does, by asking.
func TestSharedWaitsAskForWhatOthersChange(t *testing.T) {
	name := sharedName(t)
	a, b := openForTest(t, name, 10, sharedSlow), openForTest(t, name, 10, sharedSlow)
	a.AllowN(10)
	waited := make(chan error, 1)
	go func() { waited <- a.WaitN(context.Background(), 2) }()
	for b.Tokens() > -1 {
		time.Sleep(time.Millisecond)
	}
	if err := b.Refund(2); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-waited:
		if err != nil {
			t.Error("the wait: ", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("tokens put in by another handle do not end a wait")
	}

	ctx, cancel := context.WithCancel(context.Background())
	go func() { waited <- a.WaitN(ctx, 3) }()
	for b.Tokens() > -2 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-waited; err != context.Canceled || b.Tokens() < -1 {
		t.Error("a wait that was cancelled: ", err, b.Tokens())
	}
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

// No wait, also where all is there.
func TestSharedMember(t *testing.T) {
	l := openForTest(t, sharedName(t), 10, sharedSlow)
	limits := Limits{l.Member(5), newLimiter(t, 10, sharedSlow).Member(1)}
	if ok := limits.Allow(); !ok {
		t.Error("denied")
	}
	if err := limits.Wait(context.Background()); !errors.Is(err, ErrUnsupported) || l.Tokens() < 5 {
		t.Error("Wait: ", err, l.Tokens())
	}
}
