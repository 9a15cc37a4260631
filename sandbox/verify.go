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
// Seccomp_filters).

// proof is the way to the status files of all threads: descriptors, for an
// os.File would bring Go's poller into the process.
type proof struct {
	tasks int // the directory with one for each thread
	// inherited is how many filters there were before ours: a container gives
	// its processes filters of its own, which prove nothing.
	inherited int
}

// OpenStatus opens the calling thread's own status, as [Params.StatusFD].
func OpenStatus() (int, error) {
	fd, err := unix.Open("/proc/thread-self/status", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("sandbox: the filters cannot be read back: /proc/thread-self/status: %w", err)
	}
	return fd, nil
}

// OpenProof opens the way to read back every thread's filters. Descriptors for
// it go where clients' are later, for the baseline lets only those be closed.
func (s *Sandbox) OpenProof() error {
	if s.off {
		return nil
	}
	const path = "/proc/self/task"
	low, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("sandbox: %s does not list this process's threads, so the filters cannot be read back: %w", path, err)
	}
	defer unix.Close(low)
	own, err := readStatus(s.params.StatusFD)
	if err != nil {
		return fmt.Errorf("sandbox: reading the status of the calling thread: %w", err)
	}
	tasks, err := unix.FcntlInt(uintptr(low), unix.F_DUPFD_CLOEXEC, s.params.FirstClientFD)
	if err != nil {
		return fmt.Errorf("sandbox: moving a descriptor: %w", err)
	}
	s.proof = &proof{tasks: tasks, inherited: max(own.Filters, 0)}
	return nil
}

func (p *proof) close() { unix.Close(p.tasks) }

// read reads the status of every thread there is.
func (p *proof) read() ([]Proof, error) {
	dir, err := unix.Openat(p.tasks, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("sandbox: listing the threads: %w", err)
	}
	defer unix.Close(dir)
	tids, err := readDir(dir)
	if err != nil {
		return nil, fmt.Errorf("sandbox: listing the threads: %w", err)
	}
	var all []Proof
	for _, tid := range tids {
		one, err := p.readOne(tid)
		if err == unix.ENOENT || err == unix.ESRCH {
			continue // the thread ended
		}
		if err != nil {
			return all, fmt.Errorf("sandbox: reading the status of thread %s: %w", tid, err)
		}
		all = append(all, one)
	}
	return all, nil
}

// await waits until done says so of a thread, or it is gone, or most microseconds are
// over, and returns how long it waited. It looks at that thread alone: a look at all of
// them is three system calls for each.
func (p *proof) await(tid, most int, done func(Proof) bool) (waited int, err error) {
	fd, err := p.open(strconv.Itoa(tid))
	if err == unix.ENOENT || err == unix.ESRCH {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("sandbox: reading the status of thread %d: %w", tid, err)
	}
	defer unix.Close(fd)
	for pause := shortestPause; ; pause = min(2*pause, longestPause) {
		one, err := p.status(fd)
		if err == unix.ESRCH {
			return waited, nil
		}
		if err != nil {
			return waited, fmt.Errorf("sandbox: reading the status of thread %d: %w", tid, err)
		}
		if done(one) || waited >= most {
			return waited, nil
		}
		doze(pause)
		waited += pause
	}
}

func (p *proof) open(tid string) (int, error) {
	return unix.Openat(p.tasks, tid+"/status", unix.O_RDONLY|unix.O_CLOEXEC, 0)
}

func (p *proof) readOne(tid string) (Proof, error) {
	fd, err := p.open(tid)
	if err != nil {
		return Proof{}, err
	}
	defer unix.Close(fd)
	return p.status(fd)
}

// status reads an open status file.
func (p *proof) status(fd int) (Proof, error) {
	one, err := readStatus(fd)
	one.Inherited = p.inherited
	return one, err
}

// readStatus reads a status file from its beginning: what it holds is made then.
func readStatus(fd int) (Proof, error) {
	buf := make([]byte, statusSize)
	n, err := unix.Pread(fd, buf, 0)
	if err != nil {
		return Proof{}, err
	}
	return parseStatus(buf[:n]), nil
}

// statusSize is more than a status file has.
const statusSize = 8192

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

// own is how many filters of ours the thread has.
func (p Proof) own() int { return p.Filters - p.Inherited }

// modeFilter is a thread's Seccomp field when filters are in force
// (SECCOMP_MODE_FILTER).
const modeFilter = 2

var errUnproven = errors.New("sandbox: not every thread is filtered")

// unproven is the error that names threads which lack a filter.
func unproven(open []Proof) error {
	var names []string
	for _, p := range open {
		if p.Filters < 0 {
			return fmt.Errorf("%w: this kernel does not tell how many filters a thread has; Linux 5.9 or newer does", errUnproven)
		}
		names = append(names, fmt.Sprintf("%s (tid %d: mode %d, %d filters of our own)", p.Name, p.TID, p.Mode, p.own()))
	}
	return fmt.Errorf("%w: %s", errUnproven, strings.Join(names, ", "))
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
