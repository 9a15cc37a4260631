package sandbox

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func init() {
	// waiting tells its programs and threads and waits for its end.
	children["waiting"] = func(o options) {
		p := boot(o)
		programs := map[Role][]unix.SockFilter{}
		for role := range p.box.programs {
			programs[role] = p.box.Program(role).Instructions()
		}
		json.NewEncoder(os.Stderr).Encode(programs)
		p.on(Process, func() { select {} })
	}
}

// The filters that the kernel holds for each thread are those that were meant.
func TestReadBack(t *testing.T) {
	t.Parallel()
	runtime.LockOSThread() // ptrace knows threads, not processes
	defer runtime.UnlockOSThread()
	for _, o := range []options{{Modes: "enforce", Shutdown: true}, {Modes: "kill"}, {Modes: "audit"}, {Modes: "enforce,worker=audit", TestPrivileges: true}} {
		cmd := command(t, "waiting", o)
		stderr, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer cmd.Wait()
		defer cmd.Process.Kill()
		line, err := bufio.NewReader(stderr).ReadBytes('\n')
		if err != nil {
			t.Fatal(err)
		}
		var programs map[Role][]unix.SockFilter
		if err := json.Unmarshal(line, &programs); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		dir := fmt.Sprintf("/proc/%d/task/", cmd.Process.Pid)
		tids, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		roles := map[string]Role{"reporter": Reporter}
		for _, role := range ownThread {
			roles[threadName(role)] = role
		}
		for _, e := range tids {
			var tid int
			fmt.Sscan(e.Name(), &tid)
			comm, err := os.ReadFile(dir + e.Name() + "/comm")
			if err != nil {
				continue
			}
			want := [][]unix.SockFilter{programs[Process]}
			if role, ok := roles[string(comm[:len(comm)-1])]; ok {
				want = append(want, programs[role])
				delete(roles, string(comm[:len(comm)-1]))
			} else {
				want = append(want, programs[Runtime])
			}
			got, err := filters(tid)
			if err == unix.EACCES || err == unix.EPERM || err == unix.EIO || err == unix.EINVAL {
				t.Skipf("this user or kernel may not read filters back: %v", err)
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != len(want) {
				t.Errorf("%v: thread %s has %d filters, not %d", o.Modes, comm, len(got), len(want))
				continue
			}
			for i := range got {
				if !slices.Equal(got[i], want[i]) {
					t.Errorf("%v: thread %s: filter %d is another", o.Modes, comm, i)
				}
			}
		}
		if len(roles) > 0 {
			t.Errorf("no thread for %v", roles)
		}
	}
}

// filters reads the filters of a thread from the kernel (ptrace(2),
// PTRACE_SECCOMP_GET_FILTER).
func filters(tid int) ([][]unix.SockFilter, error) {
	if err := unix.PtraceSeize(tid); err != nil {
		return nil, err
	}
	defer unix.PtraceDetach(tid)
	if err := unix.PtraceInterrupt(tid); err != nil {
		return nil, err
	}
	var status unix.WaitStatus
	if _, err := unix.Wait4(tid, &status, unix.WALL, nil); err != nil {
		return nil, err
	}
	var all [][]unix.SockFilter
	for i := uintptr(0); ; i++ {
		n, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_SECCOMP_GET_FILTER, uintptr(tid), i, 0, 0, 0)
		if errno == unix.ENOENT {
			return all, nil
		}
		if errno != 0 {
			return nil, errno
		}
		raw := make([]byte, n*8)
		_, _, errno = unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_SECCOMP_GET_FILTER, uintptr(tid), i,
			uintptr(unsafe.Pointer(&raw[0])), 0, 0)
		if errno != 0 {
			return nil, errno
		}
		code := make([]unix.SockFilter, n)
		for j := range code {
			b := raw[j*8:]
			code[j] = unix.SockFilter{Code: binary.NativeEndian.Uint16(b), Jt: b[2], Jf: b[3], K: binary.NativeEndian.Uint32(b[4:])}
		}
		all = append(all, code)
	}
}
