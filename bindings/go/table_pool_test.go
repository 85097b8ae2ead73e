//go:build cgo && !tokenbucket_gc && !race

package tokenbucket

import "testing"

// The keys are gathered in what comes from a sync.Pool, which forgets at random under the race detector.
func TestAllowManyAllocatesNothing(t *testing.T) {
	table := newTableOf[string](t, 10, 60, 100)
	keys, answers := []string{"a", "b", ""}, make([]Status, 3)
	for _, amounts := range [][]float64{nil, {1, 2, 3}} {
		if n := testing.AllocsPerRun(1000, func() { _ = table.AllowMany(keys, amounts, answers) }); n != 0 {
			t.Errorf("%v times", n)
		}
	}
}
