package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// work is what is asked of a server.
type work struct {
	gets, sets int // in this ratio
	meta       bool
	width      int // keys of a get
	conns      int
	depth      int // requests sent at a time on a connection
	keys       int
	size       sizes
	zipf       float64 // theta of Zipf's law, 0: every key is as likely
	rate       float64 // requests a second in open loop, 0: closed loop
	check      bool
	tls        bool
}

// Limits of what can be asked for. A key has 11 digits, and a reply's header
// must fit where unfinished headers are kept.
const (
	maxKeys  = 1_000_000_000
	maxSize  = 128 << 20
	maxBatch = 1 << 20 // keys in flight on a connection
	maxRate  = 10_000_000
)

func (w *work) validate() error {
	switch {
	case w.gets < 0 || w.sets < 0 || w.gets+w.sets == 0:
		return fmt.Errorf("--ratio is GETS:SETS, as 9:1, and not both are 0")
	case w.width < 1 || w.conns < 1 || w.depth < 1 || w.keys < 1:
		return fmt.Errorf("--conns, --depth, --width and --keys are at least 1")
	case w.keys > maxKeys:
		return fmt.Errorf("--keys is at most %d", maxKeys)
	case w.width > maxBatch || w.depth > maxBatch || w.width*w.depth > maxBatch:
		return fmt.Errorf("--width times --depth is at most %d", maxBatch)
	case !(w.zipf >= 0 && w.zipf < 1):
		return fmt.Errorf("--zipf is from 0 (every key is as likely) to below 1")
	case !(w.rate >= 0 && w.rate <= maxRate):
		return fmt.Errorf("--rate is a number of requests a second, at most %d; 0: as many as the server can", maxRate)
	}
	return nil
}

// parameters are the work as JSON has it.
func (w *work) parameters() map[string]any {
	size := map[string]any{"fixed": w.size.fixed}
	if w.size.median > 0 {
		size = map[string]any{"lognormal_median": w.size.median, "lognormal_sigma": w.size.sigma}
	}
	return map[string]any{"gets": w.gets, "sets": w.sets, "meta": w.meta, "width": w.width, "connections": w.conns,
		"depth": w.depth, "keys": w.keys, "value_bytes": size, "zipf_theta": w.zipf, "rate": w.rate, "check": w.check, "tls": w.tls}
}

// String describes the work in a line.
func (w *work) String() string {
	var s strings.Builder
	switch {
	case w.sets == 0 && w.width > 1:
		fmt.Fprintf(&s, "gets of %d keys", w.width)
	case w.sets == 0:
		s.WriteString("gets")
	case w.gets == 0:
		s.WriteString("sets")
	default:
		fmt.Fprintf(&s, "gets and sets %d:%d", w.gets, w.sets)
	}
	if w.meta {
		s.WriteString(" by meta commands")
	}
	if w.depth > 1 {
		fmt.Fprintf(&s, ", %d pipelined", w.depth)
	}
	fmt.Fprintf(&s, ", %s connections, %s keys", thousands(float64(w.conns)), thousands(float64(w.keys)))
	if w.zipf > 0 {
		fmt.Fprintf(&s, " by Zipf's law (%v)", w.zipf)
	}
	fmt.Fprintf(&s, ", values of %v", w.size)
	if w.rate > 0 {
		fmt.Fprintf(&s, ", %s requests a second", thousands(w.rate))
	}
	if w.tls {
		s.WriteString(", over TLS")
	}
	return s.String()
}

// sizes says how long values are: all the same, or log-normally distributed.
type sizes struct {
	fixed  int
	median float64 // 0: fixed
	sigma  float64
}

// parseSizes understands 100, 4k, 1m, lognormal:100 and lognormal:100:0.8.
func parseSizes(s string) (sizes, error) {
	bad := fmt.Errorf("--size %s is not a number of bytes (100, 4k, 1m; at most 128m) or lognormal:MEDIAN[:SIGMA]", s)
	kind, rest, distributed := strings.Cut(s, ":")
	if !distributed {
		n, ok := parseBytes(s)
		if !ok {
			return sizes{}, bad
		}
		return sizes{fixed: n}, nil
	}
	median, sigma, given := strings.Cut(rest, ":")
	n, ok := parseBytes(median)
	out := sizes{median: float64(n), sigma: 1}
	if given {
		var err error
		out.sigma, err = strconv.ParseFloat(sigma, 64)
		ok = ok && err == nil && out.sigma > 0 && out.sigma <= 3
	}
	if kind != "lognormal" || !ok || n == 0 {
		return sizes{}, bad
	}
	return out, nil
}

func parseBytes(s string) (int, bool) {
	unit := 1
	switch {
	case strings.HasSuffix(s, "k"):
		unit = 1 << 10
	case strings.HasSuffix(s, "m"):
		unit = 1 << 20
	}
	if unit > 1 {
		s = s[:len(s)-1]
	}
	n, err := strconv.ParseUint(s, 10, 31)
	return int(n) * unit, err == nil && int(n)*unit <= maxSize
}

// largestDrawn bounds distributed sizes below an item's usual limit.
const largestDrawn = 500_000

// draw turns a standard normal number into a size.
func (s sizes) draw(normal float64) int {
	if s.median == 0 {
		return s.fixed
	}
	return min(int(s.median*math.Exp(s.sigma*normal)), largestDrawn)
}

func (s sizes) largest() int {
	if s.median == 0 {
		return s.fixed
	}
	return largestDrawn
}

func (s sizes) String() string {
	if s.median == 0 {
		return byteCount(s.fixed)
	}
	return fmt.Sprintf("log-normal size, median %s", byteCount(int(s.median)))
}

func byteCount(n int) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return strconv.Itoa(n>>20) + " MiB"
	case n >= 1<<10 && n%(1<<10) == 0:
		return strconv.Itoa(n>>10) + " KiB"
	}
	return thousands(float64(n)) + " bytes"
}

// thousands writes a number with commas.
func thousands(f float64) string {
	s := strconv.FormatFloat(f, 'f', 0, 64)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
