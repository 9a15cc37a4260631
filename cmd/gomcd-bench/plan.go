package main

import (
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
)

// plan is what follows from a work: how long each value is and what it
// contains, and in which order keys are asked for. It is made once and the
// same for every server.
type plan struct {
	work
	lengths []int32 // by key, where sizes are distributed
	drawn   []uint32
	pattern []byte
	// valueLine is what follows the key in the line of a value, where all are of a size.
	valueLine []byte
	tls       *tls.Config // nil: not over TLS
}

// over is the same work over TLS, or without.
func (p *plan) over(config *tls.Config) *plan {
	q := *p
	q.tls, q.work.tls = config, config != nil
	return &q
}

const (
	// offsets is how many different beginnings in the pattern values have.
	offsets = 1 << 20
	// draws is how many keys are drawn by Zipf's law before they repeat.
	draws = 1 << 21
)

func newPlan(w work) *plan {
	p := &plan{work: w, valueLine: fmt.Appendf(nil, " 0 %d\r\n", w.size.fixed)}
	r := rand.New(rand.NewPCG(1, 2))
	p.pattern = make([]byte, offsets+w.size.largest())
	for i := range p.pattern {
		p.pattern[i] = ' ' + byte(r.Uint32()>>16)%('~'-' '+1)
	}
	if w.size.median > 0 {
		p.lengths = make([]int32, w.keys)
		for i := range p.lengths {
			p.lengths[i] = int32(w.size.draw(r.NormFloat64()))
		}
	}
	if w.zipf > 0 {
		z := newZipf(w.keys, w.zipf, r)
		p.drawn = make([]uint32, min(draws, max(1<<16, 8*w.keys)))
		for i := range p.drawn {
			p.drawn[i] = uint32(scatter(z.next(), w.keys))
		}
	}
	return p
}

// scatter maps 0..n-1 onto itself so that neighbours are far apart, or the
// likeliest keys would be stored side by side.
func scatter(i, n int) int {
	const prime = 2_654_435_761
	if n%prime == 0 {
		return i
	}
	return int(uint64(i) * prime % uint64(n))
}

// length is how long the value of a key is.
func (p *plan) length(key uint32) int {
	if p.lengths == nil {
		return p.size.fixed
	}
	return int(p.lengths[key])
}

// content is what is stored under a key. It is not to be changed.
func (p *plan) content(key uint32) []byte {
	at := int(key*2_654_435_761>>7) % offsets
	return p.pattern[at : at+p.length(key)]
}

// chooser chooses keys for one run.
type chooser struct {
	p    *plan
	pcg  *rand.PCG // what r draws from
	r    *rand.Rand
	next int
}

func (p *plan) chooser(seed uint64) *chooser {
	pcg := rand.NewPCG(seed, 3)
	c := &chooser{p: p, pcg: pcg, r: rand.New(pcg)}
	if p.drawn != nil {
		c.next = c.r.IntN(len(p.drawn))
	}
	return c
}

func (c *chooser) key() uint32 {
	if c.p.drawn == nil {
		return uint32(c.pcg.Uint64() >> 32 * uint64(c.p.keys) >> 32)
	}
	if c.next++; c.next >= len(c.p.drawn) {
		c.next = 0
	}
	return c.p.drawn[c.next]
}

// isGet says whether the next request is a get.
func (c *chooser) isGet() bool {
	switch {
	case c.p.sets == 0:
		return true
	case c.p.gets == 0:
		return false
	}
	return c.r.IntN(c.p.gets+c.p.sets) < c.p.gets
}

const keyLength = 16

// appendKey appends the name of a key.
func appendKey(b []byte, key uint32) []byte {
	high := key / 100_000_000 // a digit or two more than eight
	b = append(b, "user:0"...)
	b = append(b, byte('0'+high/10), byte('0'+high%10))
	return binary.LittleEndian.AppendUint64(b, eightDigits(key%100_000_000))
}

// eightDigits are the digits of a number below 10^8, the first in the lowest byte: of all
// parts at once, into halves, then quarters, then digits.
func eightDigits(n uint32) uint64 {
	v := uint64(n/10_000) | uint64(n%10_000)<<32
	hundreds := v * 10_486 >> 20 & 0x7f_0000_007f
	v = hundreds | (v-100*hundreds)<<16
	tens := v * 103 >> 10 & 0x000f_000f_000f_000f
	return (tens | (v-10*tens)<<8) + 0x3030_3030_3030_3030
}
