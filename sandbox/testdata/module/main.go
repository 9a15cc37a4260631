// Command echo is a server of another module's that confines the thread which
// serves: it may take connections, receive, send and close, and nothing else.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	"gomcd/sandbox"

	"golang.org/x/sys/unix"
)

// role is what the serving thread may do.
func role(listener int) sandbox.Profile {
	return sandbox.Profile{Role: "echo", Rules: []sandbox.Rule{
		sandbox.AllowIf("accept4", "takes connections", sandbox.Is(0, uint64(listener), "the listener")),
		sandbox.AllowIf("getsockopt", "x/sys asks for the protocol that the address belongs to",
			sandbox.Is(1, unix.SOL_SOCKET, "SOL_SOCKET"), sandbox.Is(2, unix.SO_PROTOCOL, "SO_PROTOCOL")),
		sandbox.Allow("recvfrom", "receives lines"),
		sandbox.Allow("sendto", "sends them back"),
		sandbox.Allow("close", "ends connections"),

		sandbox.Allow("futex", "the Go runtime parks and wakes threads"),
		sandbox.Allow("sched_yield", "a thread that waits for a spin lock gives up the processor"),
		sandbox.Allow("nanosleep", "the Go runtime sleeps before it looks again"),
		sandbox.Allow("clock_gettime", "the time, where the vDSO cannot give it"),
		sandbox.Allow("getpid", "the Go runtime interrupts its own threads"),
		sandbox.Allow("tgkill", "the Go runtime interrupts its own threads"),
		sandbox.Allow("rt_sigreturn", "signal handlers return"),
		sandbox.AllowIf("mmap", "the Go heap grows", sandbox.Without(2, unix.PROT_EXEC, "no PROT_EXEC")),
		sandbox.Allow("madvise", "the Go heap grows"),
		sandbox.AllowIf("write", "says why it ends", sandbox.Is(0, 2, "stderr")),
		sandbox.Allow("exit_group", "the process ends"),
	}}
}

func serve() error {
	runtime.LockOSThread() // a filter is a thread's
	listener, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := unix.Bind(listener, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return err
	}
	if err := unix.Listen(listener, 16); err != nil {
		return err
	}
	addr, err := unix.Getsockname(listener)
	if err != nil {
		return err
	}
	program, err := role(listener).CompileFor(sandbox.Fail(unix.EPERM))
	if err != nil {
		return err
	}
	if err := sandbox.NoNewPrivileges(); err != nil {
		return err
	}
	fmt.Println(addr.(*unix.SockaddrInet4).Port)
	if err := program.Install(); err != nil {
		return err
	}
	line := make([]byte, 1024)
	for {
		client, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
		if err != nil {
			return err
		}
		n, _, err := unix.Recvfrom(client, line, 0)
		if err != nil {
			return err
		}
		reply := line[:n]
		if path, found := strings.CutPrefix(string(reply), "open "); found {
			// What a bug in a server would be used for.
			_, err := unix.Open(strings.TrimSpace(path), unix.O_RDONLY, 0)
			reply = fmt.Appendln(nil, err)
		}
		if err := unix.Sendto(client, reply, unix.MSG_NOSIGNAL, nil); err != nil {
			return err
		}
		unix.Close(client)
	}
}

func main() {
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
