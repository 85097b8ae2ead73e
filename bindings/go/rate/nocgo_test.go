//go:build !cgo

package rate

import (
	"fmt"
	"strings"
	"testing"
)

func TestWithoutCgoTheFirstCallSaysWhatIsMissing(t *testing.T) {
	defer func() {
		if text := fmt.Sprint(recover()); !strings.Contains(text, "CGO_ENABLED=1") {
			t.Error("panic: ", text)
		}
	}()
	NewLimiter(1, 1).Allow()
}
