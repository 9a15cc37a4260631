package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The system calls of the engine go to the kernel directly: the runtime need
// not know of calls that hardly ever block, and where it does not know it does
// not look after them every 20 microseconds.

func recv(fd int32, b []byte, flags int) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))),
		uintptr(len(b)), uintptr(flags), 0, 0)
	return int(n), errno
}

func send(fd int32, b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))),
		uintptr(len(b)), unix.MSG_NOSIGNAL, 0, 0)
	return int(n), errno
}

// wait waits for events for up to timeout, which is short: no collection can
// begin meanwhile.
func wait(epfd int, events []unix.EpollEvent, timeout time.Duration) (int, syscall.Errno) {
	if timeout <= 0 {
		n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epfd), uintptr(unsafe.Pointer(&events[0])),
			uintptr(len(events)), 0, 0, 0)
		return int(n), errno
	}
	ts := unix.NsecToTimespec(int64(timeout))
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT2, uintptr(epfd), uintptr(unsafe.Pointer(&events[0])),
		uintptr(len(events)), uintptr(unsafe.Pointer(&ts)), 0, 0)
	return int(n), errno
}

// connect opens a connection without Go's poller. It waits so long for the
// server to have room for it.
func connect(addr string, patience time.Duration) (int32, error) {
	sa, family, err := sockaddr(addr)
	if err != nil {
		return 0, err
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	tv := unix.NsecToTimeval(int64(patience))
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &tv)
	if err := unix.Connect(fd, sa); err != nil {
		unix.Close(fd)
		if err == unix.EINPROGRESS || err == unix.EAGAIN {
			return 0, fmt.Errorf("not accepted for %v: the server takes fewer connections (its -c)", patience)
		}
		return 0, err
	}
	if family != unix.AF_UNIX {
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return 0, err
	}
	return int32(fd), nil
}

// sockaddr understands HOST:PORT and, as it has a slash, the path of a unix
// socket.
func sockaddr(addr string) (unix.Sockaddr, int, error) {
	if strings.Contains(addr, "/") {
		return &unix.SockaddrUnix{Name: addr}, unix.AF_UNIX, nil
	}
	tcp, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, 0, err
	}
	if ip := tcp.IP.To4(); ip != nil {
		return &unix.SockaddrInet4{Port: tcp.Port, Addr: [4]byte(ip)}, unix.AF_INET, nil
	}
	if tcp.IP == nil {
		return &unix.SockaddrInet4{Port: tcp.Port, Addr: [4]byte{127, 0, 0, 1}}, unix.AF_INET, nil
	}
	return &unix.SockaddrInet6{Port: tcp.Port, Addr: [16]byte(tcp.IP)}, unix.AF_INET6, nil
}

// dial is connect by the standard library, over TLS if there is a configuration.
func dial(addr string, config *tls.Config) (net.Conn, error) {
	network := "tcp"
	if strings.Contains(addr, "/") {
		network = "unix"
	}
	if config != nil {
		return tls.DialWithDialer(&net.Dialer{Timeout: patience}, network, addr, config)
	}
	return net.Dial(network, addr)
}

// pinSelf binds every thread of this process to a processor; those born later
// inherit it. A negative number leaves them where they are.
func pinSelf(cpu int) error {
	if cpu < 0 {
		return nil
	}
	var set unix.CPUSet
	set.Set(cpu)
	if err := bindSelf(&set); err != nil {
		return fmt.Errorf("pinning the generator to processor %d (--gen-cpu): %w", cpu, err)
	}
	return nil
}

// bindSelf binds every thread of this process to some processors.
func bindSelf(set *unix.CPUSet) error {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, t := range tasks {
		tid, err := strconv.Atoi(t.Name())
		if err != nil {
			continue
		}
		if err := unix.SchedSetaffinity(tid, set); err != nil && err != unix.ESRCH {
			return err
		}
	}
	return nil
}

func pinThread(tid, cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	return unix.SchedSetaffinity(tid, &set)
}

// pinned runs f with the calling thread, and so the processes that it starts,
// bound to a processor.
func pinned(cpu int, f func() error) error {
	if cpu < 0 {
		return f()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}
	if err := pinThread(0, cpu); err != nil {
		return fmt.Errorf("pinning the server to processor %d (--server-cpu): %w", cpu, err)
	}
	defer unix.SchedSetaffinity(0, &before)
	return f()
}

// used is processor time that threads had, and for how long they could have run
// and something else did.
type used struct{ ran, waited time.Duration }

func (u used) since(before used) used { return used{u.ran - before.ran, u.waited - before.waited} }

// pushedAside is for how much of so many nanoseconds something else had the
// processor. Threads of the same server that wait for one another do not count.
func (u used) pushedAside(took float64) float64 {
	return max(0, min(float64(u.waited), took-float64(u.ran))) / took
}

// usedBy sums up what the kernel's scheduler counted of threads, whose
// directories in /proc match the pattern.
func usedBy(pattern string) used {
	paths, _ := filepath.Glob(pattern + "/schedstat")
	var u used
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		var ran, waited int64
		fmt.Sscan(string(b), &ran, &waited)
		u.ran += time.Duration(ran)
		u.waited += time.Duration(waited)
	}
	return u
}

// threadUse is that of the calling thread, processUse that of all of this
// process's.
func threadUse() used  { return usedBy("/proc/thread-self") }
func processUse() used { return usedBy("/proc/self/task/*") }

// processors is how many of them the calling thread may run on.
func processors() int {
	var set unix.CPUSet
	if unix.SchedGetaffinity(0, &set) != nil {
		return 1
	}
	return set.Count()
}

// raiseFiles allows as many open files as the system lets this process have.
func raiseFiles() {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) == nil {
		l.Cur = l.Max
		unix.Setrlimit(unix.RLIMIT_NOFILE, &l)
	}
}
