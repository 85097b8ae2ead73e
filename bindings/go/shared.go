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
	if err := s.checkShared(aSharedLimiter, "a Limiter of OpenShared", name); err != nil {
		return nil, err
	}
	b, err := openShared(name, &s)
	if err != nil {
		return nil, err
	}
	return &Limiter{bucket: b, shared: shared{onEvent: s.onEvent, ofHost: true}, counted: s.statistics}, nil
}

// OpenSharedTable opens a table as OpenShared does a limiter, or creates it as [NewTable] does, with all its memory at
// once. All that have opened it share the tokens and the queue of each key, and what one changes, by SetLimit, SetBurst,
// Remove or Close, holds for all. While SetLimit or SetBurst runs, some 0.2 ms, no tokens accrue.
//
// Waits are as those of OpenShared, but one key in eight places, at least 16 and at most 512, can have waits and
// reservations at a time, each at most 128, then ErrOutOfMemory. Each such key takes 24 KB besides the table's memory.
//
// Errors as OpenShared and NewTable.
func OpenSharedTable(name string, capacity, tokensPerSecond float64, keys int, options ...Option) (*Table, error) {
	return OpenSharedTableOf[string](name, capacity, tokensPerSecond, keys, options...)
}

// OpenSharedTableOf is OpenSharedTable for keys of another type, as [NewTableOf]. A key is its bytes, whatever the type
// that another process takes for it.
func OpenSharedTableOf[K Key](name string, capacity, tokensPerSecond float64, keys int, options ...Option) (
	*TableOf[K], error,
) {
	s := newSettings(capacity, tokensPerSecond, options)
	if err := s.checkShared(aSharedTable, "a Table of OpenSharedTable", name); err != nil {
		return nil, err
	}
	s.keys = keys
	t, err := openSharedTable(name, &s)
	if err != nil {
		return nil, err
	}
	return &TableOf[K]{keyed{table: t, shared: shared{ofHost: true}}}, nil
}

func (s *settings) checkShared(of kind, what, name string) error {
	if err := s.check(of, what); err != nil || strings.IndexByte(name, 0) < 0 {
		return err
	}
	return refusedName(name)
}

// WithAdopt makes [OpenShared] and [OpenSharedTable] take the limit that is in force there, and of a table its size and
// WhenFull, whatever was told. Without it another one is ErrMismatch.
func WithAdopt() Option { return func(s *settings) { s.adopt = true } }

// RemoveShared removes the name of [OpenShared] or [OpenSharedTable]. Those who have the limiter or table keep it; who
// opens the name anew creates another. nil also if there is none. Errors as OpenShared.
func RemoveShared(name string) error {
	if strings.IndexByte(name, 0) >= 0 {
		return refusedName(name)
	}
	return removeShared(name)
}

func refusedName(name string) error {
	const allowed = "the name of a file, without a slash or a leading dot, or an absolute path"
	return &ArgumentError{ErrInvalidArgument, "name", allowed, strconv.Quote(name)}
}

// SharedError says why [OpenShared], [OpenSharedTable] or [RemoveShared] failed. errors.Is(err, its Status) holds.
type SharedError struct {
	Status Status // ErrMismatch, ErrClosed or ErrSystem
	Name   string
	Err    error // what differs, and whether WithAdopt takes it, or what to do; of ErrSystem the syscall.Errno
}

// Error returns the status's message, the name and what is wrong.
func (e *SharedError) Error() string { return e.Status.Error() + ": " + e.Name + ": " + e.Err.Error() }

// Unwrap returns Err.
func (e *SharedError) Unwrap() error { return e.Err }

// Is reports whether the target is the Status.
func (e *SharedError) Is(target error) bool { return target == e.Status }
