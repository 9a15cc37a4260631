package main

import (
	"math"
	"regexp"
	"strconv"
	"strings"
)

// memcached reads most of its numbers with atoi, strtol and atof, which take
// what a text begins with and 0 if that is no number: `-m 64m` has always
// meant 64. Flags that people have in their unit files must go on meaning the
// same, so these functions do it too, and the operator gets a warning.

// spaces are what C's isspace calls so.
const spaces = " \t\n\v\f\r"

// leadingInt reads the number that v begins with, in base 8 or 10, limited to
// 32 bits. whole says that nothing followed it, found that there was one.
func leadingInt(v string, base int) (n int, whole, found bool) {
	v = strings.TrimLeft(v, spaces)
	end := 0
	if end < len(v) && (v[end] == '-' || v[end] == '+') {
		end++
	}
	digits := end
	for end < len(v) && v[end] >= '0' && int(v[end]-'0') < base {
		end++
	}
	if end == digits {
		return 0, false, false
	}
	// Out of range, ParseInt returns the limit that was passed.
	wide, _ := strconv.ParseInt(v[:end], base, 32)
	return int(wide), end == len(v), true
}

var decimal = regexp.MustCompile(`^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?`)

// leadingFloat reads the number that v begins with, as atof does, but for
// hexadecimal, infinity and what is no number.
func leadingFloat(v string) (x float64, whole bool) {
	v = strings.TrimLeft(v, spaces)
	text := decimal.FindString(v)
	x, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, false
	}
	return x, len(text) == len(v)
}

// strictUint reads a number of 32 bits that must be one, as memcached's
// safe_strtoul does. What follows a space does not count.
func strictUint(v string) (uint32, bool) {
	n, ok := strictNumber(v)
	if !ok || n < 0 || n > math.MaxUint32 {
		return 0, false
	}
	return uint32(n), true
}

// strictInt is the same with a sign.
func strictInt(v string) (int, bool) {
	n, ok := strictNumber(v)
	if !ok || n < math.MinInt32 || n > math.MaxInt32 {
		return 0, false
	}
	return int(n), true
}

func strictNumber(v string) (int64, bool) {
	v = strings.TrimLeft(v, spaces)
	if end := strings.IndexAny(v, spaces); end >= 0 {
		v = v[:end]
	}
	n, err := strconv.ParseInt(v, 10, 64)
	return n, err == nil
}

// atoi reads a number as C does and warns if that is not what is written.
func (c *command) atoi(v string) int { return c.leading(v, 10) }

func (c *command) leading(v string, base int) int {
	n, whole, _ := leadingInt(v, base)
	if !whole {
		c.warn("%s %s: not a number; read as %s, as memcached reads it", c.at, v, strconv.FormatInt(int64(n), base))
	}
	return n
}

// atof is the same for numbers with a fraction.
func (c *command) atof(v string) float64 {
	x, whole := leadingFloat(v)
	if !whole {
		c.warn("%s %s: not a number; read as %g, as memcached reads it", c.at, v, x)
	}
	return x
}
