package t

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
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
	gomemcacheSession(t, c)
}

// gomemcacheSession uses all that gomemcache has.
func gomemcacheSession(t *testing.T, c *memcache.Client) {
	t.Helper()
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

// programPatience is how long a program may run, whatever it has to do: builds and
// clients in other languages.
const programPatience = 10 * time.Minute

// command runs a client that a Debian package has.
func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is not installed (make deps-test installs it): %v", name, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), programPatience)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, args...).CombinedOutput()
	if err != nil && name != "memccapable" {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestLibmemcachedCapabilities runs libmemcached's protocol test. memcached
// 1.6.45 fails two of its 54 cases, which expect a reply to delete that was
// changed since.
func TestLibmemcachedCapabilities(t *testing.T) {
	s := harness.Start(t, harness.Production())
	host, port, _ := strings.Cut(s.Addr, ":")
	out := command(t, "memccapable", "-h", host, "-p", port, "-t", "30")
	failed := regexp.MustCompile(`(?m)^((?:ascii|binary) .*?)\s+\[FAIL\]`).FindAllStringSubmatch(out, -1)
	var got []string
	for _, f := range failed {
		got = append(got, f[1])
	}
	sort.Strings(got)
	if want := "ascii delete,ascii delete noreply"; strings.Join(got, ",") != want || !strings.Contains(out, "2 of 54 tests failed") {
		t.Errorf("failed: %v, want %s\n%s", got, want, out)
	}
}

func TestLibmemcachedTools(t *testing.T) {
	for name, flags := range map[string][]string{"text": nil, "binary": {"--binary"}} {
		t.Run(name, func(t *testing.T) {
			s := harness.Start(t, harness.Production())
			libmemcachedTools(t, s, flags)
			command(t, "memcping", "--servers="+s.Addr) // knows no --binary
		})
	}
}

// libmemcachedTools runs them on a server that is empty.
func libmemcachedTools(t *testing.T, s *harness.Server, flags []string) {
	t.Helper()
	servers := "--servers=" + s.Addr
	tool := func(name string, args ...string) string {
		t.Helper()
		return command(t, name, append(append([]string{servers}, flags...), args...)...)
	}
	tool("memcslap", "--concurrency=8", "--execute-number=2000", "--test=set")
	tool("memcslap", "--concurrency=8", "--execute-number=2000", "--test=get")
	greeting := filepath.Join(harness.TempDir(t), "greeting")
	if err := os.WriteFile(greeting, []byte("hello"), 0o644); err != nil {
		t.Fatal(err)
	}
	tool("memccp", greeting)
	if out := tool("memccat", "greeting"); strings.TrimSpace(out) != "hello" {
		t.Errorf("memccat: %q", out)
	}
	tool("memcexist", "greeting")
	tool("memctouch", "--expire", "100", "greeting")
	if out := tool("memcstat"); !strings.Contains(out, "curr_items") || !strings.Contains(out, "gomcd") {
		t.Errorf("memcstat: %q", out)
	}
	tool("memcrm", "greeting")
	if exec.Command("memcexist", append([]string{servers}, append(flags, "greeting")...)...).Run() == nil {
		t.Error("memcrm left the item there")
	}
	tool("memcflush")
}

// phpSession uses all that php-memcached has, in the protocol that its second
// argument names, and logs in with the next two.
const phpSession = `
[$host, $port] = explode(":", $argv[1]);
$binary = $argv[2] == "binary";
$m = new Memcached();
$m->setOption(Memcached::OPT_BINARY_PROTOCOL, $binary);
$m->setOption(Memcached::OPT_COMPRESSION, false);
if (isset($argv[3])) { $m->setSaslAuthData($argv[3], $argv[4]); }
$m->addServer($host, (int) $port);
function check($ok, $what) {
	global $m;
	if (!$ok) { echo "$what: ", $m->getResultMessage(), "\n"; exit(1); }
}
check($m->set("a", "1"), "set");
check($m->get("a") === "1", "get");
check(!$m->add("a", "2") && $m->getResultCode() == ($binary ? Memcached::RES_DATA_EXISTS : Memcached::RES_NOTSTORED), "add");
check($m->replace("a", 10), "replace");
check($m->increment("a", 5) === 15 && $m->decrement("a", 4) === 11, "increment");
if ($binary) {
	check($m->increment("counter", 1, 42, 100) === 42 && $m->increment("counter", 1, 42, 100) === 43, "increment with a value to begin with");
}
check($m->set("text", "b") && $m->append("text", "c") && $m->prepend("text", "a") && $m->get("text") === "abc", "append");
$got = $m->get("text", null, Memcached::GET_EXTENDED);
check($m->cas($got["cas"], "text", "new"), "cas");
check(!$m->cas($got["cas"], "text", "newer") && $m->getResultCode() == Memcached::RES_DATA_EXISTS, "stale cas");
check($m->touch("text", 100), "touch");
$all = [];
for ($i = 0; $i < 500; $i++) { $all["key$i"] = "value$i"; }
check($m->setMulti($all), "setMulti");
check($m->getMulti(array_merge(array_keys($all), ["none"])) == $all, "getMulti");
$big = str_repeat("0123456789", 100000);
check($m->set("big", $big) && $m->get("big") === $big, "a large value");
check(!$m->set("huge", $big . $big) && $m->getResultCode() == Memcached::RES_E2BIG, "a value that is too large");
check($m->get("none") === false && $m->getResultCode() == Memcached::RES_NOTFOUND, "miss");
check($m->delete("a") && !$m->delete("a"), "delete");
check($m->deleteMulti(["key0", "key1"])["key1"] === true, "deleteMulti");
check(array_values($m->getVersion())[0] === "1.6.45" && version_compare(array_values($m->getVersion())[0], "1.6.45", ">="), "version");
check(array_values($m->getStats())[0]["curr_items"] > 400, "stats");
check($m->flush() && $m->get("big") === false, "flush");
check($m->quit(), "quit");
echo "done";
`

func TestPHPMemcached(t *testing.T) {
	s := harness.Start(t, harness.Production())
	for _, protocol := range []string{"text", "binary"} {
		if out := command(t, "php", "-r", phpSession, s.Addr, protocol); out != "done" {
			t.Errorf("%s: %s", protocol, out)
		}
	}
}

const pymemcacheSession = `
import sys
from pymemcache.client.base import Client
host, port = sys.argv[1].split(":")
context = None
if len(sys.argv) > 2:
    import ssl
    context = ssl.create_default_context(cafile=sys.argv[2])
    context.load_cert_chain(sys.argv[3], sys.argv[4])
c = Client((host, int(port)), default_noreply=False, timeout=20, tls_context=context)
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
assert c.version() == b"1.6.45"
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

const dalliSession = `
require "dalli"
Dalli.logger.level = Logger::WARN
options = eval(ARGV[1] || "{}")
c = Dalli::Client.new(ARGV[0], namespace: "n", compress: true, value_max_bytes: 2 << 20, **options)
def check(ok, what) = ok || abort("#{what} failed")
check(c.set("a", {"x" => [1, 2]}), "set")
check(c.get("a") == {"x" => [1, 2]}, "get")
check(!c.add("a", 1), "add")
check(c.replace("a", 2), "replace")
check(c.incr("n", 5, 100, 7) == 7 && c.incr("n", 5) == 12 && c.decr("n", 2) == 10, "incr")
check(c.cas("a") { |v| v + 1 } && c.get("a") == 3, "cas")
check(c.set("raw", "b", 100, raw: true) && c.append("raw", "c") && c.prepend("raw", "a") && c.get("raw", raw: true) == "abc", "append")
check(c.touch("a", 100) && c.gat("a", 100) == 3, "touch")
check(c.fetch("new", 100) { "made" } == "made" && c.get("new") == "made", "fetch")
all = (0...300).to_h { |i| ["key#{i}", "value#{i}"] }
c.multi { all.each { |k, v| c.set(k, v) } }
# Over TLS dalli 3.0.6 cannot: it has no "server" for such a socket.
check(c.get_multi(all.keys + ["none"]) == all, "get_multi") unless options[:ssl_context]
check(c.get("key299") == "value299", "multi")
big = Random.new(1).bytes(900_000)
check(c.set("big", big, 0, compress: false) && c.get("big") == big, "a large value")
check(c.delete("a") && c.get("a").nil?, "delete")
check(c.stats.values[0]["curr_items"].to_i > 300, "stats")
check(Gem::Version.new(c.version.values[0]) == Gem::Version.new("1.6.45"), "version")
check(c.flush && c.get("big").nil?, "flush")
c.close
print "done"
`

func TestDalli(t *testing.T) {
	s := harness.Start(t, harness.Production())
	if out := command(t, "ruby", "-e", dalliSession, s.Addr); out != "done" {
		t.Error(out)
	}
}

const memjsSession = `
const memjs = require(process.argv[1]), assert = require("assert")
const c = memjs.Client.create(process.argv[2], {timeout: 20, retries: 0, ...JSON.parse(process.argv[3] || "{}")})
const main = async () => {
	assert(await c.set("a", "1", {expires: 100}))
	assert.equal((await c.get("a")).value.toString(), "1")
	assert.equal(await c.add("a", "2", {}), false)
	assert(await c.replace("a", "3", {}))
	assert.equal((await c.increment("n", 5, {initial: 7})).value, 7)
	assert.equal((await c.increment("n", 5, {initial: 7})).value, 12)
	assert.equal((await c.decrement("n", 2, {})).value, 10)
	assert(await c.append("a", "x"))
	assert.equal((await c.get("a")).value.toString(), "3x")
	assert(await c.touch("a", 100))
	const big = Buffer.alloc(900000, "z")
	assert(await c.set("big", big, {}))
	assert((await c.get("big")).value.equals(big))
	assert.equal((await c.get("none")).value, null)
	assert(await c.delete("a") && !(await c.delete("a")))
	const stats = await new Promise((ok, no) => c.stats((e, server, s) => e ? no(e) : ok(s)))
	assert(stats.curr_items > 0 && stats.version === "1.6.45")
	assert(await c.flush())
	assert.equal((await c.get("big")).value, null)
	c.close()
	process.stdout.write("done")
}
main().catch(e => { console.log(e); process.exit(1) })
`

// TestMemJS runs where there is npm, which Debian's packages do not stand in
// for.
func TestMemJS(t *testing.T) {
	module := nodeModule(t, "memjs")
	s := harness.Start(t, harness.Production())
	if out := command(t, "node", "-e", memjsSession, module, s.Addr); out != "done" {
		t.Error(out)
	}
}

// nodeModule is where a module is installed.
func nodeModule(t *testing.T, name string) string {
	t.Helper()
	module, err := filepath.Abs("../bin/tools/node_modules/" + name)
	if err == nil {
		_, err = os.Stat(module)
	}
	if err != nil {
		t.Skipf("%s is not installed: %v", name, err)
	}
	return module
}

// startNutcracker starts the proxy, whose configuration is made for the socket that it is
// to listen on.
func startNutcracker(t *testing.T, config func(socket string) string) (socket string) {
	t.Helper()
	dir := harness.TempDir(t)
	conf, socket := filepath.Join(dir, "nutcracker.yml"), filepath.Join(dir, "nutcracker.sock")
	if err := os.WriteFile(conf, []byte(config(socket)), 0o644); err != nil {
		t.Fatal(err)
	}
	path, err := exec.LookPath(unpacked(t, "usr/sbin/nutcracker"))
	if err != nil {
		t.Fatalf("nutcracker is not there (make deps-test fetches it): %v", err)
	}
	proxy := exec.Command(path, "-c", conf, "-o", filepath.Join(dir, "log"), "-a", "127.0.0.1", "-s", strconv.Itoa(harness.FreePort(t)))
	var said bytes.Buffer
	proxy.Stdout, proxy.Stderr = &said, &said
	if err := proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		proxy.Process.Kill()
		proxy.Wait()
		if t.Failed() {
			t.Logf("nutcracker said:\n%s", said.String())
		}
	})
	harness.Eventually(t, "the proxy listens", func() bool {
		c, err := net.Dial("unix", socket)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return socket
}

// TestNutcracker has a proxy between a client and two servers.
func TestNutcracker(t *testing.T) {
	one, two := harness.Start(t, harness.Production()), harness.Start(t, harness.Production())
	socket := startNutcracker(t, func(socket string) string {
		return fmt.Sprintf(`gomcd:
  listen: %s
  hash: md5
  distribution: ketama
  auto_eject_hosts: false
  servers:
   - %s:1
   - %s:1
`, socket, one.Addr, two.Addr)
	})
	c := memcache.New(socket)
	c.Timeout = harness.Patience
	var keys []string
	for i := range 200 {
		k := fmt.Sprintf("k%d", i)
		keys = append(keys, k)
		if err := c.Set(&memcache.Item{Key: k, Value: bytes.Repeat([]byte(k), 1+i*10)}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := c.GetMulti(append(keys, "none"))
	if err != nil || len(got) != 200 {
		t.Fatalf("get of many: %d items, %v", len(got), err)
	}
	for i, k := range keys {
		if !bytes.Equal(got[k].Value, bytes.Repeat([]byte(k), 1+i*10)) {
			t.Errorf("%s came back as %.20q", k, got[k].Value)
		}
	}
	if err := c.Delete("k7"); err != nil {
		t.Error(err)
	}
	if _, err := c.Get("k7"); !errors.Is(err, memcache.ErrCacheMiss) {
		t.Errorf("get of what was deleted: %v", err)
	}
	for _, s := range []*harness.Server{one, two} {
		if n := s.Dial(t).Stats("")["curr_items"]; n == "0" {
			t.Error("a server behind the proxy has got nothing")
		}
	}
}
