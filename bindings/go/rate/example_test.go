//go:build cgo

package rate_test

import (
	"fmt"
	"time"

	"tokenbucket/rate"
)

func Example() {
	limiter := rate.NewLimiter(rate.Every(time.Second), 2)
	now, n := time.Now(), 2
	fmt.Println(limiter.AllowN(now, n), limiter.AllowN(now, 1), limiter.AllowN(now.Add(time.Second), 1))
	// Output:
	// true false true
}
