package sandbox

import (
	"testing"

	seccomp "github.com/seccomp/libseccomp-golang"
)

// The tables hold on arm64 as well: libseccomp compiles for any machine.
func TestTablesForARM64(t *testing.T) {
	native, err := seccomp.GetNativeArch()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range Profiles(options{Kind: everything}.params()) {
		f, err := seccomp.NewFilter(seccomp.ActTrap)
		if err != nil {
			t.Fatal(err)
		}
		if native != seccomp.ArchARM64 {
			if err := f.AddArch(seccomp.ArchARM64); err != nil {
				t.Fatal(err)
			}
			if err := f.RemoveArch(native); err != nil {
				t.Fatal(err)
			}
		}
		for _, r := range p.Rules {
			if r.Call == "epoll_wait" {
				r.Call = "epoll_pwait" // what epollWait says there
			}
			_, err := seccomp.GetSyscallFromNameByArch(r.Call, seccomp.ArchARM64)
			if err == nil {
				err = addRule(f, r)
			}
			if err != nil {
				t.Errorf("role %s: %s: %v", p.Role, r.Call, err)
			}
		}
		if _, err := export(f); err != nil {
			t.Errorf("role %s: %v", p.Role, err)
		}
		f.Release()
	}
}
