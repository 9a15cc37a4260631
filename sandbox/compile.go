package sandbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	seccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/sys/unix"
)

// Program is a compiled profile: a BPF program as the kernel takes it
// (seccomp(2), struct sock_filter).
type Program struct {
	Role Role
	Mode Mode // Enforce, unless it was compiled for another
	code []unix.SockFilter
}

// Instructions returns a copy of the program.
func (p *Program) Instructions() []unix.SockFilter { return slices.Clone(p.code) }

// Action is what happens to a call that no rule allows (seccomp(2),
// SECCOMP_RET_*).
type Action struct{ action seccomp.ScmpAction }

// The actions.
var (
	Trap   = Action{seccomp.ActTrap}        // SIGSYS on the thread that made it
	Die    = Action{seccomp.ActKillProcess} // the process is killed
	Log    = Action{seccomp.ActLog}         // it is made, and the kernel logs it
	Notify = Action{seccomp.ActNotify}      // who listens decides; see [Program.InstallNotify]
)

// Fail is the action that a call fails with an error.
func Fail(errno unix.Errno) Action {
	return Action{seccomp.ActErrno.SetReturnCode(int16(errno))}
}

// modeActions is what each mode does. Audit traps as enforce does; the
// difference is in the handler.
var modeActions = map[Mode]Action{Enforce: Trap, Kill: Die, Audit: Trap}

// Compile turns the profile into a program for a mode that has filters.
func (p Profile) Compile(mode Mode) (*Program, error) {
	action, ok := modeActions[mode]
	if !ok {
		return nil, fmt.Errorf("sandbox: mode %v has no filter", mode)
	}
	program, err := p.CompileFor(action)
	if err != nil {
		return nil, err
	}
	program.Mode = mode
	if mode == Audit {
		program.code = passTrampoline(program.code)
	}
	return program, nil
}

// CompileFor turns the profile into a program that does otherwise with calls
// that no rule allows. A call of another architecture (i386, x32) kills the
// process whatever that is.
func (p Profile) CompileFor(otherwise Action) (*Program, error) {
	f, err := seccomp.NewFilter(otherwise.action)
	if err != nil {
		return nil, fmt.Errorf("sandbox: role %s: %w", p.Role, err)
	}
	defer f.Release()
	if err := f.SetBadArchAction(seccomp.ActKillProcess); err != nil {
		return nil, fmt.Errorf("sandbox: role %s: %w", p.Role, err)
	}
	// A binary tree instead of a list: the calls at its end are as quick as
	// those at its beginning. A library from before 2.5 makes a list.
	if err := f.SetOptimize(2); err != nil && !isOld(err) {
		return nil, fmt.Errorf("sandbox: role %s: %w", p.Role, err)
	}
	for _, r := range p.Rules {
		if err := addRule(f, r); err != nil {
			return nil, fmt.Errorf("sandbox: role %s: rule for %s: %w", p.Role, r.Call, err)
		}
	}
	code, err := export(f)
	if err != nil {
		return nil, fmt.Errorf("sandbox: role %s: exporting: %w", p.Role, err)
	}
	return &Program{Role: p.Role, code: code}, nil
}

// isOld says whether the library is too old for what was asked.
func isOld(err error) bool {
	var version seccomp.VersionError
	return errors.As(err, &version)
}

func addRule(f *seccomp.ScmpFilter, r Rule) error {
	call, err := seccomp.GetSyscallFromName(r.Call)
	if err != nil {
		return err
	}
	action := seccomp.ActAllow
	if r.Errno != 0 {
		action = seccomp.ActErrno.SetReturnCode(int16(r.Errno))
	}
	if len(r.When) == 0 {
		return f.AddRule(call, action)
	}
	for i, c := range r.When {
		if c.Below == 0 || c.Below == unbounded {
			continue
		}
		for _, one := range c.masks() {
			part := r
			part.When = slices.Clone(r.When)
			part.When[i] = one
			if err := addRule(f, part); err != nil {
				return err
			}
		}
		return nil
	}
	var conds []seccomp.ScmpCondition
	for _, c := range r.When {
		cond, err := seccomp.MakeCondition(c.Arg, seccomp.CompareMaskedEqual, c.Mask, c.Value)
		if c.Mask == allBits {
			cond, err = seccomp.MakeCondition(c.Arg, seccomp.CompareEqual, c.Value)
		}
		if c.Below == unbounded {
			cond, err = seccomp.MakeCondition(c.Arg, seccomp.CompareGreaterEqual, c.Value)
		}
		if err != nil {
			return err
		}
		conds = append(conds, cond)
	}
	return f.AddRuleConditional(call, action, conds)
}

// export reads the program out of libseccomp, which writes it to a file.
func export(f *seccomp.ScmpFilter) ([]unix.SockFilter, error) {
	fd, err := unix.MemfdCreate("filter", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	file := os.NewFile(uintptr(fd), "filter")
	defer file.Close()
	if err := f.ExportBPF(file); err != nil {
		return nil, err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(file)
	if err != nil {
		return nil, err
	}
	const size = 8 // of a struct sock_filter
	code := make([]unix.SockFilter, len(raw)/size)
	for i := range code {
		b := raw[i*size:]
		code[i] = unix.SockFilter{
			Code: binary.NativeEndian.Uint16(b), Jt: b[2], Jf: b[3], K: binary.NativeEndian.Uint32(b[4:]),
		}
	}
	return code, nil
}
