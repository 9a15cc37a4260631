package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gomcd/server"

	"golang.org/x/sys/unix"

	"gomcd/t/harness"
)

// runs stands for a server that starts.
const runs = -1

// misuse is a command line and what it ends with.
type misuse struct {
	args []string
	want int
	// memcached is what memcached 1.6.45 does instead, if it is different, and
	// why says for what reason gomcd does not.
	memcached int
	why       string
	alone     bool // nothing is added to the arguments: no user and no port
}

func bad(want int, args ...string) misuse { return misuse{args: args, want: want} }

func (m misuse) unlike(memcached int, why string) misuse {
	m.memcached, m.why = memcached, why
	return m
}

func alone(m misuse) misuse { m.alone = true; return m }

// crashes are statuses of a process that a signal ended, as a shell has them.
const (
	aborts   = 128 + int(unix.SIGABRT)
	segfault = 128 + int(unix.SIGSEGV)
)

const (
	nowhere   = "a server that nobody can reach is a mistake"
	crashes   = "memcached crashes"
	isRead    = "memcached reads something else than is written"
	ourOwn    = "only memcached's debug build has it"
	ownUsers  = "memcached asks Cyrus SASL, by the files that this has"
	twoLogins = "memcached takes no notice of -S, and this file has no users"
	misspelt  = "memcached takes no notice"
	namesNone = "a value that is empty was meant to name something"
	noOldTLS  = "TLS 1.0 and 1.1 are deprecated (RFC 8996)"
)

var misuses = []misuse{
	bad(1, "--bogus"), bad(1, "-z"), bad(1, "-vz"), bad(1, "--port"), bad(1, "-b"),
	bad(1, "--mem=64"), bad(1, "--daemon=x"), bad(1, "-v=3"), bad(64, "-m=64"),
	bad(64, "-m", "0"), bad(64, "-m", "1"), bad(64, "-m", "abc"),
	bad(64, "-m", "-1").unlike(runs, "memcached takes it for all the memory there could be"),
	bad(1, "-t", "0"), bad(1, "-t", "-1"), bad(1, "-t", "abc"), bad(runs, "-t", "100"),
	bad(1, "-c", "0"), bad(1, "-c", "-1"), bad(1, "-f", "1"), bad(1, "-f", "abc"), bad(1, "-n", "0"),
	bad(runs, "-b", "abc"), bad(1, "-R", "0"),
	bad(64, "-I", "512"), bad(64, "-I", "abc"), bad(64, "-I", "2g"), bad(64, "-I", "2048m"), bad(64, "-I", "33m"),
	bad(64, "-I", "1000000"), bad(64, "-m", "4096", "-I", "1025m"),
	bad(64, "-I", "64k", "-o", "slab_chunk_max=128"),
	bad(64, "-p", "70000"), bad(71, "-p", "-5"),
	bad(64, "-p", "abc").unlike(runs, nowhere), bad(runs, "-p", "0"),
	alone(bad(64, "-u", "nobody", "-U", "70000")), bad(71, "-U", "70000").unlike(runs, isRead),
	bad(64, "-U", "abc").unlike(runs, isRead), bad(runs, "-U", "22122"),
	bad(1, "-Y", ""), bad(1, "-Y", "/nonexistent", "-Y", ""), bad(1, "-s", "").unlike(runs, nowhere), bad(1, "-e", "").unlike(aborts, crashes), bad(1, "-P", "").unlike(runs, namesNone), bad(1, "-P", " ").unlike(runs, namesNone),
	bad(1, "-o", "ssl_chain_cert=").unlike(runs, namesNone), bad(1, "-o", "ssl_key=").unlike(runs, namesNone), bad(1, "-o", "ssl_ca_cert=").unlike(runs, namesNone), bad(1, "-o", "ssl_ciphers=").unlike(runs, namesNone),
	bad(64, "-R", "4294967297").unlike(runs, isRead), bad(64, "-b", "4294967300").unlike(runs, isRead), bad(64, "-b", "-4294967295").unlike(runs, isRead),
	bad(64, "-b", "99999999999999999999").unlike(runs, isRead), bad(64, "-a", "40000000777").unlike(runs, isRead), bad(64, "-N", "4294967297").unlike(runs, isRead),
	bad(64, "-p", "4294967296").unlike(runs, isRead), bad(64, "-U", "4294967296").unlike(runs, isRead), bad(64, "-t", "4294967297").unlike(runs, isRead),
	bad(64, "-m", "4294967360").unlike(runs, isRead), bad(64, "-n", "4294967344").unlike(runs, isRead), bad(64, "-I", "4295491584").unlike(runs, isRead),
	bad(64, "-f", "1e999").unlike(runs, isRead), bad(64, "-o", "hashpower=4294967312").unlike(runs, isRead), bad(64, "-o", "idle_timeout=4294967300").unlike(runs, isRead),
	bad(64, "-o", "hot_max_factor=1e999").unlike(runs, isRead), bad(1, "-o", "slab_chunk_max=4294967808").unlike(runs, isRead), bad(1, "-o", "watcher_logbuf_size=4294967552").unlike(runs, isRead),
	bad(64, "-B", "http"), bad(runs, "-B", "binary"),
	bad(1, "-D", ""), bad(1, "-D"), bad(1, "-N", "0"), bad(64, "-N", "5"),
	bad(64, "-S", "-B", "ascii"), bad(64, "-S", "-B", "auto"), bad(64, "-S", "-B", "binary", "-B", "ascii"), bad(64, "-S", "-U", "22122"),
	bad(1, "-S").unlike(runs, ownUsers), bad(1, "-S", "-B", "binary").unlike(runs, ownUsers),
	bad(64, "-S", "-Y", "/dev/null").unlike(1, twoLogins),
	bad(64, "-Z"), bad(64, "-Z", "-o", "ssl_chain_cert=/nonexistent", "-p", "0"),
	bad(64, "-Y", "/nonexistent", "-B", "binary"), bad(64, "-Y", "/nonexistent", "-U", "22122"),

	bad(1, "-o", "bogus"), bad(1, "-o", "no_hashpower"), bad(1, "-o", "modern,,modern"), bad(1, "-o", ","), bad(1, "-o"),
	bad(1, "-o", "hashpower"), bad(1, "-o", "hashpower=11"), bad(1, "-o", "hashpower=33"),
	bad(1, "-o", "slab_automove=3"), bad(1, "-o", "slab_automove_ratio=0"), bad(1, "-o", "slab_automove_window=2"),
	bad(1, "-o", "tail_repair_time=9"), bad(1, "-o", "hash_algorithm=md5"), bad(1, "-o", "hash_algorithm"),
	bad(1, "-o", "lru_crawler_sleep=-1"), bad(1, "-o", "lru_crawler_tocrawl=x"),
	bad(1, "-o", "hot_lru_pct=0"), bad(1, "-o", "warm_lru_pct=80"), bad(64, "-o", "hot_lru_pct=50,warm_lru_pct=50"),
	bad(1, "-o", "warm_max_factor=0"), bad(1, "-o", "temporary_ttl"), bad(64, "-o", "no_lru_maintainer,temporary_ttl=5"),
	bad(1, "-o", "watcher_logbuf_size=x"), bad(1, "-o", "read_buf_mem_limit=x"),
	bad(64, "-o", "slab_sizes="), bad(1, "-o", "slab_sizes").unlike(segfault, crashes),
	bad(64, "-o", "slab_sizes=10"), bad(64, "-o", "slab_sizes=100-100"), bad(64, "-o", "slab_sizes=100-104"),
	bad(1, "-o", "slab_chunk_max=0"), bad(1, "-o", "slab_chunk_max=2000"), bad(64, "-o", "slab_chunk_max=500"),
	bad(1, "-o", "sock_cookie_id").unlike(segfault, crashes), bad(1, "-o", "ext_path"),
	bad(1, "-o", "proxy_config=x"), bad(runs, "-o", "ssl_key=x"), bad(1, "-o", "ssl_chain_cert"), bad(1, "-o", "ssl_bogus=x"),
	bad(1, "-o", "ssl_keyformat=PEM"), bad(1, "-o", "ssl_verify_mode=4"), bad(1, "-o", "ssl_verify_mode=x"), bad(1, "-o", "ssl_wbuf_size=x"),
	bad(1, "-o", "ssl_min_version=4"), bad(1, "-o", "ssl_min_version=1").unlike(runs, noOldTLS),
	bad(64, "-o", "ssl_kernel_tls").unlike(runs, "workers encrypt themselves"),
	bad(runs, "-o", "relaxed_privileges").unlike(1, ourOwn),

	bad(71, "-l", "no-such-host.invalid"), bad(71, "-l", "999.1.1.1"),
	bad(71, "-l", "127.0.0.1:abc"), bad(71, "-l", "127.0.0.1:70000").unlike(runs, isRead),
	bad(71, "-l", "[::1"), bad(71, "-l", "[::1]:x"), bad(71, "-l", "unix:/tmp/x"),
	bad(71, "-l", "proto[x]:127.0.0.1").unlike(runs, misspelt), bad(71, "-l", "proto[ascii:127.0.0.1"),
	bad(71, "-l", "proto[proxy]:127.0.0.1"), bad(runs, "-l", "proto[binary]:127.0.0.1"),
	bad(71, "-l", "tag[toolongtag]:127.0.0.1"), bad(71, "-l", "tag[]:127.0.0.1"), bad(71, "-l", "tag_b"),
	bad(71, "-l", "notls:127.0.0.1"), bad(71, "-l", "btls:127.0.0.1"), bad(71, "-l", "mtls:127.0.0.1"), bad(runs, "-l", ""),

	bad(0, "-h"), bad(0, "-i"), bad(0, "-V"), bad(0, "-h", "-c", "0"), bad(1, "-c", "0", "-h"),
}

// Whom one can be depends on who one is.
var rootMisuses = []misuse{
	alone(bad(64)), alone(bad(64, "-u", "")), bad(64, "-u", ""), alone(bad(67, "-u", "no-such-user")), alone(bad(67, "-u", "65534")),
}

var userMisuses = []misuse{bad(runs, "-u", "no-such-user")}

// ownMisuses are of flags that memcached has not got.
var ownMisuses = []misuse{
	bad(64, "--sandbox=strict"), bad(64, "--sandbox=enforce,worker=off"), bad(64, "--sandbox=enforce,nobody=audit"),
	bad(64, "--sandbox-allow=worker"), bad(64, "--sandbox-allow=nobody:getpid"),
	bad(1, "--sandbox"), bad(1, "--test-privileges=x"),
	bad(1, "--listen-default", ""), bad(1, "--listen-default", " ,;"), alone(bad(64, "--metrics", "")), bad(64, "--sandbox", ""), bad(64, "--sandbox-allow", ""), bad(1, "--print-profile", "--format", ""),
	bad(64, "--config", ""), bad(64, "--config=-"), bad(64, "--print-completion", ""),
	bad(1, "--config"), bad(64, "--config", "/nonexistent"), bad(64, "--config", "/"),
	bad(64, "--print-profile=nobody"), bad(64, "--print-profile=udp"), bad(64, "--print-profile", "--format=xml"), bad(0, "--print-profile=worker"),
	bad(64, "--print-completion=tcsh"), bad(1, "--print-completion"),
	alone(bad(64, "--metrics", "127.0.0.1")), alone(bad(71, "--metrics", "127.0.0.1:99999")), alone(bad(71, "--metrics", "127.0.0.1:x")),
	bad(1, "-o", "cache_memlimit_max=x"), bad(1, "-o", "cache_memlimit_max=0"), bad(64, "-o", "cache_memlimit_max=63"), bad(64, "-o", "cache_memlimit_max=128", "-e", "/dev/shm/x"),
}

// line is the whole command line: as root with a user.
func (m misuse) line(root bool, port int) []string {
	if m.alone {
		return m.args
	}
	args := []string{"-p", strconv.Itoa(port)}
	if root {
		args = append(args, "-u", "nobody")
	}
	return append(args, m.args...)
}

// outcome is what gomcd's command line leads to, short of serving.
func outcome(args []string, root bool) (int, error) {
	c, err := parse(args, noEnv)
	if err == nil && c.print != "" {
		err = c.show(discard{})
		if err == nil {
			return 0, nil
		}
	}
	if err == nil {
		err = c.complete(root)
	}
	var exit *server.ExitError
	switch {
	case err == nil:
		return runs, nil
	case errors.As(err, &exit):
		return exit.Code, err
	}
	return server.ExitFailure, err
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

func TestMisuse(t *testing.T) {
	for _, root := range []bool{false, true} {
		all := append(append([]misuse{}, misuses...), ownMisuses...)
		if root {
			all = append(all, rootMisuses...)
		} else {
			all = append(all, userMisuses...)
		}
		for _, m := range all {
			got, err := outcome(m.line(root, 11211), root)
			if got != m.want {
				t.Errorf("%q as root=%v: status %d (%v), want %d", m.args, root, got, err, m.want)
			}
			if err != nil && (strings.Contains(err.Error(), "\n") || len(err.Error()) < 10) {
				t.Errorf("%q says %q, which is not one line that says why", m.args, err)
			}
		}
	}
}

// TestMisuseAsMemcached runs the same table against memcached 1.6.45.
func TestMisuseAsMemcached(t *testing.T) {
	binary := os.Getenv("MEMCACHED")
	if binary == "" {
		t.Skip("MEMCACHED is not set")
	}
	for _, root := range []bool{false, true} {
		if root && !isRoot() {
			t.Log("not root: what root gets is left out")
			continue
		}
		all := append([]misuse{}, misuses...)
		if root {
			all = append(all, rootMisuses...)
		} else {
			all = append(all, userMisuses...)
		}
		for _, m := range all {
			t.Run(fmt.Sprintf("root=%v/%s", root, strings.Join(m.args, " ")), func(t *testing.T) {
				t.Parallel()
				want := m.want
				if m.why != "" {
					want = m.memcached
				}
				if got := memcachedStatus(t, binary, m.line(root, harness.FreePort(t)), root); got != want {
					t.Errorf("memcached's status is %d, the table says %d", got, want)
				}
			})
		}
	}
}

// memcachedStatus runs memcached until it ends or is seen to stay.
func memcachedStatus(t *testing.T, binary string, args []string, root bool) int {
	cmd := exec.Command(binary, args...)
	cmd.Dir = t.TempDir() // core files go there
	if isRoot() && !root {
		const nobody = 65534
		cmd.Dir = "/" // which this user cannot write to
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stays := time.AfterFunc(1500*time.Millisecond, func() { cmd.Process.Kill() })
	err := cmd.Wait()
	if !stays.Stop() {
		return runs
	}
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return status(t, err)
}
