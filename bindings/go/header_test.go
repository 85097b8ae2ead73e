//go:build cgo

package tokenbucket

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
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

// entries of the header of one kind, as its reader prints them: name, type, and the rest of the line.
func entries(t *testing.T, kind string) [][]string {
	t.Helper()
	table, err := exec.Command("python3", "-B", "../../capi/abi/generate/header.py").Output()
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip("skipped: python3 is not installed")
	}
	if err != nil {
		t.Fatal("header.py: ", err)
	}
	var found [][]string
	for lines := bufio.NewScanner(bytes.NewReader(table)); lines.Scan(); {
		if fields := strings.SplitN(lines.Text(), " ", 4); fields[0] == kind {
			found = append(found, fields[1:])
		}
	}
	return found
}

func TestEveryStatusOfTheHeader(t *testing.T) {
	statuses := map[string]Status{
		"TB_SUCCESS": Success, "TB_DENIED": ErrDenied, "TB_TIMED_OUT": ErrTimedOut,
		"TB_EXCEEDS_CAPACITY": ErrExceedsCapacity, "TB_CLOSED": ErrClosed, "TB_INTERRUPTED": ErrInterrupted,
		"TB_QUEUE_FULL": ErrQueueFull, "TB_TABLE_FULL": ErrTableFull, "TB_PENDING": Pending,
		"TB_E_INVALID_ARGUMENT": ErrInvalidArgument,
		"TB_E_OUT_OF_RANGE":     ErrOutOfRange, "TB_E_OUT_OF_MEMORY": ErrOutOfMemory,
		"TB_E_UNSUPPORTED": ErrUnsupported, "TB_E_SYSTEM": ErrSystem,
		"TB_E_UNAVAILABLE": ErrUnavailable, "TB_E_MISMATCH": ErrMismatch,
	}
	found := entries(t, "status")
	if len(found) != len(statuses) {
		t.Errorf("%d statuses in the header, %d here", len(found), len(statuses))
	}
	for _, f := range found {
		s, known := statuses[f[0]]
		here := strconv.Itoa(int(s)) + " " + strings.TrimPrefix(s.Error(), "tokenbucket: ")
		if !known || s.String() != f[0] || here != f[2] {
			t.Errorf("%s is %s %s", f, s, here)
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
		"tb_wait": true, "tb_wait_for": true, "tb_wait_with": true, "tb_table_wait_for": true, "tb_table_wait_with": true,
		"tb_wait_all": true,
		// Clients of Go read replies themselves.
		"tb_remote_parse": true,
		// Other names of what is bound.
		"tb_create": true, "tb_try_consume": true, "tb_table_create": true,
		// The loader checks the version by the SONAME.
		"tb_library_version": true, "tb_library_version_string": true, "tb_abi_version": true, "tb_has_feature": true,
	}
	binding := ""
	for _, name := range []string{
		"cgo.go", "cgo_table.go", "cgo_limits.go", "cgo_remote.go", "cgo_shared.go", "cgo_told.go",
		"shim.h", "shim_table.h", "shim_limits.h", "shim_remote.h", "shim_shared.h", "shim_told.h",
	} {
		binding += readFile(t, name)
	}
	found := entries(t, "function")
	if len(found) < len(unbound) {
		t.Fatalf("only %d functions found in the header", len(found))
	}
	for _, f := range found {
		called := regexp.MustCompile(`\b` + f[0] + `\(`).MatchString(binding)
		if called == unbound[f[0]] {
			t.Errorf("%s: called %v, listed as unbound %v", f[0], called, unbound[f[0]])
		}
	}
}
