package tokenbucket

import (
	"strconv"
	"strings"
)

// OpenShared opens the limiter of that name in memory that processes share, or creates it as [New] does. All that have
// opened it, in any of the library's languages, take from the same tokens and wait in one queue, and what one changes,
// by SetLimit or Close, holds for all; a process that no longer needs it just drops it. The name is that of a file in
// /dev/shm, or an absolute path in a file system that has O_TMPFILE; only its user may open it.
//
// A wait asks every 100 ms what others have changed: a Close, or tokens put in, is seen so late. At most 1000 waits and
// reservations are pending, then ErrOutOfMemory. It is no member of waits for several limits: ErrUnsupported.
//
// Errors as New, and a [*SharedError]. ErrInvalidArgument: also no such name. ErrUnsupported: also a clock, or this
// system has no such memory.
func OpenShared(name string, capacity, tokensPerSecond float64, options ...Option) (*Limiter, error) {
	s := newSettings(capacity, tokensPerSecond, options)
	if err := s.check(aSharedLimiter, "a Limiter of OpenShared"); err != nil {
		return nil, err
	}
	if strings.IndexByte(name, 0) >= 0 {
		return nil, refusedName(name)
	}
	b, err := openShared(name, &s)
	if err != nil {
		return nil, err
	}
	return &Limiter{bucket: b, shared: shared{onEvent: s.onEvent, ofHost: true}, counted: s.statistics}, nil
}

// WithAdopt makes [OpenShared] take the limit that is in force there, whatever was told. Without it another capacity or
// rate is ErrMismatch.
func WithAdopt() Option { return func(s *settings) { s.adopt = true } }

// RemoveShared removes the name of [OpenShared]. Those who have the limiter keep it; who opens the name anew creates
// another. nil also if there is none. Errors as OpenShared.
func RemoveShared(name string) error {
	if strings.IndexByte(name, 0) >= 0 {
		return refusedName(name)
	}
	return removeShared(name)
}

func refusedName(name string) error {
	return &ArgumentError{ErrInvalidArgument, "name", "the name of a file or an absolute path", strconv.Quote(name)}
}

// SharedError says why [OpenShared] or [RemoveShared] failed. errors.Is(err, its Status) holds.
type SharedError struct {
	Status Status // ErrMismatch or ErrSystem
	Name   string
	Err    error // what differs, with both values; of ErrSystem the syscall.Errno
}

// Error returns the status's message, the name and what is wrong.
func (e *SharedError) Error() string { return e.Status.Error() + ": " + e.Name + ": " + e.Err.Error() }

// Unwrap returns Err.
func (e *SharedError) Unwrap() error { return e.Err }

// Is reports whether the target is the Status.
func (e *SharedError) Is(target error) bool { return target == e.Status }
