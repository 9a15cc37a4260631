package t

import (
	"crypto/md5"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"net"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/bradfitz/gomemcache/memcache"

	"gomcd/t/harness"
)

// What docs/scale-out.md says of several servers, with three of them of which one is
// lost.

// threeServers starts servers on ports that they can be started on again.
func threeServers(t *testing.T) (servers []*harness.Server, addrs []string) {
	t.Helper()
	for range 3 {
		s := harness.Start(t, harness.Production(), "-p", strconv.Itoa(harness.FreePort(t)))
		servers, addrs = append(servers, s), append(addrs, s.Addr)
	}
	return servers, addrs
}

// lose kills a server.
func lose(s *harness.Server) {
	s.Signal(syscall.SIGKILL)
	s.Wait()
}

const scaleKeys = 300

func scaleKey(i int) string { return fmt.Sprintf("user:%d:profile", i) }

// itemsOf is how many items each server has.
func itemsOf(t *testing.T, servers []*harness.Server) (counts []int) {
	t.Helper()
	for _, s := range servers {
		counts = append(counts, atoi(t, s.Dial(t).Stats("")["curr_items"]))
	}
	return counts
}

// checkSpread fails if not every server has a part of the keys.
func checkSpread(t *testing.T, counts []int) {
	t.Helper()
	sum := 0
	for _, n := range counts {
		sum += n
		if n < scaleKeys/10 {
			t.Errorf("the servers have %v items", counts)
		}
	}
	if sum != scaleKeys {
		t.Errorf("the servers have %v items, %d were stored", counts, scaleKeys)
	}
}

// A session of a client: it stores all keys, says so, waits for a line, says how many
// keys it finds, stores those that it did not, and says how many it finds then.
const ketamaSession = `
$c = new Memcached();
$c->setOptions([Memcached::OPT_LIBKETAMA_COMPATIBLE => true, Memcached::OPT_REMOVE_FAILED_SERVERS => true, Memcached::OPT_SERVER_FAILURE_LIMIT => 1,
	Memcached::OPT_RETRY_TIMEOUT => 1, Memcached::OPT_CONNECT_TIMEOUT => 20000, Memcached::OPT_POLL_TIMEOUT => 20000]);
foreach (array_slice($argv, 1) as $addr) { [$host, $port] = explode(":", $addr); $c->addServer($host, (int)$port, 1); }
$keys = []; for ($i = 0; $i < 300; $i++) $keys[] = "user:$i:profile";
foreach ($keys as $k) $c->set($k, "v") || exit("set of $k: " . $c->getResultMessage());
$where = []; foreach ($keys as $k) { $s = $c->getServerByKey($k); $where[$k] = $s["host"] . ":" . $s["port"]; }
echo json_encode($where), "\n"; fgets(STDIN);
$find = function() use ($c, $keys) { $n = 0; foreach ($keys as $k) if ($c->get($k) === "v") $n++; return $n; };
$find(); echo $find(), "\n";
foreach ($keys as $k) { for ($try = 0; !$c->set($k, "v") && $try < 50; $try++) usleep(100000); }
echo $find(), "\n";
`

const pymemcacheScaleSession = `
import sys, json
from pymemcache.client.hash import HashClient
c = HashClient([(a.split(":")[0], int(a.split(":")[1])) for a in sys.argv[1:]], ignore_exc=True, retry_attempts=0, dead_timeout=3600, timeout=20, connect_timeout=20, default_noreply=False)
keys = ["user:%d:profile" % i for i in range(300)]
for k in keys: assert c.set(k, "v"), k
print(json.dumps({k: "" for k in keys}), flush=True)
sys.stdin.readline()
def find(): return sum(1 for k in keys if c.get(k) == b"v")
find(); print(find(), flush=True)
for k in keys: assert c.set(k, "v"), k
print(find(), flush=True)
`

// After a server is lost, clients that hash consistently find all keys of the others, and
// store the lost ones elsewhere.
func TestScaleOutClients(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"libmemcached": {"php", "-r", ketamaSession, "--"},
		"pymemcache":   {"/usr/bin/python3", "-c", pymemcacheScaleSession},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			servers, addrs := threeServers(t)
			s := startSession(t, exec.Command(args[0], append(slices.Clone(args[1:]), addrs...)...))
			var where map[string]string
			if err := json.Unmarshal([]byte(s.line()), &where); err != nil {
				t.Fatal(err)
			}
			counts := itemsOf(t, servers)
			checkSpread(t, counts)
			if name == "libmemcached" {
				ring := newKetama(addrs)
				for k, addr := range where {
					if got := addrs[ring.pick(k)]; got != addr {
						t.Fatalf("%s: the simulation picks %s, libmemcached %s", k, got, addr)
					}
				}
			}
			lose(servers[1])
			s.tell()
			if got, want := s.line(), strconv.Itoa(scaleKeys-counts[1]); got != want {
				t.Errorf("without one server %s keys are found, the others have %s", got, want)
			}
			if got := s.line(); got != strconv.Itoa(scaleKeys) {
				t.Errorf("stored again, %s keys are found of %d", got, scaleKeys)
			}
		})
	}
}

// gomemcache's selector keeps to its list: the keys of a lost server are errors until the
// list is another, and then most keys have moved.
func TestScaleOutGomemcache(t *testing.T) {
	t.Parallel()
	servers, addrs := threeServers(t)
	var list memcache.ServerList
	if err := list.SetServers(addrs...); err != nil {
		t.Fatal(err)
	}
	c := memcache.NewFromSelector(&list)
	c.Timeout = harness.Patience
	defer c.Close()
	for i := range scaleKeys {
		if err := c.Set(&memcache.Item{Key: scaleKey(i), Value: []byte("v")}); err != nil {
			t.Fatal(err)
		}
	}
	counts := itemsOf(t, servers)
	checkSpread(t, counts)
	lose(servers[1])
	find := func() (found, missing, failed int) {
		for i := range scaleKeys {
			switch _, err := c.Get(scaleKey(i)); err {
			case nil:
				found++
			case memcache.ErrCacheMiss:
				missing++
			default:
				failed++
			}
		}
		return found, missing, failed
	}
	if found, _, failed := find(); found != scaleKeys-counts[1] || failed != counts[1] {
		t.Errorf("%d keys are found and %d fail; the lost server had %d", found, failed, counts[1])
	}
	if err := list.SetServers(addrs[0], addrs[2]); err != nil {
		t.Fatal(err)
	}
	if found, missing, failed := find(); failed != 0 || missing < scaleKeys/2 {
		t.Errorf("with two servers in the list %d keys are found, %d are not, %d fail", found, missing, failed)
	}
}

// nutcracker ejects a server that does not answer, and takes it back when it does.
func TestScaleOutNutcracker(t *testing.T) {
	t.Parallel()
	servers, addrs := threeServers(t)
	page, err := os.ReadFile("../docs/scale-out.md")
	if err != nil {
		t.Fatal(err)
	}
	// The configuration is the one of the page, with other addresses.
	_, text, _ := strings.Cut(string(page), "```yaml\n# nutcracker.yml\n")
	text, _, has := strings.Cut(text, "```")
	if !has {
		t.Fatal("docs/scale-out.md has no nutcracker.yml")
	}
	socket := startNutcracker(t, func(socket string) string {
		text = strings.Replace(text, "127.0.0.1:22121", socket, 1)
		for i, addr := range addrs {
			text = strings.Replace(text, fmt.Sprintf("10.0.0.%d:11211", i+1), addr, 1)
		}
		return text
	})
	c := memcache.New(socket)
	c.Timeout = harness.Patience
	defer c.Close()
	set := func(i int) error { return c.Set(&memcache.Item{Key: scaleKey(i), Value: []byte("v")}) }
	for i := range scaleKeys {
		if err := set(i); err != nil {
			t.Fatal(err)
		}
	}
	counts := itemsOf(t, servers)
	checkSpread(t, counts)
	lose(servers[1])
	found := 0
	for i := range scaleKeys {
		// Until it is ejected its keys are errors.
		harness.Eventually(t, "a key is answered for", func() bool {
			_, err := c.Get(scaleKey(i))
			if err == nil {
				found++
			}
			return err == nil || err == memcache.ErrCacheMiss
		})
	}
	if want := scaleKeys - counts[1]; found != want {
		t.Errorf("without one server %d keys are found, the others have %d", found, want)
	}
	_, port, _ := net.SplitHostPort(addrs[1])
	back := harness.Start(t, harness.Production(), "-p", port)
	harness.Eventually(t, "the server gets keys again", func() bool {
		for i := range scaleKeys {
			set(i) // an error is of a try whether it is back
		}
		return atoi(t, back.Dial(t).Stats("")["curr_items"]) == counts[1]
	})
}

// ketama is the ring of libmemcached with OPT_LIBKETAMA_COMPATIBLE: 160 points a server.
type ketama struct {
	points []uint32
	server map[uint32]int
}

func newKetama(addrs []string) ketama {
	k := ketama{server: map[uint32]int{}}
	for i, addr := range addrs {
		addr = strings.TrimSuffix(addr, ":11211") // the default port is left out
		for point := range 40 {
			sum := md5.Sum(fmt.Appendf(nil, "%s-%d", addr, point))
			for j := 0; j < len(sum); j += 4 {
				p := binary.LittleEndian.Uint32(sum[j:])
				k.points = append(k.points, p)
				k.server[p] = i
			}
		}
	}
	slices.Sort(k.points)
	return k
}

// pick is the index of a key's server.
func (k ketama) pick(key string) int {
	sum := md5.Sum([]byte(key))
	i, _ := slices.BinarySearch(k.points, binary.LittleEndian.Uint32(sum[:]))
	return k.server[k.points[i%len(k.points)]]
}

// modulo picks a server as gomemcache's selector does.
func modulo(key string, n int) int { return int(crc32.ChecksumIEEE([]byte(key)) % uint32(n)) }

// moved is which share of keys, in percent, has another server when one of n is lost: by
// ketama and by modulo.
func moved(n int) (byKetama, byModulo float64) {
	const keys = 100_000
	var addrs []string
	for i := range n {
		addrs = append(addrs, fmt.Sprintf("10.0.0.%d:11211", i+1))
	}
	all, fewer := newKetama(addrs), newKetama(addrs[:n-1])
	a, b := 0, 0
	for i := range keys {
		k := scaleKey(i)
		if all.pick(k) != fewer.pick(k) {
			a++
		}
		if modulo(k, n) != modulo(k, n-1) {
			b++
		}
	}
	return 100 * float64(a) / keys, 100 * float64(b) / keys
}

// The figures of docs/scale-out.md are those of the simulation, whose ring is that of
// libmemcached (TestScaleOutClients).
func TestScaleOutFigures(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/scale-out.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile(`(?m)^\| (\d+) \| ([\d.]+) % \| ([\d.]+) % \|$`).FindAllStringSubmatch(string(page), -1)
	if len(rows) < 3 {
		t.Fatalf("docs/scale-out.md has %d figures", len(rows))
	}
	for _, row := range rows {
		a, b := moved(atoi(t, row[1]))
		if want := fmt.Sprintf("| %s | %.1f %% | %.1f %% |", row[1], a, b); row[0] != want {
			t.Errorf("the page has %s, the simulation %s", row[0], want)
		}
	}
}
