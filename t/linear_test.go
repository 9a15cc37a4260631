package t

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"gomcd/t/harness"
)

// TestLinearizable has connections on several workers change the same few keys
// at the same time, while pages move between slab classes, and then looks for
// an order of all that they did, each between its request and its reply, that
// explains every reply. It does so for a few rounds, or for as long as LINEARIZE
// says.
func TestLinearizable(t *testing.T) {
	var duration time.Duration
	if d := os.Getenv("LINEARIZE"); d != "" {
		var err error
		if duration, err = time.ParseDuration(d); err != nil {
			t.Fatal(err)
		}
	}
	s := harness.Start(t, harness.Production(), "-t", "4", "-m", "256")
	const clients = 6
	var conns [clients]*recorder
	began := time.Now()
	for i := range conns {
		conns[i] = &recorder{Conn: s.Dial(t), id: i, began: began, r: rand.New(rand.NewPCG(uint64(i), 11))}
	}
	mover := fillClasses(t, s)
	const search = 10 * harness.Patience // for an order of a round, which is mostly found at once
	rounds, operations, evictions := 0, 0, "0"
	for n, deadline := 0, began.Add(duration); rounds < 8 || time.Now().Before(deadline); n++ {
		var wg sync.WaitGroup
		for _, c := range conns {
			wg.Go(func() { c.round(n) })
		}
		over := make(chan struct{})
		moved := make(chan error)
		go func() { moved <- movePages(mover, rand.New(rand.NewPCG(uint64(n), 12)), over) }()
		wg.Wait()
		close(over)
		if err := <-moved; err != nil {
			t.Fatal(err)
		}
		var history []porcupine.Operation
		for _, c := range conns {
			if c.failed != nil {
				t.Fatal(c.failed)
			}
			history = append(history, c.history...)
		}
		if now := mover.Stats("")["evictions"]; now != evictions {
			// A page left a class that needed it: what was missing afterwards
			// proves nothing.
			if evictions = now; time.Since(began) > duration+10*harness.Patience {
				t.Fatalf("%s items were evicted, and only %d rounds of %d prove something", now, rounds, n)
			}
			continue
		}
		rounds++
		operations += len(history)
		switch porcupine.CheckOperationsTimeout(register, history, search) {
		case porcupine.Illegal:
			t.Fatalf("no order of these explains the replies:\n%s", culprit(history))
		case porcupine.Unknown:
			t.Fatalf("no order was found in %v for:\n%s", search, culprit(history))
		}
	}
	m := mover.Stats("")
	t.Logf("%d operations in %d rounds have an order, with %s pages moved, and of them %s items and %s pieces rescued",
		operations, rounds, m["slabs_moved"], m["slab_reassign_rescues"], m["slab_reassign_chunk_rescues"])
	if m["slabs_moved"] == "0" {
		t.Error("no pages were moved")
	}
}

// fillClasses gives the classes of the keys more pages than the rounds need, so
// that pages can move and nothing has to be evicted for it.
func fillClasses(t *testing.T, s *harness.Server) *harness.Conn {
	c := s.Dial(t)
	for i := range 60 {
		c.Set("fill"+strconv.Itoa(i), strings.Repeat("x", largeSize))
	}
	c.Ask("flush_all", "OK")
	return c
}

// request is what a client asks for.
type request struct {
	verb  string // set, cas, append, incr, get, delete, touch, flush
	key   string // of flush: every one
	value string // in short: of a large value, what it begins with
	cas   uint64
}

// response is what the client gets.
type response struct {
	code  string // HD, EX, NF, or for a number that is none, BAD
	value string
	cas   uint64
}

// item is the state of one key.
type item struct {
	present bool
	value   string
	cas     uint64
}

// register says what memcached promises of one key.
var register = porcupine.Model{
	Partition: byKey,
	Init:      func() any { return item{} },
	Step: func(state, input, output any) (bool, any) {
		s, in, out := state.(item), input.(request), output.(response)
		if in.verb == "flush" {
			return true, item{}
		}
		missing := in.verb != "set" && !s.present
		switch {
		case out.code == "NF":
			return missing, s
		case missing:
			return false, s
		case out.code == "EX":
			return in.verb == "cas" && s.cas != in.cas, s
		}
		switch in.verb {
		case "get":
			return out.value == s.value && out.cas == s.cas, s
		case "touch":
			return true, s
		case "delete":
			return true, item{}
		case "cas":
			if s.cas != in.cas {
				return false, s
			}
			return true, item{true, in.value, out.cas}
		case "set":
			return true, item{true, in.value, out.cas}
		case "append":
			return true, item{true, s.value + in.value, out.cas}
		case "incr":
			n, err := strconv.ParseUint(s.value, 10, 64)
			if out.code == "BAD" || err != nil {
				return out.code == "BAD" && err != nil, s
			}
			s.value, s.cas = strconv.FormatUint(n+1, 10), out.cas
			return out.value == s.value, s
		}
		return false, s
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v: %+v", input, output) },
}

// byKey makes a history of each key's. A flush is in all of them.
func byKey(history []porcupine.Operation) [][]porcupine.Operation {
	keys := map[string][]porcupine.Operation{}
	var flushes []porcupine.Operation
	for _, o := range history {
		if in := o.Input.(request); in.verb == "flush" {
			flushes = append(flushes, o)
		} else {
			keys[in.key] = append(keys[in.key], o)
		}
	}
	var all [][]porcupine.Operation
	for _, ops := range keys {
		all = append(all, append(ops, flushes...))
	}
	return all
}

// culprit lists the operations on the key that cannot be explained.
func culprit(history []porcupine.Operation) string {
	var b strings.Builder
	for _, ops := range byKey(history) {
		if porcupine.CheckOperationsTimeout(register, ops, harness.Patience) == porcupine.Ok {
			continue
		}
		slices.SortFunc(ops, func(x, y porcupine.Operation) int { return int(x.Call - y.Call) })
		for _, o := range ops {
			fmt.Fprintf(&b, "%d-%d client %d %s\n", o.Call, o.Return, o.ClientId, register.DescribeOperation(o.Input, o.Output))
		}
	}
	return b.String()
}

// recorder is one client, which notes what it does.
type recorder struct {
	*harness.Conn
	id      int
	began   time.Time
	r       *rand.Rand
	seen    map[string]uint64 // the CAS number last seen of each key
	serial  int
	history []porcupine.Operation
	failed  error
}

// largeSize spans the chunks of an item; it is what values of keys that begin
// with L are filled up to.
const largeSize = 700_000

// long is a value as it is stored under a key.
func long(key, value string) string {
	if key[0] != 'L' {
		return value
	}
	return value + ":" + strings.Repeat(value[len(value)-1:], largeSize-len(value)-1)
}

// short undoes long, and says if the value is not whole.
func short(key, value string) (string, error) {
	if key[0] != 'L' {
		return value, nil
	}
	head, _, _ := strings.Cut(value, ":")
	if head == "" || value != long(key, head) {
		return "", fmt.Errorf("the value of %s is a mixture that begins with %.50q", key, value)
	}
	return head, nil
}

// round makes requests on keys of the round's own.
func (c *recorder) round(n int) {
	c.seen, c.history = map[string]uint64{}, nil
	for i := range 100 {
		key := []string{"n", "n", "n", "m", "m", "L"}[c.r.IntN(6)] + strconv.Itoa(n)
		if c.failed = c.request(key, i); c.failed != nil {
			return
		}
	}
}

// request makes one request.
func (c *recorder) request(key string, i int) error {
	in := request{key: key, verb: []string{"set", "set", "cas", "cas", "append", "incr", "incr", "get", "get", "get", "get",
		"delete", "touch"}[c.r.IntN(13)]}
	c.serial++
	switch {
	case c.id == 0 && i == 50:
		in = request{verb: "flush"}
	case key[0] == 'L' && (in.verb == "append" || in.verb == "incr"):
		in.verb = "get"
	case in.verb == "append":
		in.value = strconv.Itoa(c.r.IntN(10))
	case in.verb == "set", in.verb == "cas":
		in.value = strconv.Itoa(c.id*1_000_000 + c.serial)
		in.cas = c.seen[key]
	}
	var text string
	value := in.value
	switch in.verb {
	case "flush":
		text = "flush_all\r\n"
	case "set", "append", "cas":
		value = long(key, value)
		text = fmt.Sprintf("ms %s %d c", key, len(value))
		switch in.verb {
		case "append":
			text += " MA"
		case "cas":
			text += fmt.Sprintf(" C%d", in.cas)
		}
		text += "\r\n" + value + "\r\n"
	case "incr":
		text = "ma " + key + " v c\r\n"
	case "get":
		text = "mg " + key + " v c\r\n"
	case "delete":
		text = "md " + key + "\r\n"
	case "touch":
		text = "mg " + key + " T0\r\n"
	}
	call := time.Since(c.began)
	if _, err := io.WriteString(c, text); err != nil {
		return err
	}
	out, err := c.response(in)
	if err != nil {
		return fmt.Errorf("%+v: %w", in, err)
	}
	c.history = append(c.history, porcupine.Operation{
		ClientId: c.id, Input: in, Output: out, Call: int64(call), Return: int64(time.Since(c.began)),
	})
	if out.cas != 0 {
		c.seen[key] = out.cas
	}
	return nil
}

// response receives a reply.
func (c *recorder) response(in request) (response, error) {
	line, err := c.Next()
	if err != nil {
		return response{}, err
	}
	words := strings.Fields(line)
	out := response{code: words[0]}
	for _, w := range words[1:] {
		if w[0] == 'c' {
			out.cas, err = strconv.ParseUint(w[1:], 10, 64)
		}
	}
	switch out.code {
	case "HD", "EX", "OK":
	case "EN", "NF", "NS":
		out.code = "NF"
	case "CLIENT_ERROR":
		out.code = "BAD"
	case "VA":
		out.code = "HD"
		var n int
		if n, err = strconv.Atoi(words[1]); err != nil {
			break
		}
		b := make([]byte, n+2)
		if _, err = io.ReadFull(c.R, b); err == nil {
			out.value, err = short(in.key, string(b[:n]))
		}
	default:
		err = fmt.Errorf("got %q", line)
	}
	return out, err
}

// TestRegisterTellsWrongHistories keeps the model from allowing everything.
func TestRegisterTellsWrongHistories(t *testing.T) {
	op := func(call, end int64, in request, out response) porcupine.Operation {
		in.key = "k"
		return porcupine.Operation{Input: in, Output: out, Call: call, Return: end}
	}
	set := op(0, 10, request{verb: "set", value: "1"}, response{code: "HD", cas: 5})
	for _, c := range []struct {
		what string
		ok   bool
		then []porcupine.Operation
	}{
		{"read what was written", true, []porcupine.Operation{op(11, 12, request{verb: "get"}, response{"HD", "1", 5})}},
		{"read before it is written", true, []porcupine.Operation{op(5, 6, request{verb: "get"}, response{code: "NF"})}},
		{"lost write", false, []porcupine.Operation{op(11, 12, request{verb: "get"}, response{code: "NF"})}},
		{"other value", false, []porcupine.Operation{op(11, 12, request{verb: "get"}, response{"HD", "2", 5})}},
		{"two winners of a cas", false, []porcupine.Operation{
			op(11, 15, request{verb: "cas", value: "2", cas: 5}, response{code: "HD", cas: 6}),
			op(11, 15, request{verb: "cas", value: "3", cas: 5}, response{code: "HD", cas: 7})}},
		{"lost incr", false, []porcupine.Operation{
			op(11, 15, request{verb: "incr"}, response{"HD", "2", 6}), op(11, 15, request{verb: "incr"}, response{"HD", "2", 7})}},
		{"back after a flush", false, []porcupine.Operation{
			op(11, 12, request{verb: "flush"}, response{code: "OK"}), op(13, 14, request{verb: "get"}, response{"HD", "1", 5})}},
	} {
		if ok := porcupine.CheckOperations(register, append(c.then, set)); ok != c.ok {
			t.Errorf("%s: %v", c.what, ok)
		}
	}
}
