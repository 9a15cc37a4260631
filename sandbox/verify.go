package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// The proof that no thread was left out is read from the kernel: the status
// file of each thread in /proc (proc_pid_status(5), fields Seccomp and
// Seccomp_filters). Files cannot be opened any more once the baseline is in
// force, so they are opened before; what they hold is made when it is read.

// proof are the status files of the threads there were, as descriptors: an
// os.File would bring Go's poller into the process.
type proof struct {
	fds []int
	// inherited is how many filters each thread had before: a container gives
	// its processes filters of its own, which prove nothing.
	inherited []int
}

// OpenProof opens the status file of every thread. Threads that are born later
// inherit their parent's filters. The files go where clients' descriptors are,
// for the baseline lets only those be read and closed.
func (s *Sandbox) OpenProof() error {
	if s.off {
		return nil
	}
	tids, err := listDir("/proc/self/task")
	if err != nil {
		return fmt.Errorf("sandbox: /proc does not list this process's threads, so the filters cannot be read back: %w", err)
	}
	s.proof = &proof{}
	buf := make([]byte, statusSize)
	for _, tid := range tids {
		fd, err := unix.Open("/proc/self/task/"+tid+"/status", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == unix.ENOENT {
			continue // the thread ended
		}
		if err == nil {
			low := fd
			fd, err = unix.FcntlInt(uintptr(low), unix.F_DUPFD_CLOEXEC, s.params.FirstClientFD)
			unix.Close(low)
		}
		if err != nil {
			s.proof.close()
			return fmt.Errorf("sandbox: opening the status of thread %s: %w", tid, err)
		}
		s.proof.fds = append(s.proof.fds, fd)
		n, err := unix.Pread(fd, buf, 0)
		if err != nil && err != unix.ESRCH {
			s.proof.close()
			return fmt.Errorf("sandbox: reading the status of thread %s: %w", tid, err)
		}
		s.proof.inherited = append(s.proof.inherited, parseStatus(buf[:max(n, 0)]).Filters)
	}
	return nil
}

// statusSize is more than a status file has.
const statusSize = 8192

func (p *proof) close() {
	for _, fd := range p.fds {
		unix.Close(fd)
	}
	p.fds = nil
}

// Proof is what the kernel says of one thread.
type Proof struct {
	Name    string
	TID     int
	Mode    int // 2: filters are in force
	Filters int // how many; -1 before Linux 5.9, which does not tell
	// Inherited is how many of them the process was started with.
	Inherited int
	// Capabilities has the bits of every set but the bounding set, which
	// alone gives nothing.
	Capabilities uint64
	NoNewPrivs   bool
}

// modeFilter is a thread's Seccomp field when filters are in force
// (SECCOMP_MODE_FILTER).
const modeFilter = 2

var errUnproven = errors.New("sandbox: not every thread is filtered")

// Prove reads back that every thread has filters that it did not have before:
// the baseline, and a thread in a role one more.
func (s *Sandbox) Prove() ([]Proof, error) {
	if s.off {
		return nil, nil
	}
	defer s.proof.close()
	var all []Proof
	var open []string
	inRole := 0
	buf := make([]byte, statusSize)
	for i, fd := range s.proof.fds {
		n, err := unix.Pread(fd, buf, 0)
		if err == unix.ESRCH || n == 0 {
			continue // the thread ended meanwhile
		}
		if err != nil {
			return all, fmt.Errorf("sandbox: reading the status of a thread: %w", err)
		}
		p := parseStatus(buf[:n])
		p.Inherited = max(s.proof.inherited[i], 0)
		all = append(all, p)
		own := p.Filters - p.Inherited
		if p.Mode != modeFilter || (p.Filters >= 0 && own < 1) {
			open = append(open, fmt.Sprintf("%s (tid %d: mode %d, %d filters of our own)", p.Name, p.TID, p.Mode, own))
		}
		if p.Filters < 0 || own >= 2 {
			inRole++
		}
	}
	if len(open) > 0 {
		return all, fmt.Errorf("%w: %s", errUnproven, strings.Join(open, ", "))
	}
	// The threads in roles, and the reporter.
	if want := s.Threads() + 1; inRole < want {
		return all, fmt.Errorf("%w: %d threads have the filter of a role, not %d", errUnproven, inRole, want)
	}
	s.proven = all
	return all, nil
}

// parseStatus reads the fields of a status file that count.
func parseStatus(b []byte) Proof {
	p := Proof{Filters: -1}
	for line := range bytes.Lines(b) {
		key, value, _ := strings.Cut(string(line), ":")
		value = strings.TrimSpace(value)
		switch key {
		case "Name":
			p.Name = value
		case "Pid":
			p.TID, _ = strconv.Atoi(value)
		case "Seccomp":
			p.Mode, _ = strconv.Atoi(value)
		case "Seccomp_filters":
			p.Filters, _ = strconv.Atoi(value)
		case "NoNewPrivs":
			p.NoNewPrivs = value == "1"
		case "CapInh", "CapPrm", "CapEff", "CapAmb":
			bits, _ := strconv.ParseUint(value, 16, 64)
			p.Capabilities |= bits
		}
	}
	return p
}
