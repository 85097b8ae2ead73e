package tokenbucket

import (
	"fmt"
	"time"
)

// A nil pointer needs no case below: package fmt prints it as <nil>.

// textOf is a length of time for people.
func textOf(d time.Duration) string {
	if d == InfDuration {
		return "never"
	}
	return d.String()
}

// text is a limit for people, and after its numbers what else there is to say.
func (s settings) text(kind, more string) string {
	if s.capacity == 0 {
		return "tokenbucket." + kind + "(zero value)"
	}
	per := "/s"
	if s.period != time.Second {
		per = fmt.Sprint(" per ", s.period)
	}
	return fmt.Sprintf("tokenbucket.%s(capacity %v tokens, %v tokens%s%s)", kind, s.capacity, s.tokens, per, more)
}

// String returns the limit in force, such as "tokenbucket.Limiter(capacity 10 tokens, 5 tokens/s)".
func (l *Limiter) String() string {
	return l.bucket.limit().text("Limiter", "")
}

// String is as [Limiter.String].
func (t *TableOf[K]) String() string {
	return t.text()
}

func (k *keyed) text() string { return k.limit().text("Table", "") }

// String is as [Limiter.String], with the prefix.
func (r *Remote) String() string {
	return r.limit().text("Remote", fmt.Sprintf(", prefix %q", r.prefix))
}

// String returns the tokens, the key if there is one, and the limit.
func (m Member) String() string {
	switch {
	case m.limiter != nil:
		return fmt.Sprintf("%v tokens of %v", m.n, m.limiter)
	case m.table != nil:
		return fmt.Sprintf("%v tokens of %q of %v", m.n, m.key, m.table.text())
	}
	return "tokenbucket.Member(zero value)"
}

// String is as [Member.String].
func (m RemoteMember) String() string {
	return fmt.Sprintf("%v tokens of %q of %v", m.n, m.key, m.remote)
}

// String returns the tokens, and when they may be used or why they are not reserved.
func (r *Reservation) String() string {
	switch {
	case r.account == nil:
		return "tokenbucket.Reservation(zero value)"
	case !r.OK():
		return fmt.Sprintf("tokenbucket.Reservation(%v)", r.Err())
	}
	return fmt.Sprintf("tokenbucket.Reservation(%v tokens in %v)", r.promise.tokens, r.Delay())
}

// String is as [Reservation.String].
func (r *Reservations) String() string {
	if !r.OK() {
		return fmt.Sprintf("tokenbucket.Reservations(%v)", r.Err())
	}
	return fmt.Sprintf("tokenbucket.Reservations(of %d members in %v)", len(r.members), r.Delay())
}

// String is as [Reservation.String].
func (r *RemoteReservation) String() string {
	return fmt.Sprintf("tokenbucket.RemoteReservation(%v tokens in %v)", r.promise.tokens, r.Delay())
}

// String returns the clock's time.
func (c *ManualClock) String() string {
	return fmt.Sprintf("tokenbucket.ManualClock(%v)", c.Now())
}

// String returns the fields; InfDuration is "never".
func (d Decision) String() string {
	retry, reset := textOf(d.RetryAfter), textOf(d.ResetAfter)
	return fmt.Sprintf("{Remaining:%v RetryAfter:%s ResetAfter:%s}", d.Remaining, retry, reset)
}

// String is as [Decision.String].
func (r Refusal) String() string {
	return fmt.Sprintf("{Member:%d RetryAfter:%s}", r.Member, textOf(r.RetryAfter))
}
