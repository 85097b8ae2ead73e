package httplimit

import (
	"context"
	"errors"
	"math"
	"sync/atomic"
	"time"

	"tokenbucket"
)

// Clients limits each of many clients by a limit whose keys they are, and counts what it decides. Create it with
// [NewClients]; the zero value refuses everything with tokenbucket.ErrInvalidArgument.
type Clients struct {
	table  *tokenbucket.Table
	remote *tokenbucket.Remote // nil: the table

	granted, denied, crowded, unavailable atomic.Int64
}

// Keyed is a limit for each of many keys: in this process, or for all processes of a fleet.
type Keyed interface {
	*tokenbucket.Table | *tokenbucket.Remote
}

// NewClients uses the limit, which may serve others too. A [*tokenbucket.ArgumentError]: it is nil.
func NewClients[L Keyed](limit L) (*Clients, error) {
	if limit == nil {
		return nil, &tokenbucket.ArgumentError{
			Status: tokenbucket.ErrInvalidArgument, Argument: "limit", Allowed: "a Table or a Remote", Value: "nil"}
	}
	c := new(Clients)
	switch limit := any(limit).(type) {
	case *tokenbucket.Table:
		c.table = limit
	case *tokenbucket.Remote:
		c.remote = limit
	}
	return c, nil
}

// Take is TakeContext(context.Background(), key, n).
func (c *Clients) Take(key string, n float64) (tokenbucket.Decision, error) {
	return c.TakeContext(context.Background(), key, n)
}

// TakeContext takes n tokens of the client with that key, as [tokenbucket.TableOf.Take] or [tokenbucket.Remote.Take]. A
// key is of the client's making: of one that is longer than tokenbucket.MaxKeySize the first so many bytes count.
func (c *Clients) TakeContext(ctx context.Context, key string, n float64) (tokenbucket.Decision, error) {
	a := c.ask(ctx, key, n)
	return a.Decision, a.err
}

// answer is a decision, and for a server's fields what it does not say.
type answer struct {
	tokenbucket.Decision
	err       error
	nextAfter time.Duration // until the same amount would be granted once more; of use where no whole token is left
}

func (c *Clients) ask(ctx context.Context, key string, n float64) answer {
	if len(key) > tokenbucket.MaxKeySize {
		key = key[:tokenbucket.MaxKeySize]
	}
	var a answer
	if c != nil && c.remote != nil {
		a = askRemote(ctx, c.remote, key, n)
	} else {
		a = askTable(c.limits(), key, n)
	}
	switch {
	case a.err == nil:
		c.granted.Add(1)
	case a.err == tokenbucket.ErrDenied || a.err == tokenbucket.ErrExceedsCapacity:
		c.denied.Add(1)
	case a.err == tokenbucket.ErrTableFull:
		c.crowded.Add(1)
	case errors.Is(a.err, tokenbucket.ErrUnavailable):
		c.unavailable.Add(1)
	}
	return a
}

func askTable(table *tokenbucket.Table, key string, n float64) (a answer) {
	a.Decision, a.err = table.Take(key, n)
	a.nextAfter = a.RetryAfter
	if a.err == nil && a.Remaining < 1 {
		a.nextAfter, _ = table.TimeUntil(key, n)
	}
	return a
}

// A second call for nextAfter is spared: until the bucket is full its tokens accrue evenly.
func askRemote(ctx context.Context, remote *tokenbucket.Remote, key string, n float64) (a answer) {
	a.Decision, a.err = remote.Take(ctx, key, n)
	a.nextAfter = a.RetryAfter
	if a.err == nil && a.Remaining < 1 {
		fromThenOn := (remote.Burst() - n) / remote.Limit() * float64(time.Second)
		a.nextAfter = a.ResetAfter - time.Duration(math.Round(fromThenOn))
	}
	return a
}

var noTable tokenbucket.Table // refuses everything

func (c *Clients) limits() *tokenbucket.Table {
	if c == nil || c.table == nil {
		return &noTable
	}
	return c.table
}

// policy is the limit that the fields tell.
type policy interface {
	Burst() float64
	Limit() float64
}

func (c *Clients) policy() policy {
	if c.remote != nil {
		return c.remote
	}
	return c.table
}
