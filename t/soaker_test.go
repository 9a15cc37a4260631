package t

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"gomcd/t/harness"
)

// soaker is one connection's part of a soak: it stores, reads, counts and
// deletes what all soakers do, and checks what it gets.
type soaker struct {
	*harness.Conn
	r *rand.Rand
	tally
	own     *possessions // keys that no other client uses, if it has any
	sent    time.Time    // when the requests were that replies are now read to
	refused int          // so often there was no memory
	before  []byte       // the request before
}

func newSoaker(c *harness.Conn, r *rand.Rand) *soaker {
	return &soaker{Conn: c, r: r, tally: newTally()}
}

// exchange is a request and what reads and checks its reply.
type exchange struct {
	kind    string
	request []byte
	reply   func() error // nil: there is none
}

// step makes a request, or a pipeline of them, and checks the replies.
func (w *soaker) step() error {
	n := 1
	if w.r.IntN(10) == 0 {
		n += 1 + w.r.IntN(30)
	}
	all := make([]exchange, n)
	var request []byte
	for i := range all {
		all[i] = w.choose()
		request = append(request, all[i].request...)
	}
	if all[n-1].reply == nil { // or it would not be known when it is done
		request = append(request, "mn\r\n"...)
		all = append(all, exchange{kind: "mn", reply: w.expect("MN")})
	}
	return w.exchange(request, all...)
}

// exchange sends requests at once and reads the replies.
func (w *soaker) exchange(request []byte, all ...exchange) error {
	w.sent = time.Now()
	w.SetDeadline(w.sent.Add(3 * harness.Patience))
	wrote := make(chan error, 1)
	send := func() {
		_, err := w.Write(request)
		wrote <- err
	}
	const atOnce = 16 << 10 // is taken without replies being read
	if len(request) <= atOnce {
		send()
	} else {
		go send()
	}
	for _, e := range all {
		w.requests[e.kind]++
		if e.reply != nil {
			if err := e.reply(); err != nil {
				return fmt.Errorf("%.60q, after %.60q: %w", e.request, w.before, err)
			}
		}
		w.before = e.request
	}
	return <-wrote
}

// sharedKey is one of those that all soakers use, some more than others.
func sharedKey(r *rand.Rand) string {
	keys := 20_000
	if r.IntN(2) == 0 {
		keys = 500
	}
	return "key" + strconv.Itoa(r.IntN(keys))
}

// ttl is how long something is to live: for good, or a few seconds.
func (w *soaker) ttl() int { return max(0, w.r.IntN(6)-2) }

// choose makes up a request.
func (w *soaker) choose() exchange {
	if w.own != nil && w.r.IntN(3) == 0 {
		return w.chooseOwn()
	}
	key := sharedKey(w.r)
	switch w.r.IntN(20) {
	default:
		return w.get(key)
	case 0, 1, 2, 3:
		v := content(w.r, key, anySize(w.r))
		return exchange{"set", fmt.Appendf(nil, "set %s 0 %d %d\r\n%s\r\n", key, w.ttl(), len(v), v), w.stored("STORED")}
	case 4:
		v := content(w.r, key, anySize(w.r))
		return exchange{"set noreply", fmt.Appendf(nil, "set %s 0 %d %d noreply\r\n%s\r\n", key, w.ttl(), len(v), v), nil}
	case 5:
		v := content(w.r, key, anySize(w.r))
		kind := [...]string{"add", "replace"}[w.r.IntN(2)]
		return exchange{kind, fmt.Appendf(nil, "%s %s 0 %d %d\r\n%s\r\n", kind, key, w.ttl(), len(v), v), w.stored("STORED", "NOT_STORED")}
	case 6:
		v := content(w.r, key, anySize(w.r))
		return exchange{"ms", fmt.Appendf(nil, "ms %s %d T%d\r\n%s\r\n", key, len(v), w.ttl(), v), w.stored("HD")}
	case 7:
		return exchange{"delete", fmt.Appendf(nil, "delete %s\r\n", key), w.expect("DELETED", "NOT_FOUND")}
	case 8:
		return exchange{"touch", fmt.Appendf(nil, "touch %s %d\r\n", key, w.ttl()), w.expect("TOUCHED", "NOT_FOUND")}
	case 9:
		return exchange{"gat", fmt.Appendf(nil, "gat %d %s\r\n", w.ttl(), key), w.values}
	case 10:
		return exchange{"mg", fmt.Appendf(nil, "mg %s k v\r\n", key), func() error { return w.metaValue(key) }}
	case 11:
		return exchange{"mg", fmt.Appendf(nil, "mg no%s q v\r\nmn\r\n", key), w.expect("MN")}
	case 12:
		return exchange{"add", fmt.Appendf(nil, "add n%s 0 2 1\r\n1\r\n", key), w.stored("STORED", "NOT_STORED")}
	case 13:
		return exchange{"incr", fmt.Appendf(nil, "incr n%s 1\r\n", key), w.number}
	}
}

// get reads up to ten keys with one request.
func (w *soaker) get(key string) exchange {
	b := append([]byte("get "), key...)
	for range w.r.IntN(10) {
		b = append(append(b, ' '), sharedKey(w.r)...)
	}
	return exchange{"get", append(b, "\r\n"...), w.values}
}

// getMany reads up to ten keys and checks every value.
func (w *soaker) getMany(key string) error {
	e := w.get(key)
	return w.exchange(e.request, e)
}

// line receives a line.
func (w *soaker) line() (string, error) {
	l, err := w.R.ReadString('\n')
	return strings.TrimSuffix(l, "\r\n"), err
}

// expect receives a line that must be one of some.
func (w *soaker) expect(lines ...string) func() error {
	return func() error {
		got, err := w.line()
		if err == nil && !slices.Contains(lines, got) {
			err = fmt.Errorf("the reply is %.200q", got)
		}
		return err
	}
}

// stored is expect for what takes memory, of which there may be none.
func (w *soaker) stored(lines ...string) func() error {
	return func() error {
		got, err := w.line()
		if err == nil && !slices.Contains(lines, got) && !w.noMemory(got) {
			err = fmt.Errorf("the reply is %.200q", got)
		}
		return err
	}
}

// noMemory counts a reply that says that there is no memory.
func (w *soaker) noMemory(reply string) bool {
	if strings.HasPrefix(strings.ToLower(reply), "server_error out of memory") {
		w.errors[reply]++
		w.refused++
		return true
	}
	return false
}

// number receives the reply to incr.
func (w *soaker) number() error {
	l, err := w.line()
	if err != nil || l == "NOT_FOUND" || w.noMemory(l) {
		return err
	}
	if _, err := strconv.ParseUint(l, 10, 64); err != nil {
		return fmt.Errorf("the reply is %.200q", l)
	}
	return nil
}

// values receives the reply to a get, and checks that each value is whole.
func (w *soaker) values() error {
	return w.retrieved(func(name, _, _ string, v []byte) error {
		if !whole(name, v) {
			return fmt.Errorf("the value of %s (%d bytes) is not whole: %.60q", name, len(v), v)
		}
		return nil
	})
}

// retrieved receives the reply to a get, and hands on each value with its
// flags and, after gets, its CAS number.
func (w *soaker) retrieved(value func(name, flags, cas string, v []byte) error) error {
	for {
		l, err := w.line()
		if err != nil || l == "END" || w.noMemory(l) {
			return err
		}
		words := append(strings.Split(l, " "), "", "")
		if words[0] != "VALUE" || len(words) < 6 {
			return fmt.Errorf("the reply is %.200q", l)
		}
		v, err := w.block(words[3])
		if err != nil {
			return err
		}
		if err := value(words[1], words[2], words[4], v); err != nil {
			return err
		}
		w.hits++
	}
}

// metaValue receives the reply to an mg with the flags k and v.
func (w *soaker) metaValue(key string) error {
	l, err := w.line()
	if err != nil || l == "EN k"+key || w.noMemory(l) {
		return err
	}
	words := strings.Split(l, " ")
	if len(words) != 3 || words[0] != "VA" || words[2] != "k"+key {
		return fmt.Errorf("the reply is %.200q", l)
	}
	v, err := w.block(words[1])
	if err != nil {
		return err
	}
	if !whole(key, v) {
		return fmt.Errorf("the value of %s (%d bytes) is not whole: %.60q", key, len(v), v)
	}
	w.hits++
	return nil
}

// block receives a data block and its line end.
func (w *soaker) block(size string) ([]byte, error) {
	n, err := strconv.Atoi(size)
	if err != nil || n < 0 || n > 2<<20 {
		return nil, fmt.Errorf("a size is %q", size)
	}
	b := make([]byte, n+2)
	if _, err := io.ReadFull(w.R, b); err != nil {
		return nil, err
	}
	if string(b[n:]) != "\r\n" {
		return nil, fmt.Errorf("a block of %d bytes ends with %q", n, b[n:])
	}
	return b[:n], nil
}

// largestBody is how long the values of a soak are at most.
const largestBody = 1_000_000

// anySize is mostly short, and of any order of magnitude.
func anySize(r *rand.Rand) int {
	if r.IntN(12) == 0 {
		return int(math.Pow(largestBody, r.Float64()))
	}
	return r.IntN(2000)
}

// noise is what values are cut from. It has every byte, and repeats nothing.
var noise = sync.OnceValue(func() []byte {
	b := make([]byte, 2*largestBody)
	r := rand.NewChaCha8([32]byte{1})
	r.Read(b)
	return b
})

// cut is a piece of noise.
func cut(r *rand.Rand, n int) []byte {
	from := r.IntN(len(noise()) - n + 1)
	return noise()[from : from+n : from+n]
}

// content is a value that tells whether it is whole: its length, its key, and
// a checksum of what follows.
func content(r *rand.Rand, key string, n int) []byte {
	body := cut(r, n)
	return append(fmt.Appendf(nil, "%s:%d:%08x:", key, n, crc32.ChecksumIEEE(body)), body...)
}

// whole checks what content made.
func whole(key string, v []byte) bool {
	parts := bytes.SplitN(v, []byte(":"), 4)
	if len(parts) < 4 || string(parts[0]) != key {
		return false
	}
	n, _ := strconv.Atoi(string(parts[1]))
	return len(parts[3]) == n && fmt.Sprintf("%08x", crc32.ChecksumIEEE(parts[3])) == string(parts[2])
}
