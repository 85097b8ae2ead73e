package main

import (
	"errors"
	"flag"
	"testing"
	"time"
)

func TestAmounts(t *testing.T) {
	for text, expected := range map[string]float64{"7": 7, "1.5K": 1500, "2k": 2000, "64Ki": 65536, "0.5M": 5e5, "2Mi": 2097152,
		"3G": 3e9, "1T": 1e12, ".5": 0.5} {
		if value, ok := parseAmount(text); !ok || value != expected {
			t.Errorf("%q is %v", text, value)
		}
	}
	for _, text := range []string{"", "K", "1.2.3", "-1", "+1", "1e6", "0x1", "inf", "NaN", "1m", "1KK", "1kM", "1i", "1ii", "10MB", "1 ", "1_0"} {
		if value, ok := parseAmount(text); ok {
			t.Errorf("%q is %v", text, value)
		}
	}
}

func TestFlags(t *testing.T) {
	c, err := parseFlags([]string{"--target", "https://a:1/b", "-rate", "90/min", "--burst=1K", "--max-clients", "2K",
		"--upstream-rate", "36K/h", "--upstream-burst", "3", "--upstream-wait", "1m30s", "--grace", "0.5", "--key-header", "X-Api-Key",
		"--listen", ":http", "--metrics", "[::1]:9"})
	if err != nil {
		t.Fatal(err)
	}
	if c.target.String() != "https://a:1/b" || c.rate != 1.5 || c.burst != 1000 || c.maxClients != 2000 || c.upstreamRate != 10 ||
		c.upstreamBurst != 3 || c.upstreamWait != 90*time.Second || c.grace != time.Second/2 || c.keyHeader != "X-Api-Key" {
		t.Errorf("%+v", c)
	}
	c, err = parseFlags([]string{"--target", "http://a"})
	if err != nil || c.rate != 10 || c.burst != 20 || c.maxClients != 100000 || c.upstreamRate != 0 || c.upstreamWait != 5*time.Second {
		t.Errorf("%v, %+v", err, c)
	}
	for _, word := range []string{"-h", "-help", "--help"} {
		if _, err := parseFlags([]string{word}); !errors.Is(err, flag.ErrHelp) {
			t.Errorf("%s: %v", word, err)
		}
	}
}
