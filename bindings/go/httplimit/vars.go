package httplimit

import (
	"encoding/json"
	"fmt"

	"tokenbucket"
)

// The results are expvar.Vars. The package does not import expvar, which would open /debug/vars on the default mux of
// every program that uses httplimit.

type jsonVar func() any

func (v jsonVar) String() string {
	text, err := json.Marshal(v())
	if err != nil {
		return "null"
	}
	return string(text)
}

// Var shows a limiter as JSON: its limit, burst and tokens, and what it counts where it was created with
// tokenbucket.WithStatistics. For expvar.Publish("upstream", httplimit.Var(limiter)).
func Var(l *tokenbucket.Limiter) fmt.Stringer {
	l = orRefusing(l)
	return jsonVar(func() any {
		v := struct {
			Limit, Burst, Tokens float64
			Stats                *tokenbucket.Stats `json:",omitempty"`
		}{l.Limit(), l.Burst(), l.Tokens(), nil}
		if stats, err := l.Stats(); err == nil {
			v.Stats = &stats
		}
		return v
	})
}

// Var shows as JSON: how many takes were Granted and Denied; of a table also Crowded out for want of room, and the
// table's tokenbucket.TableStats, for which it reads the whole table; of a tokenbucket.Remote those that were
// Unavailable.
func (c *Clients) Var() fmt.Stringer {
	return jsonVar(func() any {
		if c.remote != nil {
			return struct{ Granted, Denied, Unavailable int64 }{c.granted.Load(), c.denied.Load(), c.unavailable.Load()}
		}
		stats, _ := c.limits().Stats() // of Clients without a limit: zeros
		return struct {
			Granted, Denied, Crowded int64
			tokenbucket.TableStats
		}{c.granted.Load(), c.denied.Load(), c.crowded.Load(), stats}
	})
}
