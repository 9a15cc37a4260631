package t

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gomcd/t/harness"
)

// Replies to logins.
var (
	bAuthenticated = harness.Packet{Value: "Authenticated"}
	bAuthFailure   = harness.Packet{Status: 0x20, Value: "Auth failure."}
	bAuthContinue  = harness.Packet{Status: 0x21}
	bMechanisms    = harness.Packet{Value: "PLAIN"}
	bVersion       = harness.Packet{Value: "1.6.45"}
)

// saslLogin is a login by PLAIN with a message.
func saslLogin(message string) harness.Packet {
	return harness.Packet{Op: opSASLAuth, Key: "PLAIN", Value: message, Opaque: 99}
}

// plain is a login by PLAIN.
func plain(user, pass string) harness.Packet { return saslLogin("\x00" + user + "\x00" + pass) }

// atHost is a user as Cyrus SASL has them look up, in memcached.
func atHost(t testing.TB, user string) string {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	return user + "@" + host
}

// saslUsers is a file of users for tests of both servers.
func saslUsers(t testing.TB) string {
	var b strings.Builder
	for _, line := range []string{"ann:one", "bob:two:extra", "none:", ":nobody", "sp ace: x y "} {
		user, pass, _ := strings.Cut(line, ":")
		fmt.Fprintf(&b, "%s:%s\n", atHost(t, user), pass)
	}
	return b.String() + "# a comment\n\nzoe@elsewhere:three\r\n"
}

// startSASL starts a server with users.
func startSASL(t testing.TB, k harness.Kind, users string, flags ...string) *harness.Server {
	t.Helper()
	if !k.Gomcd {
		dir := harness.TempDir(t)
		if err := os.WriteFile(filepath.Join(dir, "memcached.conf"), []byte("mech_list: plain\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		k = harness.WithEnv(k, "SASL_CONF_PATH="+dir)
	}
	k = harness.WithEnv(k, "MEMCACHED_SASL_PWDB="+users)
	return harness.Start(t, k, append([]string{"-S"}, flags...)...)
}

// dialSASL opens a connection from an address of its own, without guesses
// so far.
func dialSASL(t testing.TB, s *harness.Server) *harness.BinaryConn {
	n := logins.Add(1)
	return s.DialBinaryFrom(t, fmt.Sprintf("127.1.%d.%d", n/250, n%250+1))
}

// maySASL says whether a user may log in.
func maySASL(t testing.TB, s *harness.Server, user, pass string) bool {
	t.Helper()
	c := dialSASL(t, s)
	defer c.Close()
	switch got := c.Ask(plain(user, pass)); {
	case got.Status == 0 && got.Value == "Authenticated":
		return true
	case got.Status != bAuthFailure.Status:
		t.Fatalf("login: %v", got)
	}
	return false
}

// TestSASL has each way to log in, well and badly, by the same packets for memcached.
func TestSASL(t *testing.T) {
	t.Parallel()
	noop := harness.Packet{Op: opNoop, Opaque: 5}
	list := harness.Packet{Op: opSASLList, Opaque: 6}
	version := harness.Packet{Op: opVersion}
	mech := func(name, message string) harness.Packet {
		return harness.Packet{Op: opSASLAuth, Key: name, Value: message}
	}
	step := func(message string) harness.Packet {
		return harness.Packet{Op: opSASLStep, Key: "PLAIN", Value: message}
	}
	type exchange struct{ send, want harness.Packet }
	in := exchange{noop, bOK}            // logged in
	out := exchange{noop, bAuthFailure}  // not, and closed
	gone := exchange{}                   // closed
	right := saslLogin("\x00ann\x00one") // after which all is well
	for _, k := range harness.Carriers(t) {
		t.Run(k.Name, func(t *testing.T) {
			t.Parallel()
			s := startSASL(t, k, usersFile(t, saslUsers(t)))
			for name, exchanges := range map[string][]exchange{
				"nothing":          {out},
				"what is there":    {{list, bMechanisms}, {version, bVersion}, out},
				"list with key":    {{harness.Packet{Op: opSASLList, Key: "x"}, bInvalid}, gone},
				"version with key": {{harness.Packet{Op: opVersion, Key: "x"}, bInvalid}, gone},

				"right":            {{right, bAuthenticated}, in},
				"as oneself":       {{saslLogin("ann\x00ann\x00one"), bAuthenticated}, in},
				"as another":       {{saslLogin("bob\x00ann\x00one"), bAuthFailure}, out},
				"wrong password":   {{plain("ann", "two"), bAuthFailure}, out},
				"unknown user":     {{plain("eve", "one"), bAuthFailure}, out},
				"half a password":  {{plain("ann", "on"), bAuthFailure}, out},
				"no password":      {{plain("ann", ""), bAuthFailure}, out},
				"more password":    {{plain("ann", "one1"), bAuthFailure}, out},
				"long password":    {{plain("ann", strings.Repeat("x", 300)), bAuthFailure}, out},
				"longer password":  {{plain("ann", strings.Repeat("x", 2000)), bAuthFailure}, out},
				"empty password":   {{plain("none", ""), bAuthenticated}, in},
				"no user":          {{plain("", "nobody"), bAuthFailure}, out},
				"another case":     {{plain("ANN", "one"), bAuthFailure}, out},
				"no separators":    {{saslLogin("ann one"), bAuthFailure}, out},
				"one separator":    {{saslLogin("ann\x00one"), bAuthFailure}, out},
				"three separators": {{saslLogin("\x00ann\x00one\x00"), bAuthFailure}, out},
				"more behind":      {{saslLogin("\x00ann\x00one\x00one"), bAuthFailure}, out},
				"a comment":        {{plain("# a comment", ""), bAuthFailure}, out},
				"spaces":           {{plain("sp ace", " x y "), bAuthenticated}, in},
				"up to a colon":    {{plain("bob", "two"), bAuthenticated}, in},
				"colon and all":    {{plain("bob", "two:extra"), bAuthenticated}, in},
				"behind a colon":   {{plain("bob", "extra"), bAuthFailure}, out},
				"realm":            {{plain("zoe@elsewhere", "three"), bAuthenticated}, in},
				"other realm":      {{plain("ann@elsewhere", "one"), bAuthFailure}, out},
				"no realm":         {{plain("zoe", "three"), bAuthFailure}, out},
				"host as realm":    {{plain(atHost(t, "ann"), "one"), bAuthenticated}, in},

				"small letters":          {{mech("plain", "\x00ann\x00one"), bAuthenticated}, in},
				"CRAM-MD5":               {{mech("CRAM-MD5", ""), bAuthFailure}, out},
				"LOGIN":                  {{mech("LOGIN", "\x00ann\x00one"), bAuthFailure}, out},
				"space behind PLAIN":     {{mech("PLAIN ", "\x00ann\x00one"), bAuthFailure}, out},
				"half of PLAIN":          {{mech("PL", "\x00ann\x00one"), bAuthFailure}, out},
				"longest mechanism":      {{mech(strings.Repeat("P", 32), "x"), bAuthFailure}, out},
				"long mechanism":         {{mech(strings.Repeat("P", 33), "what is skipped"), bInvalid}, {right, bAuthenticated}, in},
				"longer mechanism":       {{mech(strings.Repeat("P", 251), "x"), bInvalid}, gone},
				"no mechanism":           {{mech("", "x"), bInvalid}, gone},
				"extras":                 {{harness.Packet{Op: opSASLAuth, Extras: "x", Key: "PLAIN", Value: "\x00ann\x00one"}, bInvalid}, gone},
				"unknown mechanism":      {{mech("FOO", "x"), bAuthFailure}, {right, bAuthenticated}, in},
				"step first":             {{step("\x00ann\x00one"), bAuthFailure}, out},
				"two steps":              {{mech("PLAIN", ""), bAuthContinue}, {step("\x00ann\x00one"), bAuthenticated}, in},
				"step of another name":   {{mech("PLAIN", ""), bAuthContinue}, {harness.Packet{Op: opSASLStep, Key: "FOO", Value: "\x00ann\x00one"}, bAuthenticated}, in},
				"two steps, wrong":       {{mech("PLAIN", ""), bAuthContinue}, {step("\x00ann\x00two"), bAuthFailure}, out},
				"another step":           {{right, bAuthenticated}, {step("\x00ann\x00one"), bAuthFailure}, out},
				"two beginnings":         {{mech("PLAIN", ""), bAuthContinue}, {right, bAuthenticated}, in},
				"wrong after right":      {{right, bAuthenticated}, {plain("ann", "two"), bAuthFailure}, out},
				"a get before":           {{bGet(opGet, "a"), bAuthFailure}, gone},
				"a quiet get before":     {{bGet(opGetQ, "a"), bAuthFailure}, gone},
				"a set before":           {{bSet(opSet, "a", "1", 0, 0), bAuthFailure}, gone},
				"unknown command before": {{harness.Packet{Op: 0x77, Value: "xyz"}, bAuthFailure}, gone},
				"unknown command after":  {{right, bAuthenticated}, {harness.Packet{Op: 0x77, Value: "xyz"}, bUnknown}, in},
			} {
				c := dialSASL(t, s)
				for _, e := range exchanges {
					if e == gone {
						c.Closed()
						break
					}
					c.Send(e.send)
					got := c.Next()
					if got.Op != e.send.Op || got.Opaque != e.send.Opaque || got.Status != e.want.Status || got.Value != e.want.Value || got.Key+got.Extras != "" || got.CAS != 0 {
						t.Errorf("%s: %v is answered %v, not %v", name, e.send, got, e.want)
						break
					}
					if e == out {
						c.Closed()
					}
				}
				c.Close()
			}
			c := dialSASL(t, s)
			c.Ask(right)
			if m := c.Stats("settings"); m["auth_enabled_sasl"] != "yes" || m["auth_enabled_ascii"] != "no" || m["binding_protocol"] != "binary" {
				t.Errorf("the settings are %v", m)
			}
		})
	}
}

// TestSASLIsCounted counts logins and what was wrong with them as memcached does.
func TestSASLIsCounted(t *testing.T) {
	t.Parallel()
	for _, k := range harness.Kinds() {
		s := startSASL(t, k, usersFile(t, saslUsers(t)))
		for _, p := range []harness.Packet{
			plain("ann", "one"), plain("ann", "two"), plain("eve", "two"), saslLogin("ann"), saslLogin(""),
			{Op: opSASLStep, Key: "PLAIN", Value: "\x00ann\x00one"}, {Op: opSASLAuth, Key: "FOO", Value: "x"},
			{Op: opSASLAuth, Key: strings.Repeat("X", 33), Value: "x"}, {Op: opSASLList}, {Op: opNoop}, {Op: opSASLAuth},
		} {
			c := dialSASL(t, s)
			c.Ask(p)
			c.Close()
		}
		c := dialSASL(t, s)
		c.Ask(plain("bob", "two"))
		if m := c.Stats(""); m["auth_cmds"] != "7" || m["auth_errors"] != "5" {
			t.Errorf("%s: auth_cmds %s, auth_errors %s", k.Name, m["auth_cmds"], m["auth_errors"])
		}
	}
}

// TestSASLHidesEverything sends every other opcode that there is, with what would
// make it a good request: it is refused before the login, and does nothing.
func TestSASLHidesEverything(t *testing.T) {
	t.Parallel()
	for _, k := range harness.Kinds() {
		s := startSASL(t, k, usersFile(t, saslUsers(t)), "-A")
		for op := range 256 {
			p := harness.Packet{Op: byte(op), Opaque: uint32(op)}
			switch p.Op {
			case opSASLList, opSASLAuth, opSASLStep, opVersion:
				continue
			case opSet, opAdd, opSetQ, opAddQ:
				p.Extras, p.Key, p.Value = "\x00\x00\x00\x00\x00\x00\x00\x00", "a", "1"
			case opGet, opGetQ, opDelete, opStat:
				p.Key = "reset"
			case opFlush, opFlushQ:
				p.Extras = "\x00\x00\x00\x00"
			case opIncr, opIncrQ:
				p.Extras, p.Key = strings.Repeat("\x00", 20), "a"
			}
			c := dialSASL(t, s)
			c.Send(p, plain("ann", "one"))
			if got := c.Next(); got.Status != bAuthFailure.Status || got.Op != p.Op || got.Opaque != p.Opaque {
				t.Errorf("%s: %v is answered %v", k.Name, p, got)
			}
			c.Closed()
			c.Close()
		}
		// Nor does text do anything.
		c := dialSASL(t, s)
		c.SendBytes([]byte("set a 0 0 1\r\n1\r\nshutdown\r\n"))
		c.Closed()
		c = dialSASL(t, s)
		c.Ask(plain("ann", "one"))
		if m := c.Stats(""); m["curr_items"] != "0" || m["cmd_set"] != "0" || m["cmd_get"] != "0" || m["cmd_flush"] != "0" || m["auth_cmds"] != "1" {
			t.Errorf("%s: the statistics are %v", k.Name, m)
		}
	}
}

// TestSASLOfOurs is what memcached does otherwise: see docs/compatibility.md.
func TestSASLOfOurs(t *testing.T) {
	t.Parallel()
	s := startSASL(t, harness.Production(), usersFile(t, "ann:one\n"+saslUsers(t)))
	noop := harness.Packet{Op: opNoop}
	list := harness.Packet{Op: opSASLList}

	// A user is found by the name that the file has, too.
	c := dialSASL(t, s)
	c.Expect(plain("ann", "one"), bAuthenticated)
	// A login lasts, whatever the client sends, until a wrong one.
	c.Expect(list, bMechanisms)
	c.Expect(noop, bOK)
	c.Expect(plain("bob", "two"), bAuthenticated)
	c.Expect(noop, bOK)
	// Who was wrong can be right.
	c.Expect(plain("bob", "too"), bAuthFailure)
	c.Expect(plain("bob", "two"), bAuthenticated)
	c.Expect(bSet(opSet, "a", "1", 0, 0), bOK)
	c.Close()

	// A third time does not come.
	c = dialSASL(t, s)
	c.Expect(plain("ann", "a"), bAuthFailure)
	c.Expect(plain("ann", "b"), bAuthFailure)
	c.Send(plain("ann", "c"), plain("ann", "one"), noop)
	if got := c.Next(); got.Status != bAuthFailure.Status {
		t.Errorf("%v", got)
	}
	c.Closed()

	// More than any user and password is not waited for.
	c = dialSASL(t, s)
	big := saslLogin(strings.Repeat("x", 5000)).Bytes()
	c.SendBytes(big[:harness.HeaderSize+len("PLAIN")])
	if got := c.Next(); got.Status != bAuthFailure.Status {
		t.Errorf("%v", got)
	}
	c.Closed()

	// Everything at once, and byte by byte.
	all := append(append(list.Bytes(), plain("ann", "one").Bytes()...), bSet(opSet, "b", strings.Repeat("v", 20_000), 0, 0).Bytes()...)
	all = append(all, bGet(opGetK, "b").Bytes()...)
	for _, piece := range []int{len(all), 1} {
		c := dialSASL(t, s)
		go func() {
			for rest := all; len(rest) > 0; rest = rest[min(piece, len(rest)):] {
				c.Write(rest[:min(piece, len(rest))])
			}
		}()
		for i, want := range []harness.Packet{bMechanisms, bAuthenticated, bOK, withKey(hit(0, strings.Repeat("v", 20_000)), "b")} {
			if got := c.Next(); got.Status != want.Status || got.Value != want.Value {
				t.Errorf("in pieces of %d, reply %d is %v", piece, i, got)
			}
		}
		c.Close()
	}
}

// TestSASLGuessing guesses from one address: see TestGuessing.
func TestSASLGuessing(t *testing.T) {
	t.Parallel()
	s := startSASL(t, harness.Production(), usersFile(t, "ann:one\n"), "-t", "1")
	friend := s.DialBinaryFrom(t, "127.0.0.2")
	friend.Expect(plain("ann", "one"), bAuthenticated)
	const guessers, tries, free = 3, 3, 3
	var all []*harness.BinaryConn
	for range guessers {
		c := s.DialBinaryFrom(t, "127.0.0.3")
		c.Send(plain("ann", "a"), plain("ann", "b"), plain("ann", "c"))
		all = append(all, c)
	}
	harness.Eventually(t, "they wait", func() bool { return friend.Stats("")["auth_delays"] != "0" })
	for _, c := range all {
		for range tries {
			if got := c.Next(); got.Status != bAuthFailure.Status {
				t.Errorf("%v", got)
			}
		}
		c.Closed()
	}
	if got, want := friend.Stats("")["auth_delays"], strconv.Itoa(guessers*tries-free); got != want {
		t.Errorf("%s guesses waited, not %s", got, want)
	}
	s.DialBinaryFrom(t, "127.0.0.3").Expect(plain("ann", "one"), bAuthenticated)
}

// TestSASLLoginIsDue has clients that do not log in, or not any more, take all
// connections: they are closed.
func TestSASLLoginIsDue(t *testing.T) {
	t.Parallel()
	const all = 8
	s := startSASL(t, harness.Production(), usersFile(t, "ann:one\n"), "-c", strconv.Itoa(all), "-o", "auth_timeout=1")
	ann, opened := dialInTime(t, s, plain("ann", "one"), bAuthenticated)
	for i := range all - 1 {
		n := 1
		switch i % 4 {
		case 0:
			dialSASL(t, s)
		case 1:
			dialSASL(t, s).Write(plain("ann", "one").Bytes()[:30])
		case 2:
			_, n = dialInTime(t, s, harness.Packet{Op: opSASLList}, bMechanisms)
		case 3: // it was in, and is not
			var c *harness.BinaryConn
			c, n = dialInTime(t, s, plain("ann", "one"), bAuthenticated)
			c.Expect(plain("ann", "two"), bAuthFailure)
		}
		opened += n
	}
	harness.Eventually(t, "the others are gone", func() bool { return ann.Stats("")["curr_connections"] == "1" })
	if got := ann.Stats("")["auth_timeouts"]; got != strconv.Itoa(opened-1) {
		t.Errorf("auth_timeouts is %s, not %d", got, opened-1)
	}
}

// dialInTime opens connections until a packet on one has been answered before its login
// was due, and says how many.
func dialInTime(t *testing.T, s *harness.Server, p, want harness.Packet) (c *harness.BinaryConn, opened int) {
	t.Helper()
	harness.Eventually(t, "a client is answered before its login is due", func() bool {
		opened++
		c = dialSASL(t, s)
		c.SetDeadline(time.Now().Add(harness.Patience))
		c.Write(p.Bytes())
		got, err := harness.ReadPacket(c.R)
		if err == nil && (got.Status != want.Status || got.Value != want.Value) {
			t.Fatalf("%v is answered with %v", p, got)
		}
		return err == nil
	})
	return c, opened
}

// TestSASLLoginIsDueWithoutOthers has a client fail to log in again, in the second in which
// the server last looked whose time was up. It is closed although nothing else happens.
func TestSASLLoginIsDueWithoutOthers(t *testing.T) {
	t.Parallel()
	s := startSASL(t, harness.Production(), usersFile(t, "ann:one\n"), "-t", "1", "-o", "auth_timeout=1")
	for range 2 {
		c, _ := dialInTime(t, s, plain("ann", "one"), bAuthenticated)
		time.Sleep(2100 * time.Millisecond) // until the server has looked whether it logged in
		c.Expect(harness.Packet{Op: opNoop}, bOK)
		c.Expect(plain("ann", "two"), bAuthFailure)
		c.Closed()
	}
}

// TestSASLFile replaces the file of users, and has one that cannot be trusted.
func TestSASLFile(t *testing.T) {
	t.Parallel()
	users := usersFile(t, "ann:one\n")
	s := startSASL(t, harness.Production(), users)
	s.SaysMore = true
	if maySASL(t, s, "bob", "two") {
		t.Fatal("bob is in before he is there")
	}
	writeUsers(t, users, "# those who may\nbob:two\n")
	s.Signal(syscall.SIGHUP)
	harness.Eventually(t, "bob may log in", func() bool { return maySASL(t, s, "bob", "two") })
	if maySASL(t, s, "ann", "one") {
		t.Error("ann may still log in")
	}
	writeUsers(t, users, "eve:five\n")
	if err := os.Chmod(users, 0o620); err != nil {
		t.Fatal(err)
	}
	s.Signal(syscall.SIGHUP)
	harness.Eventually(t, "the file is refused", func() bool { return strings.Contains(s.Stderr(), "the users stay as they were\n") })
	if maySASL(t, s, "eve", "five") || !maySASL(t, s, "bob", "two") {
		t.Error("a file counts that others may write")
	}
	for file, says := range map[string]string{
		users:                            "cannot be trusted: its group or others may write to it",
		filepath.Dir(users):              "is a directory",
		filepath.Join(users, "x"):        "not a directory",
		filepath.Dir(users) + "/missing": "no such file",
		usersFile(t, strings.Repeat("a:b\n", 1025)):                  "line 1025: there can be 1024 users",
		usersFile(t, "ann:"+strings.Repeat("x", 300)+"\n"):           "line 1: the line is longer than 255 bytes",
		usersFile(t, strings.Repeat("no users, but long\n", 20_000)): "the file is too large",
	} {
		k := harness.WithEnv(harness.Production(), "MEMCACHED_SASL_PWDB="+file)
		if code, said := harness.Refused(t, k, "-S"); code != 1 || !strings.Contains(said, says) || strings.Count(said, "\n") != 1 {
			t.Errorf("%s: status %d, %q, not one line with %q", file, code, said, says)
		}
	}
}

// TestPasswordsOnTheNetwork warns about passwords that others may read.
func TestPasswordsOnTheNetwork(t *testing.T) {
	t.Parallel()
	users := usersFile(t, "ann:one\n")
	const warning = "tcp:0.0.0.0:"
	for name, start := range map[string]func(addr string) *harness.Server{
		"-S": func(addr string) *harness.Server { return startSASL(t, harness.Production(), users, "-l", addr) },
		"-Y": func(addr string) *harness.Server {
			return harness.Start(t, harness.Production(), "-Y", users, "-l", addr)
		},
		"-S with TLS": func(addr string) *harness.Server {
			return startSASL(t, harness.Production().WithTLS(harness.NewCertificates(t, "ECDSA")), users, "-l", addr)
		},
		"neither": func(addr string) *harness.Server { return harness.Start(t, harness.Production(), "-l", addr) },
	} {
		for addr, warned := range map[string]bool{"0.0.0.0": name == "-S" || name == "-Y", "127.0.0.1": false} {
			s := start(addr)
			s.SaysMore = true
			if got := strings.Contains(s.Stderr(), "passwords are sent unencrypted"); got != warned || got && !strings.Contains(s.Stderr(), warning) {
				t.Errorf("%s on %s: it says %q", name, addr, s.Stderr())
			}
		}
	}
}
