package t

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"gomcd/t/harness"
)

// login is what a client sends to authenticate.
func login(user, pass string) string {
	return fmt.Sprintf("set auth 0 0 %d\r\n%s %s", len(user)+1+len(pass), user, pass)
}

// logins counts those of mayLogIn.
var logins atomic.Uint32

// mayLogIn tells whether a user may, on a connection of their own, from an
// address of their own: who guesses from one is kept waiting.
func mayLogIn(t *testing.T, s *harness.Server, user, pass string) bool {
	t.Helper()
	n := logins.Add(1)
	c := s.DialFrom(t, fmt.Sprintf("127.1.%d.%d", n/250, n%250+1))
	defer c.Close()
	c.SendBytes([]byte(login(user, pass) + "\r\n"))
	switch l := c.Line(); l {
	case "STORED":
		return true
	case "CLIENT_ERROR authentication failure":
	default:
		t.Fatalf("login: %q", l)
	}
	return false
}

// usersFile makes an authentication file in a directory of its own.
func usersFile(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(harness.TempDir(t), "users")
	writeUsers(t, path, text)
	return path
}

// writeUsers replaces an authentication file as editors do. Only the
// server's user may read it and write to its directory.
func writeUsers(t testing.TB, path, text string) {
	t.Helper()
	err := os.Chmod(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path+".new", []byte(text), 0o600)
	}
	if err == nil {
		err = harness.GiveToServer(path + ".new")
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestAuthFileIsReadAgain replaces the file in every way there is.
func TestAuthFileIsReadAgain(t *testing.T) {
	t.Parallel()
	for _, k := range []harness.Kind{harness.Privileged(), harness.Production()} {
		users := usersFile(t, "ann:one\n")
		s := harness.Start(t, k, "-Y", users)
		s.SaysMore = true
		early := s.Dial(t)
		early.SendBytes([]byte(login("ann", "one") + "\r\n"))
		early.Expect("STORED")
		if mayLogIn(t, s, "bob", "two") {
			t.Fatal("bob is in before he is there")
		}

		writeUsers(t, users, "bob:two\ncarol:three")
		s.Signal(syscall.SIGHUP)
		harness.Eventually(t, "bob may log in", func() bool { return mayLogIn(t, s, "bob", "two") })
		if mayLogIn(t, s, "ann", "one") || !mayLogIn(t, s, "carol", "three") {
			t.Error("it is not the new file that counts")
		}
		// A client that is logged in stays so, as with memcached.
		early.Set("a", "1")

		// Written over in place.
		if err := os.WriteFile(users, []byte("dave:four\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		s.Signal(syscall.SIGHUP)
		harness.Eventually(t, "dave may log in", func() bool { return mayLogIn(t, s, "dave", "four") })

		for _, bad := range []struct{ text, says string }{
			{"eve:five\nno colon\n", "line 2: malformed entry"},
			{"", "there are no users"},
			{"eve:" + strings.Repeat("x", 300) + "\n", "line 1: the line is longer"},
			{strings.Repeat("eve:five\n", 65), "line 65: there can be 64 users"},
			{strings.Repeat("eve:five", 10_000), "the file is too large"},
			{"gone", "no such file"},
		} {
			writeUsers(t, users, bad.text)
			if bad.text == "gone" {
				os.Remove(users)
			}
			s.Signal(syscall.SIGHUP)
			harness.Eventually(t, "it says: "+bad.says, func() bool { return strings.Contains(s.Stderr(), bad.says) })
			if !mayLogIn(t, s, "dave", "four") || mayLogIn(t, s, "eve", "five") {
				t.Errorf("%.30q changed who may log in", bad.text)
			}
		}
		if n := strings.Count(s.Stderr(), "the users stay as they were\n"); n != 6 {
			t.Errorf("it says %d times that nothing changes:\n%s", n, s.Stderr())
		}
	}
}

// TestAuthFileBehindLinks replaces it as Kubernetes does: the directory has a
// link to a directory with the files, and the link is exchanged.
func TestAuthFileBehindLinks(t *testing.T) {
	t.Parallel()
	dir := filepath.Dir(usersFile(t, ""))
	if err := os.Remove(filepath.Join(dir, "users")); err != nil {
		t.Fatal(err)
	}
	version := func(n int, text string) {
		t.Helper()
		name := fmt.Sprintf("..v%d", n)
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
		writeUsers(t, filepath.Join(dir, name, "users"), text)
		if err := os.Symlink(name, filepath.Join(dir, "..tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	version(1, "ann:one\n")
	users := filepath.Join(dir, "users")
	if err := os.Symlink("..data/users", users); err != nil {
		t.Fatal(err)
	}
	s := harness.Start(t, harness.Production(), "-Y", users)
	version(2, "bob:two\n")
	os.RemoveAll(filepath.Join(dir, "..v1"))
	s.Signal(syscall.SIGHUP)
	harness.Eventually(t, "bob may log in", func() bool { return mayLogIn(t, s, "bob", "two") })
	if mayLogIn(t, s, "ann", "one") {
		t.Error("ann may still log in")
	}
}

// TestAuthFileLinkedOut starts with a file that is only a link to somewhere
// the reloader may not go: that is reported at start, not when it is too late.
func TestAuthFileLinkedOut(t *testing.T) {
	t.Parallel()
	target := filepath.Join(harness.TempDir(t), "real")
	users := usersFile(t, "ann:one\n")
	if err := os.Rename(users, target); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, users); err != nil {
		t.Fatal(err)
	}
	s := harness.Start(t, harness.Production(), "-Y", users)
	s.Says = "gomcd: SIGHUP cannot reload the authentication file: reading it again, " + users + " gives: permission denied\n" + s.Says
	if !mayLogIn(t, s, "ann", "one") {
		t.Error("ann may not log in")
	}
}

// TestAuthHidesEverything sends each command there is, and packets, in one
// piece before a login: none of them does or tells anything.
func TestAuthHidesEverything(t *testing.T) {
	t.Parallel()
	users := usersFile(t, "ann:one\n")
	s := harness.Start(t, harness.Production(), "-A", "-Y", users)
	c := s.Dial(t)
	var all strings.Builder
	commands := []string{
		"get foo", "gets foo", "gat 0 foo", "gats 0 foo", "add foo 0 0 1", "cas foo 0 0 1 1", "append foo 0 0 1",
		"prepend foo 0 0 1", "replace foo 0 0 1", "delete foo", "incr foo 1", "decr foo 1", "touch foo 0",
		"mg foo s v", "ms foo 1", "md foo", "ma foo", "me foo", "version", "stats", "stats reset", "stats sandbox",
		"stats conns", "watch fetchers", "slabs reassign 1 2", "lru mode flat", "lru_crawler metadump all",
		"lru_crawler mgdump all", "flush_all", "verbosity 2", "shutdown", "shutdown graceful", "cache_memlimit 8",
		"debugtime p", "refresh_certs", "stats cachedump 1 1",
		"\x80\x0b" + strings.Repeat("\x00", 22), "\x80\x08" + strings.Repeat("\x00", 22),
	}
	for _, cmd := range commands {
		all.WriteString(cmd + "\r\n")
	}
	all.WriteString(login("ann", "one") + "\r\nget foo\r\n")
	c.SendBytes([]byte(all.String()))
	for range commands {
		c.Expect("CLIENT_ERROR unauthenticated")
	}
	c.Expect("STORED", "END")
	stats := c.Stats("")
	for name, want := range map[string]string{
		"cmd_get": "1", "cmd_set": "0", "cmd_flush": "0", "cmd_meta": "0", "cmd_touch": "0", "curr_items": "0",
		"limit_maxbytes": "67108864", "auth_cmds": "1", "auth_errors": "0",
	} {
		if stats[name] != want {
			t.Errorf("%s is %s, want %s", name, stats[name], want)
		}
	}
	if got := c.Stats("settings")["verbosity"]; got != "0" {
		t.Errorf("verbosity is %s", got)
	}
}

// TestAuthUnderLoad pipelines far more refused lines than any buffer holds, on
// several connections, without reading in between.
func TestAuthUnderLoad(t *testing.T) {
	t.Parallel()
	users := usersFile(t, "ann:one\n")
	s := harness.Start(t, harness.Production(), "-Y", users, "-t", "2")
	const conns, lines = 8, 50_000
	done := make(chan int, conns)
	for range conns {
		c := s.Dial(t)
		go c.Write([]byte(strings.Repeat("get a\r\n", lines) + login("ann", "one") + "\r\n"))
		go func() {
			n := 0
			for {
				l, err := c.Next()
				if err != nil || l != "CLIENT_ERROR unauthenticated" {
					if l != "STORED" {
						n = -1
					}
					done <- n
					return
				}
				n++
			}
		}()
	}
	for range conns {
		if n := <-done; n != lines {
			t.Errorf("%d lines were refused, not %d", n, lines)
		}
	}
}

// TestAuthReloader looks at the thread that reads the file again: it has
// filters of its own, and no descriptor but stderr and the directory.
func TestAuthReloader(t *testing.T) {
	t.Parallel()
	users := usersFile(t, "ann:one\n")
	s := harness.Start(t, harness.Production(), "-Y", users)
	s.Inspectable(t)
	found := false
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", s.PID()))
	for _, task := range tasks {
		if b, _ := os.ReadFile(task + "/comm"); strings.TrimSpace(string(b)) != "reloader" {
			continue
		}
		found = true
		if b, _ := os.ReadFile(task + "/status"); !strings.Contains(string(b), fmt.Sprintf("\nSeccomp_filters:\t%d\n", harness.Filters())) {
			t.Errorf("its status is\n%s", b)
		}
		fds, err := filepath.Glob(task + "/fd/*")
		if err != nil || len(fds) == 0 {
			t.Fatalf("it has %d descriptors, %v", len(fds), err)
		}
		for _, fd := range fds {
			lead, err := os.Readlink(fd)
			if n := filepath.Base(fd); err == nil && n != "0" && n != "1" && n != "2" && lead != harness.EventFD && lead != filepath.Dir(users) {
				t.Errorf("its descriptor %s leads to %s", n, lead)
			}
		}
	}
	if !found {
		t.Error("there is no thread named reloader")
	}
	if hasThread(harness.Start(t, harness.Production()), "reloader") {
		t.Error("there is a reloader without -Y")
	}
}

// TestLoginIsDue has clients that do not log in take all connections there are,
// whatever they send meanwhile: they are closed, and who logs in is not.
func TestLoginIsDue(t *testing.T) {
	t.Parallel()
	const all = 8
	s := harness.Start(t, harness.Production(), "-c", strconv.Itoa(all), "-o", "auth_timeout=1", "-Y", usersFile(t, "ann:one\n"))
	late := all - 1
	in := func() *harness.Conn {
		var c *harness.Conn
		harness.Eventually(t, "there is room for who logs in", func() bool {
			c = s.Dial(t)
			c.Write([]byte(login("ann", "one") + "\r\n"))
			l, err := c.Next()
			if l != "STORED" {
				c.Close()
			}
			if err != nil { // it is closed and not refused: on a busy machine that took too long
				late++
			}
			return l == "STORED"
		})
		return c
	}
	ann := in()
	for i := range all - 1 {
		s.Dial(t).Write([]byte([]string{"", "set a", "set a 0 0 7\r\nfoo", "version\r\n"}[i%4]))
	}
	in().Close()
	harness.Eventually(t, "the others are gone", func() bool { return ann.Stats("")["curr_connections"] == "1" })
	if got := ann.Stats("")["auth_timeouts"]; got != strconv.Itoa(late) {
		t.Errorf("auth_timeouts is %s, not %d", got, late)
	}
	if got := ann.Stats("settings")["auth_timeout"]; got != "1" {
		t.Errorf("auth_timeout is %s", got)
	}
}

// TestGuessing guesses from one address: only clients there have to wait, not those of
// the same worker and not those that log in from elsewhere. Another client at the same
// address can still log in.
func TestGuessing(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Production(), "-t", "1", "-Y", usersFile(t, "ann:one\n"))
	friend := s.DialFrom(t, "127.0.0.2")
	friend.Ask(login("ann", "one"), "STORED")
	delays := func() string { return friend.Stats("")["auth_delays"] }
	const guessers, tries = 5, 3
	var all []*harness.Conn
	for range guessers {
		c := s.DialFrom(t, "127.0.0.3")
		c.SendBytes([]byte(strings.Repeat(login("ann", "two")+"\r\n", tries)))
		all = append(all, c)
	}
	harness.Eventually(t, "they wait", func() bool { return delays() != "0" })
	for _, c := range all {
		for range tries {
			c.Expect("CLIENT_ERROR authentication failure")
		}
		c.Closed()
	}
	const free = 3
	if got, want := delays(), strconv.Itoa(guessers*tries-free); got != want {
		t.Errorf("%s guesses waited, not %s", got, want)
	}
	before := delays()
	s.DialFrom(t, "127.0.0.4").Ask(login("ann", "one"), "STORED")
	if got := delays(); got != before {
		t.Errorf("who logs in from elsewhere waits")
	}
	s.DialFrom(t, "127.0.0.3").Ask(login("ann", "one"), "STORED")
}

// TestAuthFileThatOthersMayWrite is refused, at start and when it is read again,
// and so is one that others may replace; one that all may read is warned about.
func TestAuthFileThatOthersMayWrite(t *testing.T) {
	t.Parallel()
	users := usersFile(t, "ann:one\n")
	dir := filepath.Dir(users)
	chmod := func(path string, mode os.FileMode) {
		t.Helper()
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	const file, directory = "its group or others may write to it", "its directory may be written"
	for _, bad := range []struct {
		file, dir os.FileMode
		says      string
	}{
		{0o602, 0o755, file}, {0o620, 0o755, file}, {0o666, 0o755, file}, {0o666, 0o777 | os.ModeSticky, file},
		{0o600, 0o777, directory}, {0o600, 0o775, directory}, {0o600, 0o757, directory},
	} {
		chmod(users, bad.file)
		chmod(dir, bad.dir)
		if code, said := harness.Refused(t, harness.Production(), "-Y", users); code != 1 || !strings.Contains(said, "Authfile ["+users+"] cannot be trusted: "+bad.says) {
			t.Errorf("modes %v and %v: status %d, %q", bad.file, bad.dir, code, said)
		}
	}
	chmod(users, 0o604)
	chmod(dir, 0o777|os.ModeSticky)
	s := harness.Start(t, harness.Production(), "-Y", users)
	s.SaysMore = true
	if warning := "gomcd: the authentication file " + users + " can be read by everybody: chmod o-r\n"; !strings.Contains(s.Stderr(), warning) {
		t.Errorf("it says %q", s.Stderr())
	}
	for i, bad := range []struct {
		file, dir os.FileMode
		says      string
	}{{0o620, 0o755, file}, {0o600, 0o777, directory}, {0o606, 0o755, file}} {
		writeUsers(t, users, "eve:five\n")
		chmod(users, bad.file)
		chmod(dir, bad.dir)
		s.Signal(syscall.SIGHUP)
		harness.Eventually(t, "the new file is refused", func() bool {
			return strings.Count(s.Stderr(), "; the users stay as they were\n") == i+1
		})
		if lines := strings.Split(strings.TrimSpace(s.Stderr()), "\n"); !strings.Contains(lines[len(lines)-1], users+": "+bad.says) {
			t.Errorf("it says %q", lines[len(lines)-1])
		}
		if !mayLogIn(t, s, "ann", "one") || mayLogIn(t, s, "eve", "five") {
			t.Error("a file counts that others may write")
		}
	}
	writeUsers(t, users, "eve:five\n")
	s.Signal(syscall.SIGHUP)
	harness.Eventually(t, "eve may log in", func() bool { return mayLogIn(t, s, "eve", "five") })
}
