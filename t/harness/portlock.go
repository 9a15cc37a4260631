package harness

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// portLocks are the ports that this process has. The kernel unlocks them when it ends.
var portLocks struct {
	sync.Mutex
	path string
	file *os.File // nil if others' tests cannot be kept from a port
	mine map[int]bool
}

// lockPort locks a port for this process: byte PORT of a file that all users of the
// machine share. It returns false if another test has it.
func lockPort(port int) (bool, error) {
	p := &portLocks
	p.Lock()
	defer p.Unlock()
	if path := filepath.Join(os.TempDir(), "gomcd-t-ports"); p.path != path {
		f, err := sharedFile(path)
		if err != nil && !errors.Is(err, fs.ErrPermission) {
			return false, err
		}
		p.path, p.file, p.mine = path, f, map[int]bool{}
	}
	if p.mine[port] {
		return false, nil
	}
	switch err := setLock(p.file, unix.F_WRLCK, port); err {
	case nil:
	case unix.EAGAIN, unix.EACCES:
		return false, nil
	default:
		return false, err
	}
	p.mine[port] = true
	return true, nil
}

// unlockPort gives a port back that is of no use.
func unlockPort(port int) {
	p := &portLocks
	p.Lock()
	delete(p.mine, port)
	setLock(p.file, unix.F_UNLCK, port)
	p.Unlock()
}

func setLock(f *os.File, kind int16, port int) error {
	if f == nil {
		return nil
	}
	return unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: kind, Start: int64(port), Len: 1})
}

// sharedFile opens a file that every user may write to, and makes it if it is not
// there: under another name at first, so that it never has other permissions.
func sharedFile(path string) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NOFOLLOW, 0)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if err := makeShared(path); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	}
}

func makeShared(path string) error {
	f, err := os.CreateTemp(filepath.Dir(path), "gomcd-t")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if err := f.Chmod(0o666); err != nil {
		return err
	}
	return os.Link(f.Name(), path)
}
