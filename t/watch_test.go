package t

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"gomcd/t/harness"
)

// watcher is a connection that watches.
type watcher struct {
	*harness.Conn
	t testing.TB
}

// watch has a new connection watch some streams.
func watch(t testing.TB, s *harness.Server, streams string) *watcher {
	t.Helper()
	w := &watcher{s.Dial(t), t}
	w.Ask(strings.TrimSpace("watch "+streams), "OK")
	return w
}

var stamp = regexp.MustCompile(`^ts=\d{10}\.\d{1,6} gid=(\d+) (.*)\n$`)

// lines receives so many lines, without their stamps. The numbers that they are
// to be ordered by go up.
func (w *watcher) lines(n int) []string {
	w.t.Helper()
	w.SetReadDeadline(time.Now().Add(harness.Patience))
	var all []string
	for last := uint64(0); len(all) < n; {
		line, err := w.R.ReadString('\n')
		if err != nil {
			w.t.Fatalf("after %d lines: %q, %v", len(all), line, err)
		}
		m := stamp.FindStringSubmatch(line)
		if m == nil {
			w.t.Fatalf("no line begins so: %q", line)
		}
		gid, _ := strconv.ParseUint(m[1], 10, 64)
		if gid <= last {
			w.t.Errorf("event %d came after event %d", gid, last)
		}
		last = gid
		all = append(all, m[2])
	}
	return all
}

// fdOf is the number that a connection has in `stats conns`.
func fdOf(t testing.TB, c *harness.Conn) string {
	t.Helper()
	for _, s := range c.StatsList("conns") {
		if fd, ok := strings.CutSuffix(s.Name, ":state"); ok && s.Value == "conn_parse_cmd" {
			return fd
		}
	}
	t.Fatal("the connection is not among its server's")
	return ""
}

// events is what a session does, and what watchers of fetchers, mutations and
// deletions get. CFD is the connection; a ttl may be a second less.
var events = []struct{ send, told string }{
	{"get a", "item_get key=a status=not_found clsid=0 cfd=CFD size=0"},
	{"set a 0 0 3\nabc", "item_get key=a status=not_found clsid=0 cfd=CFD size=0\n" +
		"item_store key=a status=stored cmd=set ttl=0 clsid=1 cfd=CFD size=3"},
	{"get a none a", "item_get key=a status=found clsid=1 cfd=CFD size=3\n" +
		"item_get key=none status=not_found clsid=0 cfd=CFD size=0\n" +
		"item_get key=a status=found clsid=1 cfd=CFD size=3"},
	{"set a 0 100 3 noreply\nabc", "item_get key=a status=found clsid=1 cfd=CFD size=3\n" +
		"item_store key=a status=stored cmd=set ttl=100 clsid=1 cfd=CFD size=3"},
	{"set gone 0 -1 3\nabc", "item_get key=gone status=not_found clsid=0 cfd=CFD size=0\n" +
		"item_store key=gone status=stored cmd=set ttl=OVER clsid=1 cfd=CFD size=3"},
	{"add b 0 0 1\n1", "item_get key=b status=not_found clsid=0 cfd=CFD size=0\n" +
		"item_store key=b status=stored cmd=add ttl=0 clsid=1 cfd=CFD size=1"},
	{"add b 0 0 2\n11", "item_get key=b status=found clsid=1 cfd=CFD size=1\n" +
		"item_store key=b status=not_stored cmd=add ttl=0 clsid=1 cfd=CFD size=2"},
	{"append b 0 0 1\n2", "item_get key=b status=found clsid=1 cfd=CFD size=1\n" +
		"item_store key=b status=stored cmd=append ttl=0 clsid=1 cfd=CFD size=2"},
	{"prepend nope 0 50 1\n2", "item_get key=nope status=not_found clsid=0 cfd=CFD size=0\n" +
		"item_store key=nope status=not_stored cmd=prepend ttl=50 clsid=1 cfd=CFD size=1"},
	{"replace nope 0 0 1\n2", "item_get key=nope status=not_found clsid=0 cfd=CFD size=0\n" +
		"item_store key=nope status=not_stored cmd=replace ttl=0 clsid=1 cfd=CFD size=1"},
	{"cas b 0 0 1 999\n2", "item_get key=b status=found clsid=1 cfd=CFD size=2\n" +
		"item_store key=b status=exists cmd=cas ttl=0 clsid=1 cfd=CFD size=1"},
	{"cas nope 0 0 1 1\n2", "item_get key=nope status=not_found clsid=0 cfd=CFD size=0\n" +
		"item_store key=nope status=not_found cmd=cas ttl=0 clsid=1 cfd=CFD size=1"},
	{"incr b 1", "item_get key=b status=found clsid=1 cfd=CFD size=2"},
	{"decr nope 1", "item_get key=nope status=not_found clsid=0 cfd=CFD size=0"},
	{"touch b 0", "item_get key=b status=found clsid=1 cfd=CFD size=2"},
	{"gat 0 b x", "item_get key=b status=found clsid=1 cfd=CFD size=2\n" +
		"item_get key=x status=not_found clsid=0 cfd=CFD size=0"},
	{"gets b", "item_get key=b status=found clsid=1 cfd=CFD size=2"},
	{"set big 0 0 900000\n" + strings.Repeat("x", 900_000), "item_get key=big status=not_found clsid=0 cfd=CFD size=0\n" +
		"item_store key=big status=stored cmd=set ttl=0 clsid=39 cfd=CFD size=900000"},
	{"mg big", "item_get key=big status=found clsid=39 cfd=CFD size=900000"},
	{"mg viv N30 v", "item_get key=viv status=not_found clsid=0 cfd=CFD size=0"},
	{"ma num N0 J5", "item_get key=num status=not_found clsid=0 cfd=CFD size=0\n" +
		"item_get key=num status=not_found clsid=0 cfd=CFD size=0\n" +
		"item_store key=num status=stored cmd=add ttl=0 clsid=1 cfd=CFD size=1"},
	{"ma num MD", "item_get key=num status=found clsid=1 cfd=CFD size=1"},
	{"ms m 2 T30\nxx", "item_get key=m status=not_found clsid=0 cfd=CFD size=0\n" +
		"item_store key=m status=stored cmd=set ttl=30 clsid=1 cfd=CFD size=2"},
	{"ms m 2 MA\nyy", "item_get key=m status=found clsid=1 cfd=CFD size=2\n" +
		"item_store key=m status=stored cmd=append ttl=30 clsid=1 cfd=CFD size=4"},
	{"ms new 2 MP N30\nyy", "item_get key=new status=not_found clsid=0 cfd=CFD size=0\n" +
		"item_store key=new status=stored cmd=prepend ttl=30 clsid=1 cfd=CFD size=2"},
	{"ms m 2 C1\nyy", "item_get key=m status=found clsid=1 cfd=CFD size=4\n" +
		"item_store key=m status=exists cmd=cas ttl=0 clsid=1 cfd=CFD size=2"},
	{"ms m 2 MR q\nyy", "item_get key=m status=found clsid=1 cfd=CFD size=4\n" +
		"item_store key=m status=stored cmd=replace ttl=0 clsid=1 cfd=CFD size=2"},
	{"mg YWE= b v", "item_get key=aa status=not_found clsid=0 cfd=CFD size=0"},
	{"me m", "item_get key=m status=found clsid=1 cfd=CFD size=2"},
	{"md m I", "item_get key=m status=found clsid=1 cfd=CFD size=2"},
	{"md m x", "item_get key=m status=found clsid=1 cfd=CFD size=2\n" +
		"item_get key=m status=found clsid=1 cfd=CFD size=2\n" +
		"item_store key=m status=stored cmd=set ttl=0 clsid=1 cfd=CFD size=0\n" +
		"deleted key=m cmd=md clsid=1 size=0"},
	{"md m", "item_get key=m status=found clsid=1 cfd=CFD size=0\ndeleted key=m cmd=md clsid=1 size=0"},
	{"set k%/\x80\xff 0 0 1\nx", "item_get key=k%25%2F%80%FF status=not_found clsid=0 cfd=CFD size=0\n" +
		"item_store key=k%25%2F%80%FF status=stored cmd=set ttl=0 clsid=1 cfd=CFD size=1"},
	{"delete k%/\x80\xff", "item_get key=k%25%2F%80%FF status=found clsid=1 cfd=CFD size=1\n" +
		"deleted key=k%25%2F%80%FF cmd=delete clsid=1 size=1"},
	{"delete nope", "item_get key=nope status=not_found clsid=0 cfd=CFD size=0"},
	{"md nope q", "item_get key=nope status=not_found clsid=0 cfd=CFD size=0"},
	{"set b 0 0 1\nxx", ""}, // a bad data chunk is not stored
	{"version", ""},
	{"get " + strings.Repeat("#", 250), "item_get key=" + strings.Repeat("%23", 250) + " status=not_found clsid=0 cfd=CFD size=0"},
	{"get " + strings.Repeat("#", 251), ""},
}

// packets is the same of the binary protocol.
var packetEvents = []struct {
	send harness.Packet
	told string
}{
	{harness.Packet{Op: 0x00, Key: "bk"}, "item_get key=bk status=not_found clsid=0 cfd=CFD size=0"},
	{harness.Packet{Op: 0x01, Key: "bk", Extras: "\x00\x00\x00\x01\x00\x00\x00\x3c", Value: "val"}, "item_get key=bk status=not_found clsid=0 cfd=CFD size=0\n" +
		"item_store key=bk status=stored cmd=set ttl=60 clsid=1 cfd=CFD size=3"},
	{harness.Packet{Op: 0x01, Key: "bk", Extras: strings.Repeat("\x00", 8), Value: "val", CAS: 1 << 40}, "item_get key=bk status=found clsid=1 cfd=CFD size=3\n" +
		"item_store key=bk status=exists cmd=cas ttl=0 clsid=1 cfd=CFD size=3"},
	{harness.Packet{Op: 0x0e, Key: "bk", Value: "val"}, "item_get key=bk status=found clsid=1 cfd=CFD size=3\n" +
		"item_store key=bk status=stored cmd=append ttl=60 clsid=1 cfd=CFD size=6"},
	{harness.Packet{Op: 0x1d, Key: "bk", Extras: "\x00\x00\x00\x00"}, "item_get key=bk status=found clsid=1 cfd=CFD size=6"},
	{harness.Packet{Op: 0x05, Key: "bn", Extras: strings.Repeat("\x00", 20)}, "item_get key=bn status=not_found clsid=0 cfd=CFD size=0\n" +
		"item_get key=bn status=not_found clsid=0 cfd=CFD size=0\n" +
		"item_store key=bn status=stored cmd=add ttl=0 clsid=1 cfd=CFD size=1"},
	{harness.Packet{Op: 0x05, Key: "nope", Extras: strings.Repeat("\x00", 16) + "\xff\xff\xff\xff"}, "item_get key=nope status=not_found clsid=0 cfd=CFD size=0"},
	{harness.Packet{Op: 0x04, Key: "bk"}, "item_get key=bk status=found clsid=1 cfd=CFD size=6"}, // and deletions are not told
}

var aSecondLess = regexp.MustCompile(`ttl=(\d+) `)

// sameLine compares a line with what is expected. An item may have less to live by the
// seconds that a test has taken.
func sameLine(got, want, fd string, began time.Time) bool {
	want = "type=" + strings.ReplaceAll(want, "CFD", fd)
	ttl := aSecondLess.FindStringSubmatch(got)
	if ttl == nil || ttl[1] == "0" {
		return got == want
	}
	n, _ := strconv.Atoi(ttl[1])
	if n > 4_294_960_000 {
		return strings.ReplaceAll(got, ttl[0], "ttl=OVER ") == want
	}
	for less := range harness.Seconds(began) + 1 {
		if strings.ReplaceAll(got, ttl[0], fmt.Sprintf("ttl=%d ", n+less)) == want {
			return true
		}
	}
	return false
}

// TestWatchLines has everything told that happens, in the words of memcached.
func TestWatchLines(t *testing.T) {
	for _, k := range harness.Carriers(t) {
		t.Run(k.Name, func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t, k, "-t", "1")
			c := s.Dial(t)
			fd := fdOf(t, c)
			w := watch(t, s, "fetchers mutations deletions")
			began := time.Now()
			var want []string
			add := func(told string) {
				if told != "" {
					want = append(want, strings.Split(told, "\n")...)
				}
			}
			for _, e := range events {
				c.Send("%s\nmn\n", e.send)
				for c.Line() != "MN" {
				}
				add(e.told)
			}
			for i, got := range w.lines(len(want)) {
				if !sameLine(got, want[i], fd, began) {
					t.Errorf("line %d:\n got %q\nwant %q", i, got, want[i])
				}
			}
			b := s.DialBinary(t)
			want = nil
			for _, e := range packetEvents {
				b.Ask(e.send)
				add(e.told)
			}
			fd = ""
			for i, got := range w.lines(len(want)) {
				if fd == "" {
					fd = regexp.MustCompile(`cfd=(\d+)`).FindStringSubmatch(got)[1]
				}
				if !sameLine(got, want[i], fd, began) {
					t.Errorf("packets, line %d:\n got %q\nwant %q", i, got, want[i])
				}
			}
		})
	}
}

// TestWatchStreams has watchers told what they ask for and nothing else.
func TestWatchStreams(t *testing.T) {
	for _, k := range harness.Carriers(t) {
		t.Run(k.Name, func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t, k)
			c := s.Dial(t)
			for streams, want := range map[string][]string{
				"":                                    {"item_get", "item_get", "item_get", "item_get"},
				"f":                                   {"item_get", "item_get", "item_get", "item_get"},
				"mutations":                           {"item_store"},
				"deletions":                           {"deleted"},
				"fetchers mutations deletions":        {"item_get", "item_get", "item_store", "item_get", "item_get", "deleted"},
				"mut mutations del proxyreqs rawcmds": {"item_store", "deleted"},
			} {
				w := watch(t, s, streams)
				c.Ask("get x", "END")
				c.Set("x", "1")
				c.Ask("get x", "VALUE x 0 1", "1", "END")
				c.Ask("delete x", "DELETED")
				for i, line := range w.lines(len(want)) {
					if !strings.HasPrefix(line, "type="+want[i]+" ") {
						t.Errorf("watch %s: line %d is %q, not %s", streams, i, line, want[i])
					}
				}
				w.Close()
			}
			all := watch(t, s, "rawcmds evictions fetchers mutations sysevents connevents proxyreqs proxyevents proxyuser deletions")
			c.Ask("get x", "END")
			// It may get the events of those that have left before.
			for !strings.HasPrefix(all.lines(1)[0], "type=item_get key=x ") {
			}
		})
	}
}

// TestWatchRefusals has every watch that is none, and what watchers say is
// ignored.
func TestWatchRefusals(t *testing.T) {
	for _, k := range harness.Carriers(t) {
		t.Run(k.Name, func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t, k)
			const together = "ERROR cannot pipeline other commands before watch"
			for send, want := range map[string][]string{
				"watch fetchersx":                    {"ERROR"},
				"watch Fetchers":                     {"ERROR"},
				"watch fetchers bogus":               {"ERROR"},
				"watch fetchers noreply":             {"ERROR"},
				"nonsense\nwatch":                    {"ERROR", together},
				"get none\nwatch":                    {"END", together},
				"set a 0 0 1 noreply\nx\nwatch":      {together},
				"delete nope noreply\nwatch":         {together},
				"mg nope q\nwatch\nmn":               {together, "MN"},
				"mn\nwatch evictions":                {"MN", "OK"},
				"get a a\nmn\nwatch evictions":       {"VALUE a 0 1", "x", "VALUE a 0 1", "x", "END", "MN", "OK"},
				"watch evictions\nget a\nversion":    {"OK"},
				"watch  evictions evictions  e":      {"OK"},
				"watch p":                            {"OK"},
				"watch evictions sysevents rawcmds ": {"OK"},
			} {
				c := s.Dial(t)
				c.Set("a", "x")
				c.Send("%s\n", send)
				c.Expect(want...)
				if want[len(want)-1] != "OK" {
					c.Ask("mn", "MN")
					continue
				}
				c.Send("get a\nquit\n")
				other := s.Dial(t)
				other.Ask("mn", "MN")
				// The end comes behind whatever the watcher is sent.
				c.Conn.(interface{ CloseWrite() error }).CloseWrite()
				c.Closed()
			}
		})
	}
}

// TestWatchEvictions watches items being evicted.
func TestWatchEvictions(t *testing.T) {
	line := regexp.MustCompile(`^type=eviction key=key-(\d+) fetch=(yes|no) ttl=(-1|\d+) la=(\d+) clsid=\d+ size=10000$`)
	for _, k := range harness.Carriers(t) {
		t.Run(k.Name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			s := harness.Start(t, k, "-m", "8", "-t", "1")
			c := s.Dial(t)
			w := watch(t, s, "evictions")
			value := strings.Repeat("v", 10_000)
			const items = 1500
			for i := range items {
				c.Send("set key-%d 0 %d 10000 noreply\n%s\nmn\n", i, i%2*1000, value)
				c.Expect("MN")
				if i < 100 && i%3 == 0 {
					c.Ask(fmt.Sprintf("get key-%d", i), fmt.Sprintf("VALUE key-%d 0 10000", i), value, "END")
				}
			}
			n, _ := strconv.Atoi(c.Stats("")["evictions"])
			if n < items/4 {
				t.Fatalf("only %d were evicted", n)
			}
			gone := map[string]bool{}
			for _, l := range w.lines(n) {
				m := line.FindStringSubmatch(l)
				if m == nil {
					t.Fatalf("%q", l)
				}
				i, _ := strconv.Atoi(m[1])
				if fetched := i < 100 && i%3 == 0; fetched != (m[2] == "yes") || i%2 == 0 != (m[3] == "-1") || gone[m[1]] || atoi(t, m[4]) > harness.Seconds(began) {
					t.Errorf("%q, after %v", l, time.Since(began))
				}
				gone[m[1]] = true
				if i%50 == 0 {
					c.Ask("get key-"+m[1], "END")
				}
			}
		})
	}
}

// TestWatchConnections watches connections begin and end in every way.
func TestWatchConnections(t *testing.T) {
	for _, k := range harness.Carriers(t) {
		t.Run(k.Name, func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t, k)
			s.Dial(t) // the harness's own
			w := watch(t, s, "connevents")
			for reason, end := range map[string]func(c *harness.Conn){
				"normal":     func(c *harness.Conn) { c.Close() },
				" normal":    func(c *harness.Conn) { c.Send("quit\n") },
				"  normal":   func(c *harness.Conn) { c.Conn.(interface{ CloseWrite() error }).CloseWrite() },
				"   normal":  func(c *harness.Conn) { c.Send("set a 0 0 100\nabc"); c.Close() },
				"    normal": func(c *harness.Conn) { c.SendBytes(harness.Packet{Op: 0x07}.Bytes()) },
				"error":      func(c *harness.Conn) { c.Send("GET / HTTP/1.1\n") },
				" error":     func(c *harness.Conn) { c.SendBytes([]byte(strings.Repeat("x", 5000))) },
				"  error":    func(c *harness.Conn) { c.Ask("watch evictions", "OK"); c.Close() },
			} {
				c := s.Dial(t)
				_, port, _ := net.SplitHostPort(c.LocalAddr().String())
				from := "rip=127.0.0.1 rport=" + port + " transport=tcp"
				opened := w.lines(1)[0]
				fd, ok := strings.CutPrefix(opened, "type=conn_new "+from+" cfd=")
				if !ok {
					t.Errorf("opened: %q", opened)
				}
				end(c)
				want := "type=conn_close " + from + " reason=" + strings.TrimSpace(reason) + " cfd=" + fd
				if closed := w.lines(1)[0]; closed != want {
					t.Errorf("closed:\n got %q\nwant %q", closed, want)
				}
			}
		})
	}
}

// TestWatchIdleConnection tells why the server has closed a connection.
func TestWatchIdleConnection(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Privileged(), "-o", "idle_timeout=1000")
	control := s.Dial(t)
	control.Ask("debugtime p", "OK")
	w := watch(t, s, "connevents")
	c := s.Dial(t)
	w.lines(1)
	for range 2 { // what moves the clock is not idle itself
		control.Ask("debugtime 501", "OK")
	}
	c.Closed()
	if l := w.lines(1)[0]; !strings.Contains(l, " reason=idle_timeout cfd=") {
		t.Errorf("%q", l)
	}
}

// TestWatchUnixSocket watches connections that come from no address.
func TestWatchUnixSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(harness.TempDir(t), "socket")
	s := harness.Start(t, harness.Production(), "-s", path)
	w := watch(t, s, "connevents")
	s.Dial(t).Close()
	lines := w.lines(2)
	fd := lines[0][strings.LastIndexByte(lines[0], '=')+1:]
	if lines[0] != "type=conn_new rip=unix rport=0 transport=local cfd="+fd ||
		lines[1] != "type=conn_close rip=unix rport=0 transport=local reason=normal cfd="+fd {
		t.Errorf("%q", lines)
	}
}

// TestWatchWhatIsTooLarge watches what is not stored. memcached has numbers
// in these lines that mean nothing, and ends when it is a meta command.
func TestWatchWhatIsTooLarge(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Production(), "-t", "1")
	c := s.Dial(t)
	fd := fdOf(t, c)
	w := watch(t, s, "mutations")
	b := s.DialBinary(t)
	large := strings.Repeat("x", 2_000_000)
	c.Ask("set a 0 100 2000000\n"+large, "SERVER_ERROR object too large for cache")
	c.Ask("add a 0 0 2000000\n"+large, "SERVER_ERROR object too large for cache")
	c.Ask("ms a 2000000 MA\n"+large, "SERVER_ERROR object too large for cache")
	b.Ask(harness.Packet{Op: 0x03, Key: "a", Extras: strings.Repeat("\x00", 8), Value: large})
	for i, got := range w.lines(4) {
		want := "type=item_store key=a status=too_large cmd=" + []string{"set", "add", "append", "replace"}[i] + " ttl=0 clsid=0 cfd="
		if got != want+fd+" size=0" && (i < 3 || !strings.HasPrefix(got, want)) {
			t.Errorf("line %d: %q", i, got)
		}
	}
}

// TestWatchGetsOnce: a get of a large value that waits until the client has read others is
// one event, as with memcached.
func TestWatchGetsOnce(t *testing.T) {
	t.Parallel()
	for _, k := range harness.Kinds() {
		s := harness.Start(t, k, "-t", "1")
		const n, size = 50, 400_000
		c := s.Dial(t)
		c.Set("big", strings.Repeat("x", size))
		for _, gets := range []struct {
			request []byte
			head    int
		}{
			{[]byte("get big\r\n"), len("VALUE big 0 400000\r\n\r\nEND\r\n")},
			{[]byte("mg big v\r\n"), len("VA 400000\r\n\r\n")},
			{harness.Packet{Op: 0, Key: "big"}.Bytes(), 24 + 4},
		} {
			w := watch(t, s, "fetchers")
			reader := s.Dial(t)
			reader.SetDeadline(time.Now().Add(harness.Patience))
			go func() {
				for range n {
					reader.Write(gets.request)
				}
			}()
			if got, err := io.CopyN(io.Discard, reader.R, int64(n*(size+gets.head))); err != nil {
				t.Fatalf("after %d bytes: %v", got, err)
			}
			c.Ask("get none", "END")
			for i, line := range w.lines(n + 1) {
				key := " key=big "
				if i == n {
					key = " key=none "
				}
				if !strings.Contains(line, key) {
					t.Fatalf("%s: %q: event %d is %q", k.Name, gets.request, i+1, line)
				}
			}
			reader.Close()
			w.Close()
		}
	}
}

// TestWatchStatuses tells how an item that is not there has gone.
func TestWatchStatuses(t *testing.T) {
	for _, k := range harness.Carriers(t) {
		t.Run(k.Name, func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t, k, "-o", "no_lru_crawler,no_lru_maintainer")
			c := s.Dial(t)
			w := watch(t, s, "")
			c.Ask("set a 0 1 1\nx", "STORED")
			harness.Eventually(t, "the item expires", func() bool {
				_, there := c.Get("a")
				return !there
			})
			for {
				l := w.lines(1)[0]
				if strings.HasPrefix(l, "type=item_get key=a status=expired clsid=0 cfd=") {
					break
				}
				if !strings.Contains(l, "status=found") && !strings.Contains(l, "status=not_found") {
					t.Fatalf("%q", l)
				}
			}
		})
	}
}

// TestTooManyWatchers fills all places, and sees that they are given free.
func TestTooManyWatchers(t *testing.T) {
	for _, k := range harness.Carriers(t) {
		t.Run(k.Name, func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t, k)
			c := s.Dial(t)
			before := c.Stats("")["curr_connections"]
			for range 2 {
				var all []*watcher
				for range 20 {
					all = append(all, watch(t, s, ""))
				}
				one := s.Dial(t)
				one.Ask("watch", "WATCHER_TOO_MANY log watcher limit reached")
				one.Ask("get a", "END")
				for _, w := range all {
					w.lines(1)
				}
				harness.Eventually(t, "all are counted", func() bool { return c.Stats("")["log_watchers"] == "20" })
				for _, w := range all {
					w.Close()
				}
				one.Close()
				harness.Eventually(t, "all are gone", func() bool {
					c.Ask("get a", "END") // which a memcached needs, to notice
					st := c.Stats("")
					return st["log_watchers"] == "0" && st["curr_connections"] == before
				})
			}
		})
	}
}

// TestWatchOff has -W, where there is no thread for watchers either.
func TestWatchOff(t *testing.T) {
	for _, k := range harness.Kinds() {
		t.Run(k.Name, func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t, k, "-W")
			c := s.Dial(t)
			c.Ask("watch", "CLIENT_ERROR watch commands not allowed")
			c.Ask("watch nonsense", "CLIENT_ERROR watch commands not allowed")
			c.Ask("get a\nwatch fetchers", "END", "CLIENT_ERROR watch commands not allowed")
			for name, value := range c.Stats("") {
				if strings.HasPrefix(name, "log_w") && value != "0" {
					t.Errorf("%s is %s", name, value)
				}
			}
			if k.Gomcd && hasThread(s, "logger") {
				t.Error("there is a logger")
			}
		})
	}
	if s := harness.Start(t, harness.Production()); !hasThread(s, "logger") {
		t.Error("there is no logger without -W")
	}
}

func hasThread(s *harness.Server, name string) bool {
	_, err := s.TID(name)
	return err == nil
}

// TestWatchHalfClosed has a client that ends its sending with the command, as
// `printf 'watch\n' | nc` does: it gets OK, and the connection is closed.
func TestWatchHalfClosed(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Production())
	for range 20 {
		c := s.Dial(t)
		c.Send("watch\n")
		c.Conn.(*net.TCPConn).CloseWrite()
		c.SetReadDeadline(time.Now().Add(harness.Patience))
		if all, err := io.ReadAll(c.R); string(all) != "OK\r\n" || err != nil {
			t.Fatalf("%q, %v", all, err)
		}
	}
}

// TestWatchCrawler watches the crawler.
func TestWatchCrawler(t *testing.T) {
	t.Parallel()
	began := time.Now()
	s := harness.Start(t, harness.Production())
	c := s.Dial(t)
	w := watch(t, s, "sysevents")
	c.Ask("set a 0 0 1\nx", "STORED")
	c.Ask("set b 0 100 1\nx", "STORED")
	c.Ask("set gone 0 -1 1\nx", "STORED")
	line := regexp.MustCompile(`^type=lru_crawler crawler=1 lru=all low_mark=1 next_reclaims=\d since_run=\d+ next_run=\d+ elapsed=(\d+) examined=\d reclaimed=\d$`)
	l := w.lines(1)[0]
	if m := line.FindStringSubmatch(l); m == nil || atoi(t, m[1]) > harness.Seconds(began) {
		t.Errorf("%q, after %v", l, time.Since(began))
	}
}

// TestWatchSlabMoves watches pages that the automover moves: from a class whose
// items were all deleted.
func TestWatchSlabMoves(t *testing.T) {
	for _, k := range harness.Kinds() {
		t.Run(k.Name, func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t, k, "-t", "1", "-m", "16", "-o", "slab_automove_window=3")
			c := s.Dial(t)
			w := watch(t, s, "sysevents")
			value := strings.Repeat("x", 10_000)
			var class string
			for i := range 2000 {
				c.Send("set key-%d 0 0 10000 noreply\n%s\n", i, value)
			}
			c.Ask("mn", "MN")
			for name := range c.Stats("items") {
				class, _, _ = strings.Cut(strings.TrimPrefix(name, "items:"), ":")
			}
			for i := range 2000 {
				c.Send("delete key-%d noreply\n", i)
			}
			c.Ask("mn", "MN")
			for moves := 0; moves < 3; {
				l := w.lines(1)[0]
				switch {
				case l == "type=slab_move src="+class+" dst=0 state=ok":
					moves++
				case strings.HasPrefix(l, "type=slab_move "):
					t.Errorf("%q", l)
				}
			}
			harness.Eventually(t, "they are counted", func() bool {
				n, _ := strconv.Atoi(c.Stats("")["slabs_moved"])
				return n >= 3
			})
		})
	}
}

// TestWatchUDP watches commands that come by UDP; lines are not sent by UDP.
func TestWatchUDP(t *testing.T) {
	t.Parallel()
	s, c := startUDP(t, harness.Production())
	c.ask("watch fetchers\r\n", "ERROR\r\n")
	w := watch(t, s, "fetchers mutations")
	c.ask("get none\r\n", "END\r\n")
	c.ask("set a 0 0 1\r\nx\r\n", "STORED\r\n")
	for i, l := range w.lines(3) {
		want := []string{"item_get key=none status=not_found ", "item_get key=a status=not_found ", "item_store key=a status=stored cmd=set "}[i]
		if !strings.HasPrefix(l, "type="+want) {
			t.Errorf("%q", l)
		}
	}
}
