//go:build cgo

package tokenbucket

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

// Without a server: what is sent, what comes of each reply, and what is answered instead. The module in redigo asks a
// real one.

// fakeServer answers with the replies in turn, then with the last one again: numbers, or errors.
type fakeServer struct {
	replies []any
	calls   [][]any
}

func (f *fakeServer) do(_ context.Context, args ...any) (any, error) {
	f.calls = append(f.calls, args)
	v := f.replies[0]
	if len(f.replies) > 1 {
		f.replies = f.replies[1:]
	}
	if err, failed := v.(error); failed {
		return nil, err
	}
	return v, nil
}

func numbers(n ...int64) []any {
	var all []any
	for _, n := range n {
		all = append(all, n)
	}
	return all
}

var errDown = errors.New("connection refused")

// newFakeRemote is 10 tokens, one per second, on a server with those replies.
func newFakeRemote(t testing.TB, replies []any, options ...Option) (*Remote, *fakeServer) {
	t.Helper()
	server := &fakeServer{replies: replies}
	r, err := NewRemote(server.do, 10, 1, options...)
	if err != nil {
		t.Fatal(err)
	}
	return r, server
}

func TestNewRemote(t *testing.T) {
	do := new(fakeServer).do
	for _, c := range []struct {
		what           string
		do             RedisDo
		capacity, rate float64
		options        []Option
		want           error
	}{
		{"no function", nil, 10, 1, nil, ErrInvalidArgument},
		{"NaN", do, math.NaN(), 1, nil, ErrInvalidArgument},
		{"no rate", do, 10, 0, nil, ErrOutOfRange},
		{"too many digits", do, 1e15, 1.23456789012345, nil, ErrOutOfRange},
		{"negative wait", do, 10, 1, []Option{WithMaxWait(-1)}, ErrInvalidArgument},
		{"no share", do, 10, 1, []Option{WithOnUnavailable(FailLocal(0))}, ErrInvalidArgument},
		{"share above 1", do, 10, 1, []Option{WithOnUnavailable(FailLocal(1.1))}, ErrInvalidArgument},
		{"share NaN", do, 10, 1, []Option{WithOnUnavailable(FailLocal(math.NaN()))}, ErrInvalidArgument},
		{"share too small", do, 1e-6, 1, []Option{WithOnUnavailable(FailLocal(0.5))}, ErrOutOfRange},
		{"initial tokens", do, 10, 1, []Option{WithInitialTokens(1)}, ErrUnsupported},
		{"clock", do, 10, 1, []Option{WithClock(newManualClock(t))}, ErrUnsupported},
		{"waiters", do, 10, 1, []Option{WithMaxWaiters(1)}, ErrUnsupported},
		{"statistics", do, 10, 1, []Option{WithStatistics()}, ErrUnsupported},
		{"events", do, 10, 1, []Option{WithOnEvent(func(Event) {})}, ErrUnsupported},
		{"bytes", do, 10, 1, []Option{WithMaxBytes(64)}, ErrUnsupported},
		{"when full", do, 10, 1, []Option{WithWhenFull(DenyNew)}, ErrUnsupported},
	} {
		if r, err := NewRemote(c.do, c.capacity, c.rate, c.options...); r != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: %v, %v, want %v", c.what, r, err, c.want)
		}
	}
	r, err := NewRemote(do, 100, 700000, WithPeriod(time.Hour))
	if err != nil || r.Burst() != 100 || r.Limit() != 700000.0/3600 {
		t.Errorf("a limit of 700000 an hour: %v, %v, %v", err, r.Burst(), r.Limit())
	}
	for _, option := range []Option{WithPrefix("a"), WithMaxWait(1), WithOnUnavailable(FailOpen)} {
		if _, err := New(1, 1, option); !errors.Is(err, ErrUnsupported) {
			t.Error("a limiter with an option of a Remote: ", err)
		}
		if _, err := NewTable(1, 1, 1, option); !errors.Is(err, ErrUnsupported) {
			t.Error("a table with an option of a Remote: ", err)
		}
	}
}

func TestMaxWaitIsAMinute(t *testing.T) {
	sent := func(options ...Option) []any {
		r, server := newFakeRemote(t, []any{errDown}, options...)
		_, _ = r.Reserve(context.Background(), "a")
		return server.calls[0]
	}
	if usual := sent(); !reflect.DeepEqual(usual, sent(WithMaxWait(time.Minute))) ||
		reflect.DeepEqual(usual, sent(WithMaxWait(59*time.Second))) {
		t.Error("the default is another one: ", usual)
	}
}

func TestZeroRemote(t *testing.T) {
	var r Remote
	ctx := context.Background()
	if ok, err := r.Allow(ctx, "a"); ok || !errors.Is(err, ErrInvalidArgument) {
		t.Errorf("Allow: %v, %v", ok, err)
	}
	if err := r.Wait(ctx, "a"); !errors.Is(err, ErrInvalidArgument) {
		t.Error("Wait: ", err)
	}
	if err := r.AllowMany(ctx, []string{"a"}, nil, make([]Status, 1)); !errors.Is(err, ErrInvalidArgument) {
		t.Error("AllowMany: ", err)
	}
	for _, l := range []RemoteLimits{nil, {r.Member("a", 1)}, {RemoteMember{}}, make(RemoteLimits, MaxMembers+1)} {
		if refusal, err := l.Take(ctx); refusal.Member != -1 || !errors.Is(err, ErrInvalidArgument) {
			t.Errorf("%d limits: %v, %v", len(l), refusal, err)
		}
	}
	if r.Limit() != 0 || r.Burst() != 0 {
		t.Errorf("a limit of %v, burst %v", r.Limit(), r.Burst())
	}
}

// 10 tokens of 10^9 units, 1000 units a microsecond, a minute of debt.
func TestWhatIsSent(t *testing.T) {
	ctx := context.Background()
	text, sha1 := script()
	noScript := errors.New("NOSCRIPT No matching script. Please use EVAL.")
	limit := numbers(1000, 1, 10_000_000_000, 60_000_000_000)
	with := func(head []any, n ...int64) []any { return append(append(head, limit...), numbers(n...)...) }

	r, server := newFakeRemote(t, []any{int64(9e9), noScript, int64(9e9), noScript}, WithPrefix("tb:a:"))
	if d, err := r.Take(ctx, "ann", 1); err != nil || d != (Decision{9, 0, time.Second}) {
		t.Errorf("%v, %v", d, err)
	}
	if d, err := r.Take(ctx, "ann", 1); err != nil || d.Remaining != 9 {
		t.Errorf("after NOSCRIPT: %v, %v", d, err)
	}
	if _, err := r.Take(ctx, "ann", 1); !errors.Is(err, ErrUnavailable) {
		t.Errorf("after NOSCRIPT twice: %v", err)
	}
	shortly := with([]any{"EVALSHA", sha1, int64(1), "tb:a:ann"}, 1_000_000_000)
	fully := with([]any{"EVAL", text, int64(1), "tb:a:ann"}, 1_000_000_000)
	want := [][]any{shortly, shortly, fully, shortly, fully}
	if !reflect.DeepEqual(server.calls, want) {
		t.Errorf("sent %v, want %v", server.calls, want)
	}

	r, server = newFakeRemote(t, []any{numbers(1e9, 9e9, 0, 0)})
	if repaid, err := r.Charge(ctx, "bob", 1); err != nil || repaid != 0 {
		t.Errorf("Charge: %v, %v", repaid, err)
	}
	want = [][]any{with([]any{"EVALSHA", sha1, int64(2), "tb:bob", "q:{tb:bob}"}, 1_000_000_000, 3)}
	if !reflect.DeepEqual(server.calls, want) {
		t.Errorf("sent %v, want %v", server.calls, want)
	}
}

// Whatever is known without the server is not asked.
func TestWhatIsNotSent(t *testing.T) {
	ctx := context.Background()
	done, cancel := context.WithCancel(ctx)
	cancel()
	r, server := newFakeRemote(t, []any{errDown}, WithOnUnavailable(FailOpen))
	reserve := func(key string, n float64, max time.Duration) error {
		_, err := r.ReserveWithin(ctx, key, n, max)
		return err
	}
	var of *ArgumentError
	long := strings.Repeat("k", MaxKeySize+1)
	for i, got := range []struct{ err, want error }{
		{second(r.Take(ctx, "a", 0)), ErrInvalidArgument},
		{second(r.Take(ctx, "a", math.Inf(1))), ErrInvalidArgument},
		{second(r.Take(ctx, "a", 10.1)), ErrExceedsCapacity},
		{second(r.Take(ctx, long, 1)), ErrInvalidArgument},
		{second(r.Take(done, "a", 1)), context.Canceled},
		{second(r.TakeUpTo(ctx, "a", -1)), ErrInvalidArgument},
		{second(r.Charge(ctx, "a", 71)), ErrOutOfRange},
		{second(r.TimeUntil(ctx, "a", 11)), ErrExceedsCapacity},
		{r.Reset(ctx, "a", 11), ErrExceedsCapacity},
		{r.Refund(ctx, "a}", 1), ErrInvalidArgument},
		{r.WaitN(ctx, "a", 11), ErrExceedsCapacity},
		{r.Wait(ctx, "a}"), ErrInvalidArgument},
		{r.Wait(ctx, long[1:]), ErrInvalidArgument}, // with the prefix too long for a second key
		{r.Wait(done, "a"), context.Canceled},
		{reserve("a", 1, -1), ErrInvalidArgument},
		{r.AllowMany(ctx, []string{"a"}, nil, nil), ErrInvalidArgument},
		{r.AllowMany(ctx, []string{"a"}, []float64{1, 2}, make([]Status, 1)), ErrInvalidArgument},
		{r.AllowMany(ctx, []string{"a"}, []float64{0}, make([]Status, 1)), ErrInvalidArgument},
		{r.AllowMany(ctx, []string{"a"}, []float64{11}, make([]Status, 1)), ErrExceedsCapacity},
		{r.AllowMany(ctx, []string{long}, nil, make([]Status, 1)), ErrInvalidArgument},
		{r.AllowMany(ctx, make([]string, 1025), nil, make([]Status, 1025)), ErrInvalidArgument},
		{r.AllowMany(ctx, nil, nil, nil), nil},
		{second(RemoteLimits{r.Member("a", 1), r.Member("b", 1)}.Take(ctx)), ErrInvalidArgument},
		{second(RemoteLimits{r.Member("{a}", 1), r.Member("{a}", 1)}.Take(ctx)), ErrInvalidArgument},
		{second(RemoteLimits{r.Member("{a}", 1), r.Member("{a}b", 11)}.Take(ctx)), ErrExceedsCapacity},
	} {
		if !errors.Is(got.err, got.want) {
			t.Errorf("call %d: %v, want %v", i, got.err, got.want)
		}
	}
	if _, err := r.Take(ctx, long, 1); !errors.As(err, &of) || of.Argument != "key" {
		t.Errorf("a long key: %v", err)
	}
	never := RemoteLimits{r.Member("{a}", 1), r.Member("{a}b", 11)}
	if refusal, _ := never.Take(ctx); refusal != (Refusal{1, InfDuration}) {
		t.Errorf("a member that never grants: %v", refusal)
	}
	if d, err := r.Take(ctx, "a", 11); d.RetryAfter != InfDuration || err != ErrExceedsCapacity {
		t.Errorf("more than the capacity: %v, %v", d, err)
	}
	if ok, err := r.AllowN(ctx, "a", 11); ok || err != nil {
		t.Errorf("Allow of more than the capacity: %v, %v", ok, err)
	}
	if len(server.calls) != 0 {
		t.Errorf("sent %v", server.calls)
	}
}

func second[T any](_ T, err error) error { return err }

// A reply that is not the script's is neither a grant nor a denial, nor made one.
func TestOtherReplies(t *testing.T) {
	ctx := context.Background()
	for _, v := range []any{
		nil, "OK", []byte("1"), 1.5, numbers(), numbers(1, 2, 3, 4, 5, 6, 7), []any{"1"}, []any{int64(1), nil},
		int64(11e9), int64(-71e9), numbers(1, -1), numbers(1, 1000),
		errors.New("WRONGTYPE Operation against a key holding the wrong kind of value script: c0ffee, on @user_script:36."),
		errors.New("ERR user_script:38: attempt to perform arithmetic on local 'spent' (a string value) script: c0ffee"),
	} {
		r, _ := newFakeRemote(t, []any{v}, WithOnUnavailable(FailOpen))
		for what, err := range map[string]error{
			"Take":         second(r.Take(ctx, "a", 1)),
			"Allow":        second(r.Allow(ctx, "a")),
			"Charge":       second(r.Charge(ctx, "a", 1)),
			"Tokens":       second(r.Tokens(ctx, "a")),
			"Wait":         r.Wait(ctx, "a"),
			"Reserve":      second(r.Reserve(ctx, "a")),
			"AllowMany":    r.AllowMany(ctx, []string{"a"}, nil, make([]Status, 1)),
			"RemoteLimits": second(RemoteLimits{r.Member("a", 1)}.Take(ctx)),
		} {
			var remote *RemoteError
			if !errors.Is(err, ErrMismatch) || !errors.As(err, &remote) || remote.Err == nil {
				t.Errorf("%v: %s: %v", v, what, err)
			}
		}
	}
}

// Who cancels gave up; a deadline in the call is a server that does not answer.
func TestContextOfACall(t *testing.T) {
	hangs := func(ctx context.Context, _ ...any) (any, error) {
		<-ctx.Done()
		return nil, fmt.Errorf("read: %w", ctx.Err())
	}
	for _, o := range []OnUnavailable{FailError, FailOpen} {
		r, err := NewRemote(hangs, 10, 1, WithOnUnavailable(o))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(time.Millisecond, cancel)
		if _, err := r.Take(ctx, "a", 1); err != context.Canceled {
			t.Error("cancelled: ", err)
		}
		ctx, cancel = context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		_, err = r.Take(ctx, "a", 1)
		if o == FailOpen {
			if err != nil {
				t.Error("a deadline with FailOpen: ", err)
			}
		} else if !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Error("a deadline: ", err)
		}
	}
}
