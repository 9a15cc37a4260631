package differential

import (
	"bytes"
	"encoding/base64"
	"regexp"
	"slices"
	"strings"
)

// rule is something that gomcd does not answer as memcached does, on purpose
// (docs/compatibility.md), or that cannot be compared.
type rule struct {
	name string
	// line makes a line of an answer comparable, if not nil. A line that it
	// makes nil is not compared.
	line func(n *normalizer, line []byte) []byte
	// skip tells streams that cannot be compared, if not nil. It is asked
	// before they are sent, and again when memcached has answered.
	skip func(s Stream, all []byte, answer string) bool
	// closes tells streams for which gomcd may close the connection where
	// memcached goes on, if not nil. What it answers until then is compared.
	closes func(all []byte) bool
}

// rules are all there are. Every rule makes the comparison blind for
// something: there is no other place where that is done.
var rules = []rule{
	{
		// An item's header is shorter than memcached's.
		name: "size of an item",
		line: func(_ *normalizer, line []byte) []byte {
			if i := bytes.Index(line, []byte(" cls=")); i > 0 && bytes.HasPrefix(line, []byte("ME ")) {
				return line[:i]
			}
			return line
		},
	},
	{
		// gomcd closes a connection that another protocol's client has, as far
		// as one line can show it. Of those lines, these are what a broken
		// stream may have.
		name:   "lines of other protocols",
		closes: otherProtocols.Match,
	},
	{
		// A memcached that was built with TLS has refresh_certs.
		name: "commands of TLS",
		line: func(_ *normalizer, line []byte) []byte {
			if string(line) == "Error TLS not enabled" {
				return []byte("ERROR")
			}
			return line
		},
	},
	{
		// Servers do not count alike; t/testdata has which statistics there
		// are.
		name: "statistics",
		line: func(_ *normalizer, line []byte) []byte {
			if bytes.HasPrefix(line, []byte("STAT ")) {
				return nil
			}
			return line
		},
	},
	{
		// Servers disagree by a second about how long it is until a date, by
		// the moment of their start.
		name: "dates",
		line: func(_ *normalizer, line []byte) []byte {
			const far = 60 * 60 * 24 * 31
			if len(line) == 0 {
				return line
			}
			words := bytes.Split(line, []byte(" "))
			for i, w := range words {
				for _, flag := range []string{"t", "exp="} {
					if v, ok := bytes.CutPrefix(w, []byte(flag)); ok && number(v) > far {
						words[i] = []byte(flag + "#")
					}
				}
			}
			return bytes.Join(words, []byte(" "))
		},
	},
	{
		// memcached, counting on from a value of nothing but white space,
		// reads on behind the value.
		name: "blank numbers",
		skip: func(s Stream, all []byte, answer string) bool {
			counts := bytes.Contains(all, []byte("incr")) || bytes.Contains(all, []byte("decr")) || bytes.Contains(all, []byte("ma "))
			for _, c := range s.Commands {
				_, block, _ := bytes.Cut(c, []byte("\r\n"))
				if counts && len(block) > 2 && len(bytes.TrimSpace(block)) == 0 {
					return true
				}
			}
			return false
		},
	},
	{
		// memcached gives the CAS number of an ms that it refuses late to
		// the next item that is stored.
		name: "CAS number of a refused ms",
		skip: func(_ Stream, all []byte, answer string) bool {
			return bytes.Contains(all, []byte("ms ")) && bytes.Contains(all, []byte(" E")) &&
				(strings.Contains(answer, "opaque token too long") || strings.Contains(answer, "bad data chunk"))
		},
	},
	{
		// memcached makes a new item when a number gets longer than its old
		// one, and goes on with the old one's lifetime and CAS number.
		name: "ma that makes the number longer",
		skip: func(_ Stream, all []byte, answer string) bool {
			return answer != "" && bytes.Contains(all, []byte("ma ")) &&
				(bytes.Contains(all, []byte(" T")) || bytes.Contains(all, []byte(" E")))
		},
	},
	{
		// memcached forgets that a key was given as base64 when it makes a
		// new item for an old one, and then gives back bytes that no client
		// can read.
		name: "key given as base64",
		line: func(n *normalizer, line []byte) []byte {
			for _, k := range keysInBase64 {
				key := n.name + k
				raw, err := base64.StdEncoding.DecodeString(key)
				if err != nil {
					continue
				}
				line = bytes.ReplaceAll(line, append([]byte(" k"), raw...), []byte(" k"+key+" b"))
			}
			return line
		},
	},
	{
		name: "commands that are not there",
		skip: func(_ Stream, all []byte, _ string) bool { return anyStarts(all, absent) },
	},
	{
		// A watcher sees what others do, and when.
		name: "watchers",
		skip: func(_ Stream, all []byte, _ string) bool { return anyStarts(all, []string{"watch"}) },
	},
	{
		// Keys are listed in the order of the table, and memcached's crawler
		// may be busy.
		name: "lists of keys",
		skip: func(_ Stream, all []byte, _ string) bool { return anyStarts(all, listing) },
	},
	{
		// gomcd answers the keys of a line that is longer than its buffer as
		// they come, memcached looks at all of them first.
		name: "lines longer than a buffer",
		skip: func(s Stream, all []byte, answer string) bool {
			for line := range bytes.SplitSeq(all, []byte("\n")) {
				if len(line) > 16<<10-1 && bytes.HasPrefix(bytes.TrimLeft(line, " "), []byte("get")) {
					return true
				}
			}
			return false
		},
	},
}

// otherProtocols matches what may make a line of another protocol: words, header
// fields, XML, and control characters. A block that is longer or shorter than
// was said has a line begin anywhere.
var otherProtocols = regexp.MustCompile(`\b(?:GET|DELETE|QUIT|HTTP)\b|[A-Za-z][A-Za-z0-9_-]*:|<|[\x00-\x07\x0b\x0c\x0e-\x1a\x1c-\x1f]`)

// absent are words after which memcached looks further than gomcd does.
var absent = []string{"detail", "slabs", "extstore"}

// listing are words of commands that list keys.
var listing = []string{"cachedump", "lru_crawler"}

// anyStarts says whether any line begins with one of the words, or with stats
// and one of them.
func anyStarts(all []byte, with []string) bool {
	for line := range bytes.SplitSeq(all, []byte("\n")) {
		words := bytes.FieldsFunc(line, func(r rune) bool { return r <= ' ' })
		if len(words) > 1 && string(words[0]) == "stats" {
			words = words[1:]
		}
		if len(words) > 0 && slices.Contains(with, string(words[0])) {
			return true
		}
	}
	return false
}

// apply applies the rules to a line.
func (n *normalizer) apply(line []byte) []byte {
	for _, r := range rules {
		if r.line != nil {
			line = r.line(n, line)
		}
	}
	return line
}

// agrees says whether gomcd's answer is as good as memcached's. When a
// connection ends, by a line that is too long or in the middle of a data
// block, memcached forgets what it has not sent; gomcd sends what it owes.
func agrees(s Stream, gomcd, memcached Answer) bool {
	if gomcd == memcached || !gomcd.served && !memcached.served && strings.HasPrefix(gomcd.text, memcached.text) {
		return true
	}
	all := bytes.Join(s.Commands, nil)
	return slices.ContainsFunc(rules, func(r rule) bool {
		return r.closes != nil && !gomcd.served && strings.HasPrefix(memcached.text, gomcd.text) && r.closes(all)
	})
}

// Skipped returns the name of the rule by which a stream is not compared, given
// what memcached has answered so far.
func Skipped(s Stream, answer Answer) string {
	all := bytes.Join(s.Commands, nil)
	for _, r := range rules {
		if r.skip != nil && r.skip(s, all, answer.text) {
			return r.name
		}
	}
	return ""
}
