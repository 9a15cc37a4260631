package front

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"gomcd/server/internal/handshake"

	"golang.org/x/sys/unix"
)

// Shared is memory of both processes: what the front counts, how many connections there
// are, and requests to load the certificates again with their answers. Reading it takes no
// system call and no memory.
type Shared struct {
	w *[nWords]atomic.Uint64
}

// The words of Shared.
const (
	wAccepted = iota
	wNew
	wResumed
	wHandedOver
	wEvicted
	wPaused
	wRefused
	wLoaded     // when certificates were last loaded, in Unix time
	wExpires    // when the certificate expires, in Unix time
	wGeneration // how many times they were loaded

	// The other process writes these, and the front all else.
	wLimit // how many connections there may be, 0: any number
	wConns // how many there are, but for those that the front has counted
	wAsked // requests for a reload

	wAnswered // the last of them that is answered
	wSeq      // odd while an answer is being written
	wFailed   // 1 if nothing was loaded
	wTextLen  // bytes of what is said about it
	wText
	wErrors = wText + MaxText/8                      // by handshake.Kind
	wCalls  = wErrors + int(handshake.Malformed) + 1 // forbidden calls that audit let through, by number
	nWords  = wCalls + maxCalls

	wordsLen = 8 * nWords
)

// maxCalls is above the number of every system call.
const maxCalls = 512

// EachViolation calls do for every system call, by its number, that the front's filters
// forbid and that audit let through, with how many there were.
func (s *Shared) EachViolation(do func(call int, n uint64)) {
	for nr := range maxCalls {
		if n := s.w[wCalls+nr].Load(); n > 0 {
			do(nr, n)
		}
	}
}

// MaxText bounds what is said about a reload, in bytes.
const MaxText = 512

// NewShared makes the memory, and returns the descriptor to send to the front, which
// the caller closes. Its size cannot change, so reading it cannot fail.
func NewShared() (*Shared, int, error) {
	fd, err := unix.MemfdCreate("gomcd-front", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, -1, fmt.Errorf("memfd_create: %w", err)
	}
	err = unix.Ftruncate(fd, int64(wordsLen))
	if err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals)
	}
	var s *Shared
	if err == nil {
		s, err = MapShared(fd)
	}
	if err != nil {
		unix.Close(fd)
		return nil, -1, fmt.Errorf("memory shared with the front: %w", err)
	}
	return s, fd, nil
}

const seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL

// MapShared maps the memory of a descriptor, which the caller closes.
func MapShared(fd int) (*Shared, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	have, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	if err != nil {
		return nil, err
	}
	if st.Size != int64(wordsLen) || have&seals != seals {
		return nil, errors.New("not the memory that is expected")
	}
	b, err := unix.Mmap(fd, 0, wordsLen, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	return &Shared{words(b)}, nil
}

// Counters are what the front has counted.
type Counters struct {
	Accepted    uint64
	New         uint64 // sessions, not resumed
	Resumed     uint64 // sessions
	HandedOver  uint64 // connections, or about to be
	Evicted     uint64 // connections that lost their place to others; not in Errors
	Paused      uint64 // how often accepting paused for lack of descriptors or memory
	Refused     uint64 // clients that came when there were as many connections as there may be
	Errors      [handshake.Malformed + 1]uint64
	Loaded      int64  // when certificates were last loaded, in Unix time
	Expires     int64  // when the certificate expires, in Unix time
	Generations uint64 // how many times certificates were loaded
}

// HandshakeErrors is the sum of Errors and Evicted.
func (c *Counters) HandshakeErrors() uint64 {
	sum := c.Evicted
	for _, n := range c.Errors {
		sum += n
	}
	return sum
}

// Counters returns what the front has counted. Nothing in it is to be relied on.
func (s *Shared) Counters() Counters {
	c := Counters{
		Accepted: s.w[wAccepted].Load(), New: s.w[wNew].Load(), Resumed: s.w[wResumed].Load(),
		HandedOver: s.w[wHandedOver].Load(), Evicted: s.w[wEvicted].Load(), Paused: s.w[wPaused].Load(), Refused: s.w[wRefused].Load(),
		Loaded: int64(s.w[wLoaded].Load()), Expires: int64(s.w[wExpires].Load()), Generations: s.w[wGeneration].Load(),
	}
	for i := range c.Errors {
		c.Errors[i] = s.w[wErrors+i].Load()
	}
	return c
}

// Limit has the front refuse clients without a handshake while there are n connections.
func (s *Shared) Limit(n int) { s.w[wLimit].Store(uint64(n)) }

// Count counts connections of the other process that have come, or gone if change is below
// 0. Those that the front hands over come without it: the front has counted them.
func (s *Shared) Count(change int64) { s.w[wConns].Add(uint64(change)) }

// full says whether there are as many connections as there may be, with those that are
// on their way. Each is counted once at any time.
func (s *Shared) full() bool {
	limit := int64(s.w[wLimit].Load())
	if limit == 0 {
		return false
	}
	n := int64(s.w[wConns].Load())
	n += int64(s.w[wNew].Load() + s.w[wResumed].Load())
	return n >= limit
}

// Ask asks for the certificates to be loaded again, and returns the number of the
// request, for Answered. Then a byte is to be sent on the channel. Requests that come
// while one is being answered are answered together.
func (s *Shared) Ask() uint64 { return s.w[wAsked].Add(1) }

// Answered says whether a request is answered.
func (s *Shared) Answered(request uint64) bool { return s.w[wAnswered].Load() >= request }

// AppendAnswer appends the text of the last answer to dst: at most MaxText printable
// bytes, an error or warnings. ok is false if the former certificates still serve. If
// again is true, the front was writing: call it again.
func (s *Shared) AppendAnswer(dst []byte) (text []byte, ok, again bool) {
	seq := s.w[wSeq].Load()
	failed := s.w[wFailed].Load() != 0
	n := int(min(s.w[wTextLen].Load(), MaxText))
	from := len(dst)
	for i := 0; i < n; i += 8 {
		dst = binary.NativeEndian.AppendUint64(dst, s.w[wText+i/8].Load())
	}
	dst = dst[:from+n]
	for i, c := range dst[from:] {
		dst[from+i] = printable(c)
	}
	return dst, !failed, seq%2 == 1 || s.w[wSeq].Load() != seq
}

func printable(c byte) byte {
	if c < ' ' || c > '~' {
		return '?'
	}
	return c
}

// asked is the last request, if it is not answered.
func (s *Shared) asked() (uint64, bool) {
	n := s.w[wAsked].Load()
	return n, n != s.w[wAnswered].Load()
}

// answer answers a request and those before it.
func (s *Shared) answer(request uint64, ok bool, text string) {
	s.w[wSeq].Add(1)
	failed := uint64(1)
	if ok {
		failed = 0
	}
	s.w[wFailed].Store(failed)
	var b [MaxText]byte
	n := copy(b[:], text)
	s.w[wTextLen].Store(uint64(n))
	for i := range MaxText / 8 {
		s.w[wText+i].Store(binary.NativeEndian.Uint64(b[8*i:]))
	}
	s.w[wSeq].Add(1)
	s.w[wAnswered].Store(request)
}

// loaded counts that certificates were loaded.
func (s *Shared) loaded(certs *certificates) {
	s.w[wLoaded].Store(uint64(time.Now().Unix()))
	s.w[wExpires].Store(uint64(certs.expires.Unix()))
	s.w[wGeneration].Add(1)
}

func (s *Shared) count(word int) { s.w[word].Add(1) }
