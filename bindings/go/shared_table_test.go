//go:build cgo

package tokenbucket

import (
	"errors"
	"math"
	"os"
	"strings"
	"syscall"
	"testing"
)

func openTableForTest(t *testing.T, name string, options ...Option) *Table {
	t.Helper()
	table, err := OpenSharedTable(name, 10, sharedSlow, 100, options...)
	if err == ErrUnsupported {
		t.Skip("skipped: the library has no shared tables here")
	}
	if err != nil {
		t.Fatal("OpenSharedTable: ", err)
	}
	return table
}

func TestSharedTableIsThatOfAll(t *testing.T) {
	name := sharedName(t)
	a := openTableForTest(t, name)
	b, err := OpenSharedTableOf[[]byte](name, 10, sharedSlow, 100)
	expectError(t, "OpenSharedTableOf", err, nil)
	ann := []byte("ann")
	if !a.AllowN("ann", 6) || b.AllowN(ann, 5) || !b.AllowN(ann, 4) || a.Allow("ann") || !b.AllowN([]byte("bob"), 10) {
		t.Error("two handles have tokens of their own")
	}
	if err := b.SetBurst(20); err != nil || a.Burst() != 20 {
		t.Error("SetBurst: ", a.Burst(), err)
	}
	expectError(t, "Remove", a.Remove("ann"), nil)
	if !b.AllowN(ann, 20) {
		t.Error("Remove is not for all")
	}
	expectError(t, "Close", a.Close(), nil)
	_, err = b.Take(ann, 1)
	expectError(t, "Take after the other's Close", err, ErrClosed)
	_, err = OpenSharedTable(name, 10, sharedSlow, 100, WithAdopt())
	expectError(t, "opening after Close", err, ErrClosed)
	if err == nil || !strings.HasSuffix(err.Error(), name+": until RemoveShared removes the name") {
		t.Error("opening after Close: ", err)
	}
	expectError(t, "RemoveShared", RemoveShared(name), nil)
	if !openTableForTest(t, name).AllowN("ann", 10) {
		t.Error("a new table of the name is the old one")
	}
}

func TestSharedTableMismatch(t *testing.T) {
	name := sharedName(t)
	openTableForTest(t, name)
	open := func(capacity, rate float64, keys int, options ...Option) error {
		table, err := OpenSharedTable(name, capacity, rate, keys, options...)
		if table != nil {
			t.Error("opened")
		}
		return err
	}
	for what, err := range map[string]error{
		"capacity must be 10, which WithAdopt takes, got 11":                   open(11, sharedSlow, 100),
		"tokensPerSecond must be 1e-06, which WithAdopt takes, got 2":          open(10, 2, 100),
		"keys must be what is in force there, which WithAdopt takes, got 9999": open(10, sharedSlow, 9999),
		"WithMaxBytes must be what is in force there, which WithAdopt takes, got 64": open(10, sharedSlow, 0,
			WithMaxBytes(64)),
		"WithWhenFull must be what is in force there, which WithAdopt takes, got DenyNew": open(10, sharedSlow, 100,
			WithWhenFull(DenyNew)),
	} {
		expectMismatch(t, name, err, what)
	}
	const object = "the shared memory is a bucket and no table, or the reverse"
	_, err := OpenShared(name, 10, sharedSlow, WithAdopt())
	expectMismatch(t, name, err, object)

	adopted, err := OpenSharedTable(name, 99, 99, 9999, WithWhenFull(DenyNew), WithAdopt())
	expectError(t, "WithAdopt", err, nil)
	if adopted.Burst() != 10 || adopted.Limit() != sharedSlow {
		t.Error("adopted: ", adopted)
	}
	expectError(t, "RemoveShared", RemoveShared(name), nil)
	openForTest(t, name, 10, sharedSlow)
	expectMismatch(t, name, open(10, sharedSlow, 100, WithAdopt()), object)
}

func TestSharedTableBadArguments(t *testing.T) {
	name := sharedName(t)
	openTableForTest(t, name)
	expectError(t, "RemoveShared", RemoveShared(name), nil)
	open := func(capacity float64, keys int, options ...Option) func() (*Table, error) {
		return func() (*Table, error) { return OpenSharedTable(name, capacity, 1, keys, options...) }
	}
	named := func(name string) func() (*Table, error) {
		return func() (*Table, error) { return OpenSharedTable(name, 10, 1, 100) }
	}
	const aName = "name must be the name of a file, without a slash or a leading dot, or an absolute path, got "
	for want, open := range map[string]func() (*Table, error){
		"capacity must be from 1e-6 to 1e15 tokens, got 0":      open(0, 100),
		"keys must be 1 or more, or 0 with WithMaxBytes, got 0": open(10, 0),
		aName + `"a/b"`:    named("a/b"),
		aName + `"a\x00b"`: named("a\x00b"),
		"WithMaxWaiters must be 0 or more, got -1":                  open(10, 100, WithMaxWaiters(-1)),
		"WithMaxLateness must be 0 or more, got -1ns":               open(10, 100, WithMaxLateness(-1)),
		"WithClock must be left out for a Table of OpenSharedTable": open(10, 100, WithClock(newManualClock(t))),
	} {
		table, err := open()
		var argument *ArgumentError
		if table != nil || !errors.As(err, &argument) || argument.text() != want {
			t.Errorf("%v\n    want: %s", err, want)
		}
	}
	if _, err := named("/no/such/folder")(); !errors.Is(err, syscall.ENOENT) {
		t.Error("a folder that is not there: ", err)
	}
	if _, err := open(10, math.MaxInt)(); !errors.Is(err, ErrOutOfRange) && !errors.Is(err, ErrSystem) {
		t.Error("more keys than there is memory: ", err)
	}
	s := newSettings(10, 1, nil)
	if field := s.differing(ErrSystem, int32(syscall.EACCES)); field != "" {
		t.Error("memory of another user differs in ", field)
	}
	if _, err := os.Stat("/dev/shm/" + name); err == nil {
		t.Error("what was refused has left a file")
	}
}
