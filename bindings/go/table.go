package tokenbucket

import (
	"context"
	"strconv"
	"sync"
	"time"
	"unsafe"
)

// Key is any bytes, at most [MaxKeySize] of them. They are not copied, except by what waits or reserves.
type Key interface{ ~string | ~[]byte }

// MaxKeySize is the length of the longest key.
const MaxKeySize = 65536

// Table is a table whose keys are strings.
type Table = TableOf[string]

// TableOf holds a token bucket for each key, such as a user or an address, all under one limit, in memory that is fixed
// when it is created. A key that has not been asked for is full, so keys need no creating; one that is full again makes
// room for others. Create it with [NewTable] or [NewTableOf]; the zero value refuses everything. It must not be copied.
//
// What the methods of [Limiter] say holds for each key. Besides them a new key may find no room: [WithWhenFull] says
// what becomes of it.
type TableOf[K Key] struct{ keyed }

// keyed is a table whatever its type of keys.
type keyed struct {
	*table
	shared
}

// WhenFull is what becomes of a new key when its 16 places are taken.
type WhenFull int32

const (
	// EvictFullest forgets the one of them that holds most tokens and is not in debt, as if it were full; ErrTableFull
	// if all are in debt.
	EvictFullest WhenFull = 0
	// DenyNew is ErrTableFull.
	DenyNew WhenFull = 1
	// AdmitNew grants without remembering.
	AdmitNew WhenFull = 2
)

// String returns the constant's name.
func (w WhenFull) String() string {
	switch w {
	case EvictFullest:
		return "EvictFullest"
	case DenyNew:
		return "DenyNew"
	case AdmitNew:
		return "AdmitNew"
	}
	return strconv.Itoa(int(w))
}

// WithMaxBytes makes the table as large as that, at least 64, instead of by a number of keys, which then is 0.
func WithMaxBytes(bytes int64) Option { return func(s *settings) { s.maxBytes = bytes } }

// WithWhenFull says what becomes of a new key for which there is no room, instead of EvictFullest.
func WithWhenFull(w WhenFull) Option { return func(s *settings) { s.whenFull = w } }

// NewTable creates a table for so many keys that are not full at one time, 24.6 bytes each. A key may take capacity
// tokens at once and gains tokensPerSecond. [WithMaxWaiters] holds for each key.
// Errors as [New]. ErrInvalidArgument: also fewer keys than 1. ErrOutOfRange: also more memory than can be addressed.
// ErrUnsupported: [WithInitialTokens], [WithStatistics] or [WithOnEvent], an option of a [Remote], or an unknown
// WhenFull. ErrSystem: the system gives no random numbers.
func NewTable(capacity, tokensPerSecond float64, keys int, options ...Option) (*Table, error) {
	return NewTableOf[string](capacity, tokensPerSecond, keys, options...)
}

// NewTableOf is NewTable for keys of another type: NewTableOf[[]byte](10, 1, 1000).
func NewTableOf[K Key](capacity, tokensPerSecond float64, keys int, options ...Option) (*TableOf[K], error) {
	s := newSettings(capacity, tokensPerSecond, options)
	if err := s.check(aTable, "a Table"); err != nil {
		return nil, err
	}
	s.keys = keys
	t, err := newTable(&s)
	if err != nil {
		return nil, err
	}
	return &TableOf[K]{keyed{table: t, shared: shared{clock: s.clock}}}, nil
}

// Close is as [Limiter.Close], for all keys.
func (t *TableOf[K]) Close() error { return refusedCall(t.close()) }

// Allow is AllowN(key, 1).
func (t *TableOf[K]) Allow(key K) bool { return t.AllowN(key, 1) }

// AllowN is as [Limiter.AllowN].
func (t *TableOf[K]) AllowN(key K, n float64) bool { return t.allow(bytesOf(key), n) == Success }

// Take is as [Limiter.Take]. Also ErrTableFull.
func (t *TableOf[K]) Take(key K, n float64) (Decision, error) {
	d, s := t.take(bytesOf(key), n)
	return d, refusedOfKey(s, len(key), "n", n)
}

// TakeUpTo is as [Limiter.TakeUpTo].
func (t *TableOf[K]) TakeUpTo(key K, most float64) (float64, error) {
	taken, s := t.takeUpTo(bytesOf(key), most)
	return taken, refusedOfKey(s, len(key), "most", most)
}

// AllowMany is AllowN for many keys in one call of the library: it takes amounts[i] of keys[i], or one of each if
// amounts is nil, and answers[i] is Success or why not. The slices have one length. The same key may occur again.
// After an error nothing was taken: the error is an [*ArgumentError] for slices of different lengths or a
// key that is too long.
func (t *TableOf[K]) AllowMany(keys []K, amounts []float64, answers []Status) error {
	if err := refusedLengths(len(keys), amounts, answers); err != nil {
		return err
	}
	if len(keys) == 0 {
		return nil
	}
	b := batches.Get().(*batch)
	defer batches.Put(b)
	b.keys, b.sizes = b.keys[:0], b.sizes[:0]
	for _, key := range keys {
		if len(key) > MaxKeySize {
			return refusedKey(ErrInvalidArgument, len(key))
		}
		b.keys = append(b.keys, key...)
		b.sizes = append(b.sizes, uintptr(len(key)))
	}
	return refusedCall(t.allowMany(bytesOf(b.keys), b.sizes, amounts, answers))
}

// batch is keys as the library wants them, one behind the other.
type batch struct {
	keys  []byte
	sizes []uintptr
}

var batches = sync.Pool{New: func() any { return new(batch) }}

// Wait is WaitPriority(ctx, key, 1, 0).
func (t *TableOf[K]) Wait(ctx context.Context, key K) error { return t.WaitPriority(ctx, key, 1, 0) }

// WaitN is WaitPriority(ctx, key, n, 0).
func (t *TableOf[K]) WaitN(ctx context.Context, key K, n float64) error {
	return t.WaitPriority(ctx, key, n, 0)
}

// WaitPriority is as [Limiter.WaitPriority]; each key has a queue of its own while somebody waits. A key with a queue
// keeps its place. Also ErrTableFull.
func (t *TableOf[K]) WaitPriority(ctx context.Context, key K, n float64, priority int32) error {
	return t.wait(ctx, key, n, timeLeft(ctx), priority)
}

func (t *TableOf[K]) wait(ctx context.Context, key K, n float64, timeout time.Duration, priority int32) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s := t.allow(bytesOf(key), n); s != ErrDenied {
		return refusedOfKey(s, len(key), "n", n)
	}
	return queue(ctx, t.at(key), n, timeout, priority)
}

// Reserve is ReserveWithin(key, 1, InfDuration).
func (t *TableOf[K]) Reserve(key K) *Reservation { return t.ReserveWithin(key, 1, InfDuration) }

// ReserveN is ReserveWithin(key, n, InfDuration).
func (t *TableOf[K]) ReserveN(key K, n float64) *Reservation {
	return t.ReserveWithin(key, n, InfDuration)
}

// ReserveWithin is as [Limiter.ReserveWithin]. What [TableOf.Remove] forgets is void.
func (t *TableOf[K]) ReserveWithin(key K, n float64, max time.Duration) *Reservation {
	r := new(Reservation)
	r.make(t.at(key), n, max)
	return r
}

// Charge is as [Limiter.Charge].
func (t *TableOf[K]) Charge(key K, n float64) (time.Duration, error) {
	repaid, s := t.charge(bytesOf(key), n)
	return repaid, refusedOfKey(s, len(key), "n", n)
}

// Refund is as [Limiter.Refund].
func (t *TableOf[K]) Refund(key K, n float64) error {
	return refusedOfKey(t.refund(bytesOf(key), n), len(key), "n", n)
}

// Tokens is as [Limiter.Tokens].
func (t *TableOf[K]) Tokens(key K) float64 { return t.available(bytesOf(key)) }

// TimeUntil is as [Limiter.TimeUntil].
func (t *TableOf[K]) TimeUntil(key K, n float64) (time.Duration, error) {
	left, s := t.timeUntil(bytesOf(key), n)
	return left, refusedOfKey(s, len(key), "n", n)
}

// Remove forgets the key: its bucket is full again. Who waits for it gets tokens from that, in order.
func (t *TableOf[K]) Remove(key K) error {
	s := t.remove(bytesOf(key))
	if err := refusedKey(s, len(key)); err != nil {
		return err
	}
	return refusedCall(s)
}

// SetLimit changes the rate of all keys at once, as [Limiter.SetLimit].
func (t *TableOf[K]) SetLimit(tokensPerSecond float64) error {
	return refusedRate(t.setRate(tokensPerSecond), tokensPerSecond,
		"less than 8191 units of this table per nanosecond, and at most 2^58 until the last reservation is due")
}

// SetBurst changes the capacity of all keys at once. Reservations keep their times; who waits is planned anew, or told
// ErrExceedsCapacity.
func (t *TableOf[K]) SetBurst(capacity float64) error {
	return refusedCapacity(t.setCapacity(capacity), capacity, "from 1 to 2^57 units of this table")
}

// Limit returns the rate in tokens per second.
func (t *TableOf[K]) Limit() float64 { return t.limit().rate() }

// Burst returns the capacity.
func (t *TableOf[K]) Burst() float64 { return t.limit().capacity }

// TableStats is what a table holds, and what it had no room for.
type TableStats struct {
	Places         int64   // for keys, free ones included
	Occupied       int64   // by keys that are not full now
	Evicted        int64   // keys so far
	TokensForgiven float64 // what evicted keys had spent, and what AdmitNew granted
}

// Stats reads the whole table: 10 million places take some 50 ms.
func (t *TableOf[K]) Stats() (TableStats, error) {
	stats, s := t.stats()
	return stats, refusedCall(s)
}

// AddressKey returns the key of a network address: the same 4 bytes for all ways to write an IPv4 address, 16 for all
// addresses of an IPv6 network of so many bits; 64 is what one customer usually has. It reads 192.0.2.1, 192.0.2.1:80,
// 2001:db8::1, [2001:db8::1]:80, fe80::1%eth0, whose zone is dropped, and ::ffff:192.0.2.1, which is 192.0.2.1.
// ErrInvalidArgument: no address, or a prefix outside 0 .. 128.
func AddressKey(address string, ipv6Prefix int32) (string, error) {
	key, s := addressKey(bytesOf(address), ipv6Prefix)
	switch {
	case s != ErrInvalidArgument:
		return key, s.err()
	case ipv6Prefix < 0 || ipv6Prefix > 128:
		return "", &ArgumentError{s, "ipv6Prefix", "from 0 to 128", ipv6Prefix}
	}
	return "", &ArgumentError{s, "address", "an IPv4 or IPv6 address", strconv.Quote(address)}
}

// keyBytes are a key's own.
type keyBytes struct {
	data unsafe.Pointer
	size int
}

func (k keyBytes) slice() []byte  { return unsafe.Slice((*byte)(k.data), k.size) }
func (k keyBytes) String() string { return string(k.slice()) }

// Strings and slices begin with the pointer.
func bytesOf[K Key](key K) keyBytes {
	return keyBytes{*(*unsafe.Pointer)(unsafe.Pointer(&key)), len(key)}
}

// refusedOfKey is refusedAmount where a key of that size was named, too.
func refusedOfKey(s Status, size int, argument string, n float64) error {
	if err := refusedKey(s, size); err != nil {
		return err
	}
	return refusedAmount(s, argument, n)
}

// at returns the key's account, which outlives the call: so it keeps a copy of a slice.
func (t *TableOf[K]) at(key K) *tableKey { return &tableKey{&t.keyed, string(key)} }

// tableKey is the account of a key.
type tableKey struct {
	*keyed
	key string
}

func (k *tableKey) enqueue(n float64, timeout time.Duration, priority int32, tag uint64) (
	uint64, time.Duration, Status,
) {
	return k.table.enqueue(bytesOf(k.key), n, timeout, priority, tag)
}

func (k *tableKey) check(waiter uint64) (time.Duration, Status) {
	return k.table.check(bytesOf(k.key), waiter)
}

func (k *tableKey) leave(waiter uint64) Status { return k.table.leave(bytesOf(k.key), waiter) }

func (k *tableKey) reserve(n float64, max time.Duration) (promise, Status) {
	return k.table.reserve(bytesOf(k.key), n, max)
}

func (k *tableKey) cancel(p promise) { k.table.cancel(bytesOf(k.key), p) }

func (k *tableKey) settle(p promise, actual float64) Status {
	return k.table.settle(bytesOf(k.key), p, actual)
}

func (k *tableKey) timeUntil(n float64) (time.Duration, Status) {
	return k.table.timeUntil(bytesOf(k.key), n)
}

func (k *tableKey) refused(s Status, argument string, n float64) error {
	return refusedOfKey(s, len(k.key), argument, n)
}

func (k *tableKey) late(n float64, left time.Duration) *TimeoutError {
	return &TimeoutError{Key: k.key, N: n, RetryAfter: left, of: k}
}
