package t

import (
	"strings"
	"testing"

	"gomcd/t/harness"
)

// Clients that can log in by SASL do, each with all that it has.

// saslClientServer starts a server with one user, ann.
func saslClientServer(t *testing.T) *harness.Server {
	t.Helper()
	return startSASL(t, harness.Production(), usersFile(t, "ann:so secret\n"))
}

func TestLibmemcachedToolsSASL(t *testing.T) {
	libmemcachedTools(t, saslClientServer(t), []string{"--binary", "--username=ann", "--password=so secret"})
}

func TestPHPMemcachedSASL(t *testing.T) {
	s := saslClientServer(t)
	if out := command(t, "php", "-r", phpSession, s.Addr, "binary", "ann", "so secret"); out != "done" {
		t.Error(out)
	}
}

func TestDalliSASL(t *testing.T) {
	s := saslClientServer(t)
	if out := command(t, "ruby", "-e", dalliSession, s.Addr, `{username: "ann", password: "so secret"}`); out != "done" {
		t.Error(out)
	}
	refused := `require "dalli"; begin; Dalli::Client.new(ARGV[0], username: "ann", password: "two").get("a"); rescue Dalli::DalliError => e; print e.message; end`
	if out := command(t, "ruby", "-e", refused, s.Addr); !strings.Contains(out, "uthenticat") {
		t.Errorf("with a wrong password: %q", out)
	}
}

func TestMemJSSASL(t *testing.T) {
	module := nodeModule(t, "memjs")
	s := saslClientServer(t)
	if out := command(t, "node", "-e", memjsSession, module, s.Addr, `{"username": "ann", "password": "so secret"}`); out != "done" {
		t.Error(out)
	}
}

const bmemcachedSession = `
import sys, bmemcached
from bmemcached.exceptions import MemcachedException
c = bmemcached.Client((sys.argv[1],), "ann", "so secret", socket_timeout=20)
assert c.set("a", "1") and c.get("a") == "1"
assert not c.add("a", "2") and c.replace("a", {"x": [1, 2]}) and c.get("a") == {"x": [1, 2]}
assert c.incr("n", 5, default=7) == 7 and c.incr("n", 5) == 12 and c.decr("n", 2) == 10
value, cas = c.gets("a")
assert c.cas("a", "new", cas) and not c.cas("a", "newer", cas)
everything = {"key%d" % i: "value%d" % i for i in range(300)}
c.set_multi(everything)
assert c.get_multi(list(everything) + ["none"]) == everything
big = "0123456789" * 90000
assert c.set("big", big, compress_level=0) and c.get("big") == big
assert c.delete("a") and c.get("a") is None
c.delete_multi(["key0", "key1"])
assert c.get("key1") is None
stats = c.stats()[sys.argv[1]]
assert stats["version"] in ("1.6.45", b"1.6.45") and int(stats["auth_errors"]) == 0
assert c.flush_all() and c.get("big") is None
c.disconnect_all()
try:
    bmemcached.Client((sys.argv[1],), "ann", "two", socket_timeout=20).get("a")
    print("it is let in with a wrong password")
except MemcachedException as e:
    print("done" if "Auth failure" in str(e) else e)
`

func TestBinaryMemcachedSASL(t *testing.T) {
	s := saslClientServer(t)
	if out := command(t, "/usr/bin/python3", "-c", bmemcachedSession, s.Addr); strings.TrimSpace(out) != "done" {
		t.Error(out)
	}
}
