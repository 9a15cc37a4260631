package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strconv"
	"time"
)

// What is measured of memory are counts, which do not depend on how fast the
// machine is or what else it does.

// pipe asks one server many things at once.
type pipe struct {
	net.Conn
	r   *bufio.Reader
	req []byte
}

func openPipe(addr string) (*pipe, error) {
	c, err := dial(addr, nil)
	if err != nil {
		return nil, err
	}
	return &pipe{Conn: c, r: bufio.NewReaderSize(c, 64<<10)}, nil
}

// profileKey is what keys are called here, and often elsewhere.
func profileKey(b []byte, n int) []byte {
	b = append(b, "user:"...)
	b = strconv.AppendInt(b, int64(n), 10)
	return append(b, ":profile"...)
}

// get asks for keys and tells for each that there is how long its value is.
func (c *pipe) get(keys []int, found func(i, length int)) error {
	c.req = c.req[:0]
	for _, k := range keys {
		c.req = append(profileKey(append(c.req, "get "...), k), "\r\n"...)
	}
	if err := c.send(); err != nil {
		return err
	}
	for i := range keys {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if string(line) == "END\r\n" {
			continue
		}
		at := bytes.LastIndexByte(line, ' ')
		length, err := strconv.Atoi(string(bytes.TrimSpace(line[at+1:])))
		if err != nil || !bytes.HasPrefix(line, []byte("VALUE ")) {
			return fmt.Errorf("the server says %q to a get", line)
		}
		if _, err := c.r.Discard(length + len("\r\nEND\r\n")); err != nil {
			return err
		}
		found(i, length)
	}
	return nil
}

// set stores keys.
func (c *pipe) set(p *plan, keys []int) error {
	if len(keys) == 0 {
		return nil
	}
	c.req = c.req[:0]
	for _, k := range keys {
		v := p.content(uint32(k % p.keys))
		c.req = append(profileKey(append(c.req, "set "...), k), " 0 0 "...)
		c.req = append(strconv.AppendInt(c.req, int64(len(v)), 10), "\r\n"...)
		c.req = append(append(c.req, v...), "\r\n"...)
	}
	if err := c.send(); err != nil {
		return err
	}
	for range keys {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if string(line) != "STORED\r\n" {
			return fmt.Errorf("the server says %q to a set", line)
		}
	}
	return nil
}

// send sends the requests. They are few enough to fit into buffers while
// nobody reads the replies.
func (c *pipe) send() error {
	c.SetDeadline(time.Now().Add(patience))
	_, err := c.Write(c.req)
	return err
}

// batches cuts what next returns, until it returns false, into batches.
func batches(size int, next func() (int, bool), do func([]int) error) error {
	batch := make([]int, 0, size)
	for {
		k, more := next()
		if more {
			batch = append(batch, k)
		}
		if len(batch) == size || !more && len(batch) > 0 {
			if err := do(batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
		if !more {
			return nil
		}
	}
}

// itemsHeld stores twice as much as fits and counts what is still there.
func itemsHeld(_ *options, r *running, p *plan) (map[string]float64, error) {
	c, err := openPipe(r.addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	upTo := func() func() (int, bool) {
		n := -1
		return func() (int, bool) { n++; return n, n < p.keys }
	}
	if err := batches(50, upTo(), func(keys []int) error { return c.set(p, keys) }); err != nil {
		return nil, err
	}
	items, payload := 0, 0
	rss := r.resident()
	err = batches(100, upTo(), func(keys []int) error {
		return c.get(keys, func(i, length int) {
			items++
			payload += length + len(profileKey(nil, keys[i]))
		})
	})
	return map[string]float64{"items": float64(items), "payload": float64(payload), "rss": float64(rss)}, err
}

const (
	hitRequests = 1_500_000
	scanEvery   = 100_000
	scanLength  = 20_000
)

// hitRatio reads keys by Zipf's law, and between them long runs of keys that
// are asked for once and never again; what is missing is stored. The scans'
// own gets do not count.
func hitRatio(_ *options, r *running, p *plan) (map[string]float64, error) {
	c, err := openPipe(r.addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	keys := p.chooser(1)
	readThrough := func(asked []int) (int, error) {
		missing := slices.Clone(asked)
		hits := 0
		err := c.get(asked, func(i, _ int) {
			hits++
			missing[i] = -1
		})
		if err != nil {
			return 0, err
		}
		missing = slices.DeleteFunc(missing, func(k int) bool { return k < 0 })
		slices.Sort(missing)
		return hits, c.set(p, slices.Compact(missing))
	}
	total, late, scanned := 0, 0, 0
	for begun := 0; begun < hitRequests; begun += scanEvery {
		n := 0
		next := func() (int, bool) { n++; return int(keys.key()), n <= scanEvery }
		hits := 0
		if err := batches(50, next, func(keys []int) error {
			h, err := readThrough(keys)
			hits += h
			return err
		}); err != nil {
			return nil, err
		}
		total += hits
		if begun >= hitRequests/2 {
			late += hits
		}
		n = 0
		scan := func() (int, bool) { n++; scanned++; return p.keys + scanned, n <= scanLength }
		if err := batches(50, scan, func(keys []int) error {
			_, err := readThrough(keys)
			return err
		}); err != nil {
			return nil, err
		}
	}
	return map[string]float64{"hit_ratio": float64(total) / hitRequests, "late_hit_ratio": float64(late) / (hitRequests / 2),
		"rss": float64(r.resident())}, nil
}

// idleConnections opens connections that ask once and then do nothing.
func idleConnections(_ *options, r *running, _ *plan) (map[string]float64, error) {
	const some, many = 100, 1000
	var open []net.Conn
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	more := func(n int) error {
		for range n {
			c, err := dial(r.addr, nil)
			if err != nil {
				return err
			}
			open = append(open, c)
			c.SetDeadline(time.Now().Add(patience))
			if _, err := c.Write([]byte("get nothing\r\n")); err != nil {
				return err
			}
			if _, err := io.ReadFull(c, make([]byte, len("END\r\n"))); err != nil {
				return err
			}
		}
		return nil
	}
	if err := more(some); err != nil {
		return nil, err
	}
	before := r.resident()
	err := more(many)
	return map[string]float64{"connection": float64(r.resident()-before) / many}, err
}

// atRest leaves the server alone, then asks it a little, and leaves it alone
// again.
func atRest(_ *options, r *running, p *plan) (map[string]float64, error) {
	const rest = 2 * time.Second
	time.Sleep(rest)
	before := r.resident()
	c, err := openPipe(r.addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	sets := func(n int) error {
		for range n {
			if err := c.set(p, []int{0}); err != nil {
				return err
			}
		}
		time.Sleep(rest)
		return nil
	}
	if err := sets(1000); err != nil {
		return nil, err
	}
	later := r.resident()
	err = sets(100_000)
	return map[string]float64{"rss": float64(before), "rss_later": float64(later), "growth": float64(r.resident() - later)}, err
}

// printFigures tells a person.
func (f *finding) printFigures(out io.Writer) {
	for _, s := range f.Servers {
		fmt.Fprintf(out, "  %-24s", s.Name)
		for _, name := range slices.Sorted(maps.Keys(s.Figures)) {
			fmt.Fprintf(out, "  %s %.6g", name, s.Figures[name])
		}
		fmt.Fprintln(out)
	}
}
