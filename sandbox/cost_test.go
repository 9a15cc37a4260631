package sandbox

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// costRounds is how often each variant is measured, in turns; the median counts.
const costRounds = 9

// BenchmarkFilter is what filters cost a call of the hot path (make
// sandbox-cost): recvfrom on a socket that has nothing, which is the least that
// it can take.
func BenchmarkFilter(b *testing.B) {
	variants := []string{"no filter", "one, outright", "two, outright", "two, pinned in the role", "two, pinned in both", "two, above those of systemd"}
	times := map[string][]float64{}
	for range costRounds {
		for _, v := range variants {
			var ns float64
			r := run(b, "cost", options{Kind: v})
			if _, err := fmt.Sscan(r.stderr, &ns); err != nil {
				b.Fatal(err, r)
			}
			times[v] = append(times[v], ns)
		}
	}
	for _, v := range variants {
		b.Run(v, func(b *testing.B) {
			slices.Sort(times[v])
			b.ReportMetric(times[v][costRounds/2], "ns/call")
			b.ReportMetric(0, "ns/op") // which is not measured, and not shown
		})
	}
}

func init() {
	// cost has the real filters of a worker, or what Kind says, and measures.
	children["cost"] = func(o options) {
		runtime.LockOSThread()
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		must(err)
		must(unix.Dup3(pair[0], testClient, 0))
		must(NoNewPrivileges())
		pin := func(p Profile) Profile {
			p.Rules = slices.DeleteFunc(slices.Clone(p.Rules), func(r Rule) bool { return r.Call == "recvfrom" })
			p.Rules = append(p.Rules, inClients(testParams(o), "recvfrom", "receives from clients only")...)
			return p
		}
		var worker, process Profile
		for _, p := range Profiles(testParams(o)) {
			switch p.Role {
			case Worker:
				worker = p
			case Process:
				process = p
			}
		}
		var profiles []Profile
		switch o.Kind {
		case "one, outright":
			profiles = []Profile{process}
		case "two, outright":
			profiles = []Profile{process, worker}
		case "two, pinned in the role":
			profiles = []Profile{process, pin(worker)}
		case "two, pinned in both":
			profiles = []Profile{pin(process), pin(worker)}
		case "two, above those of systemd":
			// As many as deploy/gomcd.service has installed; they allow the calls outright.
			profiles = append(slices.Repeat([]Profile{process}, 34), process, worker)
		}
		var programs []*Program
		for _, p := range profiles {
			program, err := p.Compile(Enforce)
			must(err)
			programs = append(programs, program)
		}
		SpareThreads(runtime.GOMAXPROCS(0) + 4) // a worker may start none
		for _, program := range programs {
			must(program.Install())
		}
		const calls = 300_000
		best := time.Hour
		for range 3 {
			began := time.Now()
			for range calls {
				unix.RawSyscall6(unix.SYS_RECVFROM, testClient, 0, 0, unix.MSG_DONTWAIT, 0, 0)
			}
			best = min(best, time.Since(began))
		}
		// The worker's filter lets it tell on stderr alone.
		fmt.Fprintf(os.Stderr, "%.1f\n", float64(best.Nanoseconds())/calls)
	}
}
