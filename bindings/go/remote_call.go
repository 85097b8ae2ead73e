package tokenbucket

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A call of the script: the library writes a question's arguments, the client carries them to the server, and the
// library reads the reply.

const (
	mostArguments = 9
	mostNumbers   = 6
)

// operation is a call with an amount alone; its number is the shim's.
type operation int32

const (
	opTake operation = iota
	opTakeUpTo
	opCharge
	opRefund
	opReset
	opPeek
)

type question struct {
	count     int
	arguments [mostArguments]int64
}

type reply struct {
	count   int
	numbers [mostNumbers]int64
}

// remoteAnswer is what a reply says: tb_remote_answer.
type remoteAnswer struct {
	tokens, remaining float64
	retry, reset      time.Duration
}

// RemoteError says that a server gave no answer, and why. errors.Is(err, its Status) holds; Unwrap has the client's
// error.
type RemoteError struct {
	Status Status // ErrUnavailable; ErrMismatch: the key holds something else, or the reply is not the script's
	Err    error  // of the client, or about the reply
}

// Error returns the status's message and the client's.
func (e *RemoteError) Error() string { return e.Status.Error() + ": " + e.Err.Error() }

// Unwrap returns Err.
func (e *RemoteError) Unwrap() error { return e.Err }

// Is reports whether the target is the Status.
func (e *RemoteError) Is(target error) bool { return target == e.Status }

func mismatched(v any) error {
	return &RemoteError{ErrMismatch, fmt.Errorf("a reply of type %T that is not the script's", v)}
}

// What a call names on the server.
const (
	oneKey  = 1 // the key of a bucket
	twoKeys = 2 // and that of its reservations
)

// ask sends a question that was prepared without an error. ErrDenied and ErrTimedOut come with an answer.
func (r *Remote) ask(ctx context.Context, key string, keys int, q question, refused error) (remoteAnswer, error) {
	from, v, err := r.send(ctx, key, keys, &q, refused)
	if err != nil {
		return remoteAnswer{}, err
	}
	a, s := r.read(&q, &from)
	if s == ErrInvalidArgument {
		return remoteAnswer{}, mismatched(v)
	}
	return a, s.err()
}

// send returns the reply as numbers, and as it came.
func (r *Remote) send(ctx context.Context, key string, keys int, q *question, refused error) (reply, any, error) {
	if refused == nil {
		refused = refusedKey(ErrInvalidArgument, len(key))
	}
	if refused != nil {
		return reply{}, nil, refused
	}
	name := r.prefix + key
	args := append(make([]any, 0, 5+mostArguments), nil, nil, int64(keys), name)
	if keys == twoKeys {
		queue := queueKey(name)
		if queue == "" {
			refused = refusedKey(ErrInvalidArgument, len(name))
			if refused == nil {
				refused = &ArgumentError{ErrInvalidArgument, "key", "without a }, or with a {tag}", strconv.Quote(name)}
			}
			return reply{}, nil, refused
		}
		args = append(args, queue)
	}
	for _, n := range q.arguments[:q.count] {
		args = append(args, n)
	}
	v, err := r.evaluate(ctx, args)
	if err != nil {
		return reply{}, nil, err
	}
	var from reply
	numbers, ok := appendNumbers(from.numbers[:0], v)
	if !ok || len(numbers) > mostNumbers {
		return reply{}, nil, mismatched(v)
	}
	from.count = len(numbers)
	return from, v, nil
}

// evaluate runs the script; the first two of the arguments are free. A server that does not know the script has decided
// nothing, so it gets the text and the same arguments.
func (r *Remote) evaluate(ctx context.Context, args []any) (any, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	text, sha1 := script()
	args[0], args[1] = "EVALSHA", sha1
	v, err := r.do(ctx, args...)
	if err != nil && strings.Contains(err.Error(), "NOSCRIPT") {
		again := append([]any(nil), args...) // the client may have kept the others
		again[0], again[1] = "EVAL", text
		v, err = r.do(ctx, again...)
	}
	switch {
	case err == nil:
		return v, nil
	case ctx.Err() == context.Canceled:
		return nil, ctx.Err()
	case holdsSomethingElse(err.Error()):
		return nil, &RemoteError{ErrMismatch, err}
	default:
		return nil, &RemoteError{ErrUnavailable, err}
	}
}

// holdsSomethingElse reports whether that is the error of a server on whose key the script cannot calculate.
func holdsSomethingElse(text string) bool {
	return strings.Contains(text, "WRONGTYPE") ||
		(strings.Contains(text, "user_script") && strings.Contains(text, "attempt to"))
}

var theScript struct {
	once       sync.Once
	text, sha1 any
}

func script() (text, sha1 any) {
	theScript.once.Do(func() { theScript.text, theScript.sha1 = remoteScript() })
	return theScript.text, theScript.sha1
}

func appendNumbers(to []int64, v any) (numbers []int64, ok bool) {
	switch v := v.(type) {
	case int64:
		return append(to, v), true
	case []any:
		for _, element := range v {
			n, isNumber := element.(int64)
			if !isNumber {
				return to, false
			}
			to = append(to, n)
		}
		return to, true
	}
	return to, false
}
