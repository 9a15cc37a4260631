package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	lsys "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// ownDescriptors gives the calling thread a table of descriptors with the
// reloader's directory and nothing else.
func ownDescriptors(dir string, event int) {
	must(LeaveDescriptors())
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	must(err)
	for at := 3; at <= testReload; at++ {
		if at != fd && at != event {
			must(unix.Dup3(fd, at, unix.O_CLOEXEC))
		}
	}
	must(unix.CloseRange(testReload+1, 1<<31-1, 0))
}

func init() {
	// reload opens a file in a way that Kind names, and reads it.
	children["reload"] = func(o options) {
		o.Locks = true
		p := boot(o)
		role := Role(o.Role)
		var say string
		buf := make([]byte, 100)
		// attempt opens a file, by its name where the filter knows it or elsewhere.
		attempt := func(dir int, name string, flags int) func() {
			b := append([]byte(name), 0)
			at := uintptr(unsafe.Pointer(&b[0]))
			if name == "users" {
				at = uintptr(p.box.params.ReloadNameAt)
			}
			return func() {
				fd, _, errno := unix.Syscall6(unix.SYS_OPENAT, uintptr(dir), at, uintptr(flags), 0, 0, 0)
				runtime.KeepAlive(b)
				if errno != 0 {
					say = errno.Error()
					return
				}
				n, _, errno := unix.Syscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)))
				if errno != 0 {
					say = errno.Error()
					return
				}
				say = string(buf[:n])
				unix.Syscall(unix.SYS_CLOSE, fd, 0, 0)
			}
		}
		f := map[string]func(){
			"right":     attempt(testReload, "users", ReloadFlags),
			"copy":      attempt(testReload, "users\x00", ReloadFlags),
			"absolute":  attempt(testReload, "/etc/passwd", ReloadFlags),
			"upwards":   attempt(testReload, "../../../../../../etc/passwd", ReloadFlags),
			"beside":    attempt(testReload, "beside", ReloadFlags),
			"maps":      attempt(testReload, "/proc/self/maps", ReloadFlags),
			"task":      attempt(testReload, "/proc/thread-self/status", ReloadFlags),
			"to write":  attempt(testReload, "users", unix.O_RDWR),
			"truncate":  attempt(testReload, "users", ReloadFlags|unix.O_TRUNC),
			"create":    attempt(testReload, "more", ReloadFlags|unix.O_CREAT),
			"other dir": attempt(unix.AT_FDCWD, "/etc/passwd", ReloadFlags),
			"client": func() {
				unix.Syscall(unix.SYS_READ, testClient, uintptr(unsafe.Pointer(&buf[0])), 1)
			},
			"receive": func() { unix.Recvfrom(testClient, buf, unix.MSG_DONTWAIT) },
		}[o.Kind]
		p.on(role, f)
		fmt.Fprintln(os.Stderr, say)
	}
}

// The reloader reads a file of its directory, as often as it likes, and cannot
// do anything else with any other.
func TestReloader(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	if err := os.WriteFile(filepath.Join(dir, "users"), []byte("ann:one"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		role   Role
		kind   string
		says   string
		status int
	}{
		{Reloader, "right", "ann:one", 0},
		{Reloader, "copy", "role=reloader", ExitViolation},
		{Reloader, "absolute", "role=reloader", ExitViolation},
		{Reloader, "upwards", "role=reloader", ExitViolation},
		{Reloader, "beside", "role=reloader", ExitViolation},
		{Reloader, "maps", "role=reloader", ExitViolation},
		{Reloader, "task", "role=reloader", ExitViolation},
		{Reloader, "to write", "role=reloader", ExitViolation},
		{Reloader, "truncate", "role=reloader", ExitViolation},
		{Reloader, "create", "role=reloader", ExitViolation},
		{Reloader, "other dir", "role=reloader", ExitViolation},
		{Reloader, "client", "role=reloader", ExitViolation},
		{Reloader, "receive", "role=reloader", ExitViolation},
		{Worker, "right", "role=worker", ExitViolation},
		{Acceptor, "right", "role=acceptor", ExitViolation},
		{Housekeeper, "right", "role=housekeeper", ExitViolation},
		// The baseline has the reloader's rules, but not its descriptors.
		{Process, "right", "not a directory", 0},
		{Process, "to write", "role=process", ExitViolation},
		// And it is there at boot alone.
		{Runtime, "right", "role=runtime", ExitViolation},
		{Runtime, "maps", "role=runtime", ExitViolation},
	} {
		r := run(t, "reload", options{Role: string(test.role), Kind: test.kind, Reload: dir})
		if r.status != test.status || !strings.Contains(r.stdout+r.stderr, test.says) {
			t.Errorf("%s, %s: want %q and status %d, got %v", test.role, test.kind, test.says, test.status, r)
		}
	}
	if b, err := os.ReadFile(filepath.Join(dir, "users")); err != nil || string(b) != "ann:one" {
		t.Errorf("the file has %q, %v", b, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "more")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is another file: %v", err)
	}
}

// The name that the reloader may open can be a link. One that leads out of the
// directory is followed nowhere: not even to what the process may read in /proc
// until it has read its filters back.
func TestReloaderLinks(t *testing.T) {
	t.Parallel()
	if _, err := lsys.LandlockGetABIVersion(); err != nil {
		t.Skipf("this kernel has no Landlock: %v", err)
	}
	for target, says := range map[string]string{
		"real":                     "ann:one",
		"/etc/passwd":              "permission denied",
		"../outside":               "permission denied",
		"/proc/self/maps":          "permission denied",
		"/proc/self/mountinfo":     "permission denied",
		"/proc/self/net/tcp":       "permission denied",
		"/proc/thread-self/status": "permission denied",
		"/proc/thread-self/net":    "permission denied",
	} {
		root := tempDir(t)
		dir := filepath.Join(root, "auth")
		must(os.Mkdir(dir, 0o755))
		must(os.WriteFile(filepath.Join(dir, "real"), []byte("ann:one"), 0o644))
		must(os.WriteFile(filepath.Join(root, "outside"), []byte("secret"), 0o644))
		must(os.Symlink(target, filepath.Join(dir, "users")))
		r := run(t, "reload", options{Role: string(Reloader), Kind: "right", Reload: dir})
		if r.status != 0 || r.stderr != says+"\n" {
			t.Errorf("%s: want %q, got %v", target, says, r)
		}
	}
}
