package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// prefixes counts the prefixes of keys that are asked for and stored, by the lines that
// the server sends to who watches.
type prefixes struct {
	mu        sync.Mutex
	delimiter string
	counts    map[string]int
}

// maxPrefixes is how many are counted apart.
const maxPrefixes = 10_000

// prefix is one, and how often it came.
type prefix struct {
	name  string
	count int
}

// watchAgain is after what time it is tried again to watch a server that ended it.
const watchAgain = time.Second

// watchPrefixes begins to watch, on a connection of its own.
func watchPrefixes(addr, delimiter string) (*prefixes, error) {
	c, err := watch(addr)
	if err != nil {
		return nil, err
	}
	p := &prefixes{delimiter: delimiter, counts: map[string]int{}}
	go func() {
		for {
			for err == nil {
				var line string
				if line, err = c.r.ReadString('\n'); err == nil {
					p.note(line)
				}
			}
			if c != nil {
				c.Close()
			}
			time.Sleep(watchAgain)
			c, err = watch(addr)
		}
	}()
	return p, nil
}

func watch(addr string) (*client, error) {
	c, err := dial(addr)
	if err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(patience))
	line := ""
	if _, err = fmt.Fprint(c, "watch fetchers mutations\r\n"); err == nil {
		line, err = c.r.ReadString('\n')
	}
	if line = strings.TrimSpace(line); err == nil && line != "OK" {
		err = fmt.Errorf("the server does not let this client watch: %q", line)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	c.SetDeadline(time.Time{})
	return c, nil
}

// note counts the key of a line: ts=1.0 gid=1 type=item_get key=user%3A1 status=found ...
func (p *prefixes) note(line string) {
	for word := range strings.FieldsSeq(line) {
		key, ok := strings.CutPrefix(word, "key=")
		if !ok {
			continue
		}
		name, _, _ := strings.Cut(unescape(key), p.delimiter)
		name = printable(name)
		p.mu.Lock()
		if _, known := p.counts[name]; known || len(p.counts) < maxPrefixes {
			p.counts[name]++
		}
		p.mu.Unlock()
		return
	}
}

// unescape undoes what a server does to bytes of a key that it sends as %XX. What is
// not printable stays so.
func unescape(key string) string {
	var b strings.Builder
	for i := 0; i < len(key); i++ {
		var c byte
		if _, err := fmt.Sscanf(key[i:min(i+3, len(key))], "%%%02X", &c); err == nil && ' ' < c && c < 0x7f {
			b.WriteByte(c)
			i += 2
			continue
		}
		b.WriteByte(key[i])
	}
	return b.String()
}

// printable is a name without bytes that a terminal would take for more than a letter.
func printable(name string) string {
	return strings.Map(func(r rune) rune {
		if ' ' < r && r < 0x7f {
			return r
		}
		return '?'
	}, name)
}

// take returns the n most frequent since it was called last, and begins anew.
func (p *prefixes) take(n int) []prefix {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []prefix
	for name, count := range p.counts {
		all = append(all, prefix{name, count})
	}
	clear(p.counts)
	slices.SortFunc(all, func(a, b prefix) int {
		return cmp.Or(cmp.Compare(b.count, a.count), strings.Compare(a.name, b.name))
	})
	return all[:min(n, len(all))]
}
