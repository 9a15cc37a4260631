package t

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gomcd/t/harness"
)

// memoryFile is the path of a memory file that is not there yet, on a memory
// file system if there is one with room: a container's often has 64 MB.
func memoryFile(t *testing.T) string {
	t.Helper()
	const shm, room = "/dev/shm", 1 << 30 // for all that run at once
	var fs unix.Statfs_t
	if err := unix.Statfs(shm, &fs); err != nil || fs.Bavail*uint64(fs.Bsize) < room {
		return filepath.Join(harness.TempDir(t), "memory")
	}
	dir, err := os.MkdirTemp(shm, "gomcd-t")
	if err != nil {
		return filepath.Join(harness.TempDir(t), "memory")
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "memory")
}

// startOn starts a server with a memory file.
func startOn(t *testing.T, k harness.Kind, path string, flags ...string) *harness.Server {
	t.Helper()
	s := harness.Start(t, k, append([]string{"-e", path}, flags...)...)
	s.SaysMore = true
	return s
}

// end ends a server with a signal and checks how it ended.
func end(t *testing.T, s *harness.Server, sig syscall.Signal) {
	t.Helper()
	s.Signal(sig)
	if state := s.Wait(); state.ExitCode() != 0 && sig != syscall.SIGKILL {
		t.Errorf("%v: %v\n%s", sig, state, s.Stderr())
	}
}

// isCold checks that a server began with an empty cache, and that it says why.
func isCold(t *testing.T, s *harness.Server, why string) {
	t.Helper()
	if !strings.Contains(s.Stderr(), why) || !strings.Contains(s.Stderr(), ", starting with a clean cache\n") {
		t.Errorf("it says %q, not %q", s.Stderr(), why)
	}
	if n := s.Dial(t).Stats("")["curr_items"]; n != "0" {
		t.Errorf("%s items", n)
	}
}

// keptItem is an item and what a meta command says of it.
type keptItem struct {
	key, value string
	flags, ttl int
	answer     string // to mg with CAS and what else stays
	rest       int    // seconds to live
	base64     bool
}

// mg asks for an item with all that a restart must keep.
func (i *keptItem) mg(c *harness.Conn) (answer, value string, rest int) {
	key := i.key
	if i.base64 {
		key += " b"
	}
	c.Send("mg %s v f c s h q t\nmn\n", key)
	answer = c.Line()
	if !strings.HasPrefix(answer, "VA ") {
		return answer, "", 0
	}
	value = c.Line()
	c.Expect("MN")
	answer, ttl, _ := strings.Cut(answer, " t")
	rest, _ = strconv.Atoi(ttl)
	return answer, value, rest
}

func TestMemoryFile(t *testing.T) {
	t.Parallel()
	for _, k := range []harness.Kind{harness.Privileged(), harness.Production()} {
		path := memoryFile(t)
		s := startOn(t, k, path, "-I", "2m", "-A")
		isCold(t, s, "gomcd: [restart] no metadata save file")
		c := s.Dial(t)
		if got := c.Stats("settings")["memory_file"]; got != path {
			t.Errorf("memory_file %q", got)
		}
		c.Ask("cache_memlimit 65", "MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust")
		began := time.Now()
		var items []keptItem
		for n, size := range []int{0, 1, 50, 2000, 2048, 2049, 10_000, 300_000, 524_288, 1_000_000, 2_000_000} {
			value := strings.Repeat(string(rune('a'+n)), size)
			for ttl := range 2 {
				items = append(items, keptItem{key: fmt.Sprintf("key%d.%d", size, ttl), value: value, flags: n * 1000, ttl: ttl * 500})
			}
		}
		items = append(items, keptItem{key: "Zm9v/+8=", base64: true, value: "binary"})
		for i := range items {
			it := &items[i]
			b := ""
			if it.base64 {
				b = " b"
			}
			c.Ask(fmt.Sprintf("ms %s %d F%d T%d%s\n%s", it.key, len(it.value), it.flags, it.ttl, b, it.value), "HD")
			if i%3 == 0 {
				it.mg(c)
			}
			it.answer, _, it.rest = it.mg(c)
		}
		before := c.Stats("")
		c.Ask("set dies 0 1 1\nx", "STORED")
		c.Ask("set gone 0 0 1\nx", "STORED")
		c.Ask("delete gone", "DELETED")
		stale := time.Now().Add(2 * time.Second)
		// One client is in the middle of a value, another watches.
		half := s.Dial(t)
		half.SendBytes([]byte("set half 0 0 900000\r\n" + strings.Repeat("x", 500_000)))
		c.SendBytes([]byte("shutdown graceful\r\n"))
		if state := s.Wait(); state.ExitCode() != 0 || !strings.HasSuffix(s.Stderr(), "Gracefully stopping\n") {
			t.Fatalf("%v\n%s", state, s.Stderr())
		}
		time.Sleep(time.Until(stale))

		s = startOn(t, k, path, "-I", "2m", "-A")
		if strings.Contains(s.Stderr(), "restart") {
			t.Errorf("it says %q", s.Stderr())
		}
		c = s.Dial(t)
		for _, key := range []string{"dies", "gone", "half"} {
			if v, ok := c.Get(key); ok {
				t.Errorf("%s is %.10q", key, v)
			}
		}
		after := c.Stats("")
		if was, is := before["curr_items"], after["curr_items"]; was != is {
			t.Errorf("curr_items is %s, was %s", is, was)
		}
		if was, is := before["bytes"], after["bytes"]; was != is {
			t.Errorf("bytes is %s, was %s", is, was)
		}
		was, _ := strconv.Atoi(before["uptime"])
		if is, _ := strconv.Atoi(after["uptime"]); is < was+1 {
			t.Errorf("uptime is %d, was %d", is, was)
		}
		for i := range items {
			it := &items[i]
			answer, value, rest := it.mg(c)
			if answer != strings.Replace(it.answer, " h0", " h1", 1) || value != it.value {
				t.Errorf("%s: %.80q, was %.80q; %d bytes of %d", it.key, answer, it.answer, len(value), len(it.value))
			}
			// What passed between the servers is rounded too.
			if passed := it.rest - rest; it.ttl > 0 && (passed < 1 || passed > harness.Seconds(began)+1) || it.ttl == 0 && rest != -1 {
				t.Errorf("%s lives for %d seconds, after %d", it.key, rest, it.rest)
			}
		}
		// CAS numbers go on.
		last := casOf(items[len(items)-1].answer)
		c.Ask("set new 0 0 1\nx", "STORED")
		c.Send("mg new c\n")
		if cas := casOf(c.Line()); cas <= last {
			t.Errorf("CAS %d comes after %d", cas, last)
		}
		// And once more, from what was restored.
		end(t, s, syscall.SIGUSR1)
		s = startOn(t, k, path, "-I", "2m", "-A")
		if v, ok := s.Dial(t).Get("new"); !ok || v != "x" {
			t.Errorf("new is %q, %v", v, ok)
		}
		end(t, s, syscall.SIGUSR1)
	}
}

func casOf(answer string) int {
	for _, word := range strings.Fields(answer) {
		if n, err := strconv.Atoi(strings.TrimPrefix(word, "c")); err == nil && word[0] == 'c' {
			return n
		}
	}
	return 0
}

// TestMemoryFileColdStarts has everything that cannot be gone on with.
func TestMemoryFileColdStarts(t *testing.T) {
	t.Parallel()
	k := harness.Production()
	path := memoryFile(t)
	// leave leaves the cache of a server behind.
	leave := func(flags ...string) {
		t.Helper()
		s := startOn(t, k, path, flags...)
		s.Dial(t).Set("a", "1")
		end(t, s, syscall.SIGUSR1)
	}
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGKILL} {
		leave()
		s := startOn(t, k, path)
		if _, ok := s.Dial(t).Get("a"); !ok {
			t.Error("nothing was left")
		}
		end(t, s, sig)
		s = startOn(t, k, path)
		isCold(t, s, "[restart] the last server was not stopped with SIGUSR1")
		end(t, s, syscall.SIGTERM)
	}
	for _, c := range []struct{ flags, why string }{
		{"-m 65", "due to setting for [maxbytes] [old value: 67108864] [new value: 68157440]"},
		{"-I 2m", "due to setting for [item_size_max] [old value: 1048576] [new value: 2097152]"},
		{"-f 1.5", "due to setting for [slab_config] [old value: 1.25] [new value: 1.5]"},
		{"-n 64", "due to setting for [chunk_size] [old value: 48] [new value: 64]"},
		{"-C", "due to setting for [use_cas] [old value: true] [new value: false]"},
		{"-o slab_sizes=100-200", "due to setting for [slab_config] [old value: 1.25] [new value: 100-200]"},
	} {
		leave()
		s := startOn(t, k, path, strings.Fields(c.flags)...)
		isCold(t, s, "[restart] restart incompatible "+c.why)
		end(t, s, syscall.SIGUSR1)
	}
	leave()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// Every item's header, and whatever else is not 0.
	for i, c := range b {
		if c != 0 {
			b[i] = ^c
		}
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	s := startOn(t, k, path)
	isCold(t, s, "[restart] corrupt memory file: ")
	s.Dial(t).Set("a", "1")
	end(t, s, syscall.SIGUSR1)
	b, err = os.ReadFile(path + ".meta")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".meta", bytes.Replace(b, []byte("current_cas "), []byte("current_cas 1"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	s = startOn(t, k, path)
	isCold(t, s, "[restart] corrupt metadata: wrong checksum")
	end(t, s, syscall.SIGTERM)
}

// TestMemoryFileRefused has everything that a server does not start with.
func TestMemoryFileRefused(t *testing.T) {
	t.Parallel()
	k := harness.Production()
	refused := func(why string, flags ...string) {
		t.Helper()
		code, said := harness.Refused(t, k, flags...)
		if code != 71 || !strings.HasSuffix(said, why+"\n") {
			t.Errorf("%v: status %d, and it says %q, not %q", flags, code, said, why)
		}
	}
	path := memoryFile(t)
	s := startOn(t, k, path)
	s.Dial(t).Set("a", "1")
	refused("another server is using it", "-e", path)
	end(t, s, syscall.SIGUSR1)
	s = startOn(t, k, path)
	if _, ok := s.Dial(t).Get("a"); !ok {
		t.Error("the second server has done harm")
	}
	end(t, s, syscall.SIGTERM)

	refused("no such file or directory", "-e", "/nonexistent/memory")
	refused("/proc/version: permission denied", "-e", "/proc/version")
	for _, text := range []string{"", "something else\n"} {
		if err := os.WriteFile(path+".meta", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if os.Geteuid() == 0 { // the server is nobody
			os.Chmod(path+".meta", 0o644)
			os.Chown(path+".meta", 65534, 65534)
		}
		refused("it is not the metadata of a memory file; if it is not needed, remove it", "-e", path)
	}
	os.Remove(path + ".meta")
	os.Remove(path)
	os.WriteFile(path, nil, 0o600)
	os.Chmod(path, 0o666)
	refused("others may write to it (mode 0666)", "-e", path)
	os.Remove(path)

	// A file system that is too small, or one on which files must be smaller.
	dir := harness.TempDir(t)
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=66m,mode=1777"); err == nil {
		defer unix.Unmount(dir, unix.MNT_DETACH)
		refused("there is no room for 73400320 bytes: no space left on device", "-e", filepath.Join(dir, "memory"), "-m", "70")
		// What fits is enough: with -m alone, as memcached needs it.
		s := startOn(t, k, filepath.Join(dir, "memory"))
		s.Dial(t).Set("a", strings.Repeat("x", 100_000))
		end(t, s, syscall.SIGUSR1)
	}
	limited := harness.Limited(k, "-f 65536")
	code, said := harness.Refused(t, limited, "-e", path, "-m", "80")
	if code != 71 || !strings.HasSuffix(said, "there is no room for 83886080 bytes: file too large\n") {
		t.Errorf("status %d, and it says %q", code, said)
	}
}

// TestMemoryFileOfTwoSignals sends a server that starts both signals to end, the one that
// keeps the cache last: it counts.
func TestMemoryFileOfTwoSignals(t *testing.T) {
	t.Parallel()
	path := memoryFile(t)
	s := startOn(t, harness.Production(), path)
	s.Dial(t).Set("a", "1")
	end(t, s, syscall.SIGUSR1)
	for _, signals := range [][]syscall.Signal{{syscall.SIGTERM, syscall.SIGUSR1}, {syscall.SIGUSR1, syscall.SIGINT}} {
		b := harness.StartBoot(t, harness.Production(), harness.BootPlan{Call: unix.SYS_EPOLL_CREATE1, N: 2, Hold: true}, "-e", path)
		harness.Eventually(t, "it makes an epoll instance", b.Met)
		for _, sig := range signals {
			sendTaken(t, b, sig)
		}
		b.Release()
		if state := b.Wait(); state.ExitCode() != 0 {
			t.Fatalf("%v: %s", state, b.Stderr())
		}
		s = startOn(t, harness.Production(), path)
		if _, ok := s.Dial(t).Get("a"); !ok {
			t.Errorf("%v: the cache is not kept", signals)
			s.Dial(t).Set("a", "1")
		}
		end(t, s, syscall.SIGUSR1)
	}
}

// TestMemoryFileWaitsForAScrape: a scrape that has begun is over before what it reads is
// saved.
func TestMemoryFileWaitsForAScrape(t *testing.T) {
	t.Parallel()
	path := memoryFile(t)
	addr := fmt.Sprintf("127.0.0.1:%d", harness.FreePort(t))
	s := startOn(t, harness.Production(), path, "--metrics", addr)
	s.Dial(t).Set("a", "1")
	strace(t, s, "metrics", "-o", os.DevNull, "-e", "inject=sendto:delay_enter=1000000")
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET /metrics HTTP/1.1\r\nHost: gomcd\r\nAccept: "+openMetrics+"\r\nConnection: close\r\n\r\n")
	tid, err := s.TID("metrics")
	if err != nil {
		t.Fatal(err)
	}
	type result struct {
		text []byte
		err  error
	}
	replied := make(chan result, 1)
	go func() {
		c.SetReadDeadline(time.Now().Add(harness.Patience))
		text, err := io.ReadAll(c)
		replied <- result{text, err}
	}()
	harness.Eventually(t, "the reply is about to be sent", func() bool {
		if len(replied) > 0 {
			return true // it was: this machine is too slow to see it
		}
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", tid))
		return strings.HasPrefix(string(b), fmt.Sprint(unix.SYS_SENDTO, " "))
	})
	end(t, s, syscall.SIGUSR1)
	if r := <-replied; r.err != nil || !strings.HasSuffix(string(r.text), "# EOF\n") {
		t.Errorf("the scrape ends with %q, %v", r.text[max(len(r.text)-100, 0):], r.err)
	}
	s = startOn(t, harness.Production(), path, "--metrics", addr)
	if _, ok := s.Dial(t).Get("a"); !ok {
		t.Error("the cache is not kept")
	}
}

// TestMemoryFileSharesWhatThereIs has a memory file on a file system with room for
// little more than -m: full of one size, it stores every other. memcached does so too.
func TestMemoryFileSharesWhatThereIs(t *testing.T) {
	for _, k := range harness.Kinds() {
		for _, room := range []int{65, 80} {
			dir := harness.TempDir(t)
			if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm,mode=1777", room)); err != nil {
				t.Skip("this needs the right to mount a file system: ", err)
			}
			t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
			s := startOn(t, k, filepath.Join(dir, "memory"))
			if k.Gomcd {
				harness.Eventually(t, "the start says what is missing", func() bool {
					return strings.Contains(s.Stderr(), fmt.Sprintf(" pages of 1 MiB instead of %d: one is kept for each of the 39 slab classes", 64+39))
				})
			}
			c := s.Dial(t)
			mustStore(t, c, 800_000, func(i int) (string, int, int) { return fmt.Sprint("key:", i), 0, 40 })
			if c.Stats("")["evictions"] == "0" {
				t.Errorf("%s: there is room left", k.Name)
			}
			stored, sizes := 0, 0
			for size := 10; size < 1_000_000; size += 1 + size/4 {
				c.Send("set size%d 0 0 %d\n%s\n", size, size, strings.Repeat("x", size))
				if sizes++; c.Line() == "STORED" {
					stored++
				}
			}
			if stored != sizes {
				t.Errorf("%s on %d MB: %d of %d sizes stored", k.Name, room, stored, sizes)
			}
			end(t, s, syscall.SIGTERM)
		}
	}
}
