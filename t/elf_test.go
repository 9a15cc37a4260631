package t

import (
	"debug/elf"
	"os"
	"strings"
	"testing"

	"gomcd/t/harness"
)

// The binaries can be loaded anywhere, have no memory that is both written and
// run, and nothing writable but data: not even the tables by which they find
// functions. (TestInstall has the same looked at in the one that make installs.)
func TestBinaryIsHardened(t *testing.T) {
	t.Parallel()
	for _, path := range harness.Binaries() {
		for _, wrong := range softness(t, path) {
			t.Errorf("%s: %s", path, wrong)
		}
	}
}

// softness lists what a binary lacks.
func softness(t *testing.T, path string) (wrong []string) {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	complain := func(when bool, what string) {
		if when {
			wrong = append(wrong, what)
		}
	}
	complain(f.Type != elf.ET_DYN, "it has a fixed address: "+f.Type.String())
	var relro, stack *elf.Prog
	for _, p := range f.Progs {
		switch p.Type {
		case elf.PT_LOAD:
			complain(p.Flags&elf.PF_W != 0 && p.Flags&elf.PF_X != 0, "a segment is writable and executable")
		case elf.PT_GNU_RELRO:
			relro = p
		case elf.PT_GNU_STACK:
			stack = p
		}
	}
	complain(stack == nil || stack.Flags&elf.PF_X != 0, "the stack is executable")
	complain(relro == nil, "nothing is made read-only (relro)")
	for _, s := range f.Sections {
		table := strings.HasPrefix(s.Name, ".got") || s.Name == ".dynamic" || s.Name == ".init_array" || s.Name == ".data.rel.ro"
		complain(relro != nil && table && (s.Addr < relro.Vaddr || s.Addr+s.Size > relro.Vaddr+relro.Memsz), s.Name+" stays writable")
	}
	flags, _ := f.DynValue(elf.DT_FLAGS)
	flags1, _ := f.DynValue(elf.DT_FLAGS_1)
	now := false
	for _, v := range flags {
		now = now || elf.DynFlag(v)&elf.DF_BIND_NOW != 0
		complain(elf.DynFlag(v)&elf.DF_TEXTREL != 0, "code is relocated")
	}
	for _, v := range flags1 {
		now = now || elf.DynFlag1(v)&elf.DF_1_NOW != 0
	}
	complain(!now, "functions are found late (lazy binding)")
	if v, _ := f.DynValue(elf.DT_TEXTREL); len(v) > 0 {
		complain(true, "code is relocated")
	}
	return wrong
}

// A server that runs has no memory that is writable and executable, and its
// tables of functions are read-only.
func TestBinaryInMemory(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Production(), "-t", "1")
	maps := s.Mappings()
	for _, m := range maps {
		if strings.Contains(m.Perms, "w") && strings.Contains(m.Perms, "x") {
			t.Errorf("writable and executable: %+v", m)
		}
	}
	f, base := s.Executable()
	tables := 0
	for _, section := range f.Sections {
		if section.Name != ".got" && section.Name != ".got.plt" && section.Name != ".data.rel.ro" {
			continue
		}
		tables++
		for _, m := range maps {
			if at := base + section.Addr; m.From <= at && at < m.To && strings.Contains(m.Perms, "w") {
				t.Errorf("%s is writable: %+v", section.Name, m)
			}
		}
	}
	if tables == 0 {
		t.Error("the binary has no tables")
	}
	if random, _ := os.ReadFile("/proc/sys/kernel/randomize_va_space"); strings.TrimSpace(string(random)) == "0" {
		t.Skip("addresses are not random on this machine")
	}
	if _, other := harness.Start(t, harness.Production(), "-t", "1").Executable(); other == base {
		t.Errorf("two servers are both at %#x", base)
	}
}
