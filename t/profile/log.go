package profile

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"gomcd/sandbox"

	seccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/sys/unix"
)

// Env names the directory that logs are written to, if calls are to be logged.
const Env = "GOMCD_CALLS"

// Log is what one server did under its filters, by row.
type Log struct {
	rows       []Row
	privileged bool
	front      bool // of the server's front, which has one role when its boot is over

	mu       sync.Mutex
	pid      int
	counts   []int64
	strange  map[string]int64 // that no row allows
	names    map[int32]string
	baseline bool
	// sealed: main has come back from the last filter, so that every thread
	// without a role has it, be it born later.
	sealed bool
	// Threads that are making the call that confines them: whoever makes
	// another has come back from it.
	confining map[uint32]sandbox.Role
	roles     map[uint32]sandbox.Role
}

// NewLog makes the log of a server.
func NewLog(privileged bool) *Log {
	rows := Rows()
	return &Log{
		rows: rows, privileged: privileged, counts: make([]int64, len(rows)), strange: map[string]int64{},
		names: map[int32]string{}, confining: map[uint32]sandbox.Role{}, roles: map[uint32]sandbox.Role{},
	}
}

// NewFrontLog makes the log of a server's front.
func NewFrontLog() *Log {
	l := NewLog(false)
	l.front = true
	return l
}

// Started says which process it is.
func (l *Log) Started(pid int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pid = pid
}

// Note notes a call that a thread is about to make: the filters allow it, or
// nobody would have been asked.
func (l *Log) Note(tid uint32, nr int32, args [6]uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if role, ok := l.confining[tid]; ok {
		delete(l.confining, tid)
		if role == sandbox.Process {
			l.baseline = true
		} else {
			l.roles[tid] = role
			l.sealed = l.sealed || int(tid) == l.pid
		}
	}
	call, ok := l.names[nr]
	if !ok {
		call, _ = seccomp.ScmpSyscall(nr).GetName()
		l.names[nr] = call
	}
	if l.baseline {
		l.count(tid, call, args)
	}
	// libseccomp asks what the kernel knows by installing nothing.
	if call == "seccomp" && args[0] == unix.SECCOMP_SET_MODE_FILTER && args[2] != 0 {
		l.confining[tid] = sandbox.Process
		if args[1]&unix.SECCOMP_FILTER_FLAG_TSYNC == 0 {
			l.confining[tid] = l.roleOf(tid)
		}
	}
}

// count notes which row of the thread's role allows a call, and which of the
// baseline, which is asked about every call.
func (l *Log) count(tid uint32, call string, args [6]uint64) {
	role, confined := l.roles[tid]
	switch {
	case l.front && !confined && !l.sealed:
		return // its boot may do more
	case l.front:
		role = sandbox.Front
	case !confined && l.sealed:
		role = sandbox.Runtime
	case !confined:
		role = sandbox.Process
	}
	privileged := l.privileged && (role == sandbox.Process || role == sandbox.Runtime) && l.file(call, args)
	i := find(l.rows, role, call, args, privileged)
	if i < 0 {
		l.strange[fmt.Sprintf("%s: %s(%#x)", role, call, args)]++
		return
	}
	l.counts[i]++
	if role == sandbox.Process || l.front {
		return
	}
	if i := l.ofBaseline(&l.rows[i]); i >= 0 {
		l.counts[i]++
	}
}

// ofBaseline is which row of the baseline stands for a role's, or -1: the one for the same
// option, if there is one.
func (l *Log) ofBaseline(row *Row) int {
	found := -1
	for i := range l.rows {
		r := &l.rows[i]
		if r.Role != sandbox.Process || r.Call != row.Call || r.Arguments != row.Arguments {
			continue
		}
		if r.Feature == row.Feature {
			return i
		}
		if found < 0 {
			found = i
		}
	}
	return found
}

// file says whether a call is about a file, which only test privileges allow,
// if it is about a descriptor.
func (l *Log) file(call string, args [6]uint64) bool {
	fd := args[0]
	switch call {
	case "epoll_ctl":
		fd = args[2]
	case "read", "write", "pread64", "close", "fcntl", "epoll_pwait":
	default:
		return true
	}
	to, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", l.pid, fd))
	return strings.HasPrefix(to, "/") && !strings.HasPrefix(to, "/proc/")
}

// roleOf is the role that a thread has its name from, or that of those without a
// name of their own.
func (l *Log) roleOf(tid uint32) sandbox.Role {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/comm", l.pid, tid))
	name, _, _ := strings.Cut(strings.TrimSpace(string(b)), "-")
	if !slices.Contains(sandbox.Roles, sandbox.Role(name)) {
		return sandbox.Runtime
	}
	return sandbox.Role(name)
}

// entry is a row in a written log.
type entry struct {
	Role                     sandbox.Role
	Call, Arguments, Feature string
	Count                    int64
}

// written is a log as it is written.
type written struct {
	Test    string // whose server it was
	Entries []entry
	Strange map[string]int64 `json:",omitempty"`
}

// Write writes the log, of a server of a test, into a directory.
func (l *Log) Write(dir, test string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := written{Test: test, Strange: l.strange}
	for i, n := range l.counts {
		if n > 0 {
			r := &l.rows[i]
			w.Entries = append(w.Entries, entry{r.Role, r.Call, r.Arguments, r.Feature, n})
		}
	}
	b, err := json.MarshalIndent(w, "", "\t")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "calls")
	if err != nil {
		return err
	}
	if _, err := f.Write(b); err != nil {
		return err
	}
	return f.Close()
}

// merge reads all logs of a directory: how often each row was at work, in which test last,
// and what no row allows.
func merge(dir string, rows []Row) (counts []int64, tests, strange []string, servers int, err error) {
	counts, tests = make([]int64, len(rows)), make([]string, len(rows))
	files, err := filepath.Glob(filepath.Join(dir, "calls*"))
	if err != nil {
		return nil, nil, nil, 0, err
	}
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, nil, nil, 0, err
		}
		var w written
		if err := json.Unmarshal(b, &w); err != nil {
			return nil, nil, nil, 0, fmt.Errorf("%s: %w", path, err)
		}
		for _, e := range w.Entries {
			for i := range rows {
				if r := &rows[i]; r.Role == e.Role && r.Call == e.Call && r.Arguments == e.Arguments && r.Feature == e.Feature {
					counts[i] += e.Count
					tests[i] = w.Test
					break
				}
			}
		}
		for s := range w.Strange {
			strange = append(strange, w.Test+": "+s)
		}
	}
	return counts, tests, strange, len(files), nil
}
