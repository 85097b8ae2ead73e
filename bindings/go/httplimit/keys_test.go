//go:build cgo

package httplimit

import (
	"fmt"
	"net/http"
	"testing"
)

const ipv4 = "address \xc0\x00\x02\x01"
const ipv6 = "address \x20\x01\x0d\xb8\x00\x01\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00"

func TestKeys(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.1:1234":               ipv4,
		"[::ffff:192.0.2.1]:1234":      ipv4,
		"[2001:db8:1:2:3:4:5:6]:1":     ipv6,
		"[2001:db8:1:2:ffff::%eth0]:1": ipv6,
		"@":                            "remote @",
		"":                             "remote ",
	} {
		r := get(t)
		r.RemoteAddr = address
		expect(t, address, ByAddress(r), want)
		expect(t, "without the header", ByHeader("X-Api-Key")(r), want)
		r.Header.Set("X-Api-Key", ipv4)
		expect(t, "with the header", ByHeader("X-Api-Key")(r), "value "+ipv4)
		if address != "@" && address != "" {
			r.Header.Set("X-Api-Key", address)
			expect(t, "an address in the header", ByHeader("X-Api-Key")(r), "header "+want)
		}
	}
}

// All addresses that a client has, however they are written, are one.
func TestOneClientHasManyAddresses(t *testing.T) {
	var addresses []string
	for i := 0; i < 500; i++ {
		addresses = append(addresses, fmt.Sprintf("2001:db8:1:2::%x", i))
	}
	for _, c := range [][]string{addresses, {"1.2.3.4", "::ffff:1.2.3.4", "1.2.3.4:1111", "1.2.3.4", "1.2.3.4:2", "1.2.3.4:3"}} {
		for name, key := range map[string]func(*http.Request) string{
			"X-Real-Ip": ByHeader("X-Real-Ip"), "X-Forwarded-For": ByForwardedFor(1),
		} {
			s := &Server{Clients: newClients(t, 1000, newClock(t), 5, 1), Key: key}
			granted := 0
			for _, address := range c {
				if serve(s, get(t, name, address)).StatusCode == http.StatusTeapot {
					granted++
				}
			}
			expect(t, "granted by "+name, granted, 5)
		}
	}
}

func TestForwardedFor(t *testing.T) {
	const connection = "192.0.2.1:1234" // of httptest.NewRequest
	for _, c := range []struct {
		proxies int
		headers []string
		want    string
	}{
		{1, []string{"198.51.100.9, 192.0.2.1"}, ipv4},
		{1, []string{"192.0.2.1"}, ipv4},
		{2, []string{"198.51.100.9, [2001:db8:1:2::7]:80, 203.0.113.5"}, ipv6},
		{2, []string{"198.51.100.9", "2001:db8:1:2::8", "203.0.113.5"}, ipv6},
		{2, []string{"198.51.100.9,2001:db8:1:2::8", "203.0.113.5"}, ipv6},
		{2, []string{",,,2001:db8:1:2::8,203.0.113.5"}, ipv6},
		{1, []string{"198.51.100.9, unknown"}, "forwarded unknown"},
		// Not past all proxies.
		{2, []string{"198.51.100.9"}, ipv4},
		{1, nil, ipv4},
		{1, []string{"198.51.100.9,"}, ipv4},
		{0, []string{"198.51.100.9"}, ipv4},
		{-1, []string{"198.51.100.9"}, ipv4},
	} {
		r := get(t)
		expect(t, "connection", r.RemoteAddr, connection)
		r.Header["X-Forwarded-For"] = c.headers
		expect(t, fmt.Sprint(c.proxies, c.headers), ByForwardedFor(c.proxies)(r), c.want)
	}
}
