//go:build cgo

package tokenbucket

import (
	"os"
	"regexp"
	"strconv"
	"testing"
)

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

const headerFile = "../../capi/include/tokenbucket.h"

func TestEveryStatusOfTheHeader(t *testing.T) {
	statuses := map[string]Status{
		"TB_SUCCESS": Success, "TB_DENIED": ErrDenied, "TB_TIMED_OUT": ErrTimedOut,
		"TB_EXCEEDS_CAPACITY": ErrExceedsCapacity, "TB_CLOSED": ErrClosed, "TB_INTERRUPTED": ErrInterrupted,
		"TB_QUEUE_FULL": ErrQueueFull, "TB_TABLE_FULL": ErrTableFull, "TB_E_INVALID_ARGUMENT": ErrInvalidArgument,
		"TB_E_OUT_OF_RANGE": ErrOutOfRange, "TB_E_OUT_OF_MEMORY": ErrOutOfMemory,
		"TB_E_UNSUPPORTED": ErrUnsupported, "TB_E_SYSTEM": ErrSystem,
	}
	line := regexp.MustCompile(`X\((TB_\w+), (-?\d+), "([^"]*)"\)`)
	found := line.FindAllStringSubmatch(readFile(t, headerFile), -1)
	if len(found) != len(statuses) {
		t.Errorf("%d statuses in the header, %d here", len(found), len(statuses))
	}
	for _, f := range found {
		name, message := f[1], "tokenbucket: "+f[3]
		number, err := strconv.Atoi(f[2])
		if err != nil {
			t.Fatal(err)
		}
		s, known := statuses[name]
		if !known || int(s) != number || s.String() != name || s.Error() != message {
			t.Errorf("%s %d %q is here %v %d %q", name, number, message, s, s, s.Error())
		}
	}
	if unknown := Status(99); unknown.String() != "TB_UNKNOWN" {
		t.Errorf("status 99 is %v", unknown)
	}
}

// A new function of the header is bound, or listed here.
func TestEveryFunctionOfTheHeader(t *testing.T) {
	unbound := map[string]bool{
		// They block a thread.
		"tb_wait": true, "tb_wait_for": true,
		// It calls from C into Go each time the clock is read.
		"tb_callback_clock_create": true,
		// Other names of what is bound.
		"tb_create": true, "tb_try_consume": true,
		// Who waits in C; Go never does, and counts its own.
		"tb_manual_clock_waiters": true,
		// The loader checks the version by the SONAME.
		"tb_library_version": true, "tb_library_version_string": true, "tb_abi_version": true, "tb_has_feature": true,
	}
	binding := readFile(t, "cgo.go") + readFile(t, "shim.h")
	declaration := regexp.MustCompile(`(?m)^TB_API [^;(]*?(tb_\w+)\(`)
	found := declaration.FindAllStringSubmatch(readFile(t, headerFile), -1)
	if len(found) < len(unbound) {
		t.Fatalf("only %d functions found in the header", len(found))
	}
	for _, f := range found {
		called := regexp.MustCompile(`\b` + f[1] + `\(`).MatchString(binding)
		if called == unbound[f[1]] {
			t.Errorf("%s: called %v, listed as unbound %v", f[1], called, unbound[f[1]])
		}
	}
}
