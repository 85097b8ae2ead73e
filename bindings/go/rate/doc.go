// Package rate has the API of golang.org/x/time/rate on package tokenbucket: change the import, and nothing else.
//
//	import "tokenbucket/rate" // was "golang.org/x/time/rate"
//
// What changes is what limiters do, not how they are called:
//
//   - A limiter counts exactly. Nothing is lost or gained by rounding, at no rate and in no order of calls.
//   - Who waits in Wait stands in a queue: when one that is cancelled leaves, those behind it move up at once. When the
//     limit or the burst changes, all are planned anew.
//   - What a reservation gives back when it is cancelled is all of it, whichever others there are.
//   - Time never runs back. A call at a time that is earlier than that of a call before happens at the later one: x/time
//     goes back to the earlier time instead, and then grants what accrues since then once more.
//   - Errors of Wait can be compared: errors.Is with context.DeadlineExceeded, tokenbucket.ErrExceedsCapacity,
//     tokenbucket.ErrDenied.
//   - A change of the limit does not wait until reservations that are pending have been paid for.
//
// The times of a limiter's calls may be any, as long as all are of one kind: those of time.Now, or those of a test. Wait
// and all else without a time happens at time.Now.
//
// Limits above 0 and below 1e-9 count as 1e-9 per second, which is one event in 31 years; finite ones above 1e10 as 1e10,
// and bursts above 1e15 as 1e15. As in x/time a limit of 0 or less allows what is there and no more.
//
// What x/time cannot do is in package tokenbucket: fractions of a token, reasons for a denial, priorities, limits by key,
// several limits at once, limits of several processes. A program that is built without cgo panics at the first call.
package rate
