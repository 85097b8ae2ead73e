// Package tokenbucket is an exact, lock-free token-bucket rate limiter.
//
// A [Limiter] holds at most its burst of tokens and gains tokens evenly, to the nanosecond. Work takes tokens; when
// there are not enough it is denied ([Limiter.Allow], [Limiter.Take]), told when to come back ([Limiter.Reserve]), or
// waits ([Limiter.Wait]). In any window of w seconds at most burst + rate * w tokens are granted. All methods may be
// called from any number of goroutines at once.
//
// A [Table] is a limit for each of many keys, such as users or addresses, in memory that is fixed when it is created.
// [Limits] are several limits in one decision: all grant, or nothing is taken. [OpenShared] opens one limit for all
// processes of a host, and a [Remote] is one for those of a fleet, on a server of Redis or Valkey.
//
// The work is done by the C library libtokenbucket, found by pkg-config when the program is built. A call costs what a
// cgo call costs, and allocates nothing. Those who wait stand in the library's queue and sleep in Go, never in C: it
// occupies no operating system thread.
// Package tokenbucket/httplimit has what HTTP and gRPC servers and clients need.
//
// # Coming from golang.org/x/time/rate
//
// Names and meanings are those of x/time/rate, with these differences:
//
//   - rate.NewLimiter(r, b) is [New](b, r): the burst first, as in all languages of the library, and with an error.
//   - Tokens are float64, because amounts such as 0.1 are exact here and a limiter may hold up to 1e15 tokens. Zero
//     tokens are no amount: AllowN(0) is false.
//   - AllowN and ReserveN take no time, nor are there SetLimitAt and the like. A limiter answers for the present of its
//     own clock; an arbitrary time handed in from outside is how late callers rewind a bucket and more is granted than
//     the limit allows. For tests and simulations give the limiter a [ManualClock].
//   - What can fail says why, as a [Status] that errors.Is compares: ErrExceedsCapacity, ErrClosed and so on. A wait
//     that its context's deadline forbids is a [TimeoutError], which is context.DeadlineExceeded too.
//   - Who waits is planned anew when the limit changes, or somebody before leaves; see [Limiter.WaitPriority].
//   - There is no rate.Inf: New([MaxBurst], [MaxLimit]) never denies anything a program can ask for. Nor is there a
//     limit of 0: [MinLimit] is one token in 31 years.
//   - There is no rate.Sometimes, which is no token bucket.
//   - Several limits are one decision of [Limits], where one Wait after the other loses what the first has taken if the
//     second fails.
package tokenbucket
