package sandbox

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func init() {
	// locks closes them without filters behind, so that what is refused is
	// refused by them.
	children["locks"] = func(o options) {
		var addr unix.SockaddrInet4
		fmt.Sscanf(o.Kind, "127.0.0.1:%d", &addr.Port)
		addr.Addr = [4]byte{127, 0, 0, 1}
		p := LockParams{CoreDumps: o.Count > 0}
		p.Writable, p.Removable = []string{o.Dir + "/rw"}, []string{o.Dir + "/rm"}
		locks, err := dropPrivileges(o)
		must(err)
		locks = append(locks, Locks(p)...)
		for _, l := range locks {
			fmt.Printf("lock %s: %v\n", l.Name, l.Err)
		}
		say := func(what string, err error) { fmt.Printf("%s: %v\n", what, err) }
		open := func(what, path string, flags int) {
			fd, err := unix.Open(path, flags, 0o600)
			unix.Close(fd)
			say(what, err)
		}
		open("read /etc/passwd", "/etc/passwd", unix.O_RDONLY)
		open("list /", "/", unix.O_RDONLY)
		open("write rw", o.Dir+"/rw/new", unix.O_CREAT|unix.O_WRONLY)
		open("write rm", o.Dir+"/rm/new", unix.O_CREAT|unix.O_WRONLY)
		open("read rm", o.Dir+"/rm/old", unix.O_RDONLY)
		say("remove rm", unix.Unlink(o.Dir+"/rm/old"))
		s, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		must(err)
		say("connect", unix.Connect(s, &addr))
		say("bind", unix.Bind(s, &unix.SockaddrInet4{Addr: addr.Addr}))
		_, err = unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
		say("map W+X", err)
		m, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
		must(err)
		say("make X", unix.Mprotect(m, unix.PROT_READ|unix.PROT_EXEC))
		say("signal parent", unix.Kill(unix.Getppid(), 0))
		groups, err := unix.Getgroups()
		fmt.Println("user", unix.Getuid(), unix.Geteuid(), unix.Getgid(), groups, err)
		fmt.Println("root again:", unix.Setuid(0) == nil && unix.Getuid() == 0)
		dumpable, _ := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
		var core unix.Rlimit
		unix.Getrlimit(unix.RLIMIT_CORE, &core)
		fmt.Println("dumpable", dumpable, "core", core.Max == 0)
		names, err := listDir("/proc/self/task")
		must(err)
		for _, name := range names {
			buf := make([]byte, 8192)
			fd, err := unix.Open("/proc/self/task/"+name+"/status", unix.O_RDONLY, 0)
			must(err)
			n, err := unix.Read(fd, buf)
			must(err)
			proof := parseStatus(buf[:n])
			fmt.Println("thread", proof.Capabilities, proof.NoNewPrivs)
		}
	}
}

// dropPrivileges drops them, and becomes the user if there is one to become.
func dropPrivileges(o options) ([]Lock, error) {
	if o.UID > 0 {
		return DropPrivileges(o.UID, o.UID)
	}
	return DropPrivileges(-1, 0)
}

func TestLocks(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	for _, sub := range []string{"rw", "rm"} {
		must(os.Mkdir(filepath.Join(dir, sub), 0o777))
		must(os.Chmod(filepath.Join(dir, sub), 0o777))
	}
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		os.Chmod(d, 0o755)
	}
	must(os.WriteFile(filepath.Join(dir, "rm/old"), nil, 0o666))
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	o := options{Dir: dir, Kind: l.Addr().String()}
	user := fmt.Sprintf("user %d %d %d", os.Getuid(), os.Getuid(), os.Getgid())
	if os.Getuid() == 0 {
		o.UID = 65534
		user = "user 65534 65534 65534 [65534]"
	}
	r := run(t, "locks", o)
	r.check(t, 0)
	want := []string{user, "root again: false", "dumpable 0 core true"}
	for lock, effects := range map[string][]string{
		"no capabilities":                        {},
		"no new privileges":                      {},
		"not dumpable":                           {},
		"no core files":                          {},
		"memory never executable (MDWE)":         {"map W+X: permission denied", "make X: permission denied"},
		"files closed (Landlock)":                {"read /etc/passwd: permission denied", "list /: permission denied", "write rw: <nil>", "write rm: permission denied", "read rm: permission denied", "remove rm: <nil>"},
		"TCP bind and connect closed (Landlock)": {"connect: permission denied", "bind: permission denied"},
		"abstract sockets and signals to others closed (Landlock)": {"signal parent: operation not permitted"},
	} {
		switch {
		case strings.Contains(r.stdout, "lock "+lock+": <nil>\n"):
			want = append(want, effects...)
		case strings.Contains(r.stdout, "lock "+lock+": "):
			t.Logf("unavailable: %s", lock)
		default:
			t.Errorf("nothing is said of %q", lock)
		}
	}
	for _, line := range want {
		if !strings.Contains(r.stdout, line) {
			t.Errorf("lacks %q:\n%s", line, r.stdout)
		}
	}
	checkThreads(t, r)
	// A process that stays root has no capabilities either.
	o.Count, o.UID = 1, 0
	r = run(t, "locks", o)
	r.check(t, 0)
	checkThreads(t, r)
	if os.Getuid() == 0 && !strings.Contains(r.stdout, "dumpable 1 core false") {
		t.Errorf("with core dumps: %v", r)
	}
}

// checkThreads sees what each thread may have after the locks.
func checkThreads(t *testing.T, r result) {
	t.Helper()
	threads := 0
	for line := range strings.Lines(r.stdout) {
		if strings.HasPrefix(line, "thread ") {
			threads++
			if line != "thread 0 true\n" {
				t.Errorf("capabilities or new privileges are open: %s", line)
			}
		}
	}
	if threads < 2 {
		t.Errorf("saw %d threads", threads)
	}
}

// All locks and filters go together.
func TestEverything(t *testing.T) {
	t.Parallel()
	o := options{Modes: "enforce", Role: "worker", Nr: unix.SYS_SENDTO, Args: [6]uint64{testClient}, Locks: true}
	if os.Getuid() == 0 {
		o.UID = 65534
	}
	run(t, "call", o).check(t, 0, " errno=0 ")
}

func TestCloseInherited(t *testing.T) {
	t.Parallel()
	cmd := command(t, "inherited", options{})
	for range 3 {
		f, err := os.Open("/dev/null")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
	}
	r := finish(t, cmd)
	r.check(t, 0)
	if !strings.HasSuffix(r.stdout, "; open: false true false\n") {
		t.Error(r)
	}
}

func init() {
	children["inherited"] = func(options) {
		n, err := CloseInherited(4)
		must(err)
		open := func(fd uintptr) bool { _, err := unix.FcntlInt(fd, unix.F_GETFD, 0); return err == nil }
		fmt.Printf("closed %d; open: %v %v %v\n", n, open(3), open(4), open(5))
	}
}

// Locks that are missing for the same reason share it.
func TestUnavailable(t *testing.T) {
	one, other := errors.New("one"), errors.New("other")
	locks := []Lock{{"a", "A", nil}, {"b", "B", one}, {"c", "C", errors.New("one")}, {"d", "D", nil}, {"e", "E", other}}
	if got, want := Unavailable(locks), "B, C: one; E: other"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := Unavailable(locks[:1]); got != "" {
		t.Errorf("of none that is missing: %q", got)
	}
}
