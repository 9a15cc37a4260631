package main

import (
	"math"
	"strings"
	"testing"
)

func TestLongNames(t *testing.T) {
	for name, want := range map[string]string{
		"port":     "port",
		"po":       "port",
		"pidfile":  "pidfile",
		"pid":      "pidfile",
		"pro":      "protocol", // print-profile and prefix-delimiter are not memcached's
		"p":        "port pidfile protocol",
		"mem":      "memory-limit memory-file",
		"sandbox":  "sandbox",
		"sandb":    "",
		"format":   "format",
		"enable-s": "enable-shutdown enable-sasl enable-ssl",
		"nothing":  "",
	} {
		if got := strings.Join(longNames(name), " "); got != want {
			t.Errorf("--%s can be %q, want %q", name, got, want)
		}
	}
}

func TestNumbersAsCReadsThem(t *testing.T) {
	for _, test := range []struct {
		text         string
		base, want   int
		whole, found bool
	}{
		{"64", 10, 64, true, true}, {" 64", 10, 64, true, true}, {"64m", 10, 64, false, true},
		{"-5", 10, -5, true, true}, {"+5", 10, 5, true, true}, {"", 10, 0, false, false}, {"-", 10, 0, false, false},
		{"x1", 10, 0, false, false}, {"0x10", 10, 0, false, true}, {"789", 8, 7, false, true},
		{"4294967297", 10, 1<<32 + 1, true, true}, {"-99999999999999999999", 10, -1 << 63, true, true},
	} {
		n, whole, found := leadingInt(test.text, test.base)
		if n != test.want || whole != test.whole || found != test.found {
			t.Errorf("leadingInt(%q, %d) = %d, %v, %v", test.text, test.base, n, whole, found)
		}
	}
	for text, want := range map[string]float64{
		"1.25": 1.25, ".5": 0.5, "2.": 2, "1e1": 10, "1e": 1, "-1": -1, "x": 0, "inf": 0, "1.5x": 1.5, "": 0, "1e999": math.Inf(1), "-1e999": math.Inf(-1),
	} {
		if x, _ := leadingFloat(text); x != want {
			t.Errorf("leadingFloat(%q) = %g, want %g", text, x, want)
		}
	}
	for text, want := range map[string]bool{"0": true, "4294967295": true, "4294967296": false, "-1": false, "1 x": true, "1x": false, "": false, "+1": true} {
		if _, ok := strictUint(text); ok != want {
			t.Errorf("strictUint(%q) is a number: %v", text, ok)
		}
	}
}
