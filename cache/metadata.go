package cache

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc64"
	"strconv"
	"strings"
)

// The metadata of a memory file is text:
//
//	gomcd memory file: stopped
//	K <name> <value>
//	C <class> <next span> <spans left> <heads of its four LRUs> <uncut> <left> for each bin
//	P <class> <bin of each span, - for one that is not cut>, P 0 for a page of none
//	S <checksum of all of the above>
//
// K lines come first, settings before state. There is a C line for each class
// with pages or items, and a P line for each page in the order of the file. What
// follows the S line is of no account. Lists of free chunks, the table and all
// counts are not here, for they follow from the chunks themselves.

// fileLayout is the version of what is in a memory file: the layout of items,
// chunks and pages. It changes with any of them.
const fileLayout = 3

const (
	running  = "running"
	stopped  = "stopped"
	greeting = "gomcd memory file: "
)

// firstLine is the line with the state. It is of the same length for all
// states.
func firstLine(state string) string { return greeting + state + "\n" }

// errForeign is the error for a file that is not metadata: it must be another program's,
// and is not written to.
var errForeign = errors.New("it is not the metadata of a memory file; if it is not needed, remove it")

// saved is the metadata of a stopped server.
type saved struct {
	settings []setting
	pages    int // of the file

	clock    uint32 // the store's clock when it stopped
	stopTime int64  // the wall clock, seconds
	cas      uint64
	oldest   uint32
	wiped    uint32 // ticks
	wipeAt   uint32
	events   uint64
	hash     int // power of the table

	classes [MaxClasses]savedClass
	used    []savedPage // page 1 and on
}

type savedClass struct {
	nextSpan, spansLeft uint32
	heads               [4]uint32
	uncut, uncutLeft    [maxBins]uint32
}

type savedPage struct {
	class uint8
	bins  [spansPerPage]int8 // of each span, -1: not cut
}

// setting is what must be the same for the next server.
type setting struct{ name, value string }

var checksums = crc64.MakeTable(crc64.ECMA)

// settings are what decides on where things are in the memory. Names are
// memcached's where it has them.
func (s *Store) settings() []setting {
	cfg := &s.cfg
	slabs := strconv.FormatFloat(cfg.Factor, 'g', -1, 64)
	if cfg.SlabSizes != nil {
		slabs = strings.Trim(strings.ReplaceAll(fmt.Sprint(cfg.SlabSizes), " ", "-"), "[]")
	}
	order := "little"
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
		order = "big"
	}
	// The chunks that follow from all that.
	var chunks strings.Builder
	for id := 1; id <= int(s.largest); id++ {
		c := &s.classes[id]
		for i := range c.bins[:c.nbins] {
			fmt.Fprintf(&chunks, "%d,%d,%d,%d ", id, c.size, c.span, c.bins[i].size)
		}
	}
	return []setting{
		{"layout", fmt.Sprintf("%d-%d-%d-%d", fileLayout, itemHeader, chunkHeader, largeSize)},
		{"byte_order", order},
		{"slab_config", slabs},
		{"maxbytes", strconv.FormatInt(cfg.MemLimit, 10)},
		{"chunk_size", strconv.Itoa(cfg.ChunkSize)},
		{"item_size_max", strconv.FormatInt(cfg.ItemSizeMax, 10)},
		{"slab_chunk_size_max", strconv.FormatInt(cfg.ChunkMax, 10)},
		{"slab_page_size", strconv.Itoa(PageSize)},
		{"use_cas", strconv.FormatBool(cfg.UseCAS)},
		{"granule", strconv.Itoa(1 << s.granuleShift)},
		{"chunks", fmt.Sprintf("%016x", crc64.Checksum([]byte(chunks.String()), checksums))},
	}
}

// compatible says whether the store can have what was saved with other
// settings, and with which it cannot.
func (s *Store) compatible(m *saved) error {
	was := m.settings
	for i, now := range s.settings() {
		if i >= len(was) || was[i].name != now.name {
			return fmt.Errorf("restart incompatible: the metadata has no [%s]", now.name)
		}
		if was[i].value != now.value {
			return fmt.Errorf("restart incompatible due to setting for [%s] [old value: %s] [new value: %s]",
				now.name, was[i].value, now.value)
		}
	}
	if m.hash < minHashPower || m.hash > maxHashPower {
		return fmt.Errorf("corrupt metadata: hash power %d", m.hash)
	}
	return nil
}

// metaSize bounds the metadata of a file with so many pages, in bytes.
func metaSize(pages int) int64 {
	const head, class, page = 4 << 10, 256, 24
	return int64(head + MaxClasses*class + pages*page)
}

// metadata describes the store, which no thread may use meanwhile.
func (s *Store) metadata(wall int64) []byte {
	b := make([]byte, 0, metaSize(len(s.pages)))
	b = append(b, firstLine(stopped)...)
	key := func(name string, value any) { b = fmt.Appendf(b, "K %s %v\n", name, value) }
	for _, set := range s.settings() {
		key(set.name, set.value)
	}
	key("pages", len(s.pages)-1)
	key("current_time", s.now.Load())
	key("stop_time", wall)
	key("current_cas", s.casID.Load())
	key("oldest_live", s.oldest.Load())
	key("flush_mark", s.wiped.Load())
	key("flush_at", s.wipeAt.Load())
	key("logger_gid", s.cfg.File.Events)
	key("hashpower", s.table.state.Load()>>32+slotsPerBucketLog2)
	for id := 1; id <= int(s.largest); id++ {
		c := &s.classes[id]
		s.enlist(uint8(id))
		if c.pages == 0 && c.lru == ([4]list{}) {
			continue // large items may be in LRUs of a class without pages
		}
		b = fmt.Appendf(b, "C %d %d %d", id, c.nextSpan, c.spansLeft)
		for lru := range c.lru {
			b = fmt.Appendf(b, " %d", c.lru[lru].head)
		}
		for i := range c.bins[:c.nbins] {
			b = fmt.Appendf(b, " %d %d", c.bins[i].uncut, c.bins[i].uncutLeft)
		}
		b = append(b, '\n')
	}
	for p := uint32(1); p < s.nextPage; p++ {
		id := s.pages[p].class
		b = append(b, 'P', ' ')
		b = strconv.AppendUint(b, uint64(id), 10)
		if id != 0 {
			b = append(b, ' ')
			for _, sp := range s.spans[p*spansPerPage : (p+1)*spansPerPage] {
				if sp.cut {
					b = append(b, '0'+sp.bin)
				} else {
					b = append(b, '-')
				}
			}
		}
		b = append(b, '\n')
	}
	return fmt.Appendf(b, "S %016x\n", crc64.Checksum(b, checksums))
}

// parseMetadata reads metadata. The error says why there is nothing to go on
// with; it is errForeign if it is no metadata at all.
func parseMetadata(text []byte) (*saved, error) {
	rest, ours := bytes.CutPrefix(text, []byte(greeting))
	if !ours {
		// memcached's own begins with the name of a part.
		if bytes.HasPrefix(text, []byte("Tmain\n")) {
			return nil, errors.New("the metadata is memcached's, whose memory cannot be read")
		}
		return nil, errForeign
	}
	if bytes.HasPrefix(rest, []byte(running+"\n")) {
		return nil, errors.New("the last server was not stopped with SIGUSR1")
	}
	if !bytes.HasPrefix(rest, []byte(stopped+"\n")) {
		return nil, errors.New("corrupt metadata: no state")
	}
	m := &saved{}
	p := &metaParser{m: m, names: map[string]string{}}
	for off := len(firstLine(stopped)); ; {
		end := bytes.IndexByte(text[off:], '\n')
		if end < 0 {
			return nil, errors.New("corrupt metadata: it has no end")
		}
		line := string(text[off : off+end])
		if sum, last := strings.CutPrefix(line, "S "); last {
			if sum != fmt.Sprintf("%016x", crc64.Checksum(text[:off], checksums)) {
				return nil, errors.New("corrupt metadata: wrong checksum")
			}
			break
		}
		if err := p.line(line); err != nil {
			return nil, fmt.Errorf("corrupt metadata: %w: %.80q", err, line)
		}
		off += end + 1
	}
	if err := p.state(); err != nil {
		return nil, fmt.Errorf("corrupt metadata: %w", err)
	}
	return m, nil
}

// metaParser reads lines of metadata.
type metaParser struct {
	m     *saved
	names map[string]string // K lines
}

func (p *metaParser) line(line string) error {
	words := strings.Split(line, " ")
	switch words[0] {
	case "K":
		if len(words) != 3 {
			return errors.New("a setting is a name and a value")
		}
		p.names[words[1]] = words[2]
		p.m.settings = append(p.m.settings, setting{words[1], words[2]})
		return nil
	case "C":
		return p.class(words[1:])
	case "P":
		return p.page(words[1:])
	}
	return errors.New("unknown line")
}

func (p *metaParser) class(words []string) error {
	const fixed = 7 // before the bins
	nbins := (len(words) - fixed) / 2
	if len(words) < fixed || len(words)%2 != fixed%2 || nbins < 1 || nbins > maxBins {
		return errors.New("wrong number of words")
	}
	var n [fixed + 2*maxBins]uint32
	for i, word := range words {
		v, err := strconv.ParseUint(word, 10, 32)
		if err != nil {
			return err
		}
		n[i] = uint32(v)
	}
	if n[0] < 1 || n[0] >= MaxClasses {
		return errors.New("no such class")
	}
	c := &p.m.classes[n[0]]
	c.nextSpan, c.spansLeft = n[1], n[2]
	copy(c.heads[:], n[3:fixed])
	for i := range nbins {
		c.uncut[i], c.uncutLeft[i] = n[fixed+2*i], n[fixed+2*i+1]
	}
	return nil
}

func (p *metaParser) page(words []string) error {
	if len(words) == 0 {
		return errors.New("wrong number of words")
	}
	id, err := strconv.ParseUint(words[0], 10, 8)
	if err != nil {
		return err
	}
	page := savedPage{class: uint8(id)}
	for i := range page.bins {
		page.bins[i] = -1
	}
	if len(words) > 2 || len(words) == 2 && len(words[1]) != spansPerPage {
		return errors.New("wrong number of spans")
	}
	if len(words) == 2 {
		for i, c := range []byte(words[1]) {
			switch {
			case c == '-':
			case c >= '0' && c < '0'+maxBins:
				page.bins[i] = int8(c - '0')
			default:
				return errors.New("no such bin")
			}
		}
	}
	p.m.used = append(p.m.used, page)
	return nil
}

// state reads what is not compared but gone on with.
func (p *metaParser) state() error {
	m := p.m
	var err error
	number := func(name string, size int) uint64 {
		v, e := strconv.ParseUint(p.names[name], 10, size)
		if e != nil && err == nil {
			err = fmt.Errorf("%s: %w", name, e)
		}
		return v
	}
	m.pages = int(number("pages", 32))
	m.clock = uint32(number("current_time", 32))
	m.stopTime = int64(number("stop_time", 62))
	m.cas = number("current_cas", 64)
	m.oldest = uint32(number("oldest_live", 32))
	m.wiped = uint32(number("flush_mark", 32))
	m.wipeAt = uint32(number("flush_at", 32))
	m.events = number("logger_gid", 64)
	m.hash = int(number("hashpower", 8))
	return err
}
