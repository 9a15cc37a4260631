package main

import (
	"math"
	"regexp"
	"strconv"
	"strings"

	"gomcd/server"
)

// memcached reads most of its numbers with atoi, strtol and atof, which take
// what a text begins with and 0 if that is no number: `-m 64m` has always
// meant 64. Flags that people have in their unit files must go on meaning the
// same, so these functions do it too, and the operator gets a warning. A number that is
// out of range is refused: memcached drops the bits above the lowest 32, so that 4294967297
// is 1 to it.

// errRange is the error of a number that does not fit what it is read into.
var errRange = usageError(server.ExitUsage, "out of range")

// spaces are what C's isspace calls so.
const spaces = " \t\n\v\f\r"

// leadingInt reads the number that v begins with, in base 8 or 10. whole says that
// nothing followed it, found that there was one.
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
	// Beyond 64 bits, ParseInt returns the limit, which is beyond 32 as well.
	wide, _ := strconv.ParseInt(v[:end], base, 64)
	return int(wide), end == len(v), true
}

var decimal = regexp.MustCompile(`^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?`)

// leadingFloat reads the number that v begins with, as atof does, but for
// hexadecimal and what is no number. One that is out of range is infinite.
func leadingFloat(v string) (x float64, whole bool) {
	v = strings.TrimLeft(v, spaces)
	text := decimal.FindString(v)
	x, _ = strconv.ParseFloat(text, 64)
	return x, text != "" && len(text) == len(v)
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

// whole is a flag whose value is a whole number.
func whole(set func(c *command, n int) error) func(*command, string) error {
	return func(c *command, v string) error {
		n, err := c.atoi(v, 10)
		if err != nil {
			return err
		}
		return set(c, n)
	}
}

// fraction is a flag whose value is a number that may have a fraction.
func fraction(set func(c *command, x float64) error) func(*command, string) error {
	return func(c *command, v string) error {
		x, whole := leadingFloat(v)
		if math.IsInf(x, 0) {
			return errRange
		}
		if !whole {
			c.warn("%s: not a number; read as %g", c.given(v), x)
		}
		return set(c, x)
	}
}

// atoi reads a number as C does and warns if that is not what is written.
func (c *command) atoi(v string, base int) (int, error) {
	n, whole, _ := leadingInt(v, base)
	if n < math.MinInt32 || n > math.MaxInt32 {
		return 0, errRange
	}
	if !whole {
		c.warn("%s: not a number; read as %s, as memcached reads it", c.given(v), strconv.FormatInt(int64(n), base))
	}
	return n, nil
}

// given is the flag that is being read, as it is written with a value.
func (c *command) given(v string) string {
	switch {
	case strings.HasPrefix(c.at, "-o "):
		return c.at + "=" + v
	case v == "":
		return c.at + ` ""`
	}
	return c.at + " " + v
}
