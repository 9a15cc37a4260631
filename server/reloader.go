package server

import (
	"fmt"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"

	"gomcd/cache/offheap"
	"gomcd/sandbox"
	"gomcd/server/internal/passwd"
	"gomcd/server/internal/sys"

	"golang.org/x/sys/unix"
)

// auth is the authentication file: the table that is in force, and the thread
// that reads the file again when main gets SIGHUP. That thread may open
// files of one directory and read them; its table of descriptors is its own
// (see sandbox/reloader.go).
type auth struct {
	lock    sys.Spin
	format  *passwd.Format
	table   *passwd.Table
	fresh   *passwd.Table // what the file is read into
	buf     []byte
	lines   *lineRing // for stderr
	text    []byte    // a line is put together here
	asked   atomic.Uint32
	verbose *atomic.Int32

	path      string
	dir, file int  // descriptors: the directory, and what the file is opened as
	exposed   bool // everybody may read it
	name      int  // address of its name in the directory (sandbox.PinName)

	realm []byte // with -S: what belongs to a user's name that has no @: @ and the host's name
}

// newAuth reads the authentication file for the first time.
func newAuth(path string, format *passwd.Format, verbose *atomic.Int32, lines *lineRing) (*auth, error) {
	a := &auth{path: path, format: format, verbose: verbose, lines: lines}
	tables, err := offheap.Slice[passwd.Table](offheap.Logins, 2)
	if err != nil {
		return nil, err
	}
	a.table, a.fresh = &tables[0], &tables[1]
	if a.buf, err = offheap.Slice[byte](offheap.Logins, format.MaxFile+1); err != nil {
		return nil, err
	}
	if a.name, err = sandbox.PinName(filepath.Base(path)); err != nil {
		return nil, fail(ExitOSErr, "%w", err)
	}
	if a.text, err = offheap.Slice[byte](offheap.Logins, 256+len(path)); err != nil {
		return nil, err
	}
	a.dir, err = unix.Open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fail(ExitFailure, "Could not open authfile [%s] for reading, error %w", path, err)
	}
	// The reloader's descriptors are to be two that no other thread has.
	if a.file, err = unix.FcntlInt(uintptr(a.dir), unix.F_DUPFD_CLOEXEC, a.dir+1); err != nil {
		return nil, fail(ExitOSErr, "duplicating a descriptor: %w", err)
	}
	n, wrong, errno := a.read()
	if errno != 0 {
		return nil, fail(ExitFailure, "Could not open authfile [%s] for reading, error %w", path, errno)
	}
	if wrong != "" {
		return nil, fail(ExitFailure, "Authfile [%s] cannot be trusted: %s", path, wrong)
	}
	if line, wrong := a.fresh.Parse(a.buf[:n], format); wrong != "" {
		return nil, fail(ExitFailure, "Authfile [%s] has an error in line %d: %s", path, line, wrong)
	}
	if a.fresh.Len() == 0 {
		warn("the authentication file " + path + " has no users: nobody can log in")
	}
	if a.exposed {
		warn("the authentication file " + path + " can be read by everybody: chmod o-r")
	}
	a.table, a.fresh = a.fresh, a.table
	return a, nil
}

// allows says whether a user may log in.
func (a *auth) allows(user, pass []byte) bool {
	a.lock.Lock()
	ok := a.table.Has(user, pass)
	a.lock.Unlock()
	return ok
}

// read reads the file into the buffer. It returns how long it is, or why it does
// not count.
func (a *auth) read() (n int, wrong string, errno syscall.Errno) {
	fd, errno := sys.OpenAt(a.dir, a.name)
	if errno != 0 {
		return 0, "", errno
	}
	if wrong, errno = a.inspect(fd); wrong == "" && errno == 0 {
		n, errno = a.readAll(fd)
	}
	sys.CloseFD(int32(fd))
	return n, wrong, errno
}

func (a *auth) readAll(fd int) (int, syscall.Errno) {
	n := 0
	for n < len(a.buf) {
		got, errno := sys.ReadFile(fd, a.buf[n:])
		switch {
		case errno == unix.EINTR:
		case errno != 0 || got <= 0:
			return n, errno
		default:
			n += got
		}
	}
	return n, 0
}

// A user who may write to the file, or put another in its place, decides who can log
// in. In a directory with the sticky bit only the owner of a file may replace it.
const (
	wideFile      = "its group or others may write to it: chmod go-w"
	wideDirectory = "its directory may be written by its group or others, who could replace it: chmod go-w, or +t"
)

// inspect returns who else may change the file, or "", and notes whether everybody
// may read it.
func (a *auth) inspect(fd int) (string, syscall.Errno) {
	const othersWrite, othersRead = 0o022, 0o004
	var st unix.Stat_t
	if errno := sys.StatFD(a.dir, &st); errno != 0 {
		return "", errno
	}
	if st.Mode&othersWrite != 0 && st.Mode&unix.S_ISVTX == 0 {
		return wideDirectory, 0
	}
	if errno := sys.StatFD(fd, &st); errno != 0 {
		return "", errno
	}
	a.exposed = st.Mode&othersRead != 0
	if st.Mode&othersWrite != 0 {
		return wideFile, 0
	}
	return "", 0
}

// reachable says whether the file can still be read, now that the user is
// another and Landlock closed.
func (a *auth) reachable() error {
	if _, _, errno := a.read(); errno != 0 {
		return errno
	}
	return nil
}

// settle gives the calling thread, which is the reloader's, a descriptor table
// of its own with stderr, what wakes the runtime's poller and, at every other number below
// the one that the file is opened as, the directory: so the file always gets that one. And
// all other files are closed to it.
func (a *auth) settle(event int) error {
	if err := sandbox.LeaveDescriptors(); err != nil {
		return fmt.Errorf("giving the reloader descriptors of its own: %w", err)
	}
	if err := sandbox.ReadBelow(a.dir); err != nil {
		return err
	}
	for fd := range a.file {
		if fd == a.dir || fd == event || fd == stderrFD {
			continue
		}
		if err := unix.Dup3(a.dir, fd, unix.O_CLOEXEC); err != nil {
			return fmt.Errorf("the reloader's descriptor %d: %w", fd, err)
		}
	}
	if err := unix.CloseRange(uint(a.file), 1<<31-1, 0); err != nil {
		return fmt.Errorf("closing the reloader's other descriptors: %w", err)
	}
	return nil
}

// leave closes what the reloader has now, for everybody else.
func (a *auth) leave() {
	unix.Close(a.dir)
	unix.Close(a.file)
}

// ask has the file read again.
func (a *auth) ask() {
	a.asked.Add(1)
	sys.FutexWake(&a.asked)
}

// run waits to be asked.
func (a *auth) run() {
	for seen := uint32(0); ; {
		asked := a.asked.Load()
		if asked == seen {
			sys.FutexWait(&a.asked, seen)
			continue
		}
		seen = asked
		a.reload()
	}
}

// reload reads the file again. If there is anything wrong with it, what it
// said before stays in force.
func (a *auth) reload() {
	n, wrong, errno := a.read()
	if errno != 0 {
		a.refuse("cannot be read: ", errno.Error(), 0)
		return
	}
	if wrong != "" {
		a.refuse("", wrong, 0)
		return
	}
	line, wrong := a.fresh.Parse(a.buf[:n], a.format)
	if wrong == "" && a.fresh.Len() == 0 {
		wrong = "there are no users"
	}
	if wrong != "" {
		a.refuse("", wrong, line)
		return
	}
	a.lock.Lock()
	a.table, a.fresh = a.fresh, a.table
	a.lock.Unlock()
	a.fresh.Clear()
	if a.verbose.Load() > 0 {
		b := append(a.text[:0], "gomcd: authentication file "...)
		b = append(b, a.path...)
		b = append(b, " reloaded: "...)
		b = strconv.AppendInt(b, int64(a.table.Len()), 10)
		a.lines.say(Info, append(b, " users"...))
	}
}

// refuse tells that a new file does not count, and why not.
func (a *auth) refuse(what, why string, line int) {
	b := append(a.text[:0], "gomcd: authentication file "...)
	b = append(b, a.path...)
	b = append(b, ": "...)
	if line > 0 {
		b = append(b, "line "...)
		b = strconv.AppendInt(b, int64(line), 10)
		b = append(b, ": "...)
	}
	b = append(b, what...)
	b = append(b, why...)
	a.lines.say(Warning, append(b, "; the users stay as they were"...))
}
