package sandbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	seccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/sys/unix"
)

// Program is a compiled profile: a BPF program as the kernel takes it
// (seccomp(2), struct sock_filter).
type Program struct {
	Role Role
	Mode Mode
	code []unix.SockFilter
}

// actions is what each mode does with a call that no rule allows. Audit traps
// as enforce does; the difference is in the handler.
var actions = map[Mode]seccomp.ScmpAction{
	Enforce: seccomp.ActTrap,
	Kill:    seccomp.ActKillProcess,
	Audit:   seccomp.ActTrap,
}

// Compile turns the profile into a program for a mode that has filters. A
// call of another architecture (i386, x32) kills the process in every mode.
func (p Profile) Compile(mode Mode) (*Program, error) {
	action, ok := actions[mode]
	if !ok {
		return nil, fmt.Errorf("sandbox: mode %v has no filter", mode)
	}
	return p.compile(action, mode)
}

func (p Profile) compile(action seccomp.ScmpAction, mode Mode) (*Program, error) {
	f, err := seccomp.NewFilter(action)
	if err != nil {
		return nil, fmt.Errorf("sandbox: role %s: %w", p.Role, err)
	}
	defer f.Release()
	if err := f.SetBadArchAction(seccomp.ActKillProcess); err != nil {
		return nil, fmt.Errorf("sandbox: role %s: %w", p.Role, err)
	}
	// A binary tree instead of a list: the calls at its end are as quick as
	// those at its beginning. Old libraries do not have it.
	if err := f.SetOptimize(2); err != nil && !errors.Is(err, os.ErrInvalid) {
		_ = err
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
	if mode == Audit {
		code = passTrampoline(code)
	}
	return &Program{Role: p.Role, Mode: mode, code: code}, nil
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
	var conds []seccomp.ScmpCondition
	for _, c := range r.When {
		cond, err := seccomp.MakeCondition(c.Arg, seccomp.CompareMaskedEqual, c.Mask, c.Value)
		if c.Mask == allBits {
			cond, err = seccomp.MakeCondition(c.Arg, seccomp.CompareEqual, c.Value)
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
