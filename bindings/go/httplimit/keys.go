package httplimit

import (
	"net/http"
	"strings"

	"tokenbucket"
)

// An IPv6 client commonly has all addresses of such a network.
const ipv6Prefix = 64

// ByAddress is a Key: the address that the connection comes from, as tokenbucket.AddressKey reads it, without the port;
// of an IPv6 address the first 64 bits.
func ByAddress(r *http.Request) string {
	if key, ok := byAddress(r.RemoteAddr); ok {
		return key
	}
	return "remote " + r.RemoteAddr
}

func byAddress(text string) (key string, ok bool) {
	key, err := tokenbucket.AddressKey(text, ipv6Prefix)
	return "address " + key, err == nil
}

// ByHeader is a Key: the header's value, such as that of X-Api-Key, or the address where there is none. A value that is
// an address, such as that of X-Real-Ip, counts as in ByAddress. A client that may choose the value freely gets a new
// limit for each: only use a header that was checked before.
func ByHeader(name string) func(*http.Request) string {
	return func(r *http.Request) string {
		value := r.Header.Get(name)
		if value == "" {
			return ByAddress(r)
		}
		if key, ok := byAddress(value); ok {
			return "header " + key
		}
		return "value " + value
	}
}

// ByForwardedFor is a Key for a server behind so many proxies of your own, each of which appends to X-Forwarded-For whom
// its connection came from: the address that the outermost one saw, which is that many from the right. What is left of
// it is the client's own claim. A request with fewer entries has not passed all proxies, and counts by its connection,
// as do all if proxies is not above 0.
func ByForwardedFor(proxies int) func(*http.Request) string {
	return func(r *http.Request) string {
		entries := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		if proxies <= 0 || len(entries) < proxies {
			return ByAddress(r)
		}
		entry := strings.TrimSpace(entries[len(entries)-proxies])
		if entry == "" {
			return ByAddress(r)
		}
		if key, ok := byAddress(entry); ok {
			return key
		}
		return "forwarded " + entry
	}
}
