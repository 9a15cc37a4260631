package sandbox

import (
	"fmt"
	"strings"
	"testing"

	"gomcd/sandbox/internal/i386"

	"golang.org/x/sys/unix"
)

func init() {
	children["abi"] = func(o options) {
		p := boot(o)
		p.on(Role(o.Role), func() {
			switch o.Kind {
			case "i386":
				i386.Call(uint32(o.Nr))
			case "x32":
				unix.RawSyscall(uintptr(o.Nr|x32), 0, 0, 0)
			}
		})
	}
	children["i386 free"] = func(options) { fmt.Println(i386.Call(20) > 0) } // getpid
}

func init() {
	// i386 verdict has a filter judge every call of the i386 entry, and no other.
	children["i386 verdict"] = func(o options) {
		must(NoNewPrivileges())
		modes, err := ParseModes(o.Modes)
		must(err)
		for _, p := range Profiles(o.params()) {
			if p.Role != Role(o.Role) {
				continue
			}
			program, err := p.Compile(modes.Default)
			must(err)
			code := []unix.SockFilter{
				{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 4}, // the architecture (struct seccomp_data)
				{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.AUDIT_ARCH_I386, Jt: 1},
				{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
			}
			must((&Program{code: append(code, verdicts(program.code)...)}).Install())
		}
		wrong := 0
		for nr := range uint32(maxCalls) {
			if got := -i386.Call(nr); got != verdictKill {
				wrong++
			}
		}
		fmt.Println("wrong", wrong)
	}
}

// Every number of the i386 entry is closed to every role: so the kernel judges
// where it has that entry, and where it has none, the programs say so.
func TestEveryI386Call(t *testing.T) {
	t.Parallel()
	entry := run(t, "i386 free", options{}).stdout == "true\n"
	for _, mode := range []Mode{Enforce, Kill, Audit} {
		for _, p := range Profiles(options{Kind: everything}.params()) {
			program, err := p.Compile(mode)
			if err != nil {
				t.Fatal(err)
			}
			for nr := range uint32(maxCalls) {
				call := seccompData{nr, unix.AUDIT_ARCH_I386, 4096, 0}
				if got := call.verdict(program.code); got != unix.SECCOMP_RET_KILL_PROCESS {
					t.Errorf("%s, %v: %d: %#x", p.Role, mode, nr, got)
				}
			}
			if !entry {
				continue
			}
			r := run(t, "i386 verdict", options{Kind: everything, Role: string(p.Role), Modes: mode.String()})
			if r.stdout != "wrong 0\n" {
				t.Errorf("%s, %v: %v", p.Role, mode, r)
			}
		}
	}
}

// seccompData is the beginning of struct seccomp_data, word by word: a call
// without arguments.
type seccompData [4]uint32

// verdict runs a program, as far as programs go that look at no argument.
func (d seccompData) verdict(code []unix.SockFilter) uint32 {
	var a uint32
	for pc := 0; ; pc++ {
		in := code[pc]
		jump := func(yes bool) {
			if yes {
				pc += int(in.Jt)
			} else {
				pc += int(in.Jf)
			}
		}
		switch in.Code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			a = d[in.K/4]
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			jump(a == in.K)
		case unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K:
			jump(a > in.K)
		case unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K:
			jump(a >= in.K)
		case unix.BPF_RET | unix.BPF_K:
			return in.K
		default:
			panic(fmt.Sprintf("instruction %+v", in))
		}
	}
}

// The same call by another entry of the kernel has another number, so those
// are closed in every mode, audit too.
func TestOtherABIs(t *testing.T) {
	t.Parallel()
	closed := run(t, "i386 free", options{}).stdout != "true\n"
	if closed {
		t.Log("this kernel has no i386 entry: a call through it is a segmentation fault")
	}
	for _, role := range append([]Role{Process}, threadRoles...) {
		for _, mode := range []string{"enforce", "kill", "audit"} {
			for kind, nrs := range map[string][]uint64{
				"i386": {1, 4, 11, 20, 102, 252}, // exit, write, execve, getpid, socketcall, exit_group
				"x32":  {unix.SYS_GETPID, unix.SYS_EXIT_GROUP, unix.SYS_SENDTO, 520 /* execve */},
			} {
				for _, nr := range nrs {
					r := run(t, "abi", options{Modes: mode, Role: string(role), Kind: kind, Nr: nr})
					denied := r.signal == unix.SIGSYS
					if kind == "i386" && closed {
						// Where the signal is not blocked, Go makes a panic of it.
						denied = r.signal == unix.SIGSEGV || r.status == 2 && strings.Contains(r.stderr, "[signal SIGSEGV")
					}
					if !denied {
						t.Errorf("%s %s %s %d: %v", role, mode, kind, nr, r)
					}
				}
			}
		}
	}
}
