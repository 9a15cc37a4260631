package t

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"gomcd/sandbox"
	"gomcd/t/harness"
)

// Every thread of a server in production is taken over, and tries to remove and
// open files, to install a filter, and to undo what keeps it from that. The
// reloader opens its file, main removes the pid file, and no thread does anything
// else.
func TestTakenOverThreadsAreSealed(t *testing.T) {
	t.Parallel()
	dir, auth := harness.TempDir(t), harness.TempDir(t)
	pid, users := filepath.Join(dir, "pid"), filepath.Join(auth, "users")
	writeUsers(t, users, "ann:one\n")
	kept := []string{filepath.Join(dir, "victim"), filepath.Join(dir, "sub", "deep"), filepath.Join(auth, "beside"), users}
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o777); err != nil {
		t.Fatal(err)
	}
	for _, path := range kept[:3] {
		if err := os.WriteFile(path, nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	kind := harness.Production().WithTLS(harness.NewCertificates(t, "ECDSA"))
	s := harness.StartApart(t, kind, "-t", "1", "-P", pid, "-Y", users, "-o", "auth_timeout=0")
	s.SaysMore = true
	names := pinnedNames(t, s.PID())
	if names["pid"] == 0 || names["users"] == 0 {
		t.Fatalf("pinned are %v", names)
	}
	removed := false
	threads := s.Threads()
	for tid, name := range threads {
		if name == "reporter" {
			delete(threads, tid) // what it tries ends the process at once
		}
	}
	for tid, name := range threads {
		t.Run(fmt.Sprintf("%s/%d", name, tid), func(t *testing.T) {
			fds := s.ThreadDescriptors(tid)
			numbers := []int{unix.AT_FDCWD}
			for fd := range fds {
				numbers = append(numbers, fd)
			}
			h := s.Hijack(t, tid)
			defer h.Release()
			forbidden := func(what string, nr int, args ...any) {
				t.Helper()
				if o := h.Call(nr, args...); !o.Forbidden {
					t.Errorf("%s: %v", what, o)
				}
			}
			for _, path := range []string{"victim", "pid", "sub/deep", "sub/../victim", "../" + filepath.Base(dir) + "/victim", kept[0], kept[1], pid, users} {
				for _, fd := range numbers {
					forbidden("unlinkat "+path, unix.SYS_UNLINKAT, fd, []byte(path+"\x00"), 0)
				}
			}
			for _, path := range []string{
				"users", "beside", "victim", "../" + filepath.Base(dir) + "/victim", users, kept[0], "/etc/passwd", "/proc/self/maps", "/proc/self/mountinfo",
				"/proc/self/net/unix", fmt.Sprintf("/proc/self/task/%d/net/tcp", tid), "/proc/self/task", "/proc/self/mem",
			} {
				for _, fd := range numbers {
					forbidden("openat "+path, unix.SYS_OPENAT, fd, []byte(path+"\x00"), sandbox.ReloadFlags, 0)
				}
			}
			for file, at := range names {
				for _, fd := range numbers {
					where := fmt.Sprintf("%s of %d, which is %s", file, fd, fds[fd])
					mine := name == "reloader" && file == "users" && fds[fd] == auth
					if o := h.Call(unix.SYS_OPENAT, fd, at, sandbox.ReloadFlags, 0); mine && o.Value > 0 {
						h.Call(unix.SYS_CLOSE, o.Value)
					} else if !o.Forbidden && !mine {
						t.Errorf("openat %s: %v", where, o)
					}
					unsealed := name == "gomcd" && file == "pid" && fds[fd] == dir
					if unsealed {
						continue
					}
					forbidden("unlinkat "+where, unix.SYS_UNLINKAT, fd, at, 0)
				}
				page := at &^ 4095
				const anonymous = unix.MAP_PRIVATE | unix.MAP_ANONYMOUS
				forbidden("mprotect", unix.SYS_MPROTECT, page, 4096, unix.PROT_READ|unix.PROT_WRITE)
				forbidden("munmap", unix.SYS_MUNMAP, page, 4096)
				forbidden("munmap of all", unix.SYS_MUNMAP, 0, 1<<40)
				forbidden("mmap", unix.SYS_MMAP, page, 4096, unix.PROT_READ|unix.PROT_WRITE, anonymous|unix.MAP_FIXED, -1)
				forbidden("mremap", unix.SYS_MREMAP, page, 4096, 4096, unix.MREMAP_MAYMOVE)
				forbidden("madvise", unix.SYS_MADVISE, page, 4096, unix.MADV_DONTNEED)
			}
			// struct sock_filter, and struct sock_fprog in front of it: the kernel
			// is not to come so far as to look.
			program := make([]byte, unsafe.Sizeof(unix.SockFprog{}))
			for _, flags := range []int{0, unix.SECCOMP_FILTER_FLAG_TSYNC, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER} {
				forbidden("seccomp", unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, program)
			}
			forbidden("prctl", unix.SYS_PRCTL, unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, program)
			forbidden("prctl", unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
			forbidden("prctl", unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 1, 0, 0, 0)
			forbidden("tgkill", unix.SYS_TGKILL, s.PID(), tid, 64)
			forbidden("landlock", unix.SYS_LANDLOCK_RESTRICT_SELF, 3, 0)
			for fd, to := range fds {
				if name != "acceptor" {
					forbidden("accept4", unix.SYS_ACCEPT4, fd, 0, 0, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
				}
				if name != "acceptor" && !strings.HasPrefix(name, "doorman") {
					forbidden("epoll_ctl", unix.SYS_EPOLL_CTL, fd, unix.EPOLL_CTL_ADD, 0, make([]byte, 16))
				}
				status := strings.HasSuffix(to, "/status") && name == "gomcd"
				if o := h.Call(unix.SYS_PREAD64, fd, make([]byte, 8), 1, 0); !o.Forbidden && !status {
					t.Errorf("pread64 of %s: %v", to, o)
				}
				forbidden("getdents64", unix.SYS_GETDENTS64, fd, make([]byte, 64), 64)
				if name == "gomcd" {
					forbidden("recvfrom", unix.SYS_RECVFROM, fd, make([]byte, 8), 1, unix.MSG_DONTWAIT, 0, 0)
					forbidden("sendto", unix.SYS_SENDTO, fd, make([]byte, 8), 1, unix.MSG_DONTWAIT, 0, 0)
				}
				if to == dir && name == "gomcd" && !removed {
					if o := h.Call(unix.SYS_UNLINKAT, fd, names["pid"], 0); o.Value != 0 {
						t.Errorf("unlinkat of the pid file: %v", o)
					}
					removed = true
				}
			}
		})
	}
	if _, err := os.Lstat(pid); !os.IsNotExist(err) || !removed {
		t.Errorf("the pid file: %v", err)
	}
	for _, path := range kept {
		if _, err := os.Lstat(path); err != nil {
			t.Error(err)
		}
	}
}

// openMemory opens a process's memory, and lists its mappings.
func openMemory(t *testing.T, pid int) (maps string, mem *os.File) {
	t.Helper()
	list, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if os.IsPermission(err) {
		t.Skipf("this user may not read the server's memory: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	mem, err = os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Skipf("this user may not read the server's memory: %v", err)
	}
	t.Cleanup(func() { mem.Close() })
	return string(list), mem
}

// pinnedNames reads the names that a server's filters know by their address.
func pinnedNames(t *testing.T, pid int) map[string]int {
	t.Helper()
	maps, mem := openMemory(t, pid)
	names := map[string]int{}
	for line := range strings.Lines(maps) {
		var from, to uint64
		var may string
		fmt.Sscanf(line, "%x-%x %s", &from, &to, &may)
		if to > 4<<20 {
			continue
		}
		if may != "r--p" {
			t.Errorf("below 4 MiB: %s", line)
		}
		page := make([]byte, 256)
		if _, err := mem.ReadAt(page, int64(from)); err != nil {
			t.Fatal(err)
		}
		name, _, _ := bytes.Cut(page, []byte{0})
		names[string(name)] = int(from)
	}
	return names
}
