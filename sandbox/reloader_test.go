package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	lsys "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// ownDescriptors gives the calling thread a table of descriptors with the
// reloader's directory and nothing else.
func ownDescriptors(dir string) {
	must(LeaveDescriptors())
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	must(err)
	for at := 3; at <= testReload; at++ {
		if at != fd {
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
		attempt := func(dir int, name string, flags int) func() {
			b := append([]byte(name), 0)
			return func() {
				fd, _, errno := unix.Syscall6(unix.SYS_OPENAT, uintptr(dir), uintptr(unsafe.Pointer(&b[0])), uintptr(flags), 0, 0, 0)
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
			"absolute":  attempt(testReload, "/etc/passwd", ReloadFlags),
			"upwards":   attempt(testReload, "../../../../../../etc/passwd", ReloadFlags),
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
	_, without := lsys.LandlockGetABIVersion()
	for _, test := range []struct {
		role   Role
		kind   string
		says   string
		status int
	}{
		{Reloader, "right", "ann:one", 0},
		{Reloader, "absolute", "permission denied", 0},
		{Reloader, "upwards", "permission denied", 0},
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
		{Process, "right", "bad file descriptor", 0},
		{Process, "to write", "role=process", ExitViolation},
	} {
		if without != nil && test.says == "permission denied" {
			continue
		}
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
