package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"tokenbucket"
)

const version = "1.0.0"

const help = `Usage: quotaproxy --target URL [OPTION]...

Passes HTTP requests on to URL, and gives each client a limit of its own.
A client above its limit is answered with 429 and Retry-After. Every answer says
in the fields RateLimit and RateLimit-Policy what is left. If asked, all
requests together keep to a limit of the target's.

Options:
  --target URL          where requests are passed on to, http or https
  --listen ADDRESS      where to serve (default: 127.0.0.1:8080)
  --rate RATE           requests per second of each client: 0.000000001 to 10G
                        (default: 10)
  --burst BURST         requests that a client may make at once: 1 to 1000T
                        (default: 20)
  --key-header NAME     the header that tells clients apart, one that clients
                        cannot choose freely (default: by their address)
  --max-clients N       clients remembered at a time: 1 to 1G; if more come,
                        those that have taken least are forgotten (default:
                        100K)
  --upstream-rate RATE  requests per second to the target, of all clients
                        (default: no limit)
  --upstream-burst BURST
                        requests to the target at once (default: 1)
  --upstream-wait TIME  longest time that a request waits for the target's limit
                        before it is answered with 503 (default: 5s)
  --metrics ADDRESS     serves figures as JSON at /debug/vars there; keep it
                        private (default: nowhere)
  --grace TIME          time for requests in progress at the end (default: 10s)
  --selftest            puts a load on a proxy of this program and checks what
                        it granted
  --floodtest           the same, while a million other addresses ask
  -h, --help            shows this help
  --version             shows the version

Amounts:
  A decimal number with an optional suffix. k or K, M, G and T mean powers of
  1000; Ki, Mi, Gi and Ti mean powers of 1024. A rate may end in /s, /min or /h:
  10, 2.5K/s and 600/min are rates. A time is a number of seconds, or has units,
  as 500ms, 5s and 1m30s: 0 to 24h.

Signals:
  SIGINT and SIGTERM let requests in progress finish; a second one ends it.

Exit status:
  0  ended by a signal, all requests in progress were answered
  1  serving failed, or requests were cut off
  2  wrong usage

Examples:
  quotaproxy --target http://127.0.0.1:9000 --rate 600/min --burst 20
`

type config struct {
	listen, metrics             string
	target                      *url.URL
	rate, burst                 float64
	maxClients                  int
	keyHeader                   string
	upstreamRate, upstreamBurst float64
	upstreamWait, grace         time.Duration
	clock                       *tokenbucket.ManualClock // nil: the system clock
	transport                   http.RoundTripper        // to the target; nil: http.DefaultTransport
	selfTest, floodTest         bool
	version                     bool
}

// parseFlags returns flag.ErrHelp if the help is asked for. Other errors say what is wrong in one line.
func parseFlags(arguments []string) (*config, error) {
	c := &config{}
	var target, rate, burst, maxClients, upstreamRate, upstreamBurst, upstreamWait, grace string
	flags := flag.NewFlagSet("quotaproxy", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&target, "target", "", "")
	flags.StringVar(&c.listen, "listen", "127.0.0.1:8080", "")
	flags.StringVar(&rate, "rate", "10", "")
	flags.StringVar(&burst, "burst", "20", "")
	flags.StringVar(&c.keyHeader, "key-header", "", "")
	flags.StringVar(&maxClients, "max-clients", "100K", "")
	flags.StringVar(&upstreamRate, "upstream-rate", "", "")
	flags.StringVar(&upstreamBurst, "upstream-burst", "1", "")
	flags.StringVar(&upstreamWait, "upstream-wait", "5s", "")
	flags.StringVar(&c.metrics, "metrics", "", "")
	flags.StringVar(&grace, "grace", "10s", "")
	flags.BoolVar(&c.selfTest, "selftest", false, "")
	flags.BoolVar(&c.floodTest, "floodtest", false, "")
	flags.BoolVar(&c.version, "version", false, "")
	if err := flags.Parse(arguments); err != nil {
		return nil, inPlainWords(err)
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("it takes no argument such as '%s'", flags.Arg(0))
	}
	if c.selfTest || c.floodTest || c.version {
		return c, nil
	}
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })

	r := reader{}
	if !given["target"] {
		r.refuse("--target is needed, such as '--target http://127.0.0.1:9000'")
	}
	c.target = r.url("target", target)
	r.address("listen", c.listen)
	if given["metrics"] {
		r.address("metrics", c.metrics)
	}
	c.rate = r.rate("rate", rate)
	c.burst = r.amount("burst", burst, 1, tokenbucket.MaxBurst, "1 to 1000T requests, such as 20 or 1K")
	c.maxClients = int(r.amount("max-clients", maxClients, 1, 1e9, "1 to 1G clients, such as 100K"))
	if given["key-header"] {
		r.header("key-header", c.keyHeader)
	}
	if given["upstream-rate"] {
		c.upstreamRate = r.rate("upstream-rate", upstreamRate)
	}
	c.upstreamBurst = r.amount("upstream-burst", upstreamBurst, 1, tokenbucket.MaxBurst, "1 to 1000T requests, such as 20 or 1K")
	c.upstreamWait = r.time("upstream-wait", upstreamWait)
	c.grace = r.time("grace", grace)
	return c, r.err
}

// inPlainWords says what package flag found in the words of other tools.
func inPlainWords(err error) error {
	for begin, format := range map[string]string{
		"flag provided but not defined: -": "unrecognized option '--%s'",
		"flag needs an argument: -":        "option '--%s' requires an argument",
	} {
		if strings.HasPrefix(err.Error(), begin) {
			return fmt.Errorf(format, strings.TrimPrefix(err.Error(), begin))
		}
	}
	return err
}

// reader reads the values of flags, and keeps what is wrong with the first that is wrong.
type reader struct{ err error }

func (r *reader) refuse(format string, arguments ...interface{}) {
	if r.err == nil {
		r.err = fmt.Errorf(format, arguments...)
	}
}

func (r *reader) amount(name, text string, least, most float64, accepted string) float64 {
	value, ok := parseAmount(text)
	if !ok || value < least || value > most {
		r.refuse("--%s must be from %s, not '%s'", name, accepted, text)
	}
	return value
}

func (r *reader) rate(name, text string) float64 {
	number, per := text, 1.0
	for unit, seconds := range map[string]float64{"/s": 1, "/min": 60, "/h": 3600} {
		if strings.HasSuffix(text, unit) {
			number, per = strings.TrimSuffix(text, unit), seconds
		}
	}
	value, ok := parseAmount(number)
	value /= per
	if !ok || value < tokenbucket.MinLimit || value > tokenbucket.MaxLimit {
		r.refuse("--%s must be from 0.000000001 to 10G requests per second, such as 10, 2.5K/s or 600/min, not '%s'", name, text)
	}
	return value
}

func (r *reader) time(name, text string) time.Duration {
	value, err := time.ParseDuration(text)
	if seconds, ok := parseAmount(text); ok && seconds <= 86400 {
		value, err = time.Duration(seconds*float64(time.Second)), nil
	}
	if err != nil || value < 0 || value > 24*time.Hour {
		r.refuse("--%s must be from 0 to 24h, such as 500ms, 5s or 1m30s, not '%s'", name, text)
	}
	return value
}

func (r *reader) address(name, text string) {
	_, port, err := net.SplitHostPort(text)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		r.refuse("--%s must be an address and a port, such as 127.0.0.1:8080 or :80, not '%s'", name, text)
	}
}

func (r *reader) header(name, text string) {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~"
	if text == "" || strings.Trim(text, allowed) != "" {
		r.refuse("--%s must be the name of a header, such as X-Api-Key, not '%s'", name, text)
	}
}

func (r *reader) url(name, text string) *url.URL {
	target, err := parseTarget(text)
	if err != nil {
		r.refuse("--%s %s", name, err)
	}
	return target
}

func parseTarget(text string) (*url.URL, error) {
	target, err := url.Parse(text)
	if err != nil || (target.Scheme != "http" && target.Scheme != "https") || target.Host == "" {
		return nil, fmt.Errorf("must be a URL of http or https, such as http://127.0.0.1:9000, not '%s'", text)
	}
	return target, nil
}

// parseAmount reads "10", "1.5K", "2Mi".
func parseAmount(text string) (float64, bool) {
	number := strings.TrimRight(text, "kKMGTi")
	value, err := strconv.ParseFloat(number, 64)
	if err != nil || strings.Trim(number, "0123456789.") != "" {
		return 0, false
	}
	prefix, base := text[len(number):], 1000.0
	if len(prefix) == 2 && prefix[1] == 'i' {
		prefix, base = prefix[:1], 1024
	}
	if prefix == "K" {
		prefix = "k"
	}
	power := strings.Index("kMGT", prefix)
	if power < 0 || len(prefix) > 1 {
		return 0, false
	}
	for i := 0; i < power+len(prefix); i++ {
		value *= base
	}
	return value, true
}

// reason is the system's word for why it refuses, without what was asked of it.
func reason(err error) error {
	for next := err; next != nil; next = errors.Unwrap(next) {
		err = next
	}
	return err
}
