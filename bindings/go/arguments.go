package tokenbucket

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// ArgumentError says which argument was refused, and what it must be. errors.Is(err, its Status) holds.
type ArgumentError struct {
	Status   Status // such as ErrInvalidArgument, ErrOutOfRange or ErrUnsupported
	Argument string // its name in the documentation, such as "capacity", or the option, such as "WithPeriod"
	Allowed  string // what it must be, such as "from 1e-6 to 1e15 tokens"
	Value    any    // what it was; nil: nothing that can be shown
}

// Error returns a message such as "tokenbucket: capacity must be from 1e-6 to 1e15 tokens, got 0".
func (e *ArgumentError) Error() string { return "tokenbucket: " + e.text() }

func (e *ArgumentError) text() string {
	text := e.Argument + " must be " + e.Allowed
	if e.Value != nil {
		text += fmt.Sprint(", got ", e.Value)
	}
	return text
}

// Unwrap returns the Status.
func (e *ArgumentError) Unwrap() error { return e.Status }

// What arguments must be.
const (
	anAmount    = "finite and more than 0"
	aCost       = "finite and 0 or more"
	aBalance    = "from 0 to the capacity"
	aCapacity   = "from 1e-6 to 1e15 tokens"
	aRate       = "from 1e-9 to 1e10 tokens per second"
	notNegative = "0 or more"
)

// refusedAmount is the error of a call that got that status for n tokens, which the argument holds.
func refusedAmount(s Status, argument string, n float64) error {
	if s >= Success {
		return s.err()
	}
	return whyRefused(s, argument, anAmount, n, isAmount(n))
}

func isAmount(n float64) bool { return n > 0 && n <= math.MaxFloat64 }

// whyRefused tells apart what the status leaves open: valid says whether the value is what is allowed.
func whyRefused(s Status, argument, allowed string, value any, valid bool) error {
	switch {
	case !valid && (s == ErrInvalidArgument || s == ErrOutOfRange || s == ErrExceedsCapacity):
		return &ArgumentError{s, argument, allowed, value}
	case s == ErrInvalidArgument:
		return &ArgumentError{s, "the limit", "one that New, OpenShared, NewTable or NewRemote made", "a zero value"}
	case s == ErrOutOfRange:
		return &ArgumentError{s, argument, "no more than can be owed, 2^59 units in all", value}
	}
	return s.err()
}

// refusedCall is the error of a call without an argument that can be refused.
func refusedCall(s Status) error { return refusedAmount(s, "", 1) }

// refusedMax is the error of a longest wait below 0, else nil.
func refusedMax(s Status, max time.Duration) error {
	if s != ErrInvalidArgument || max >= 0 {
		return nil
	}
	return &ArgumentError{s, "max", notNegative, max}
}

// refusedCost is the error of a settlement.
func refusedCost(s Status, actual float64) error {
	if s == Success {
		return nil
	}
	return whyRefused(s, "actual", aCost, actual, actual == 0 || isAmount(actual))
}

// refusedBalance is the error of a call that sets the tokens.
func refusedBalance(s Status, tokens float64) error {
	if s == Success {
		return nil
	}
	return whyRefused(s, "tokens", aBalance, tokens, s == ErrInvalidArgument && (tokens == 0 || isAmount(tokens)))
}

// refusedRate is the error of a change of the rate to one that may be in the range of New, but not in that of a limit
// which exists.
func refusedRate(s Status, tokensPerSecond float64, ofThis string) error {
	return refusedLimit(s, "tokensPerSecond", tokensPerSecond, MinLimit, MaxLimit, aRate, ofThis)
}

// refusedCapacity is the same of the capacity.
func refusedCapacity(s Status, capacity float64, ofThis string) error {
	return refusedLimit(s, "capacity", capacity, MinBurst, MaxBurst, aCapacity, ofThis)
}

func refusedLimit(s Status, argument string, value, least, most float64, ofAll, ofThis string) error {
	if s == Success {
		return nil
	}
	valid := value >= least && value <= most
	if s == ErrOutOfRange && valid {
		return &ArgumentError{s, argument, ofThis, value}
	}
	return whyRefused(s, argument, ofAll, value, valid)
}

// refusedDebt is the error of a call that charges so much on a server.
func refusedDebt(err error, argument string, charged float64) error {
	switch err {
	case ErrOutOfRange:
		return &ArgumentError{ErrOutOfRange, argument, "no more than is there and WithMaxWait lets it owe", charged}
	case ErrInvalidArgument:
		return refusedAmount(ErrInvalidArgument, argument, charged)
	}
	return err
}

// refusedKey is the error of a key that is too long, else nil.
func refusedKey(s Status, size int) error {
	if s != ErrInvalidArgument || size <= MaxKeySize {
		return nil
	}
	return &ArgumentError{s, "key", fmt.Sprintf("at most %d bytes", MaxKeySize), fmt.Sprintf("%d bytes", size)}
}

// refusedLengths is the error of slices for many keys that are not of one length, else nil.
func refusedLengths(keys int, amounts []float64, answers []Status) error {
	length, name := len(answers), "answers"
	if amounts != nil && length == keys {
		length, name = len(amounts), "amounts"
	}
	if length == keys {
		return nil
	}
	return &ArgumentError{ErrInvalidArgument, name, fmt.Sprintf("as many as keys, %d", keys), length}
}

// errEnded is the error of Settle for a reservation that has ended.
func errEnded() error {
	return &ArgumentError{ErrInvalidArgument, "the reservation", "neither cancelled nor settled before", nil}
}

// refused is the error of a limit that cannot be created: the library names the field and what it must be.
func (s *settings) refused(status Status, field, allowed string) error {
	if field == "" {
		return status
	}
	argument, value := s.argument(field)
	return &ArgumentError{status, argument, inGo.Replace(allowed), value}
}

// argument returns how Go spells a field of the library, and its value.
func (s *settings) argument(field string) (name string, value any) {
	switch field {
	case "capacity":
		return field, s.capacity
	case "rate_tokens":
		if s.period != time.Second {
			return "tokensPerSecond", fmt.Sprintf("%v per %v", s.tokens, s.period)
		}
		return "tokensPerSecond", s.tokens
	case "rate_period_ns":
		return "WithPeriod", s.period
	case "initial_tokens":
		return "WithInitialTokens", s.initial
	case "max_waiters":
		return "WithMaxWaiters", s.maxWaiters
	case "max_lateness_ns":
		return "WithMaxLateness", s.maxLateness
	case "max_keys":
		return "keys", s.keys
	case "max_bytes":
		return "WithMaxBytes", s.maxBytes
	case "when_full":
		return "WithWhenFull", s.whenFull
	case "max_wait_ns":
		return "WithMaxWait", s.maxWait
	}
	return field, nil
}

// inGo are the header's names in what a field must be.
var inGo = strings.NewReplacer("TB_INITIALLY_FULL", "InitiallyFull", "max_keys", "keys", "max_bytes", "WithMaxBytes",
	"TB_TABLE_EVICT_FULLEST", "EvictFullest", "TB_TABLE_DENY", "DenyNew", "TB_TABLE_ADMIT", "AdmitNew")

// kind is a set of what is created with options.
type kind int8

const (
	aLimiter kind = 1 << iota
	aSharedLimiter
	aTable
	aSharedTable
	aRemote
)

// check returns an error for an option of another kind; what is that which is created.
func (s *settings) check(of kind, what string) error {
	for _, option := range []struct {
		name string
		used bool
		of   kind
	}{
		{"WithInitialTokens", s.initial != InitiallyFull, aLimiter | aSharedLimiter},
		{"WithClock", s.clock != nil, aLimiter | aTable},
		{"WithStatistics", s.statistics, aLimiter | aSharedLimiter},
		{"WithMaxWaiters", s.maxWaiters != 0, ^aRemote},
		{"WithMaxLateness", s.maxLateness != 0, ^aRemote},
		{"WithOnEvent", s.onEvent != nil, aLimiter | aSharedLimiter},
		{"WithMaxBytes", s.maxBytes != 0, aTable | aSharedTable},
		{"WithWhenFull", s.whenFull != EvictFullest, aTable | aSharedTable},
		{"WithAdopt", s.adopt, aSharedLimiter | aSharedTable},
		{"WithPrefix", s.prefix != defaultPrefix, aRemote},
		{"WithMaxWait", s.maxWait != defaultMaxWait, aRemote},
		{"WithOnUnavailable", s.onUnavailable != FailError, aRemote},
	} {
		if option.used && option.of&of == 0 {
			return &ArgumentError{ErrUnsupported, option.name, "left out for " + what, nil}
		}
	}
	return nil
}
