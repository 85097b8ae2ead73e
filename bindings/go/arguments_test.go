//go:build cgo

package tokenbucket

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// badRow is one call of ../bad_arguments.txt.
type badRow struct {
	t                    *testing.T
	line                 int
	call, refused, allow string
	arguments            map[string]string
}

// goNames are the arguments and options of the file in Go.
var goNames = map[string]string{
	"rate": "tokensPerSecond", "period": "WithPeriod", "initial": "WithInitialTokens", "max_waiters": "WithMaxWaiters",
	"max_lateness": "WithMaxLateness", "max_keys": "keys", "max_bytes": "WithMaxBytes", "max_wait": "WithMaxWait",
	"tokens": "n", "duration": "d", "text": "address", "ipv6_prefix": "ipv6Prefix", "timeout": "no argument: the context's",
}

func (b *badRow) number(name string, otherwise float64) float64 {
	text, given := b.arguments[name]
	if !given {
		return otherwise
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		b.t.Fatalf("line %d: %v", b.line, err)
	}
	return n
}

func (b *badRow) time(name string) time.Duration {
	d, err := time.ParseDuration(b.arguments[name])
	if err != nil {
		b.t.Fatalf("line %d: %v", b.line, err)
	}
	return d
}

func (b *badRow) options() (options []Option) {
	for name := range b.arguments {
		switch name {
		case "period":
			options = append(options, WithPeriod(b.time(name)))
		case "initial":
			options = append(options, WithInitialTokens(b.number(name, 0)))
		case "max_waiters":
			options = append(options, WithMaxWaiters(int(b.number(name, 0))))
		case "max_lateness":
			options = append(options, WithMaxLateness(b.time(name)))
		case "max_bytes":
			options = append(options, WithMaxBytes(int64(b.number(name, 0))))
		case "max_wait":
			options = append(options, WithMaxWait(b.time(name)))
		case "share":
			options = append(options, WithOnUnavailable(FailLocal(b.number(name, 0))))
		}
	}
	return options
}

// words are what the text must hold, in this order.
func (b *badRow) words() (first, second string) {
	name, value := b.refused, b.arguments[b.refused]
	spelled, renamed := goNames[name]
	switch {
	case name == "tokens" && (b.call == "reset" || b.call == "set_tokens"):
		spelled = name
	case b.call == "reserve" && name == "max_wait":
		spelled = "max"
	case b.call == "limits":
		spelled = "members"
	case !renamed:
		spelled = name
	}
	if name == "key" {
		value = b.arguments["key_size"]
	} else if n, err := strconv.ParseFloat(value, 64); err == nil {
		value = fmt.Sprint(n)
	} else if d, err := time.ParseDuration(value); err == nil {
		value = d.String()
	} else {
		value = strconv.Quote(value)
	}
	return spelled + " must be " + b.allow, "got " + value
}

// do makes the call; limits hold 10 tokens and gain 5 per second.
func (b *badRow) do() error {
	const capacity, rate = 10, 5
	ctx := context.Background()
	n, key := b.number("tokens", 1), strings.Repeat("k", int(b.number("key_size", 1)))
	clock := newManualClock(b.t)
	l := newLimiter(b.t, capacity, rate, WithClock(clock))
	before := *l.bucket
	table, err := NewTable(capacity, rate, 100, WithClock(clock))
	if err != nil {
		b.t.Fatal(err)
	}
	never := func(context.Context, ...any) (any, error) { b.t.Error("the server was asked"); return nil, nil }
	server, err := NewRemote(never, capacity, rate)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() {
		if l.Tokens() != capacity || l.Limit() != rate || l.Burst() != capacity || *l.bucket != before {
			b.t.Errorf("line %d: the limiter has changed", b.line)
		}
		if table.Tokens("a") != capacity || table.Limit() != rate || table.Burst() != capacity {
			b.t.Errorf("line %d: the table has changed", b.line)
		}
	}()
	switch b.call {
	case "bucket":
		_, err = New(b.number("capacity", capacity), b.number("rate", rate), b.options()...)
	case "shared", "shared_again":
		name, given := b.arguments["name"]
		if !given {
			name = sharedName(b.t)
		}
		if b.call == "shared_again" {
			openForTest(b.t, name, capacity, rate)
		}
		_, err = OpenShared(name, b.number("capacity", capacity), b.number("rate", rate), b.options()...)
		if b.call == "shared_again" && !strings.Contains(fmt.Sprint(err), name) {
			b.t.Errorf("line %d: %v does not name %s", b.line, err, name)
		}
	case "table":
		keys := b.number("max_keys", 100)
		if b.arguments["max_bytes"] != "" {
			keys = 0
		}
		_, err = NewTable(b.number("capacity", capacity), b.number("rate", rate), int(keys), b.options()...)
	case "server":
		_, err = NewRemote(never, b.number("capacity", capacity), b.number("rate", rate), b.options()...)
	case "take":
		_, err = l.Take(n)
	case "take_up_to":
		_, err = l.TakeUpTo(b.number("most", 1))
	case "wait":
		err = l.WaitN(ctx, n)
	case "reserve":
		max := InfDuration
		if b.arguments["max_wait"] != "" {
			max = b.time("max_wait")
		}
		err = l.ReserveWithin(n, max).Err()
	case "time_until":
		_, err = l.TimeUntil(n)
	case "charge":
		_, err = l.Charge(n)
	case "refund":
		err = l.Refund(n)
	case "settle":
		r := l.Reserve()
		err = r.Settle(b.number("actual", 0))
		expectError(b.t, "settling afterwards", r.Settle(0), nil)
	case "reset":
		err = l.Reset(n)
	case "set_tokens":
		err = l.SetTokens(n)
	case "table_take":
		_, err = table.Take(key, n)
	case "table_charge":
		_, err = table.Charge(key, n)
	case "server_take":
		_, err = server.Take(ctx, key, n)
	case "server_charge":
		_, err = server.Charge(ctx, key, n)
	case "clock":
		_, err = NewManualClock(b.time("start"))
	case "clock_set":
		err = clock.Set(b.time("now"))
	case "clock_advance":
		err = clock.Advance(b.time("duration"))
	case "set_rate":
		err = l.SetLimit(b.number("rate", 0))
	case "set_capacity":
		err = l.SetBurst(b.number("capacity", 0))
	case "table_set_rate":
		err = table.SetLimit(b.number("rate", 0))
	case "table_set_capacity":
		err = table.SetBurst(b.number("capacity", 0))
	case "limits":
		var limits Limits
		for i := 0.0; i < b.number("members", 0); i++ {
			limits = append(limits, newLimiter(b.t, capacity, rate).Member(1))
		}
		_, err = limits.Take()
	case "address":
		_, err = AddressKey(b.arguments["text"], int32(b.number("ipv6_prefix", 64)))
	default:
		b.t.Fatalf("line %d: unknown call %s", b.line, b.call)
	}
	return err
}

func TestBadArguments(t *testing.T) {
	file, err := os.Open("../bad_arguments.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, timeouts, line := 0, 0, 0
	for lines := bufio.NewScanner(file); lines.Scan(); {
		line++
		if text := lines.Text(); text == "" || text[0] == '#' {
			continue
		}
		fields := strings.Split(lines.Text(), " | ")
		if len(fields) != 4 {
			t.Fatalf("line %d: %d fields", line, len(fields))
		}
		b := &badRow{t, line, fields[0], fields[2], fields[3], map[string]string{}}
		for _, argument := range strings.Split(fields[1], ", ") {
			name, value, _ := strings.Cut(argument, "=")
			b.arguments[name] = value
		}
		rows++
		if b.refused == "timeout" { // which in Go is a context's deadline
			timeouts++
			continue
		}
		err := b.do()
		first, second := b.words()
		text := fmt.Sprint(err)
		at := strings.Index(text, first)
		if at < 0 || !strings.Contains(text[at:], second) || !strings.HasPrefix(text, "tokenbucket: ") {
			t.Errorf("line %d: %s of %v: %q, want %q and %q", line, b.call, b.arguments, text, first, second)
		}
		var of *ArgumentError
		var shared *SharedError
		if !errors.As(err, &of) && !errors.As(err, &shared) {
			t.Errorf("line %d: an error of type %T", line, err)
		}
	}
	if rows < 70 || timeouts != 3 {
		t.Errorf("%d rows, %d of them with a timeout", rows, timeouts)
	}
}

// What Go alone can be told.
func TestBadArgumentsOfGo(t *testing.T) {
	clock := newManualClock(t)
	l, ctx := newLimiter(t, 10, 5, WithClock(clock)), context.Background()
	table, _ := NewTable(10, 5, 100)
	do := func(context.Context, ...any) (any, error) { return nil, nil }
	remote, _ := NewRemote(do, 10, 5)
	ended := l.Reserve()
	expectError(t, "Settle", ended.Settle(0), nil)
	var zero Limiter
	var zeroRemote Remote
	create := func(options ...Option) error { _, err := New(10, 5, options...); return err }
	for want, err := range map[string]error{
		"WithPrefix must be left out for a Limiter of New":                                                     create(WithPrefix("a")),
		"WithMaxBytes must be left out for a Limiter of New":                                                   create(WithMaxBytes(64)),
		"WithAdopt must be left out for a Limiter of New":                                                      create(WithAdopt()),
		"WithClock must be left out for a Limiter of OpenShared":                                               second(OpenShared("a", 1, 1, WithClock(clock))),
		"WithStatistics must be left out for a Table":                                                          second(NewTable(1, 1, 1, WithStatistics())),
		"WithInitialTokens must be left out for a Remote":                                                      second(NewRemote(do, 1, 1, WithInitialTokens(1))),
		"WithMaxLateness must be left out for a Remote":                                                        second(NewRemote(do, 1, 1, WithMaxLateness(1))),
		"WithWhenFull must be EvictFullest, DenyNew or AdmitNew, got 3":                                        second(NewTable(1, 1, 1, WithWhenFull(3))),
		"WithMaxBytes must be 64 or more with keys 0, or 0 with keys, got 64":                                  second(NewTable(1, 1, 1, WithMaxBytes(64))),
		"do must be a function, got nil":                                                                       second(NewRemote(nil, 1, 1)),
		`name must be the name of a file, without a slash or a leading dot, or an absolute path, got "a\x00b"`: RemoveShared("a\x00b"),
		"answers must be as many as keys, 2, got 1":                                                            table.AllowMany([]string{"a", "b"}, nil, make([]Status, 1)),
		"amounts must be as many as keys, 1, got 0":                                                            table.AllowMany([]string{"a"}, []float64{}, make([]Status, 1)),
		"keys must be at most 1024, got 1025":                                                                  remote.AllowMany(ctx, make([]string, 1025), nil, make([]Status, 1025)),
		"n of member 0 must be finite and more than 0, got -1":                                                 remote.AllowMany(ctx, []string{"a"}, []float64{-1}, make([]Status, 1)),
		"member 1 must be made by a Member method, got a zero value":                                           second(Limits{l.Member(1), {}}.Take()),
		"n of member 1 must be finite and more than 0, got NaN":                                                second(Limits{l.Member(1), table.Member("a", math.NaN())}.Take()),
		"members must be limits that differ, made by New or NewTable":                                          second(Limits{l.Member(1), l.Member(1)}.Take()),
		"keys must be different, with one {tag} in braces":                                                     second(RemoteLimits{remote.Member("a", 1), remote.Member("b", 1)}.Take(ctx)),
		"max must be 0 or more, got -3s":                                                                       Limits{l.Member(1)}.ReserveWithin(-3 * time.Second).Err(),
		`key must be without a }, or with a {tag}, got "tb:a}"`:                                                remote.Refund(ctx, "a}", 1),
		"the reservation must be neither cancelled nor settled before":                                         ended.Settle(0),
		"n must be no more than can be owed, 2^59 units in all, got 1e+300":                                    second(l.Charge(1e300)),
		"n must be no more than is there and WithMaxWait lets it owe, got 1000":                                second(remote.Charge(ctx, "a", 1000)),
		"d must be 0 or more, and no more than up to the longest duration, got 2562047h47m16.854775807s": func() error {
			expectError(t, "Advance", clock.Advance(1), nil)
			return clock.Advance(math.MaxInt64)
		}(),
		"the limit must be one that New, OpenShared, NewTable or NewRemote made, got a zero value": zero.Close(),
		"FailLocal: a limit times the share: tokenbucket: capacity must be from 1e-6 to 1e15 tokens, got 5e-07": second(
			NewRemote(do, 1e-6, 1, WithOnUnavailable(FailLocal(0.5)))),
	} {
		if fmt.Sprint(err) != "tokenbucket: "+want {
			t.Errorf("%v\n    want: %s", err, want)
		}
	}
	for i, err := range []error{
		second(zero.Take(1)), zero.Wait(ctx), zero.Reserve().Err(), zero.Reset(1), zero.SetLimit(1), zero.SetBurst(1),
		second(zero.Stats()), second(zeroRemote.Take(ctx, "a", 1)), second(zeroRemote.Charge(ctx, "a", 1)),
	} {
		if !strings.Contains(fmt.Sprint(err), "a zero value") {
			t.Errorf("call %d of a zero value: %v", i, err)
		}
	}
	expectTokens(t, l, 10)
}
