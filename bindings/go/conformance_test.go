//go:build cgo

package tokenbucket

import (
	"bytes"
	"context"
	"errors"
	"math"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// replay carries out the steps of one row of tests/conformance; the README there explains them. After each step all
// waits are asleep or over.
type replay struct {
	*testing.T
	clock        *ManualClock
	named        map[string]limitOfRow // those of a row of several limits
	limitOfRow                         // that the step is about
	bucket       bucketOfRow           // the limiter, or a key of the table
	name         string
	seen         map[string]bool // the kinds of steps carried out, in all rows
	reservations map[string]interface{ Cancel() }
	waits        map[string]*waitOfRow
}

// limitOfRow is a limiter or a table.
type limitOfRow struct {
	limiter *Limiter
	table   *Table
}

type bucketOfRow interface {
	Take(n float64) (Decision, error)
	TakeUpTo(most float64) (float64, error)
	Tokens() float64
	TimeUntil(n float64) (time.Duration, error)
	Charge(n float64) (time.Duration, error)
	Refund(n float64) error
	ReserveWithin(n float64, max time.Duration) *Reservation
}

type waitOfRow struct {
	leave  func()
	answer chan error // holds one
	over   bool
	err    error
	at     time.Duration // when it was over

	members []string // of the one for several limits
}

func TestConformance(t *testing.T) {
	replayFile(t, "rows.txt", 18, "peek", "peekx", "take", "upto", "est", "force", "add", "resv", "cancel", "rate")
}

func TestConformanceOfWaits(t *testing.T) {
	replayFile(t, "waits.txt", 130, "wait", "leave", "jump", "next", "reset", "set", "close", "waiting", "burst")
}

func TestConformanceOfTables(t *testing.T) {
	replayFile(t, "tables.txt", 5, "peek", "take", "upto", "est", "force", "add", "resv", "cancel", "remove", "many")
}

func replayFile(t *testing.T, name string, fewest int, verbs ...string) {
	rows := strings.Split(strings.TrimSpace(readFile(t, "../../tests/conformance/"+name)), "\n")
	if len(rows) < fewest {
		t.Errorf("only %d rows", len(rows))
	}
	seen := map[string]bool{}
	for _, row := range rows {
		fields := strings.Split(row, "|")
		if len(fields) != 3 {
			t.Fatalf("no row: %s", row)
		}
		t.Run(strings.TrimSpace(fields[0]), func(t *testing.T) {
			r := &replay{T: t, clock: newManualClock(t), seen: seen, reservations: map[string]interface{ Cancel() }{},
				waits: map[string]*waitOfRow{}}
			if limit := strings.Fields(fields[1]); strings.Contains(limit[0], "=") {
				r.limitOfRow = r.create(limit)
				r.bucket = r.limiter
			} else {
				r.nameAll(fields[1])
			}
			for _, step := range strings.Split(fields[2], ";") {
				r.step(strings.Fields(strings.ReplaceAll(step, " = ", " ")))
			}
			for _, w := range r.waits {
				w.leave()
			}
			r.settle()
		})
	}
	for _, verb := range verbs {
		if !seen[verb] {
			t.Errorf("no row has the step %s", verb)
		}
	}
}

func (r *replay) create(limits []string) limitOfRow {
	var capacity, rate, keys float64
	options := []Option{WithClock(r.clock)}
	for _, limit := range limits {
		name, value, _ := strings.Cut(limit, "=")
		switch name {
		case "rate":
			var period time.Duration
			rate, period = r.rate(value)
			options = append(options, WithPeriod(period))
		case "burst":
			capacity = r.number(value)
		case "init":
			options = append(options, WithInitialTokens(r.number(value)))
		case "max_waiters":
			options = append(options, WithMaxWaiters(int(r.number(value))))
		case "lateness":
			options = append(options, WithMaxLateness(r.duration(value)))
		case "keys":
			keys = r.number(value)
		case "full":
			options = append(options,
				WithWhenFull(map[string]WhenFull{"evict": EvictFullest, "deny": DenyNew, "admit": AdmitNew}[value]))
		default:
			r.Fatalf("unknown limit %s", limit)
		}
	}
	if keys == 0 {
		return limitOfRow{limiter: newLimiter(r, capacity, rate, options...)}
	}
	return limitOfRow{table: newTableOf[string](r, capacity, rate, int(keys), options...)}
}

func (r *replay) number(s string) float64 {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil {
		r.Fatal(err)
	}
	return n
}

func (r *replay) duration(s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		r.Fatal(err)
	}
	return d
}

// rate reads "10/s", "1/2s".
func (r *replay) rate(s string) (float64, time.Duration) {
	tokens, period, _ := strings.Cut(s, "/")
	if strings.IndexAny(period, "0123456789") != 0 {
		period = "1" + period
	}
	return r.number(tokens), r.duration(period)
}

func (r *replay) step(words []string) {
	text := strings.Join(words, " ")
	if strings.HasPrefix(words[0], "@") {
		r.moveTo(r.duration(words[0][1:]))
		words = words[1:]
	}
	r.name = ""
	if len(words) > 0 && strings.HasSuffix(words[0], ":") {
		r.name = words[0]
		words = words[1:]
	}
	if len(words) > 0 {
		if name, verb, named := strings.Cut(words[0], "/"); named {
			r.choose(name)
			words[0] = verb
		}
		r.run(text, words)
		r.settle()
	}
}

// choose takes the key of the only table, or what has the name.
func (r *replay) choose(name string) {
	if r.named == nil {
		r.bucket = keyOfRow{r.table, strings.Trim(name, `"`)}
		return
	}
	name, key, ofKey := strings.Cut(name, ".")
	r.limitOfRow = r.named[name]
	if r.bucket = r.limiter; ofKey {
		r.bucket = keyOfRow{r.table, key}
	}
}

// moveTo stops on the way at each time at which a waiter is due.
func (r *replay) moveTo(at time.Duration) {
	for _, next := r.clock.Waiters(); next <= at; _, next = r.clock.Waiters() {
		r.jump(next)
	}
	r.jump(at)
}

func (r *replay) jump(at time.Duration) {
	expectError(r.T, "Set", r.clock.Set(at), nil)
	r.settle()
}

// settle returns when all goroutines in enter sleep, and notes which of them were over.
func (r *replay) settle() {
	sleep := regexp.MustCompile(`^goroutine \d+ \[select`)
	text := make([]byte, 1<<20)
	eventually(r.T, "all asleep", func() bool {
		for _, stack := range bytes.Split(text[:runtime.Stack(text, true)], []byte("\n\n")) {
			if bytes.Contains(stack, []byte("(*replay).enter")) && !bytes.Contains(stack, []byte("(*replay).settle")) &&
				!sleep.Match(stack) {
				return false
			}
		}
		return true
	})
	for _, w := range r.waits {
		select {
		case w.err = <-w.answer:
			w.over, w.at = true, r.clock.Now()
		default:
		}
	}
}

var answersOfWaits = map[string]error{
	"ok": nil, "late": ErrTimedOut, "never": ErrExceedsCapacity, "full": ErrQueueFull, "closed": ErrClosed,
}

// enterAlone starts a wait of the bucket that the step is about.
func (r *replay) enterAlone(text string, words []string) {
	n := r.number(words[0])
	var of account = r.limiter
	if key, ofKey := r.bucket.(keyOfRow); ofKey {
		of = key.table.at(key.key)
	}
	r.enter(text, words[1:], &waitOfRow{}, func(ctx context.Context, within time.Duration, priority int32) error {
		return queue(ctx, of, n, within, priority)
	})
}

// enter starts a wait, and checks what it is told at once.
func (r *replay) enter(text string, words []string, w *waitOfRow,
	wait func(ctx context.Context, within time.Duration, priority int32) error,
) {
	within, priority, by := InfDuration, 0.0, ""
	var want error
	var after time.Duration
	atOnce := false
	for _, word := range words {
		switch name, value, _ := strings.Cut(word, "="); name {
		case "within":
			within = r.duration(value)
		case "priority":
			priority = r.number(value)
		case "ok", "late", "never", "full", "closed":
			atOnce, want = true, answersOfWaits[name]
			if value != "" {
				after = r.duration(value)
			}
		case "retry":
			after = r.duration(value)
		case "by":
			by = value
		default:
			r.Fatalf("unknown word %s in %s", word, text)
		}
	}
	var ctx context.Context
	ctx, w.leave = context.WithCancel(background)
	w.answer = make(chan error, 1)
	r.waits[strings.TrimSuffix(r.name, ":")] = w
	go func() { w.answer <- wait(ctx, within, int32(priority)) }()
	r.settle()
	r.expect(text, w.over == atOnce && errors.Is(w.err, want) && w.by() == by)
	var late *TimeoutError
	r.expect(text, after == 0 || errors.As(w.err, &late) && late.RetryAfter == after)
}

// by is the member that refused, or "".
func (w *waitOfRow) by() string {
	var e *RefusalError
	if !errors.As(w.err, &e) {
		return ""
	}
	return w.members[e.Member]
}

// checkWait is for "A waits" and "A ok@T".
func (r *replay) checkWait(text string, w *waitOfRow, claims []string) {
	answer, at, _ := strings.Cut(claims[0], "@")
	if answer == "waits" {
		r.expect(text, !w.over)
		return
	}
	want, known := answersOfWaits[answer]
	r.expect(text, known && w.over && errors.Is(w.err, want) && w.at == r.duration(at))
	if len(claims) > 1 {
		r.expect(text, w.by() == strings.TrimPrefix(claims[1], "by="))
	}
}

func (r *replay) run(text string, words []string) {
	b, last := r.bucket, words[len(words)-1]
	var of interface {
		SetLimit(tokensPerSecond float64) error
		SetBurst(capacity float64) error
		Close() error
	} = r.limiter
	if r.table != nil {
		of = r.table
	}
	verb, value, joined := strings.Cut(words[0], "=")
	if !joined {
		value = last
	}
	r.seen[verb] = true
	switch verb {
	case "peek":
		left := b.Tokens()
		if r.named == nil {
			left = math.Floor(left)
		}
		r.expect(text, left == r.number(value))
	case "peekx":
		r.expect(text, b.Tokens() == r.number(value))
	case "take":
		r.take(text, words)
	case "upto":
		taken, err := b.TakeUpTo(r.number(words[1]))
		r.expect(text, err == nil && taken == r.number(last))
	case "est":
		left, err := b.TimeUntil(r.number(words[1]))
		r.expect(text, err == nil && left == r.duration(last))
	case "force":
		repaid, err := b.Charge(r.number(words[1]))
		r.expect(text, err == nil && (len(words) == 2 || repaid == r.duration(last)))
	case "add":
		r.expect(text, b.Refund(r.number(last)) == nil)
	case "all":
		r.takeAll(text, words[1:])
	case "resv":
		if isMember(words[1]) {
			r.reserveAll(text, words[1:])
		} else {
			r.reserve(text, words)
		}
	case "cancel":
		r.reservations[last+":"].Cancel()
	case "rate":
		tokens, period := r.rate(last)
		r.expect(text, of.SetLimit(tokens*float64(time.Second)/float64(period)) == nil)
	case "burst":
		r.expect(text, of.SetBurst(r.number(last)) == nil)
	case "wait":
		if isMember(words[1]) {
			r.enterAll(text, words[1:])
		} else {
			r.enterAlone(text, words[1:])
		}
	case "leave":
		r.waits[last].leave()
	case "jump":
		r.jump(r.duration(last))
	case "waiting":
		count, _ := r.clock.Waiters()
		r.expect(text, float64(count) == r.number(last))
	case "next":
		_, next := r.clock.Waiters()
		r.expect(text, last == "never" && next == InfDuration || last != "never" && next == r.duration(last))
	case "reset":
		r.expect(text, r.limiter.Reset(r.number(last)) == nil)
	case "set":
		r.expect(text, r.limiter.SetTokens(r.number(last)) == nil)
	case "close":
		r.expect(text, of.Close() == nil)
	case "remove":
		r.expect(text, b.(keyOfRow).Remove() == nil)
	case "many":
		r.many(text, words[1:])
	default:
		w := r.waits[verb]
		if w == nil {
			r.Fatalf("unknown step %s", text)
		}
		r.checkWait(text, w, words[1:])
	}
}

func (r *replay) expect(text string, holds bool) {
	r.Helper()
	if !holds {
		r.Errorf("not so: %s", text)
	}
}

var answersOfTakes = map[string]Status{
	"ok": Success, "no": ErrDenied, "never": ErrExceedsCapacity, "full": ErrTableFull, "closed": ErrClosed,
}

func (r *replay) take(text string, words []string) {
	want, known := answersOfTakes[words[2]]
	r.expect(text, known)
	times := 1
	for _, word := range words[3:] {
		if strings.HasPrefix(word, "*") {
			times = int(r.number(word[1:]))
		}
	}
	for i := 0; i < times; i++ {
		d, err := r.bucket.Take(r.number(words[1]))
		r.expect(text, err == want.err())
		for _, word := range words[3:] {
			switch name, value, _ := strings.Cut(word, "="); name {
			case "retry":
				r.expect(text, d.RetryAfter == r.duration(value))
			case "rem":
				r.expect(text, math.Floor(d.Remaining) == r.number(value))
			}
		}
	}
}

func (r *replay) reserve(text string, words []string) {
	max := InfDuration
	if _, value, limited := strings.Cut(words[2], "max="); limited {
		max = r.duration(value)
	}
	reservation := r.bucket.ReserveWithin(r.number(words[1]), max)
	switch last := words[len(words)-1]; last {
	case "no":
		r.expect(text, reservation.Err() == ErrTimedOut)
	case "never", "full", "closed":
		r.expect(text, reservation.Err() == answersOfTakes[last])
	default:
		r.expect(text, reservation.OK() && reservation.Delay() == r.duration(last))
		r.reservations[r.name] = reservation
	}
}

// keyOfRow is a key of the table.
type keyOfRow struct {
	table *Table
	key   string
}

func (k keyOfRow) Take(n float64) (Decision, error)           { return k.table.Take(k.key, n) }
func (k keyOfRow) TakeUpTo(most float64) (float64, error)     { return k.table.TakeUpTo(k.key, most) }
func (k keyOfRow) Tokens() float64                            { return k.table.Tokens(k.key) }
func (k keyOfRow) TimeUntil(n float64) (time.Duration, error) { return k.table.TimeUntil(k.key, n) }
func (k keyOfRow) Charge(n float64) (time.Duration, error)    { return k.table.Charge(k.key, n) }
func (k keyOfRow) Refund(n float64) error                     { return k.table.Refund(k.key, n) }
func (k keyOfRow) Remove() error                              { return k.table.Remove(k.key) }
func (k keyOfRow) ReserveWithin(n float64, max time.Duration) *Reservation {
	return k.table.ReserveWithin(k.key, n, max)
}

// many reads as many keys as answers.
func (r *replay) many(text string, words []string) {
	n := len(words) / 2
	keys, answers := make([]string, n), make([]Status, n)
	for i, key := range words[:n] {
		keys[i] = strings.Trim(key, `"`)
	}
	expectError(r.T, text, r.table.AllowMany(keys, nil, answers), nil)
	for i, answer := range words[n:] {
		want, known := answersOfTakes[answer]
		r.expect(text, known && answers[i] == want)
	}
}
