//go:build !cgo

package tokenbucket

import (
	"context"
	"strings"
	"testing"
)

func TestWithoutCgoCreatingSaysWhatIsMissing(t *testing.T) {
	l, err := New(10, 2)
	if l != nil || err == nil || !strings.Contains(err.Error(), "CGO_ENABLED=1") ||
		!strings.Contains(err.Error(), "sudo apt install gcc pkg-config") {
		t.Errorf("New: %v, %v", l, err)
	}
	c, err := NewManualClock(0)
	if c != nil || err == nil || !strings.Contains(err.Error(), "CGO_ENABLED=1") {
		t.Errorf("NewManualClock: %v, %v", c, err)
	}
	table, err := NewTable(10, 2, 100)
	if table != nil || err == nil || !strings.Contains(err.Error(), "CGO_ENABLED=1") {
		t.Errorf("NewTable: %v, %v", table, err)
	}
	shared, err := OpenSharedTable("name", 10, 2, 100)
	if shared != nil || err == nil || !strings.Contains(err.Error(), "CGO_ENABLED=1") {
		t.Errorf("OpenSharedTable: %v, %v", shared, err)
	}
	var zero Limiter
	if zero.Allow() {
		t.Error("the zero Limiter granted")
	}
	both := Limits{zero.Member(1), new(Table).Member("a", 1)}
	if both.Allow() || both.Wait(context.Background()) != ErrUnsupported || both.Reserve().Err() != ErrUnsupported {
		t.Error("zero Limits granted")
	}
}
