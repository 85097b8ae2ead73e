package tokenbucket

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// MaxMembers is the largest number of members of [Limits].
const MaxMembers = 16

// Limits are several limits that must all grant: "10 a second and 1000 an hour", or requests and what they cost in
// tokens, or a limit for all and one for each user. Each call takes from all members, or from none, and no member
// grants more than it would alone. A literal does for costs that vary, and allocates nothing:
//
//	Limits{requests.Member(1), tokens.Member(350), users.Member("ann", 1)}.Allow()
//
// An [*ArgumentError], from every call: no member, more than [MaxMembers], a zero Member, an amount that is not above 0
// or not finite, a limit that occurs twice, or a key that is too long. Any number of goroutines may use the same Limits as
// long as none changes them.
type Limits []Member

// Member is one of several [Limits] and what it costs there, made by [Limiter.Member] or [TableOf.Member].
type Member struct {
	limiter *Limiter // nil: a key of the table
	table   *keyed
	key     keyBytes
	n       float64
}

// Member is n tokens of the limiter.
func (l *Limiter) Member(n float64) Member { return Member{limiter: l, n: n} }

// Member is n tokens of the key. Of a slice the key is what it holds when a call begins.
func (t *TableOf[K]) Member(key K, n float64) Member {
	return Member{table: &t.keyed, key: bytesOf(key), n: n}
}

func (m Member) common() *shared {
	if m.limiter != nil {
		return &m.limiter.shared
	}
	return &m.table.shared
}

func (m Member) account() account {
	if m.limiter != nil {
		return m.limiter
	}
	return &tableKey{m.table, m.key.String()}
}

func (m Member) tell(s Status, waited time.Duration) { m.common().tell(s, m.n, waited) }

// Refusal is the member that refused; of several the one that takes longest to grant.
type Refusal struct {
	Member     int           // its index; -1: none of them
	RetryAfter time.Duration // until that member would grant; InfDuration: it never will
}

// RefusalError says which member ended a wait or refused a reservation, and why. errors.Is(err, its Status) holds, for
// ErrTimedOut also errors.Is(err, context.DeadlineExceeded).
type RefusalError struct {
	Refusal
	Err error // what the member says: a Status or a *TimeoutError
}

// Error returns the member's message and its index.
func (e *RefusalError) Error() string { return fmt.Sprintf("%v (member %d)", e.Err, e.Member) }

// Timeout reports whether it is ErrTimedOut, as the errors of package net do.
func (e *RefusalError) Timeout() bool {
	_, late := e.Err.(*TimeoutError)
	return late
}

// Unwrap returns Err.
func (e *RefusalError) Unwrap() error { return e.Err }

// Allow takes from all members what is there now, or nothing, and reports whether it did; [Limits.Take] says why not.
func (l Limits) Allow() bool {
	_, s := l.take()
	return s == Success
}

// Take is Allow with the reasons: the error is nil if all was taken, else ErrDenied, ErrExceedsCapacity, ErrClosed or
// ErrTableFull of the member in the refusal, or an error as [Limits] says. It never blocks.
func (l Limits) Take() (Refusal, error) {
	r, s := l.take()
	return r, l.err(s)
}

func (l Limits) take() (Refusal, Status) {
	r, s := l.allow()
	if s == ErrDenied {
		l[r.Member].tell(s, 0)
	}
	return r, s
}

// Wait is WaitPriority(ctx, 0).
func (l Limits) Wait(ctx context.Context) error { return l.WaitPriority(ctx, 0) }

// WaitPriority takes from all members, sleeping until all have granted. It stands in the queue of each, as
// [Limiter.WaitPriority] does; what is due in one is held until the others are.
//
// If not all can be there by the context's deadline, the error is a [*RefusalError] at once, with the member that takes
// longest and nothing taken; later, if a member is closed, or a change or somebody of a higher priority puts it behind
// the deadline or out of reach. If the wait is refused or the context cancelled, everything comes back, and those
// behind move up. Other errors as [Limiter.WaitPriority], those of a member as a RefusalError, also ErrTableFull.
func (l Limits) WaitPriority(ctx context.Context, priority int32) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	// The price of a take, where there is nothing to wait for; not where it is counted, since a wait is no denied take,
	// nor where nobody may wait.
	if !l.counted() && !l.ofHost() {
		if r, s := l.allow(); s != ErrDenied {
			return l.refused(r, s)
		}
	}
	return l.kept().wait(ctx, timeLeft(ctx), priority)
}

// counted reports whether a denied take would be counted.
func (l Limits) counted() bool {
	for _, m := range l {
		if m.limiter != nil && m.limiter.counted {
			return true
		}
	}
	return false
}

// ofHost reports whether other processes have a member, too.
func (l Limits) ofHost() bool {
	for _, m := range l {
		if (m.limiter != nil || m.table != nil) && m.common().ofHost {
			return true
		}
	}
	return false
}

// kept returns the members with keys of their own: the caller may change its slices while the wait lasts.
func (l Limits) kept() Limits {
	all := append(Limits(nil), l...)
	for i := range all {
		all[i].key = bytesOf(all[i].key.String())
	}
	return all
}

func (l Limits) wait(ctx context.Context, timeout time.Duration, priority int32) error {
	s := asleep.add()
	defer asleep.remove(s)
	since := l.now()
	waiter, left, r, status := l.enqueue(timeout, priority, s.tag)
	switch status {
	case Pending:
		return l.sleep(ctx, s, waiter, left, since)
	case ErrTimedOut, ErrQueueFull:
		l[r.Member].tell(status, 0)
	}
	return l.refused(r, status)
}

// now returns the time of each limiter, for its events. The members may be such as enqueue refuses.
func (l Limits) now() []time.Duration {
	now := make([]time.Duration, len(l))
	for i, m := range l {
		if m.limiter != nil {
			now[i] = m.limiter.now()
		}
	}
	return now
}

func (l Limits) sleep(
	ctx context.Context, s *sleeper, waiter waiterAll, left time.Duration, since []time.Duration,
) error {
	r, status, err := l.collect(ctx, s, waiter, left)
	for i, m := range l {
		if r.Member < 0 || r.Member == i {
			m.tell(status, m.common().now()-since[i])
		}
	}
	if err != nil {
		return err
	}
	return l.refused(r, status)
}

// collect returns when the wait is over: ErrInterrupted with the context's error.
func (l Limits) collect(ctx context.Context, s *sleeper, waiter waiterAll, left time.Duration) (
	Refusal, Status, error,
) {
	defer waiter.leave(l)
	real := l.real()
	for {
		if err := s.sleep(ctx, left, real); err != nil {
			return Refusal{Member: -1}, ErrInterrupted, err
		}
		next, r, status := waiter.check(l)
		if status != Pending {
			return r, status, nil
		}
		left = next
	}
}

// real reports whether a member's clock moves by itself.
func (l Limits) real() bool {
	for _, m := range l {
		if m.common().clock == nil {
			return true
		}
	}
	return false
}

func (l Limits) err(s Status) error {
	if s == ErrUnsupported && l.ofHost() {
		const allowed = "made by New or NewTable, none in shared memory, to wait for all of them; " +
			"else sleep for the RetryAfter of Take, and try again"
		return &ArgumentError{s, "members", allowed, nil}
	}
	if s != ErrInvalidArgument {
		return s.err()
	}
	if err := refusedMembers(len(l)); err != nil {
		return err
	}
	for i, m := range l {
		if err := refusedKey(s, m.key.size); err != nil {
			return err
		}
		if m.limiter == nil && m.table == nil {
			return refusedMember(i)
		}
		if !isAmount(m.n) {
			return refusedAmount(s, nOfMember(i), m.n)
		}
	}
	return &ArgumentError{s, "members", "limits that differ, made by New or NewTable", nil}
}

// refusedMember is the error of a zero Member.
func refusedMember(index int) error {
	return &ArgumentError{ErrInvalidArgument, fmt.Sprint("member ", index), "made by a Member method", "a zero value"}
}

func nOfMember(index int) string { return fmt.Sprint("n of member ", index) }

// refusedMembers is the error of a number of members that is out of range, else nil.
func refusedMembers(count int) error {
	if count >= 1 && count <= MaxMembers {
		return nil
	}
	return &ArgumentError{ErrInvalidArgument, "members", fmt.Sprintf("from 1 to %d", MaxMembers), count}
}

func (l Limits) refused(r Refusal, s Status) error {
	if r.Member < 0 {
		return l.err(s)
	}
	m := l[r.Member]
	if s == ErrTimedOut {
		return &RefusalError{r, m.account().late(m.n, r.RetryAfter)}
	}
	return &RefusalError{r, s}
}

// waiterAll is the library's waiter for several limits: tb_waiter_all. Those must be kept alive until it leaves.
type waiterAll uintptr

// Reservations are tokens of several limits that may be used after a delay. Their methods may be called from any number
// of goroutines. They must not be copied.
type Reservations struct {
	members   Limits
	promises  []promise
	due       time.Time // of those on the system clock
	err       error
	cancelled atomic.Bool
}

// Reserve is ReserveWithin(InfDuration).
func (l Limits) Reserve() *Reservations { return l.ReserveWithin(InfDuration) }

// ReserveWithin reserves from all members, or from none, as [Limiter.ReserveWithin] does: tokens are held from each at
// its own time, and all may be used after [Reservations.Delay]. If that would be longer than max, nothing is taken and
// the reservations are not OK. It does not block.
func (l Limits) ReserveWithin(max time.Duration) *Reservations {
	promises, r, s := l.reserve(max)
	if s != Success {
		if s == ErrTimedOut {
			l[r.Member].tell(s, 0)
		}
		err := refusedMax(s, max)
		if err == nil {
			err = l.refused(r, s)
		}
		return &Reservations{err: err}
	}
	wait := time.Duration(0)
	for i, p := range promises {
		if l[i].common().clock == nil && p.wait > wait {
			wait = p.wait
		}
	}
	return &Reservations{members: l.kept(), promises: promises, due: time.Now().Add(wait)}
}

// OK reports whether the tokens are reserved.
func (r *Reservations) OK() bool { return r.err == nil }

// Err says why the reservations are not OK: a [*RefusalError] with ErrTimedOut (not within the time allowed),
// ErrExceedsCapacity, ErrClosed or ErrTableFull, or an error as [Limits] says, ErrOutOfRange or ErrOutOfMemory. nil if
// they are OK.
func (r *Reservations) Err() error { return r.err }

// Delay returns how long from now the holder must wait before using the tokens; InfDuration if they are not OK.
func (r *Reservations) Delay() time.Duration {
	if !r.OK() {
		return InfDuration
	}
	left := time.Until(r.due)
	for i, m := range r.members {
		if clock := m.common().clock; clock != nil && r.promises[i].readyAt-clock.Now() > left {
			left = r.promises[i].readyAt - clock.Now()
		}
	}
	if left < 0 {
		return 0
	}
	return left
}

// Cancel gives all tokens back while any of them is not due, also those that are. Once all are due they count as used
// and nothing comes back, nor the second time. What was due and is not used after all, Refund gives back to each limit.
func (r *Reservations) Cancel() {
	if r.cancelled.CompareAndSwap(false, true) {
		r.members.cancel(r.promises)
	}
}
