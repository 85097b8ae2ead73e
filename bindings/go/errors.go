package tokenbucket

import "context"

// Status is the outcome of a call, numbered as in the C library. Positive ones are ordinary outcomes, negative ones
// failures. Every error this package returns is a Status, an [*ArgumentError], a [*TimeoutError], a [*RefusalError], a
// [*SharedError], a [*RemoteError] or the context's own; compare with errors.Is.
type Status int32

const (
	Success            Status = 0  // never returned as an error
	ErrDenied          Status = 1  // not enough tokens now
	ErrTimedOut        Status = 2  // cannot be granted within the time allowed
	ErrExceedsCapacity Status = 3  // more tokens than the limiter can ever hold
	ErrClosed          Status = 4  // the limiter was closed
	ErrInterrupted     Status = 5  // of an event: the context ended the wait
	ErrQueueFull       Status = 6  // too many waiters
	ErrTableFull       Status = 7  // no room for another key
	Pending            Status = 8  // waits in the queue; never returned
	ErrInvalidArgument Status = -1 // such as an amount that is not above 0, or not finite
	ErrOutOfRange      Status = -2 // an argument is outside the range allowed
	ErrOutOfMemory     Status = -3 // also too many waiters and reservations
	ErrUnsupported     Status = -4 // the library does not know what is asked for
	ErrSystem          Status = -5 // the operating system refused a needed service
	ErrUnavailable     Status = -6 // the store of the limit did not answer
	ErrMismatch        Status = -7 // what is shared is another limit, or of another kind
)

// Error returns the library's message.
func (s Status) Error() string { return "tokenbucket: " + s.message() }

// String returns the C constant's name, such as TB_DENIED.
func (s Status) String() string { return s.name() }

// Timeout reports whether it is ErrTimedOut, as the errors of package net do.
func (s Status) Timeout() bool { return s == ErrTimedOut }

// Is makes ErrTimedOut a context.DeadlineExceeded.
func (s Status) Is(target error) bool { return s == ErrTimedOut && target == context.DeadlineExceeded }

func (s Status) err() error {
	if s == Success {
		return nil
	}
	return s
}
