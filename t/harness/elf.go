package harness

import (
	"debug/elf"
	"fmt"
	"os"
	"strings"
)

// Binaries lists the paths of the binaries under test.
func Binaries() []string { return []string{binaries.cover, binaries.plain} }

// Mapping is one line of /proc/PID/maps.
type Mapping struct {
	From, To uint64
	Perms    string // as "r-xp"
	Path     string
}

// Mappings lists what a server has mapped.
func (s *Server) Mappings() []Mapping {
	s.t.Helper()
	s.Inspectable(s.t)
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", s.PID()))
	if err != nil {
		s.t.Fatal(err)
	}
	var all []Mapping
	for line := range strings.Lines(string(b)) {
		var m Mapping
		var offset, device, inode string
		fmt.Sscanf(line, "%x-%x %s %s %s %s %s", &m.From, &m.To, &m.Perms, &offset, &device, &inode, &m.Path)
		all = append(all, m)
	}
	return all
}

// Executable opens the server's binary, and tells where in its memory it was
// loaded: what is to be added to the addresses that the binary has.
func (s *Server) Executable() (f *elf.File, base uint64) {
	s.t.Helper()
	s.Inspectable(s.t)
	exe := fmt.Sprintf("/proc/%d/exe", s.PID())
	f, err := elf.Open(exe)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { f.Close() })
	if f.Type != elf.ET_DYN {
		return f, 0
	}
	path, err := os.Readlink(exe)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, m := range s.Mappings() { // the first is the file's beginning
		if m.Path == path {
			return f, m.From
		}
	}
	s.t.Fatalf("%s is not mapped", path)
	return nil, 0
}

// Symbol is where a symbol of the server's binary is in its memory.
func (s *Server) Symbol(name string) uint64 {
	s.t.Helper()
	f, base := s.Executable()
	symbols, err := f.Symbols()
	if err != nil {
		s.t.Fatalf("the symbols of the server: %v", err)
	}
	for _, symbol := range symbols {
		if symbol.Name == name {
			return base + symbol.Value
		}
	}
	s.t.Fatalf("the server has no symbol %s", name)
	return 0
}
