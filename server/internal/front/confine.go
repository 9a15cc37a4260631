package front

import (
	"fmt"
	"maps"
	"math/bits"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"

	"gomcd/sandbox"

	"golang.org/x/sys/unix"
)

// Confinement is how the front's process is confined. The zero value enforces.
type Confinement struct {
	Modes      string // as sandbox.ParseModes reads them; "" is enforce
	Allow      []sandbox.Allowance
	LinePrefix string // of the line about a violation
	UID, GID   int    // whom to become once the files are loaded; UID -1 keeps the user
	CoreDumps  bool
	Syslog     bool // a connection to the system log is passed, for the line about a violation
}

// confine closes the process around the Front: every thread, and those to come. It
// returns what is worth a warning as well.
func (f *Front) confine() (report Report, warnings []string, err error) {
	// The thread that reads back its own filters is this one.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	c := f.config.Confinement
	p := sandbox.Params{
		Name: "gomcd", LinePrefix: c.LinePrefix, Allow: c.Allow,
		PID: unix.Getpid(), MainTID: unix.Gettid(), PIDDirFD: -1, SyslogFD: f.syslog,
		AsyncPreempt: sandbox.AsyncPreempt(), GreenTea: sandbox.GreenTea,
	}
	if c.Modes == "" {
		c.Modes = sandbox.Enforce.String()
	}
	if p.Modes, err = sandbox.ParseModes(c.Modes); err != nil {
		return report, nil, err
	}
	locks, err := sandbox.DropPrivileges(c.UID, c.GID)
	if err != nil {
		return report, nil, err
	}
	if p.StatusFD, err = sandbox.OpenStatus(); err != nil {
		return report, nil, err
	}
	if err := f.descriptors(&p); err != nil {
		return report, nil, err
	}
	locks = append(locks, sandbox.Locks(sandbox.LockParams{Readable: f.config.directories(), CoreDumps: c.CoreDumps})...)
	for _, l := range locks {
		report.Locks = append(report.Locks, Lock{l.Key, l.Err == nil})
	}
	if lacks := sandbox.Unavailable(locks); lacks != "" {
		warnings = append(warnings, "all filters are in force; this kernel does not support these locks of the TLS front besides: "+lacks)
	}
	for _, file := range []file{f.chain, f.key, f.ca} {
		if file.name == "" {
			continue
		}
		p.CertificateNamesAt = append(p.CertificateNamesAt, file.at)
		b, err := file.read()
		clear(b)
		if err != nil {
			warnings = append(warnings, "certificates cannot be loaded again: "+file.name+": "+err.Error())
		}
	}
	box, err := sandbox.NewOf(p, sandbox.FrontProfiles(p))
	if err == nil {
		// The socket of the system log is closed by now, for all but the reporter.
		err = fillDescriptors(&p)
	}
	if err == nil {
		err = box.OpenProof()
	}
	if err == nil {
		err = box.InstallBaseline()
	}
	var threads []sandbox.Proof
	if err == nil {
		threads, err = box.Seal(nil)
		sandbox.DropFilePages()
	}
	report.Threads = len(threads)
	for _, t := range threads {
		if t.Filters > t.Inherited {
			report.Filtered++
		}
	}
	if err == nil && len(box.Audited()) > 0 {
		f.box = box
	}
	return report, warnings, err
}

// auditEvery is how often the front counts the forbidden calls that audit let through.
const auditEvery = 200 * time.Millisecond

// audit has the other process see the forbidden calls that audit let through.
func (f *Front) audit() {
	t := time.NewTicker(auditEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			var counts [maxCalls]uint64
			f.box.EachViolation(func(v sandbox.Violation) { counts[min(v.Call, maxCalls-1)] += v.Count })
			for nr, n := range counts {
				f.shared.w[wCalls+nr].Store(n)
			}
		case <-f.done:
			return
		}
	}
}

// descriptors finds those that the filters name.
func (f *Front) descriptors(p *sandbox.Params) error {
	for _, l := range f.listeners {
		p.ListenFDs = append(p.ListenFDs, number(l.raw))
	}
	p.ChannelFD = number(f.toChannel)
	all, err := sandbox.Descriptors()
	if err != nil {
		return err
	}
	if p.PollFD, p.EventFD, err = sandbox.RuntimePoller(all); err != nil {
		return err
	}
	// The filters name ranges of connections by powers of two.
	p.FirstClientFD = powerAbove(slices.Max(slices.Collect(maps.Keys(all))))
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if limit.Cur < uint64(p.FirstClientFD+minConnections) {
		return fmt.Errorf("a limit of %d descriptors is too low", limit.Cur)
	}
	p.EndClientFD = powerAbove(int(min(limit.Cur, 1<<30)) - 1)
	f.fitPlaces(int(min(limit.Cur, 1<<30)) - p.FirstClientFD)
	return nil
}

// fitPlaces has no more connections in the front at once than there are descriptors for:
// so a client that keeps others waiting loses its place, whatever the limit on descriptors
// is. Each listener has one more that waits for a place, and a reload opens some files.
func (f *Front) fitPlaces(room int) {
	room -= min(len(f.listeners)+reloadFiles, room/2)
	waiting := min(f.config.Waiting, max(room/4, 1))
	if handshakes := min(f.config.Handshakes, room-waiting); handshakes < f.config.Handshakes || waiting < f.config.Waiting {
		f.places, f.waiting = newPlaces(handshakes, f.config.Grace), make(chan struct{}, waiting)
	}
}

// reloadFiles is above how many files are open at once while certificates are loaded.
const reloadFiles = 4

// fillDescriptors fills the numbers below the first connection's, so that no connection
// gets one.
func fillDescriptors(p *sandbox.Params) error {
	for {
		fd, err := unix.FcntlInt(uintptr(p.StatusFD), unix.F_DUPFD_CLOEXEC, 3)
		switch {
		case err != nil:
			return err
		case fd >= p.FirstClientFD:
			unix.Close(fd)
			return nil
		}
	}
}

// minConnections is the least that can be in the front at once.
const minConnections = 8

// powerAbove is the least power of two above n.
func powerAbove(n int) int { return 1 << bits.Len(uint(n)) }

// number is a descriptor's.
func number(raw syscall.RawConn) (n int) {
	_ = raw.Control(func(fd uintptr) { n = int(fd) })
	return n
}

// directories are where the files are, and if they are links, where those lead to.
func (c *Config) directories() []string {
	var dirs []string
	for _, name := range []string{c.Chain, c.Key, c.CA} {
		if name == "" {
			continue
		}
		dirs = append(dirs, filepath.Dir(name))
		if real, err := filepath.EvalSymlinks(name); err == nil {
			dirs = append(dirs, filepath.Dir(real))
		}
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}
