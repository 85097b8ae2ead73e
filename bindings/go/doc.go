// Package tokenbucket is an exact, lock-free token-bucket rate limiter.
//
// A [Limiter] holds at most its capacity of tokens, and gains tokens evenly, to the nanosecond. Work takes tokens. When
// there are not enough, it is denied ([Limiter.Allow], [Limiter.Take]), told when to come back ([Limiter.Reserve]), or
// waits ([Limiter.Wait]). In any window of w seconds at most capacity + rate * w tokens are granted. All methods may be
// called from any number of goroutines at once.
//
// A [Table] has a limit for each of many keys, such as users or addresses, in memory that is fixed when it is created.
// [Limits] are several limits in one decision: all grant, or nothing is taken. [OpenShared] and [OpenSharedTable] open
// a limiter or a table for all processes of a host, and a [Remote] is one for all hosts of a fleet, on a server of Redis
// or Valkey. Package tokenbucket/httplimit has what HTTP and gRPC servers and clients need.
//
// The work is done by the C library libtokenbucket, which pkg-config finds when the program is built. A call costs what a
// cgo call costs, and allocates nothing. A goroutine that waits sleeps in Go, never in C: it occupies no thread.
//
// # Coming from golang.org/x/time/rate
//
// Package tokenbucket/rate has the API of x/time/rate: change the import, and nothing else. This package has what that API
// has no room for. Its names are the same where they mean the same, with these differences:
//
//   - rate.NewLimiter(r, b) is [New](b, r): the capacity first, as in all languages of the library, and with an error.
//   - Amounts are float64, because 0.1 tokens are exact here and a limiter may hold up to 1e15. For an int variable write
//     AllowN(float64(n)): a method of Go cannot take either. 0 tokens are no amount.
//   - AllowN and ReserveN take no time. They answer for the present of the limiter's clock; tests and simulations give it
//     a [ManualClock].
//   - An error says why: a [Status] that errors.Is compares, such as ErrExceedsCapacity; an [*ArgumentError] with the
//     argument, its value and the range; a [*TimeoutError], which is context.DeadlineExceeded too.
//   - Waits are planned anew when the limit changes, or when one before them leaves; see [Limiter.WaitPriority].
//   - There is no Inf and no limit of 0: New([MaxBurst], [MaxLimit]) denies nothing that a program can ask for, and
//     [MinLimit] is one token in 31 years.
package tokenbucket
