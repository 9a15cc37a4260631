package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/bradfitz/gomemcache/memcache"
)

// caller is one goroutine that uses the library.
type caller struct {
	*plan
	tally
	keys *chooser
	c    *memcache.Client
	hist *hdrhistogram.Histogram
	late int64 // requests that were given up, in open loop
}

// byLibrary does the plan's work through gomemcache, each connection with a
// goroutine of its own.
func (p *plan) byLibrary(addr string, warmup, duration time.Duration, usage func() used) (result, error) {
	if usage == nil {
		usage = func() used { return used{} }
	}
	client := memcache.New(addr)
	client.MaxIdleConns = p.work.conns
	client.Timeout = patience
	if p.tls != nil {
		client.DialContext = (&tls.Dialer{Config: p.tls}).DialContext
	}
	defer client.Close()
	begin := time.Now()
	callers := make([]caller, p.work.conns)
	errs := make([]error, len(callers))
	var wg sync.WaitGroup
	var self, server used
	wg.Go(func() {
		time.Sleep(warmup)
		self, server = processUse(), usage()
	})
	for i := range callers {
		k := &callers[i]
		*k = caller{plan: p, keys: p.chooser(uint64(i)), c: client, hist: newHistogram()}
		wg.Go(func() { errs[i] = k.run(begin, i, warmup, warmup+duration) })
	}
	wg.Wait()
	took := time.Since(begin) - warmup
	self, server = processUse().since(self), usage().since(server)
	var all tally
	late := int64(0)
	hist := newHistogram()
	for i := range callers {
		k := &callers[i]
		all.requests += k.requests
		all.gets += k.gets
		all.hits += k.hits
		all.misses += k.misses
		hist.Merge(k.hist)
		late += k.late
	}
	r := newResult(hist, all, float64(took))
	r.Generator, r.Processors = float64(self.ran)/float64(took), processors()
	r.Server, r.Others = float64(server.ran)/float64(took), server.pushedAside(float64(took))
	r.Unanswered = late
	return r, errors.Join(errs...)
}

// run calls until the end, and counts from the warm-up's end on.
func (k *caller) run(begin time.Time, i int, warmup, end time.Duration) error {
	gap := time.Duration(0)
	if k.rate > 0 {
		gap = time.Duration(float64(k.work.conns) / k.rate * 1e9)
	}
	due := time.Duration(float64(gap) * float64(i) / float64(k.work.conns))
	for {
		if gap > 0 {
			time.Sleep(due - time.Since(begin))
		} else {
			due = time.Since(begin)
		}
		if due >= end {
			return nil
		}
		if now := time.Since(begin); gap > 0 && now > end+patience {
			// The server does not keep up: what is still due is late.
			for ; due < end; due += gap {
				k.hist.RecordValue(int64(now - due))
				k.late++
			}
			return nil
		}
		if due < warmup {
			k.tally = tally{}
		}
		if err := k.call(); err != nil {
			return err
		}
		if due >= warmup {
			k.hist.RecordValue(max(1, int64(time.Since(begin)-due)))
		}
		due += gap
	}
}

// call makes one request.
func (k *caller) call() error {
	k.requests++
	if !k.keys.isGet() {
		key := k.keys.key()
		err := k.c.Set(&memcache.Item{Key: string(appendKey(nil, key)), Value: k.content(key)})
		if err != nil {
			return fmt.Errorf("set: %w", err)
		}
		return nil
	}
	k.gets++
	asked := map[string]uint32{}
	names := make([]string, 0, k.width)
	for range k.width {
		key := k.keys.key()
		name := string(appendKey(nil, key))
		asked[name] = key
		names = append(names, name)
	}
	found := map[string]*memcache.Item{}
	var err error
	if len(names) == 1 {
		var it *memcache.Item
		if it, err = k.c.Get(names[0]); it != nil {
			found[names[0]] = it
		}
	} else {
		found, err = k.c.GetMulti(names)
	}
	if err != nil && err != memcache.ErrCacheMiss {
		return fmt.Errorf("get: %w", err)
	}
	k.hits += int64(len(found))
	k.misses += int64(len(asked) - len(found))
	for name, it := range found {
		if k.check && !bytes.Equal(it.Value, k.content(asked[name])) {
			return fmt.Errorf("key %s has another value than was stored: got %.60q", name, it.Value)
		}
	}
	return nil
}
