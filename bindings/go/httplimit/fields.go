package httplimit

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tokenbucket"
)

// The largest Integer of a structured field (RFC 9651).
const largestInteger = 999_999_999_999_999

func integer(x float64) string {
	return strconv.FormatInt(int64(math.Max(0, math.Min(math.Floor(x), largestInteger))), 10)
}

// seconds rounds up: who comes back after so many is not too early.
func seconds(d time.Duration) string { return integer(math.Ceil(d.Seconds())) }

// quotedString is a String of a structured field; ok is false for what such a string cannot hold.
func quotedString(s string) (quoted string, ok bool) {
	for _, c := range []byte(s) {
		if c < 0x20 || c > 0x7e {
			return "", false
		}
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`, true
}

// policyField says the limit as "q tokens in w seconds", w being how long an empty bucket takes to fill: a client that
// keeps to that is never denied. The field knows whole seconds only, so that a bucket which fills faster seems slower
// than it is.
func policyField(name string, burst, rate float64) string {
	fill := math.Max(1, math.Ceil(burst/rate))
	return name + ";q=" + integer(burst) + ";w=" + integer(fill)
}

// limitField says what is left, and within which time no more than that can be had: of a denied request until it would
// be granted, the same as Retry-After; where nothing is left until the same request would be granted once more;
// otherwise until the bucket is full.
func limitField(name string, a answer) string {
	window := a.ResetAfter
	if a.err != nil || a.Remaining < 1 {
		window = a.nextAfter
	}
	field := name + ";r=" + integer(a.Remaining)
	if window != tokenbucket.InfDuration {
		field += ";t=" + seconds(window)
	}
	return field
}

// retryAfter reads the field of that name: a number of seconds, or a date, which counts from the server's own clock
// where the response says that.
func retryAfter(h http.Header, now time.Time) (wait time.Duration, ok bool) {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if s, err := strconv.ParseUint(value, 10, 64); err == nil {
		return fromSeconds(float64(s)), true
	}
	date, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	if servers, err := http.ParseTime(h.Get("Date")); err == nil {
		now = servers
	}
	if wait = date.Sub(now); wait < 0 {
		wait = 0
	}
	return wait, true
}

func fromSeconds(s float64) time.Duration {
	if s >= tokenbucket.InfDuration.Seconds() {
		return tokenbucket.InfDuration
	}
	return time.Duration(s) * time.Second
}

// quota is what an upstream says is left.
type quota struct {
	known     bool
	remaining float64       // the least of all policies
	empty     bool          // some policy has nothing left ...
	window    time.Duration // ... for so long
}

// readQuota reads RateLimit, and from RateLimit-Policy which of the policies do not count requests. Whatever is
// malformed is ignored, as is a response from a cache: it is not about now.
func readQuota(h http.Header) quota {
	if age, err := strconv.ParseInt(h.Get("Age"), 10, 64); err == nil && age > 0 {
		return quota{}
	}
	countsOther := map[string]bool{}
	policies, _ := parseList(strings.Join(h.Values("RateLimit-Policy"), ","))
	for _, p := range policies {
		if unit, given := p.parameters["qu"]; given && unit != "requests" && unit != "request" {
			countsOther[p.name] = true
		}
	}
	var q quota
	limits, _ := parseList(strings.Join(h.Values("RateLimit"), ","))
	for _, l := range limits {
		remaining, err := strconv.ParseUint(l.parameters["r"], 10, 64)
		if err != nil || countsOther[l.name] {
			continue
		}
		q.add(float64(remaining), l.parameters["t"])
	}
	return q
}

func (q *quota) add(remaining float64, window string) {
	if !q.known || remaining < q.remaining {
		q.remaining = remaining
	}
	q.known = true
	s, err := strconv.ParseUint(window, 10, 64)
	if err != nil || remaining > 0 {
		return
	}
	q.empty = true
	if w := fromSeconds(float64(s)); w > q.window {
		q.window = w
	}
}
