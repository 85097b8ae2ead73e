package httplimit

import (
	"net/http"
	"reflect"
	"testing"
	"time"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 5, 23, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		value, date string
		want        time.Duration
		ok          bool
	}{
		{"120", "", 2 * time.Minute, true},
		{" 0 ", "", 0, true},
		{"99999999999", "", 1<<63 - 1, true},
		{"Sat, 23 May 2026 12:01:00 GMT", "", time.Minute, true},
		{"Sat, 23 May 2026 11:00:00 GMT", "", 0, true},
		// The server's clock is an hour ahead of ours.
		{"Sat, 23 May 2026 13:00:07 GMT", "Sat, 23 May 2026 13:00:00 GMT", 7 * time.Second, true},
		{"", "", 0, false},
		{"-1", "", 0, false},
		{"1.5", "", 0, false},
		{"soon", "", 0, false},
	} {
		h := http.Header{"Retry-After": {c.value}, "Date": {c.date}}
		got, ok := retryAfter(h, now)
		if got != c.want || ok != c.ok {
			t.Errorf("Retry-After %q: %v %v, want %v %v", c.value, got, ok, c.want, c.ok)
		}
	}
}

func TestParseList(t *testing.T) {
	for field, want := range map[string][]item{
		``:                        nil,
		`"a";r=50;t=30`:           {{"a", map[string]string{"r": "50", "t": "30"}}},
		`a; r=1 , "b c";r=2;x`:    {{"a", map[string]string{"r": "1"}}, {"b c", map[string]string{"r": "2", "x": "?1"}}},
		`"q\"\\";pk=:cHM=:;u="x"`: {{`q"\`, map[string]string{"pk": "cHM=", "u": "x"}}},
		`"a",,"b"`:                {{"a", map[string]string{}}, {"b", map[string]string{}}},
	} {
		got, ok := parseList(field)
		if !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v %v, want %v", field, got, ok, want)
		}
	}
	for _, field := range []string{
		`"a`, `"a\`, `"a\x"`, `"a" "b"`, `"a";`, `"a";=1`, `"a";r=`, `a=1`, `("a" "b")`, `"a";R=1`, `"a";pk=:!:`, `;r=1`, "\"\x7f\"",
		`"a";r=1;t=:x`, `é`,
	} {
		if got, ok := parseList(field); ok || got != nil {
			t.Errorf("%s: accepted as %v", field, got)
		}
	}
}

func TestReadQuota(t *testing.T) {
	for _, c := range []struct {
		name   string
		header http.Header
		want   quota
	}{
		{"none", http.Header{}, quota{}},
		{"left", http.Header{"Ratelimit": {`"a";r=50;t=30`}}, quota{known: true, remaining: 50}},
		{"nothing left", http.Header{"Ratelimit": {`"a";r=0;t=30`}}, quota{true, 0, true, 30 * time.Second}},
		{"no window", http.Header{"Ratelimit": {`"a";r=0`}}, quota{known: true}},
		{"several", http.Header{"Ratelimit": {`"a";r=0;t=3, "b";r=7;t=100`, `"c";r=0;t=2`}},
			quota{true, 0, true, 3 * time.Second}},
		{"the least", http.Header{"Ratelimit": {`"a";r=9`, `"b";r=4`, `"c";r=6`}}, quota{known: true, remaining: 4}},
		{"bytes", http.Header{"Ratelimit": {`"a";r=0;t=3, "b";r=7`}, "Ratelimit-Policy": {`"a";q=1;qu="content-bytes"`}},
			quota{known: true, remaining: 7}},
		{"requests", http.Header{"Ratelimit": {`"a";r=3`}, "Ratelimit-Policy": {`"a";q=9;qu="requests"`}},
			quota{known: true, remaining: 3}},
		{"cached", http.Header{"Ratelimit": {`"a";r=0;t=30`}, "Age": {"1"}}, quota{}},
		{"just fetched", http.Header{"Ratelimit": {`"a";r=5`}, "Age": {"0"}}, quota{known: true, remaining: 5}},
		{"malformed", http.Header{"Ratelimit": {`"a";r=0;t=30,`, `"b`}}, quota{}},
		{"negative", http.Header{"Ratelimit": {`"a";r=-1;t=30`}}, quota{}},
		{"no number", http.Header{"Ratelimit": {`"a";t=30`}}, quota{}},
	} {
		if got := readQuota(c.header); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}
