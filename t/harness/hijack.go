package harness

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Hijacked is a thread of a server that was taken over. It is stopped by
// ptrace(2), and makes the system calls that the test asks for: from inside the
// thread, so under its filters and with its descriptors, in the binary that
// operators run. A call that is forbidden ends in SIGSYS, which is kept from the
// thread, so that it can go on to try the next.
type Hijacked struct {
	t     testing.TB
	tid   int
	saved registers
	ip    uint64 // of an instruction that makes a system call
}

// Outcome is the result of a call.
type Outcome struct {
	Forbidden bool // by a filter
	Value     int
	Errno     syscall.Errno
}

func (o Outcome) String() string {
	switch {
	case o.Forbidden:
		return "forbidden"
	case o.Errno != 0:
		return unix.ErrnoName(o.Errno)
	}
	return fmt.Sprint(o.Value)
}

// StartApart starts a server that is no child of the test's: a parent that waits for a
// child's end gets its stops, too, so that main could not be taken over.
func StartApart(t testing.TB, k Kind, flags ...string) *Server {
	t.Helper()
	k.args = append([]string{"-c", `"$0" "$@" & wait $!`, k.binary}, k.args...)
	k.binary = "/bin/sh"
	s := Start(t, k, flags...)
	pid := s.cmd.Process.Pid
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err == nil {
		_, err = fmt.Sscan(string(children), &s.inner)
	}
	if err != nil {
		t.Fatalf("looking for the server: %v", err)
	}
	return s
}

// Hijack takes a thread over until the test ends or [Hijacked.Release]. The
// calling goroutine stays on its thread, for that is the tracer. Where the test
// may not trace the server, it is skipped.
func (s *Server) Hijack(t testing.TB, tid int) *Hijacked {
	t.Helper()
	if tid == s.cmd.Process.Pid {
		t.Fatal("main can be taken over of a server that was started apart")
	}
	runtime.LockOSThread()
	err := unix.PtraceSeize(tid)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSYS) {
		t.Skipf("this user may not trace the server: %v", err)
	}
	h := &Hijacked{t: t, tid: tid}
	if err != nil {
		t.Fatalf("tracing thread %d: %v", tid, err)
	}
	Eventually(t, "the thread is stopped in a system call", func() bool {
		if err := h.stop(); err != nil {
			t.Fatalf("taking over thread %d: %v", tid, err)
		}
		if h.ip == 0 {
			unix.PtraceCont(tid, 0)
		}
		return h.ip != 0
	})
	t.Cleanup(h.Release)
	return h
}

// stop stops the thread where it is, and looks for the instruction of the system
// call that it is in.
func (h *Hijacked) stop() error {
	if err := unix.PtraceInterrupt(h.tid); err != nil {
		return err
	}
	if _, err := unix.Wait4(h.tid, nil, unix.WALL, nil); err != nil {
		return err
	}
	var err error
	h.saved, err = getRegisters(h.tid)
	h.ip = h.saved.restart(func(ip uint64) uint32 {
		var b [4]byte
		unix.PtracePeekData(h.tid, uintptr(ip), b[:])
		return binary.LittleEndian.Uint32(b[:])
	})
	return err
}

// Violate has the thread make a call for good: if it is forbidden, the filter does what
// it does without a tracer.
func (h *Hijacked) Violate(nr int) {
	h.t.Helper()
	r := h.saved
	r.call(h.ip, nr, [6]uint64{})
	if err := setRegisters(h.tid, &r); err != nil {
		h.t.Fatalf("setting registers: %v", err)
	}
	h.saved = r
	h.Release()
}

// Ip is where the instruction is that Call uses.
func (h *Hijacked) Ip() uint64 { return h.ip }

// Call has the thread make a call. Arguments are numbers, or bytes in memory
// that the call gets the address of.
func (h *Hijacked) Call(nr int, args ...any) Outcome {
	h.t.Helper()
	return h.CallFrom(h.ip, nr, args...)
}

// CallFrom has the thread make a call with the instruction at an address.
func (h *Hijacked) CallFrom(ip uint64, nr int, args ...any) Outcome {
	h.t.Helper()
	const below = 512 // the stack pointer, where signal handlers may write too
	at := (h.saved.stack() - below) &^ 15
	var numbers [6]uint64
	for i, arg := range args {
		switch arg := arg.(type) {
		case int:
			numbers[i] = uint64(arg)
		case uint64:
			numbers[i] = arg
		case []byte:
			at -= uint64(len(arg)+15) &^ 15
			old := make([]byte, len(arg))
			if _, err := unix.PtracePeekData(h.tid, uintptr(at), old); err != nil {
				h.t.Fatalf("reading the thread's memory: %v", err)
			}
			h.poke(at, arg)
			defer h.poke(at, old)
			numbers[i] = at
		default:
			h.t.Fatalf("argument %d is a %T", i, arg)
		}
	}
	r := h.saved
	r.call(ip, nr, numbers)
	if err := setRegisters(h.tid, &r); err != nil {
		h.t.Fatalf("setting registers: %v", err)
	}
	switch sig := h.step(); sig {
	case unix.SIGSYS:
		h.forgetStep()
		return Outcome{Forbidden: true}
	case unix.SIGTRAP:
	default:
		h.t.Fatalf("a thread that was taken over stops by signal %v", sig)
	}
	r, err := getRegisters(h.tid)
	if err != nil {
		h.t.Fatalf("reading registers: %v", err)
	}
	if n := r.result(); n < 0 && n > -4096 {
		return Outcome{Value: -1, Errno: syscall.Errno(-n)}
	} else {
		return Outcome{Value: int(n)}
	}
}

// step lets the thread go on for one instruction, and returns the signal that
// stops it then.
func (h *Hijacked) step() syscall.Signal {
	h.t.Helper()
	var status unix.WaitStatus
	err := unix.PtraceSingleStep(h.tid)
	if err == nil {
		_, err = unix.Wait4(h.tid, &status, unix.WALL, nil)
	}
	if err != nil || !status.Stopped() {
		h.t.Fatalf("a thread that was taken over does not stop: %#x, %v", status, err)
	}
	return status.StopSignal()
}

// forgetStep takes the SIGTRAP of a step from a thread that a SIGSYS has stopped
// before.
func (h *Hijacked) forgetStep() {
	h.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", h.tid))
	if err != nil {
		h.t.Fatal(err)
	}
	_, pending, _ := strings.Cut(string(b), "\nSigPnd:")
	var set uint64
	fmt.Sscanf(pending, "%x", &set)
	if set&(1<<(unix.SIGTRAP-1)) != 0 {
		if sig := h.step(); sig != unix.SIGTRAP {
			h.t.Fatalf("a thread that was taken over stops by signal %v", sig)
		}
	}
}

func (h *Hijacked) poke(at uint64, b []byte) {
	if _, err := unix.PtracePokeData(h.tid, uintptr(at), b); err != nil {
		h.t.Fatalf("writing to the thread's memory: %v", err)
	}
}

// Release lets the thread go on with what it did.
func (h *Hijacked) Release() {
	if h.tid == 0 {
		return
	}
	setRegisters(h.tid, &h.saved)
	unix.PtraceDetach(h.tid)
	h.tid = 0
	runtime.UnlockOSThread()
}

// ThreadDescriptors lists the descriptors of one thread, and what each leads to.
func (s *Server) ThreadDescriptors(tid int) map[int]string {
	s.t.Helper()
	s.Inspectable(s.t)
	dir := fmt.Sprintf("/proc/%d/task/%d/fd/", s.PID(), tid)
	list, err := os.ReadDir(dir)
	if err != nil {
		s.t.Fatal(err)
	}
	fds := map[int]string{}
	for _, e := range list {
		var fd int
		fmt.Sscan(e.Name(), &fd)
		if to, err := os.Readlink(dir + e.Name()); err == nil { // it is still open
			fds[fd] = to
		}
	}
	return fds
}
