package t

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// possessions are keys that one client alone uses, so that it knows what each
// must be: what it stored last, or nothing, for the server may have evicted it.
// What was once gone never comes back.
type possessions struct {
	prefix  string
	values  [30]possession
	numbers [10]uint64 // 0: not there
	flushed *atomic.Pointer[flush]
}

// flush is a flush_all that was carried out between two moments.
type flush struct{ asked, answered time.Time }

type possession struct {
	there   bool     // unless it has gone since
	pieces  [][]byte // the value
	flags   int
	cas     string    // its CAS number, "" if it is not known
	stored  time.Time // it was by then
	expires time.Time // or never
}

const (
	// longestOwn is how long values get by being appended to.
	longestOwn = 200_000
	// late is how long after its time something may still be there: the
	// server's clock has seconds, and its threads may have to wait.
	late = 5 * time.Second
)

func (p *possession) gone() { *p = possession{} }

// is checks a value that was got in answer to a request of a moment.
func (p *possession) is(v []byte, flags string, asked time.Time, f *flush) error {
	switch {
	case !p.there:
		return fmt.Errorf("what was gone is back: %.60q", v)
	case flags != "" && flags != strconv.Itoa(p.flags):
		return fmt.Errorf("its flags are %s and were %d", flags, p.flags)
	case !p.expires.IsZero() && asked.After(p.expires.Add(late)):
		return fmt.Errorf("it was to expire %v ago", asked.Sub(p.expires))
	case f != nil && p.stored.Before(f.asked) && asked.After(f.answered):
		return fmt.Errorf("stored %v before flush_all, it is there %v after", f.asked.Sub(p.stored), asked.Sub(f.answered))
	case !bytes.Equal(v, bytes.Join(p.pieces, nil)):
		return fmt.Errorf("it is not what was stored: %d bytes, %.60q", len(v), v)
	}
	return nil
}

func (p *possession) live(ttl int) {
	p.expires = time.Time{}
	if ttl > 0 {
		p.expires = time.Now().Add(time.Duration(ttl) * time.Second)
	}
}

// chooseOwn makes up a request for a key of the soaker's own.
func (w *soaker) chooseOwn() exchange {
	if w.r.IntN(4) == 0 {
		return w.count()
	}
	i := w.r.IntN(len(w.own.values))
	key, p := w.own.prefix+strconv.Itoa(i), &w.own.values[i]
	switch w.r.IntN(12) {
	case 0, 1, 2:
		return w.storeOwn("set", key, p)
	case 3:
		return w.storeOwn("add", key, p)
	case 4:
		return w.storeOwn("cas", key, p)
	case 5:
		return w.join("append", key, p)
	case 6:
		return w.join("prepend", key, p)
	case 7:
		return exchange{"delete", fmt.Appendf(nil, "delete %s\r\n", key), func() error {
			return w.found("DELETED", "NOT_FOUND", p, p.gone)
		}}
	case 8:
		ttl := w.ttl()
		return exchange{"touch", fmt.Appendf(nil, "touch %s %d\r\n", key, ttl), func() error {
			return w.found("TOUCHED", "NOT_FOUND", p, func() { p.live(ttl) })
		}}
	case 9:
		return exchange{"mg", fmt.Appendf(nil, "mg %s f v\r\n", key), func() error { return w.metaOwn(p) }}
	default:
		return exchange{"gets", fmt.Appendf(nil, "gets %s\r\n", key), func() error { return w.getOwn(p) }}
	}
}

// found receives the reply to something that does what there is, if it is there.
func (w *soaker) found(yes, no string, p *possession, then func()) error {
	l, err := w.line()
	switch {
	case err != nil:
		return err
	case l == yes && p.there:
		then()
	case l == no:
		p.gone()
	case !w.noMemory(l):
		return fmt.Errorf("the reply is %.200q, with the key there: %v", l, p.there)
	}
	return nil
}

// storeOwn stores a value: by set, add or cas.
func (w *soaker) storeOwn(kind, key string, p *possession) exchange {
	v, flags, ttl := cut(w.r, anySize(w.r)), w.r.IntN(3)*77_777, w.ttl()
	cas := ""
	if kind == "cas" {
		// A number that no item has, if none is known. In a pipeline, what
		// comes before may change the item, and with it the number.
		if cas = " 18446744073709551615"; p.cas != "" {
			cas = " " + p.cas
		}
	}
	asked := p.cas
	request := fmt.Appendf(nil, "%s %s %d %d %d%s\r\n%s\r\n", kind, key, flags, ttl, len(v), cas, v)
	return exchange{kind, request, func() error {
		l, err := w.line()
		switch {
		case err != nil:
			return err
		case l == "STORED" && kind == "cas" && (asked == "" || p.cas != asked):
			return fmt.Errorf("stored with the number%s, where the last seen is %q", cas, p.cas)
		case l == "STORED":
			*p = possession{there: true, pieces: [][]byte{v}, flags: flags, stored: time.Now()}
			p.live(ttl)
		case l == "NOT_STORED" && kind == "add" && p.there:
		case l == "EXISTS" && kind == "cas" && p.there && (asked == "" || p.cas != asked):
		case l == "NOT_FOUND" && kind == "cas":
			p.gone()
		case !w.noMemory(l):
			return fmt.Errorf("the reply is %.200q, with the key there: %v, number %q", l, p.there, p.cas)
		}
		return nil
	}}
}

// join puts something before or behind a value. One that gets too long is
// stored anew.
func (w *soaker) join(kind, key string, p *possession) exchange {
	total := 0
	for _, b := range p.pieces {
		total += len(b)
	}
	if total > longestOwn {
		return w.storeOwn("set", key, p)
	}
	v := cut(w.r, w.r.IntN(3000))
	return exchange{kind, fmt.Appendf(nil, "%s %s 0 0 %d\r\n%s\r\n", kind, key, len(v), v), func() error {
		l, err := w.line()
		switch {
		case err != nil || w.noMemory(l):
			return err
		case l == "NOT_STORED": // it is not there, or there is no memory for both
			return nil
		case l != "STORED" || !p.there:
			return fmt.Errorf("the reply is %.200q, with the key there: %v", l, p.there)
		case kind == "append":
			p.pieces = append(p.pieces, v)
		default:
			p.pieces = append([][]byte{v}, p.pieces...)
		}
		p.cas, p.stored = "", time.Now()
		return nil
	}}
}

// getOwn receives the reply to a gets.
func (w *soaker) getOwn(p *possession) error {
	hits, refused := w.hits, w.refused
	err := w.retrieved(func(_, flags, cas string, v []byte) error {
		if p.cas != "" && cas != p.cas {
			return fmt.Errorf("its CAS number was %s and is %s", p.cas, cas)
		}
		p.cas = cas
		return p.is(v, flags, w.sent, w.own.flushed.Load())
	})
	if err == nil && w.hits == hits && w.refused == refused {
		p.gone()
	}
	return err
}

// metaOwn receives the reply to an mg with the flags f and v.
func (w *soaker) metaOwn(p *possession) error {
	l, err := w.line()
	if err != nil || w.noMemory(l) {
		return err
	}
	if l == "EN" {
		p.gone()
		return nil
	}
	words := strings.Split(l, " ")
	if len(words) != 3 || words[0] != "VA" || words[2][:1] != "f" {
		return fmt.Errorf("the reply is %.200q", l)
	}
	v, err := w.block(words[1])
	if err != nil {
		return err
	}
	w.hits++
	return p.is(v, words[2][1:], w.sent, w.own.flushed.Load())
}

// count counts on: no step may be lost, but the whole number may.
func (w *soaker) count() exchange {
	i := w.r.IntN(len(w.own.numbers))
	key, n := w.own.prefix+"n"+strconv.Itoa(i), &w.own.numbers[i]
	counted := func(text string) error {
		got, err := strconv.ParseUint(text, 10, 64)
		if err != nil || got != *n+1 && got != 1 {
			return fmt.Errorf("counting on from %d comes to %q", *n, text)
		}
		*n = got
		return nil
	}
	if w.r.IntN(2) == 0 {
		return exchange{"incr", fmt.Appendf(nil, "incr %s 1\r\n", key), func() error {
			l, err := w.line()
			switch {
			case err != nil || w.noMemory(l):
				return err
			case l == "NOT_FOUND":
				*n = 0
				return nil
			case *n == 0:
				return fmt.Errorf("what was gone is back: %.60q", l)
			}
			return counted(l)
		}}
	}
	return exchange{"ma", fmt.Appendf(nil, "ma %s N0 J1 v\r\n", key), func() error {
		l, err := w.line()
		if err != nil || w.noMemory(l) {
			return err
		}
		if !strings.HasPrefix(l, "VA ") {
			return fmt.Errorf("the reply is %.200q", l)
		}
		v, err := w.block(l[len("VA "):])
		if err != nil {
			return err
		}
		return counted(string(v))
	}}
}
