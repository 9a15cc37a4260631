package sandbox

import (
	"fmt"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Every system call number there can be is tried against every profile in
// every mode, with right and wrong arguments, in the kernel itself. So that
// nothing but the verdict comes of it, the program's answers are exchanged for
// error numbers of our own, and it judges calls from the trampoline alone.

// What the kernel answers in place of a verdict.
const (
	verdictTrap  = 4000
	verdictAllow = 4001
	verdictKill  = 4002
)

func judge(code []unix.SockFilter) *Program {
	others := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW}
	return &Program{code: append(append(atTrampoline(0, 1), others), verdicts(code)...)}
}

// verdicts is a program that answers with error numbers of our own.
func verdicts(code []unix.SockFilter) []unix.SockFilter {
	code = slices.Clone(code)
	for i, in := range code {
		if in.Code != unix.BPF_RET|unix.BPF_K {
			continue
		}
		switch in.K & unix.SECCOMP_RET_ACTION_FULL {
		case unix.SECCOMP_RET_ALLOW:
			code[i].K = unix.SECCOMP_RET_ERRNO | verdictAllow
		case unix.SECCOMP_RET_TRAP:
			code[i].K = unix.SECCOMP_RET_ERRNO | verdictTrap
		case unix.SECCOMP_RET_KILL_PROCESS:
			code[i].K = unix.SECCOMP_RET_ERRNO | verdictKill
		}
	}
	return code
}

// want is what the table says of a call.
func (p Profile) want(name string, args [6]uint64, otherwise int) int {
	for _, r := range p.Rules {
		fits := r.Call == name
		for _, c := range r.When {
			fits = fits && c.Holds(args[c.Arg])
		}
		if fits && r.Errno != 0 {
			return int(r.Errno)
		}
		if fits {
			return verdictAllow
		}
	}
	return otherwise
}

// attempts are arguments for a call: what its rules ask for, and everything
// that is wrong in one bit, or looks right in the lower half alone.
func (p Profile) attempts(name string) [][6]uint64 {
	all := [][6]uint64{{}, {1, 1, 1, 1, 1, 1}, {2, 2, 2, 2, 2, 2}}
	ones := ^uint64(0)
	all = append(all, [6]uint64{ones, ones, ones, ones, ones, ones})
	for _, r := range p.Rules {
		if r.Call != name {
			continue
		}
		var right [6]uint64
		for _, c := range r.When {
			right[c.Arg] |= c.Value
		}
		all = append(all, right)
		for _, c := range r.When {
			for bit := range 64 {
				wrong := right
				wrong[c.Arg] ^= 1 << bit
				all = append(all, wrong)
			}
			for _, near := range []uint64{c.Value - 1, c.Value + 1, c.Value * 2, c.Value | 1<<32, c.Below, c.Below - 1, c.Below | c.Value, 0, ones} {
				wrong := right
				wrong[c.Arg] = near
				all = append(all, wrong)
			}
		}
	}
	return all
}

// x32 is the bit of the x32 ABI in a call's number.
const x32 = 1 << 30

// The kernel exempts these two from all filters (kernel/seccomp.c); who makes
// them without being a probed function gets SIGILL.
const (
	sysURetProbe = 335
	sysUProbe    = 336
)

func init() {
	children["verdict"] = func(o options) {
		runtime.LockOSThread()
		must(NoNewPrivileges())
		var profile Profile
		for _, p := range tlsProfiles(o.params()) {
			if p.Role == Role(o.Role) {
				profile = p
			}
		}
		if profile.Role == "" {
			fmt.Println("tried 0, wrong 0") // no such thread with these options
			return
		}
		modes, err := ParseModes(o.Modes)
		must(err)
		program, err := profile.Compile(modes.Default)
		must(err)
		otherwise := verdictTrap
		code := program.code
		switch modes.Default {
		case Kill:
			otherwise = verdictKill
		case Audit:
			code = code[5:] // passTrampoline would let all of ours through
		}
		must(judge(code).Install())
		names := callNames()
		tried, wrong := 0, 0
		for nr, name := range names {
			if runtime.GOARCH == "amd64" && (nr == sysURetProbe || nr == sysUProbe) {
				continue
			}
			for _, args := range profile.attempts(name) {
				tried++
				want := profile.want(name, args, otherwise)
				if got := -int(callAgain(uint64(nr), args)); got != want {
					if wrong++; wrong < 20 {
						fmt.Fprintf(os.Stderr, "%s(%d) %#x: got %d, want %d\n", name, nr, args, got, want)
					}
				}
			}
			if runtime.GOARCH == "amd64" {
				if got := -int(callAgain(uint64(nr)|x32, [6]uint64{})); got != verdictKill {
					wrong++
					fmt.Fprintf(os.Stderr, "x32 %d: %d\n", nr, got)
				}
			}
		}
		for _, nr := range []uint64{1024, 1 << 16, 1<<30 - 1} {
			if got := -int(callAgain(nr, [6]uint64{})); got != otherwise {
				wrong++
				fmt.Fprintf(os.Stderr, "number %d: %d\n", nr, got)
			}
		}
		fmt.Printf("tried %d, wrong %d\n", tried, wrong)
	}
}

func TestEveryCall(t *testing.T) {
	t.Parallel()
	for name, variant := range map[string]options{
		"plain":           {},
		"shutdown":        {Shutdown: true},
		"test privileges": {TestPrivileges: true, AsyncPreempt: true, GreenTea: true, Dir: "/"},
		"allowances":      {Allow: []Allowance{{Worker, "getppid"}, {Worker, "recvfrom"}, {Process, "close"}}},
		"everything":      {Kind: everything},
	} {
		for _, mode := range []string{"enforce", "kill", "audit"} {
			for _, role := range append([]Role{Front, Doorman}, Roles...) {
				o := variant
				o.Modes, o.Role = mode, string(role)
				t.Run(fmt.Sprintf("%s/%s/%s", role, mode, name), func(t *testing.T) {
					t.Parallel()
					r := run(t, "verdict", o)
					r.check(t, 0)
					if !strings.HasSuffix(r.stdout, ", wrong 0\n") {
						t.Error(r)
					}
					if o.Kind == everything && strings.HasPrefix(r.stdout, "tried 0,") {
						t.Error("there is no such role")
					}
				})
			}
		}
	}
}

// tlsProfiles are those of both processes; the baseline is the cache's.
func tlsProfiles(p Params) []Profile {
	return append(Profiles(p), FrontProfiles(p)...)
}

// everything is the kind of options that turn every option on.
const everything = "everything"

// params are the facts of a process with these options. With everything, what
// the other tests leave out is filled in by kind, so that a new option and its
// role are tried too.
func (o options) params() Params {
	p := testParams(o)
	if o.Kind != everything {
		return p
	}
	v := reflect.ValueOf(&p).Elem()
	for i := range v.NumField() {
		f := v.Field(i)
		number := int64(20_000 + i)
		switch f.Kind() {
		case reflect.Int:
			if f.Int() <= 0 {
				f.SetInt(number)
			}
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Slice:
			if f.Type().Elem().Kind() == reflect.Int && f.Len() == 0 {
				f.Set(reflect.ValueOf([]int{int(number)}))
			}
		}
	}
	return p
}
