package t

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"gomcd/t/harness"
)

func TestGomemcache(t *testing.T) {
	s := harness.Start(t, harness.Production())
	c := memcache.New(s.Addr)
	c.Timeout = harness.Patience
	if err := c.Set(&memcache.Item{Key: "a", Value: []byte("1"), Flags: 7}); err != nil {
		t.Fatal(err)
	}
	it, err := c.Get("a")
	if err != nil || string(it.Value) != "1" || it.Flags != 7 {
		t.Fatalf("get: %+v, %v", it, err)
	}
	it.Value = []byte("2")
	if err := c.CompareAndSwap(it); err != nil {
		t.Error(err)
	}
	if err := c.CompareAndSwap(it); !errors.Is(err, memcache.ErrCASConflict) {
		t.Errorf("a stale cas: %v", err)
	}
	if err := c.Add(&memcache.Item{Key: "a", Value: []byte("x")}); !errors.Is(err, memcache.ErrNotStored) {
		t.Errorf("add: %v", err)
	}
	if n, err := c.Increment("a", 40); err != nil || n != 42 {
		t.Errorf("incr: %d, %v", n, err)
	}
	if n, err := c.Decrement("a", 2); err != nil || n != 40 {
		t.Errorf("decr: %d, %v", n, err)
	}
	if err := c.Append(&memcache.Item{Key: "a", Value: []byte("!")}); err != nil {
		t.Error(err)
	}
	if err := c.Touch("a", 100); err != nil {
		t.Error(err)
	}
	big := bytes.Repeat([]byte("0123456789"), 100_000)
	if err := c.Set(&memcache.Item{Key: "big", Value: big}); err != nil {
		t.Fatal(err)
	}
	var keys []string
	for i := range 500 {
		k := fmt.Sprintf("k%d", i)
		keys = append(keys, k)
		if err := c.Set(&memcache.Item{Key: k, Value: []byte(k)}); err != nil {
			t.Fatal(err)
		}
	}
	m, err := c.GetMulti(append(keys, "a", "big", "none"))
	if err != nil || len(m) != 502 || string(m["a"].Value) != "40!" || !bytes.Equal(m["big"].Value, big) {
		t.Fatalf("get of many: %d items, %v", len(m), err)
	}
	if err := c.Delete("a"); err != nil {
		t.Error(err)
	}
	if _, err := c.Get("a"); !errors.Is(err, memcache.ErrCacheMiss) {
		t.Errorf("get of what was deleted: %v", err)
	}
	if err := c.FlushAll(); err != nil {
		t.Error(err)
	}
	if _, err := c.Get("big"); !errors.Is(err, memcache.ErrCacheMiss) {
		t.Errorf("get of what was flushed: %v", err)
	}
	if err := c.Ping(); err != nil {
		t.Error(err)
	}
}

// command runs a client that a Debian package has.
func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is not installed (make deps-test installs it): %v", name, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, args...).CombinedOutput()
	if err != nil && name != "memccapable" {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestLibmemcachedCapabilities runs libmemcached's protocol test. memcached
// 1.6.45 fails two of its 27 cases, which expect a reply to delete that was
// changed since.
func TestLibmemcachedCapabilities(t *testing.T) {
	s := harness.Start(t, harness.Production())
	host, port, _ := strings.Cut(s.Addr, ":")
	out := command(t, "memccapable", "-h", host, "-p", port, "-a", "-t", "30")
	failed := regexp.MustCompile(`(?m)^(ascii .*?)\s+\[FAIL\]`).FindAllStringSubmatch(out, -1)
	var got []string
	for _, f := range failed {
		got = append(got, f[1])
	}
	sort.Strings(got)
	if want := "ascii delete,ascii delete noreply"; strings.Join(got, ",") != want || !strings.Contains(out, "2 of 27 tests failed") {
		t.Errorf("failed: %v, want %s\n%s", got, want, out)
	}
}

func TestLibmemcachedTools(t *testing.T) {
	s := harness.Start(t, harness.Production())
	servers := "--servers=" + s.Addr
	command(t, "memcslap", servers, "--concurrency=8", "--execute-number=2000", "--test=set")
	command(t, "memcslap", servers, "--concurrency=8", "--execute-number=2000", "--test=get")
	c := s.Dial(t)
	c.Set("greeting", "hello")
	if out := command(t, "memccat", servers, "greeting"); strings.TrimSpace(out) != "hello" {
		t.Errorf("memccat: %q", out)
	}
	if out := command(t, "memcstat", servers); !strings.Contains(out, "curr_items") || !strings.Contains(out, "gomcd") {
		t.Errorf("memcstat: %q", out)
	}
	command(t, "memcping", servers)
	command(t, "memcrm", servers, "greeting")
	if _, ok := c.Get("greeting"); ok {
		t.Error("memcrm left the item there")
	}
	command(t, "memcflush", servers)
}

const pymemcacheSession = `
import sys
from pymemcache.client.base import Client
host, port = sys.argv[1].split(":")
c = Client((host, int(port)), default_noreply=False, timeout=20)
assert c.set("a", "1", flags=5)
assert c.get("a") == b"1"
assert not c.add("a", "2")
assert c.replace("a", "10")
assert c.incr("a", 5) == 15
assert c.decr("a", 5) == 10
assert c.append("a", "x") and c.prepend("a", "y")
assert c.get("a") == b"y10x"
v, cas = c.gets("a")
assert c.cas("a", "z", cas) is True
assert c.cas("a", "z", cas) is False
assert c.cas("none", "z", cas) is None
assert c.touch("a", 100)
assert c.set_many({"k%d" % i: "v%d" % i for i in range(300)}) == []
got = c.get_many(["k%d" % i for i in range(300)] + ["none"])
assert len(got) == 300 and got["k7"] == b"v7"
big = b"x" * 1000000
assert c.set("big", big) and c.get("big") == big
assert c.delete("a") and not c.delete("a")
assert b"gomcd" in c.version()
assert b"curr_items" in c.stats()
assert c.flush_all() and c.get("big") is None
c.quit()
print("done")
`

func TestPymemcache(t *testing.T) {
	s := harness.Start(t, harness.Production())
	// Debian's own python has Debian's modules.
	if out := command(t, "/usr/bin/python3", "-c", pymemcacheSession, s.Addr); strings.TrimSpace(out) != "done" {
		t.Error(out)
	}
}
