package tokenbucket

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// Wait is WaitN(ctx, key, 1).
func (r *Remote) Wait(ctx context.Context, key string) error { return r.WaitN(ctx, key, 1) }

// WaitN takes n tokens, sleeping until they are there: it reserves them on the server, which knows when that will be,
// and asks no more. Who comes later, to any process, never delays it; a take does not either.
//
// If the tokens cannot be there by the context's deadline or within the time of [WithMaxWait], the answer is a
// [*TimeoutError] at once, with nothing taken. If the context is done during the sleep, they are given back by another
// call, of at most a second; where the server does not answer that one, they count as used. Other errors are
// ErrExceedsCapacity and ErrInvalidArgument, or as [Remote] says.
func (r *Remote) WaitN(ctx context.Context, key string, n float64) error {
	reservation, err := r.ReserveWithin(ctx, key, n, timeLeft(ctx))
	if f := r.fallback(err); f != nil {
		return f.wait(ctx, key, n)
	}
	if err != nil {
		return err
	}
	return reservation.wait(ctx)
}

// Reserve is ReserveWithin(ctx, key, 1, InfDuration).
func (r *Remote) Reserve(ctx context.Context, key string) (*RemoteReservation, error) {
	return r.ReserveWithin(ctx, key, 1, InfDuration)
}

// ReserveN is ReserveWithin(ctx, key, n, InfDuration).
func (r *Remote) ReserveN(ctx context.Context, key string, n float64) (*RemoteReservation, error) {
	return r.ReserveWithin(ctx, key, n, InfDuration)
}

// ReserveWithin takes n tokens now, into debt if need be; [RemoteReservation.Delay] says when they may be used. If they
// would be there later than max from now, or than [WithMaxWait] allows, the error is a [*TimeoutError] and nothing is
// taken. Others as [Remote.WaitN]; [WithOnUnavailable] does not hold. Of a key, the last 64 reservations that are pending
// can be given back.
func (r *Remote) ReserveWithin(ctx context.Context, key string, n float64, max time.Duration) (
	*RemoteReservation, error,
) {
	q, s := r.askReserve(n, max)
	refused := refusedMax(s, max)
	if refused == nil {
		refused = refusedAmount(s, "n", n)
	}
	from, v, err := r.send(ctx, key, twoKeys, &q, refused)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	p, left, s := r.readPromise(&q, &from)
	switch s {
	case Success:
		return &RemoteReservation{remote: r, key: key, promise: p, due: now.Add(p.wait)}, nil
	case ErrTimedOut:
		return nil, r.late(key, n, left)
	}
	return nil, mismatched(v)
}

func (r *Remote) late(key string, n float64, left time.Duration) *TimeoutError {
	return &TimeoutError{Key: key, N: n, RetryAfter: left, of: r}
}

// RemoteReservation holds tokens of a [Remote] that may be used after a delay. Its methods may be called from any number
// of goroutines. It must not be copied.
type RemoteReservation struct {
	remote  *Remote
	key     string
	promise promise
	due     time.Time
	ended   atomic.Bool // cancelled or settled
}

// Delay returns how long from now the holder must wait before using the tokens.
func (r *RemoteReservation) Delay() time.Duration {
	if left := time.Until(r.due); left > 0 {
		return left
	}
	return 0
}

// Cancel gives all tokens back while they are not due, as [Reservation.Cancel]. Nothing comes back the second time, nor
// after an error.
func (r *RemoteReservation) Cancel(ctx context.Context) error {
	if !r.ended.CompareAndSwap(false, true) {
		return nil
	}
	q, s := r.remote.askCancel(r.promise)
	_, err := r.remote.ask(ctx, r.key, twoKeys, q, s.err())
	return err
}

// Settle ends a reservation whose work turned out to cost actual tokens, 0 or more, due or not: the rest of what was
// reserved comes back, or what is missing is charged. ErrInvalidArgument: a negative or infinite amount, or the
// reservation was settled or cancelled already. ErrOutOfRange as [Remote.Charge]. After these it can still be settled or
// cancelled, after other errors not, since it may have been done.
func (r *RemoteReservation) Settle(ctx context.Context, actual float64) error {
	if !r.ended.CompareAndSwap(false, true) {
		return errEnded()
	}
	q, s := r.remote.askSettle(r.promise, actual)
	_, err := r.remote.ask(ctx, r.key, twoKeys, q, refusedCost(s, actual))
	err = refusedDebt(err, "actual", actual)
	if errors.Is(err, ErrInvalidArgument) || errors.Is(err, ErrOutOfRange) {
		r.ended.Store(false)
	}
	return err
}

// wait sleeps until the tokens are due. If the context allows less, they are given back.
func (r *RemoteReservation) wait(ctx context.Context) error {
	left := r.Delay()
	if left == 0 {
		return nil
	}
	if left > timeLeft(ctx) {
		r.giveBack()
		return r.remote.late(r.key, r.promise.tokens, left)
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		r.giveBack()
		return ctx.Err()
	}
}

const mostGivingBack = time.Second

// giveBack returns all tokens, also those that became due meanwhile, as nobody has used them. The context of the wait is
// done, so the call has its own.
func (r *RemoteReservation) giveBack() {
	ctx, cancel := context.WithTimeout(context.Background(), mostGivingBack)
	defer cancel()
	_ = r.Settle(ctx, 0) // if it fails the tokens count as used, and there is nobody else to tell
}
