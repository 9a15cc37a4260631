package cache

import (
	"bytes"
	"sync/atomic"

	"gomcd/cache/offheap"
)

// table finds items by key. It is a linear hashing table (Litwin, "Linear
// Hashing", VLDB 1980) over a reserved range of addresses: with 2^level
// buckets and the first split of them already split in two, a hash belongs to
// bucket hash mod 2^level, or mod 2^(level+1) if that is below split. Growing
// moves the items of one bucket; nothing is ever rebuilt.
//
// A slot holds a reference in its low half and in its high half a tag: the
// 32 bits of the hash that follow the first level. The tag tells nearly all
// other keys apart without a look at them, and gives the bits that splitting
// needs, so that no item is touched for it.
type table struct {
	buckets  offheap.Region
	overflow offheap.Region
	// used has a bit for each pageful of buckets that ever had an item. The rest
	// was never written to, and walks leave it so.
	used  []uint64
	base  uint          // the level at start
	state atomic.Uint64 // level << 32 | split
	// growing is held by the one that splits.
	growing spin
	fixed   bool           // no_hashexpand
	maximum uint           // level that the reserved range holds
	casID   *atomic.Uint64 // nil: items carry no CAS values

	_        [cacheLine]byte // what is written apart from what every look-up reads
	items    atomic.Int64    // linked items, behind by at most countSlack a thread
	poolLock spin
	poolFree uint32 // list of free overflow buckets
	poolNext uint32 // the first never used
	poolUsed uint32
	_        [cacheLine]byte
}

const (
	// bucketsInPage is how many buckets share a page of memory.
	bucketsInPage = 4096 / uint64(bucketSize)

	// meanLoad is how many items a bucket has on average, in eighths, before
	// the next one is split. At 4.5 one bucket in twelve overflows.
	meanLoad = 36
	// countSlack is how many items a thread links before it adds them to the table's count.
	countSlack = 32
	// splitsAtOnce bounds the work that one thread does for growth at a time.
	splitsAtOnce = 64
)

func (t *table) init(level uint, maxItems uint64, fixed bool) error {
	t.base, t.fixed, t.maximum = level, fixed, level
	for !fixed && t.maximum < level+31 && (uint64(1)<<t.maximum)*meanLoad/8 < maxItems {
		t.maximum++
	}
	var err error
	if t.buckets, err = offheap.Map(offheap.Hash, bucketSize<<t.maximum); err != nil {
		return err
	}
	if t.used, err = offheap.Slice[uint64](offheap.Hash, max(1, int(uint64(1)<<t.maximum/bucketsInPage/64))); err != nil {
		return err
	}
	// Enough overflow buckets for every item to be in one, for a table that
	// may not grow or that all keys collide in.
	n := maxItems/slotsInBucket + 2
	if n > 1<<32-1 {
		n = 1<<32 - 1
	}
	if t.overflow, err = offheap.Map(offheap.Hash, uintptr(n)*bucketSize); err != nil {
		return err
	}
	t.poolNext = 1
	t.state.Store(uint64(level) << 32)
	return nil
}

func (t *table) unmap() {
	t.buckets.Unmap()
	t.overflow.Unmap()
}

func index(state, hash uint64) uint64 {
	level := uint(state>>32) & 63
	i := hash & (1<<level - 1)
	if i < uint64(uint32(state)) {
		i = hash & (2<<level - 1)
	}
	return i
}

func (t *table) tag(hash uint64) uint32 { return uint32(hash >> (t.base & 63)) }

// overflows says, without its lock, whether the bucket of hash has another behind it.
func (t *table) overflows(hash uint64) bool {
	return atomic.LoadUint32(&t.bucketAt(index(t.state.Load(), hash)).more) != 0
}

// lockBucket locks and returns the bucket of hash.
func (t *table) lockBucket(hash uint64) *bucket {
	for {
		state := t.state.Load()
		i := index(state, hash)
		b := t.bucketAt(i)
		b.lock.lock()
		// A split may have come between.
		if now := t.state.Load(); now == state || index(now, hash) == i {
			return b
		}
		b.lock.unlock()
	}
}

// HoldBucket locks the bucket of a hash until LetBucket, for tests of
// callers that find it locked; they wait until then.
func (s *Store) HoldBucket(hash uint64) { s.table.lockBucket(hash) }

// LetBucket unlocks what HoldBucket locked.
func (s *Store) LetBucket(hash uint64) {
	s.table.bucketAt(index(s.table.state.Load(), hash)).lock.unlock()
}

// tryBucket is lockBucket for a caller that holds a class: it may fail.
func (t *table) tryBucket(hash uint64) *bucket {
	state := t.state.Load()
	i := index(state, hash)
	b := t.bucketAt(i)
	if !b.lock.tryLock() {
		return nil
	}
	if now := t.state.Load(); now != state && index(now, hash) != i {
		b.lock.unlock()
		return nil
	}
	return b
}

// tryItem is tryBucket for an item that is linked, as it seems, found in a page of class
// c, which is locked. Only with its bucket is that certain: it returns nil if the item is
// just being linked or unlinked, or its bucket is busy.
func (s *Store) tryItem(c *class, ref uint32, it *item) *bucket {
	if s.keyOffset(it)+it.keyLen() > uintptr(s.chunkSize(c, ref)) {
		return nil
	}
	b := s.table.tryBucket(s.Hash(s.key(ref, it)))
	if b != nil && s.table.slotOf(b, ref) == nil {
		b.lock.unlock()
		return nil
	}
	return b
}

// find returns the item with the key, and the slot that holds it.
func (s *Store) find(b *bucket, hash uint64, key []byte) (uint32, *item, *uint64) {
	tag := s.table.tag(hash)
	for {
		for i := range b.slots {
			slot := b.slots[i]
			if uint32(slot>>32) != tag || uint32(slot) == 0 {
				continue
			}
			ref := uint32(slot)
			it := s.at(ref)
			if it.keyLen() == uintptr(len(key)) && bytes.Equal(s.key(ref, it), key) {
				return ref, it, &b.slots[i]
			}
		}
		if b.more == 0 {
			return 0, nil, nil
		}
		b = s.table.overflowAt(b.more)
	}
}

// slotOf returns the slot that holds ref, which must be in the bucket.
func (t *table) slotOf(b *bucket, ref uint32) *uint64 {
	for {
		for i := range b.slots {
			if uint32(b.slots[i]) == ref {
				return &b.slots[i]
			}
		}
		if b.more == 0 {
			return nil
		}
		b = t.overflowAt(b.more)
	}
}

// insert puts ref into the locked bucket. It fails only when every overflow
// bucket is taken.
func (t *table) insert(b *bucket, hash uint64, ref uint32) bool {
	t.use(t.indexOf(b))
	slot := uint64(t.tag(hash))<<32 | uint64(ref)
	for {
		for i := range b.slots {
			if uint32(b.slots[i]) == 0 {
				b.slots[i] = slot
				return true
			}
		}
		if b.more == 0 {
			more := t.takeOverflow()
			if more == 0 {
				return false
			}
			b.more = more
		}
		b = t.overflowAt(b.more)
	}
}

// use notes that bucket i has, or had, an item.
func (t *table) use(i uint64) {
	page := i / bucketsInPage
	if word, bit := &t.used[page/64], uint64(1)<<(page%64); atomic.LoadUint64(word)&bit == 0 {
		atomic.OrUint64(word, bit)
	}
}

// unused says whether no bucket of those that share a page with bucket i ever had
// an item.
func (t *table) unused(i uint64) bool {
	page := i / bucketsInPage
	return atomic.LoadUint64(&t.used[page/64])&(1<<(page%64)) == 0
}

// remove empties the slot of an item with a CAS value, filling it with the chain's last one
// so that full slots come first.
func (t *table) remove(b *bucket, slot *uint64, cas uint64) {
	mark, known := b.mark()
	last, before := b, (*bucket)(nil)
	for last.more != 0 {
		last, before = t.overflowAt(last.more), last
	}
	n := 0
	for n < slotsInBucket && uint32(last.slots[n]) != 0 {
		n++
	}
	*slot = last.slots[n-1]
	last.slots[n-1] = 0
	if n == 1 && before != nil {
		t.giveOverflow(before.more)
		before.more = 0
	}
	switch {
	case t.casID == nil || uint32(b.slots[slotsInBucket-1]) != 0:
	case known:
		b.setMark(max(mark, markOf(cas)))
	default:
		b.setMark(t.latest())
	}
}

func (t *table) takeOverflow() uint32 {
	t.poolLock.lock()
	i := t.poolFree
	if i != 0 {
		t.poolFree = t.overflowAt(i).more
	} else if uintptr(t.poolNext) < t.overflow.Size/bucketSize {
		i = t.poolNext
		t.poolNext++
	}
	if i != 0 {
		*t.overflowAt(i) = bucket{}
		t.poolUsed++
	}
	t.poolLock.unlock()
	return i
}

func (t *table) giveOverflow(i uint32) {
	t.poolLock.lock()
	t.overflowAt(i).more = t.poolFree
	t.poolFree = i
	t.poolUsed--
	t.poolLock.unlock()
}

// count adds n to the number of items and grows the table if it is due. The
// caller holds no bucket.
func (t *table) count(n int64) {
	if counted {
		onLocked(&t.items)
	}
	items := t.items.Add(n)
	if n <= 0 || t.fixed {
		return
	}
	state := t.state.Load()
	if items*8 <= int64(buckets(state))*meanLoad || !t.growing.tryLock() {
		return
	}
	for range splitsAtOnce {
		state = t.state.Load()
		if items*8 <= int64(buckets(state))*meanLoad || !t.split(state) {
			break
		}
	}
	t.growing.unlock()
}

// buckets is how many there are in a state.
func buckets(state uint64) uint64 { return 1<<(state>>32) + uint64(uint32(state)) }

// split splits the next bucket. The caller holds growing.
func (t *table) split(state uint64) bool {
	level, next := uint(state>>32), uint64(uint32(state))
	if level >= t.maximum {
		return false
	}
	from, to := t.bucketAt(next), t.bucketAt(next+1<<level)
	bit := uint64(1) << (32 + level - t.base)
	t.use(next + 1<<level)
	from.lock.lock()
	to.lock.lock() // no thread can be there yet: the state does not lead to it
	t.divide(from, to, bit)
	if next++; next == 1<<level {
		level, next = level+1, 0
	}
	t.state.Store(uint64(level)<<32 | next)
	to.lock.unlock()
	from.lock.unlock()
	return true
}

// divide moves the slots of from whose tag has the bit to the empty bucket to.
func (t *table) divide(from, to *bucket, bit uint64) {
	// Both halves are filled in order into cursors; a slot never moves behind
	// the one that is read, so from's chain can be rewritten in place.
	keep, move := cursor{b: from}, cursor{b: to}
	mark, known := from.mark()
	if !known {
		mark = t.latest()
	}
	for b := from; ; b = t.overflowAt(b.more) {
		for i := range b.slots {
			slot := b.slots[i]
			b.slots[i] = 0
			switch {
			case uint32(slot) == 0:
			case slot&bit == 0:
				keep.put(t, slot)
			default:
				move.put(t, slot)
			}
		}
		if b.more == 0 {
			break
		}
	}
	from.setMark(mark)
	to.setMark(mark)
	// What is left of from's chain is empty.
	rest := keep.b.more
	keep.b.more = 0
	for rest != 0 {
		next := t.overflowAt(rest).more
		t.giveOverflow(rest)
		rest = next
	}
}

// cursor fills a chain of buckets from its beginning.
type cursor struct {
	b *bucket
	n int
}

func (c *cursor) put(t *table, slot uint64) {
	if c.n == slotsInBucket {
		if c.b.more == 0 {
			// Splitting frees as many slots as it fills, so the pool cannot
			// be empty for long; see reserve in init.
			more := t.takeOverflow()
			if more == 0 {
				panic("cache: no overflow bucket left while splitting")
			}
			c.b.more = more
		}
		c.b, c.n = t.overflowAt(c.b.more), 0
	}
	c.b.slots[c.n] = slot
	c.n++
}
