package httplimit

import (
	"sync/atomic"
	"time"

	"tokenbucket"
)

// Clients limits each of many clients by a table whose keys they are, and counts what it decides. Create it with
// [NewClients]; the zero value refuses everything with tokenbucket.ErrInvalidArgument.
type Clients struct {
	table                    *tokenbucket.Table
	granted, denied, crowded atomic.Int64
}

// NewClients uses the table, which may serve others too. tokenbucket.ErrInvalidArgument: it is nil.
func NewClients(table *tokenbucket.Table) (*Clients, error) {
	if table == nil {
		return nil, tokenbucket.ErrInvalidArgument
	}
	return &Clients{table: table}, nil
}

// Take takes n tokens of the client with that key, as [tokenbucket.TableOf.Take]. A key is of the client's making: of
// one that is longer than tokenbucket.MaxKeySize the first so many bytes count.
func (c *Clients) Take(key string, n float64) (tokenbucket.Decision, error) {
	a := c.ask(key, n)
	return a.Decision, a.err
}

// answer is a decision, and for a server's fields what it does not say.
type answer struct {
	tokenbucket.Decision
	err       error
	nextAfter time.Duration // until the same amount would be granted once more; of use where no whole token is left
}

func (c *Clients) ask(key string, n float64) answer {
	if len(key) > tokenbucket.MaxKeySize {
		key = key[:tokenbucket.MaxKeySize]
	}
	table := c.limits()
	var a answer
	a.Decision, a.err = table.Take(key, n)
	a.nextAfter = a.RetryAfter
	if a.err == nil && a.Remaining < 1 {
		a.nextAfter, _ = table.TimeUntil(key, n)
	}
	switch a.err {
	case nil:
		c.granted.Add(1)
	case tokenbucket.ErrDenied, tokenbucket.ErrExceedsCapacity:
		c.denied.Add(1)
	case tokenbucket.ErrTableFull:
		c.crowded.Add(1)
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
