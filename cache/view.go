package cache

import "strconv"

// View is a look at the item of one key, or at its absence, with the bucket
// locked: nobody else can see or change the item until Release. It belongs to
// its handle and is good until then. Slices it returns are views of the arena,
// good until then too.
type View struct {
	h    *Handle
	b    *bucket
	hash uint64
	ref  uint32
	it   *item
	slot *uint64
	key  []byte

	found Found // what the look-up came to
}

// Acquire locks the key's bucket, looks the key up and reports that to the observer. An
// item that expired or was flushed is removed and counts as absent. Every Acquire is
// followed by a Release, soon: others may be spinning.
func (h *Handle) Acquire(hash uint64, key []byte) *View {
	v := h.Peek(hash, key)
	v.ReportFetch()
	return v
}

// Peek is Acquire without the report, for a command that looks at the item before it is
// certain to be carried out now. Then it calls ReportFetch.
func (h *Handle) Peek(hash uint64, key []byte) *View {
	v := &h.view
	v.b, v.hash, v.key = h.s.table.lockBucket(hash), hash, key
	v.find()
	return v
}

// ReportFetch reports the look-up to the observer.
func (v *View) ReportFetch() {
	if v.h.s.Watched(Fetches) {
		v.tellFetched()
	}
}

func (v *View) find() {
	s := v.h.s
	v.h.stamp = s.stamp()
	v.ref, v.it, v.slot = s.find(v.b, v.hash, v.key)
	v.found = v.judge()
}

// judge removes the item if it should not be there any more.
func (v *View) judge() Found {
	if v.it == nil {
		return Absent
	}
	s := v.h.s
	found := Present
	switch {
	case s.flushed(v.it):
		v.h.C.GetFlushed++
		found = Flushed
	case v.it.exptime != 0 && v.it.exptime <= s.Now():
		v.h.C.GetExpired++
		found = Expired
	default:
		return Present
	}
	v.Unlink()
	return found
}

func (v *View) tellFetched() {
	var class uint8
	var length int
	if v.it != nil {
		class, length = v.ClassID(), v.Len()
	}
	v.h.observer.Fetched(v.key, v.found, class, length)
}

// Release unlocks the bucket.
func (v *View) Release() {
	v.b.lock.unlock()
	v.it = nil
	v.h.report()
}

// Hit says whether there is an item.
func (v *View) Hit() bool { return v.it != nil }

// Key returns the item's key as stored.
func (v *View) Key() []byte { return v.h.s.key(v.ref, v.it) }

// Class returns the item's slab class with its LRU in the top two bits.
func (v *View) Class() uint8 { return v.h.s.classAndLRU(v.ref, v.it) }

// ClassID returns the item's slab class.
func (v *View) ClassID() uint8 { return v.h.s.classID(v.ref, v.it) }

// Len returns the length of the value in bytes.
func (v *View) Len() int { return v.h.s.valueLen(v.ref, v.it) }

// Whole says whether the value is in one piece, which Value then returns.
func (v *View) Whole() bool { return v.it.kind() == kindItem }

// Value returns the value of an item that is whole.
func (v *View) Value() []byte { return v.h.s.value(v.ref, v.it) }

// ClientFlags returns the flags a client stored with the item.
func (v *View) ClientFlags() uint32 { return v.h.s.clientFlags(v.ref, v.it) }

// CAS returns the item's CAS value, 0 if items carry none.
func (v *View) CAS() uint64 { return v.h.s.cas(v.it) }

// SetCAS changes the item's CAS value.
func (v *View) SetCAS(cas uint64) { v.h.s.setCAS(v.it, cas) }

// Exptime is when the item expires on the store's clock, 0: never.
func (v *View) Exptime() uint32 { return v.it.exptime }

// SetExptime changes when the item expires.
func (v *View) SetExptime(t uint32) { v.it.exptime = t }

// Time is when the item was last accessed, on the store's clock.
func (v *View) Time() uint32 { return min(v.it.accessed(), v.h.s.Now()) }

// Taken is how many bytes statistics count for the item.
func (v *View) Taken() int { return v.h.s.taken(v.ref, v.it) }

// Fetched says whether the item was ever read.
func (v *View) Fetched() bool { return v.it.flags&flagFetched != 0 }

// Stale says whether the item was marked stale.
func (v *View) Stale() bool { return v.it.flags&flagStale != 0 }

// TokenSent says whether a client was told to recache the item.
func (v *View) TokenSent() bool { return v.it.flags&flagTokenSent != 0 }

// BinaryKey says whether the key was given as base64.
func (v *View) BinaryKey() bool { return v.it.flags&flagBinaryKey != 0 }

// SetBinaryKey notes that the key was given as base64.
func (v *View) SetBinaryKey() { v.it.flags |= flagBinaryKey }

// SendToken notes that a client won the right to recache the item.
func (v *View) SendToken() { v.it.flags |= flagTokenSent }

// MarkStale marks the item stale, so that one client wins the right to
// recache it.
func (v *View) MarkStale() { v.it.flags = v.it.flags&^flagTokenSent | flagStale }

// Bump notes a read.
func (v *View) Bump() { v.h.bump(v.ref, v.it) }

// Unlink removes the item. The view is a miss afterwards.
func (v *View) Unlink() {
	v.h.drop(v.b, v.ref, v.it, v.slot)
	v.it = nil
}

// Create stores an item with an empty value under the view's key, in place of
// the one there is, and makes it the view's item. It fails for want of memory.
func (v *View) Create(clientFlags, exptime uint32, cas uint64) bool {
	var d Draft
	if v.h.Draft(&d, v.hash, v.key, clientFlags, exptime, 0) != nil {
		return false
	}
	return v.put(&d, cas)
}

// CreateNumber stores n as an item in decimal, as Create does.
func (v *View) CreateNumber(n uint64, exptime uint32, cas uint64) bool {
	return v.putNumber(n, 0, exptime, cas)
}

func (v *View) putNumber(n uint64, clientFlags, exptime uint32, cas uint64) bool {
	var text [20]byte
	digits := strconv.AppendUint(text[:0], n, 10)
	var d Draft
	if v.h.Draft(&d, v.hash, v.key, clientFlags, exptime, len(digits)) != nil {
		return false
	}
	v.h.Fill(&d, digits)
	return v.put(&d, cas)
}

// SetNumber replaces the item's value by n in decimal: in place, padded with
// spaces, if that fits and nobody has the item pinned, else as a new item. It
// fails for want of memory.
func (v *View) SetNumber(n uint64, cas uint64) bool {
	s := v.h.s
	if s.refs(v.it) == 0 {
		var text [20]byte
		digits := strconv.AppendUint(text[:0], n, 10)
		if value := v.Value(); len(digits) <= len(value) {
			s.setCAS(v.it, cas)
			for i := copy(value, digits); i < len(value); i++ {
				value[i] = ' '
			}
			v.h.touchLRU(v.ref, v.it)
			return true
		}
	}
	return v.putNumber(n, v.ClientFlags(), v.it.exptime, cas)
}

// put links a full draft as the view's item, replacing the one there is.
func (v *View) put(d *Draft, cas uint64) bool {
	h, s := v.h, v.h.s
	it := s.at(d.ref)
	if v.it != nil {
		if v.it.flags&flagBinaryKey != 0 {
			it.flags |= flagBinaryKey
		}
		h.replace(v.b, v.slot, v.ref, v.it, d.ref, it, cas)
	} else if v.slot = h.link(v.b, v.hash, d.ref, it, cas); v.slot == nil {
		h.Discard(d)
		return false
	}
	h.settle(d)
	v.ref, v.it = d.ref, it
	return true
}

// Pin keeps the item's memory and value as they are beyond Release, until
// Unpin. It fails when the item has too many pins, or is so small that it can
// have none. The tail is what Piece can give behind the value: always the same,
// or none.
func (v *View) Pin(p *Pin, tail string) bool {
	if !v.it.pinnable() {
		return false
	}
	refs := v.h.s.refsOf(v.it)
	if *refs >= maxPins {
		return false
	}
	*refs++
	*p = Pin{hash: v.hash, ref: v.ref, length: v.Len()}
	if tail != "" {
		v.h.s.putTail(p, v.it, tail)
	}
	return true
}
