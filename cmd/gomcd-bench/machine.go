package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// machine is where something was measured.
type machine struct {
	CPU     string `json:"cpu"`
	Cores   int    `json:"cores"`
	Virtual bool   `json:"virtual"`
	Memory  int64  `json:"memory_bytes"`
	Kernel  string `json:"kernel"`
	Go      string `json:"go"`
}

func thisMachine() machine {
	m := machine{CPU: runtime.GOARCH, Cores: runtime.NumCPU(), Go: runtime.Version()}
	b, _ := os.ReadFile("/proc/cpuinfo")
	m.Virtual = strings.Contains(string(b), " hypervisor")
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
			m.CPU = strings.TrimSpace(v)
			break
		}
	}
	// pinning hides processors from the runtime.
	if b, err := os.ReadFile("/sys/devices/system/cpu/online"); err == nil {
		var from, to int
		if n, _ := fmt.Sscanf(string(b), "%d-%d", &from, &to); n == 2 {
			m.Cores = to - from + 1
		}
	}
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		m.Memory = int64(info.Totalram) * int64(info.Unit)
	}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	return m
}

func (m machine) String() string {
	kind := "machine"
	if m.Virtual {
		kind = "virtual machine"
	}
	return fmt.Sprintf("a %s with %d cores (%s), %.0f GiB of memory, Linux %s", kind, m.Cores, m.CPU,
		float64(m.Memory)/(1<<30), m.Kernel)
}
