package tokenbucket

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
)

// MaxRemoteKeys is the largest number of keys in one [Remote.AllowMany].
const MaxRemoteKeys = 1024

// AllowMany is AllowN for many keys in one call of the server, in their order: it takes amounts[i] of keys[i], or one
// of each if amounts is nil, and answers[i] is Success or ErrDenied. The slices have one length, at most
// [MaxRemoteKeys]. The same key may occur again. On a cluster all keys must lie in one slot, by a {tag} in the prefix
// or in each.
//
// After an error no answer is written. ErrExceedsCapacity and an [*ArgumentError], for slices of other lengths, an amount
// or a key, are known without the server, and nothing is taken; others are as [Remote] says.
func (r *Remote) AllowMany(ctx context.Context, keys []string, amounts []float64, answers []Status) error {
	if err := refusedLengths(len(keys), amounts, answers); err != nil {
		return err
	}
	if len(keys) > MaxRemoteKeys {
		return &ArgumentError{ErrInvalidArgument, "keys", fmt.Sprintf("at most %d", MaxRemoteKeys), len(keys)}
	}
	if len(keys) == 0 {
		return nil
	}
	b := remoteBatches.Get().(*remoteBatch)
	defer b.done()
	for i, key := range keys {
		n := 1.0
		if amounts != nil {
			n = amounts[i]
		}
		b.members = append(b.members, RemoteMember{r, key, n})
	}
	s, err := b.take(ctx, false)
	if f := r.fallback(err); f != nil {
		for i, m := range b.members {
			_, err := f.take(m.key, m.n)
			answers[i], _ = err.(Status)
		}
		return nil
	}
	if err != nil || (s != Success && s != ErrDenied) {
		return b.firstError(err, s)
	}
	copy(answers, b.answers)
	return nil
}

// RemoteLimits are several limits that must all grant, as [Limits]: all take, or none, in one call. Their Remotes have
// one server, which the first one's function asks, and prefixes of their own; the keys have one {tag} in braces. There
// are at most [MaxMembers].
//
//	RemoteLimits{perSecond.Member("{ann}", 1), perDay.Member("{ann}", 1)}.Allow(ctx)
//
// If the server gives no answer, one member with FailError makes it an error, else one with FailClosed a denial; else
// the tables of those with FailLocal decide.
type RemoteLimits []RemoteMember

// RemoteMember is one of several [RemoteLimits] and what it costs there, made by [Remote.Member].
type RemoteMember struct {
	remote *Remote
	key    string
	n      float64
}

// Member is n tokens of the key.
func (r *Remote) Member(key string, n float64) RemoteMember { return RemoteMember{r, key, n} }

// Allow takes from all members what is there now, or nothing, and reports whether it did. The error is nil if the
// answer is a plain no; [RemoteLimits.Take] says why.
func (l RemoteLimits) Allow(ctx context.Context) (bool, error) {
	_, err := l.Take(ctx)
	return granted(err)
}

// Take is Allow with the reasons: the error is nil if all was taken, else ErrDenied or ErrExceedsCapacity of the member
// in the refusal, or as [Remote] says. ErrInvalidArgument: as for [Limits], or keys without a common tag.
func (l RemoteLimits) Take(ctx context.Context) (Refusal, error) {
	none := Refusal{Member: -1}
	if err := refusedMembers(len(l)); err != nil {
		return none, err
	}
	for i, m := range l {
		if m.remote == nil {
			return none, refusedMember(i)
		}
	}
	b := remoteBatches.Get().(*remoteBatch)
	defer b.done()
	b.members = append(b.members, l...)
	s, err := b.take(ctx, true)
	switch {
	case errors.Is(err, ErrUnavailable):
		return l.instead(err)
	case err == nil && s == ErrDenied:
		return b.refusal(), s
	case err == nil && s == ErrExceedsCapacity:
		return l.tooMuch(), s
	}
	return none, b.firstError(err, s)
}

// tooMuch names a member that asks for more than it can ever hold.
func (l RemoteLimits) tooMuch() Refusal {
	for i, m := range l {
		if _, s := m.remote.prepare(opTake, m.n); s == ErrExceedsCapacity {
			return Refusal{i, InfDuration}
		}
	}
	return Refusal{Member: -1}
}

// instead answers without the server.
func (l RemoteLimits) instead(err error) (Refusal, error) {
	refusal := Refusal{Member: -1}
	var local Limits
	var places []int // of the local ones
	for i, m := range l {
		switch f := m.remote.instead.(type) {
		case nil:
			return Refusal{Member: -1}, err
		case emptyBucket:
			if d, _ := f.take(m.key, m.n); refusal.Member < 0 || d.RetryAfter > refusal.RetryAfter {
				refusal = Refusal{i, d.RetryAfter}
			}
		case localTable:
			local, places = append(local, f.table.Member(m.key, m.n)), append(places, i)
		}
	}
	if refusal.Member >= 0 {
		return refusal, ErrDenied
	}
	if len(local) == 0 {
		return refusal, nil
	}
	refusal, err = local.Take()
	if refusal.Member >= 0 {
		m := l[places[refusal.Member]]
		refusal.Member = places[refusal.Member]
		if err == ErrExceedsCapacity {
			refusal.RetryAfter, err = accrual(m.n, m.remote.Limit()), ErrDenied
		}
	}
	return refusal, err
}

// remoteBatch is takes in one call.
type remoteBatch struct {
	members []RemoteMember
	many    many
	answers []Status
}

var remoteBatches = sync.Pool{New: func() any { return new(remoteBatch) }}

// firstError is the client's error, or says what the status finds fault with.
func (b *remoteBatch) firstError(err error, s Status) error {
	if err != nil {
		return err
	}
	if s != ErrInvalidArgument {
		return s.err()
	}
	for i, m := range b.members {
		if !isAmount(m.n) || m.remote.remote == nil {
			return refusedAmount(s, nOfMember(i), m.n)
		}
	}
	return &ArgumentError{s, "keys", "different, with one {tag} in braces", nil}
}

// done forgets the members: what is idle holds no keys.
func (b *remoteBatch) done() {
	for i := range b.members {
		b.members[i] = RemoteMember{}
	}
	b.members = b.members[:0]
	b.many.empty()
	remoteBatches.Put(b)
}

// take returns what the library says of the question or the reply.
func (b *remoteBatch) take(ctx context.Context, all bool) (Status, error) {
	args := append(make([]any, 0, 4+6*len(b.members)), nil, nil, int64(len(b.members)))
	for _, m := range b.members {
		if len(m.key) > MaxKeySize {
			return Success, refusedKey(ErrInvalidArgument, len(m.key))
		}
		name := m.remote.prefix + m.key
		args = append(args, name)
		b.many.add(m.remote.remote, name, m.n)
	}
	defer runtime.KeepAlive(b.members)
	arguments, s := b.many.ask(all)
	if s != Success {
		return s, nil
	}
	for _, n := range arguments {
		args = append(args, n)
	}
	v, err := b.members[0].remote.evaluate(ctx, args)
	if err != nil {
		return Success, err
	}
	s = b.read(v)
	if s == ErrInvalidArgument {
		return Success, mismatched(v)
	}
	return s, nil
}

func (b *remoteBatch) read(v any) Status {
	var ok bool
	if b.many.numbers, ok = appendNumbers(b.many.numbers[:0], v); !ok {
		return ErrInvalidArgument
	}
	b.answers = sized(b.answers, len(b.members))
	return b.many.read(b.answers)
}

// refusal is the member that takes longest to grant.
func (b *remoteBatch) refusal() Refusal {
	refusal := Refusal{Member: -1}
	for i, s := range b.answers {
		if retry := b.many.retryAfter(i); s != Success && (refusal.Member < 0 || retry > refusal.RetryAfter) {
			refusal = Refusal{i, retry}
		}
	}
	return refusal
}

func sized[T any](s []T, size int) []T {
	if cap(s) < size {
		return make([]T, size)
	}
	return s[:size]
}
