//go:build cgo

package tokenbucket

import (
	"testing"
)

// What README.md says of more tokens than the capacity.
func TestMoreThanTheCapacity(t *testing.T) {
	clock := newManualClock(t)
	l := newLimiter(t, 10, 5, WithClock(clock))
	table, err := NewTable(10, 5, 100, WithClock(clock))
	expectError(t, "NewTable", err, nil)
	remote, err := NewRemote(new(fakeServer).do, 10, 5)
	expectError(t, "NewRemote", err, nil)
	limits := Limits{newLimiter(t, 20, 5, WithClock(clock)).Member(11), table.Member("ann", 11)}
	remotes := RemoteLimits{remote.Member("ann", 11)}

	ofRemote, err := remote.AllowN(background, "ann", 11)
	expectError(t, "Remote.AllowN", err, nil)
	if l.AllowN(11) || table.AllowN("ann", 11) || limits.Allow() || ofRemote {
		t.Error("granted")
	}
	answers := []Status{Pending, Pending}
	expectError(t, "AllowMany", table.AllowMany([]string{"ann", "bob"}, []float64{11, 1}, answers), nil)
	if answers[0] != ErrExceedsCapacity || answers[1] != Success {
		t.Error("AllowMany: ", answers)
	}
	for call, err := range map[string]error{
		"Take":              second(l.Take(11)),
		"WaitN":             l.WaitN(background, 11),
		"ReserveN":          l.ReserveN(11).Err(),
		"TimeUntil":         second(l.TimeUntil(11)),
		"Table.Take":        second(table.Take("ann", 11)),
		"Table.WaitN":       table.WaitN(background, "ann", 11),
		"Table.ReserveN":    table.ReserveN("ann", 11).Err(),
		"Table.TimeUntil":   second(table.TimeUntil("ann", 11)),
		"Remote.Take":       second(remote.Take(background, "ann", 11)),
		"Remote.WaitN":      remote.WaitN(background, "ann", 11),
		"Remote.ReserveN":   second(remote.ReserveN(background, "ann", 11)),
		"Remote.AllowMany":  remote.AllowMany(background, []string{"ann", "bob"}, []float64{11, 1}, answers),
		"Limits.Take":       second(limits.Take()),
		"Limits.Wait":       limits.Wait(background),
		"Limits.Reserve":    limits.Reserve().Err(),
		"RemoteLimits.Take": second(remotes.Take(background)),
	} {
		expectError(t, call, err, ErrExceedsCapacity)
	}
	if r, _ := limits.Take(); r.Member != 1 {
		t.Error("member ", r.Member)
	}
	expectTokens(t, l, 10)

	taken, err := l.TakeUpTo(11)
	expectError(t, "TakeUpTo", err, nil)
	_, err = l.Charge(11)
	expectError(t, "Charge", err, nil)
	if taken != 10 || l.Tokens() != -11 {
		t.Error("TakeUpTo and Charge: ", taken, l.Tokens())
	}
	expectError(t, "Refund", l.Refund(1000), nil)
	expectTokens(t, l, 10)
}
