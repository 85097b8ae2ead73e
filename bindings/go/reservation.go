package tokenbucket

import "time"

// promise is what the library promised: tb_reservation.
type promise struct {
	tokens  float64
	wait    time.Duration // from the call
	readyAt time.Duration // on the limiter's clock
	ticket  uint64
}

// Reservation holds tokens that may be used after a delay. Its methods may be called from any number of goroutines. It
// must not be copied.
type Reservation struct {
	account account
	status  Status
	n       float64       // asked for, of a reservation that is not OK
	max     time.Duration // the same
	ended   bool          // cancelled or settled; a mutex of the account guards it, since an atomic would move it to the heap
	promise promise
	due     time.Time // on the system clock; zero: at once, or on another clock
}

// The three ways to reserve are inlined into the caller, so that a reservation which stays there needs no heap.

// Reserve is ReserveN(1).
func (l *Limiter) Reserve() *Reservation {
	r := new(Reservation)
	r.make(l, 1, InfDuration)
	return r
}

// ReserveN is ReserveWithin(n, InfDuration).
func (l *Limiter) ReserveN(n float64) *Reservation {
	r := new(Reservation)
	r.make(l, n, InfDuration)
	return r
}

// ReserveWithin takes n tokens now, into debt if need be; [Reservation.Delay] says when they may be used. It does not
// block. It stands behind all who wait. If the tokens would be there later than max from now, nothing is taken and the
// reservation is not OK.
func (l *Limiter) ReserveWithin(n float64, max time.Duration) *Reservation {
	r := new(Reservation)
	r.make(l, n, max)
	return r
}

func (r *Reservation) make(a account, n float64, max time.Duration) {
	r.account = a
	r.promise, r.status = a.reserve(n, max)
	if r.status != Success {
		r.n, r.max = n, max
	}
	if r.status == ErrTimedOut {
		a.common().tell(r.status, n, 0)
	}
	if r.promise.wait > 0 && a.common().clock == nil && a.common().told == nil {
		r.due = time.Now().Add(r.promise.wait)
	}
}

// OK reports whether the tokens are reserved.
func (r *Reservation) OK() bool { return r.status == Success }

// Err says why the reservation is not OK: ErrTimedOut (not within the time allowed), ErrExceedsCapacity, ErrClosed,
// ErrInvalidArgument, ErrOutOfRange (a debt beyond what can be counted), or of a table's key ErrTableFull. nil if it is
// OK.
func (r *Reservation) Err() error {
	if r.OK() {
		return nil
	}
	if err := refusedMax(r.status, r.max); err != nil {
		return err
	}
	return r.account.refused(r.status, "n", r.n)
}

// Delay returns how long from now the holder must wait before using the tokens; InfDuration if it is not OK.
func (r *Reservation) Delay() time.Duration {
	if !r.OK() {
		return InfDuration
	}
	left := time.Duration(0)
	if clock := r.account.common().clock; clock != nil {
		left = r.promise.readyAt - clock.Now()
	} else if !r.due.IsZero() {
		left = time.Until(r.due)
	}
	if left < 0 {
		return 0
	}
	return left
}

// Cancel gives all tokens back while they are not due, as if the reservation had never been; later reservations keep
// their times. Once due they count as used, and nothing is given back, nor the second time. A reservation that was due
// at once has nothing to cancel. Where the work was not done after all, Settle(0) gives back what is due.
func (r *Reservation) Cancel() {
	if r.OK() && r.end() {
		r.account.cancel(r.promise)
	}
}

// end reports whether the reservation had not ended before.
func (r *Reservation) end() bool {
	ending := &r.account.common().ending
	ending.Lock()
	defer ending.Unlock()
	first := !r.ended
	r.ended = true
	return first
}

func (r *Reservation) reopen() {
	ending := &r.account.common().ending
	ending.Lock()
	defer ending.Unlock()
	r.ended = false
}

// Settle ends a reservation whose work turned out to cost actual tokens, 0 or more, due or not: the rest of what was
// reserved comes back, or what is missing is charged. After an error it can still be settled or cancelled.
// ErrInvalidArgument: a negative or infinite amount, or the reservation was settled or cancelled already;
// ErrOutOfRange; ErrClosed; Err if it is not OK.
func (r *Reservation) Settle(actual float64) error {
	if !r.OK() {
		return r.Err()
	}
	if !r.end() {
		return errEnded()
	}
	status := r.account.settle(r.promise, actual)
	if status != Success {
		r.reopen()
	}
	return refusedCost(status, actual)
}
