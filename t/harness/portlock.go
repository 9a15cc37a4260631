package harness

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// portLock is a lock on one port among all processes that test.
type portLock struct{ file *os.File }

// portLocks keeps the files open: the kernel unlocks ports when the process ends.
var portLocks sync.Map // of *os.File

// lockPort locks a port, or returns nil if another test has it: byte PORT of a file
// that all users of the machine share. The lock belongs to the open file, so that it
// holds among the tests of one process too.
func lockPort(port int) (*portLock, error) {
	f, err := sharedFile(filepath.Join(os.TempDir(), "gomcd-t-ports"))
	if err != nil {
		return nil, err
	}
	lock := unix.Flock_t{Type: unix.F_WRLCK, Start: int64(port), Len: 1}
	err = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &lock)
	runtime.KeepAlive(f)
	if err != nil {
		f.Close()
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
			err = nil
		}
		return nil, err
	}
	portLocks.Store(f, true)
	return &portLock{f}, nil
}

// Close gives a port back that is of no use.
func (l *portLock) Close() {
	if l != nil {
		portLocks.Delete(l.file)
		l.file.Close()
	}
}

// sharedFile opens a file that every user may write to, and makes it if it is not
// there: under another name at first, so that it never has other permissions.
func sharedFile(path string) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NOFOLLOW, 0)
		if !errors.Is(err, fs.ErrNotExist) {
			return f, err
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
