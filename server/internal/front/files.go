package front

import (
	"errors"
	"fmt"

	"gomcd/sandbox"

	"golang.org/x/sys/unix"
)

// file is a file that is read at start and at each reload. Its name is where the
// filter of the process knows it, so that it can open no other.
type file struct {
	name string
	at   int // where the name is; 0 for no file
}

// maxFile is more than certificates and keys take, in bytes.
const maxFile = 4 << 20

// pin makes the file of a name that is absolute.
func pin(name string) (file, error) {
	if name == "" {
		return file{}, nil
	}
	at, err := sandbox.PinName(name)
	return file{name, at}, err
}

var (
	errNotFile = errors.New("not a regular file")
	errLarge   = fmt.Errorf("larger than %d MiB", maxFile>>20)
)

// read reads the file. A FIFO or a device is refused and does not make it wait.
func (f file) read() ([]byte, error) {
	fd, _, errno := unix.Syscall6(unix.SYS_OPENAT, workingDir, uintptr(f.at), sandbox.ReloadFlags, 0, 0, 0)
	if errno != 0 {
		return nil, errno
	}
	defer unix.Close(int(fd))
	var st unix.Stat_t
	if err := unix.Fstat(int(fd), &st); err != nil {
		return nil, err
	}
	switch {
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return nil, unix.EISDIR
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return nil, errNotFile
	case st.Size > maxFile:
		return nil, errLarge
	}
	// One byte more than it has, which says whether it grows.
	b := make([]byte, st.Size+1)
	n := 0
	for n < len(b) {
		m, err := unix.Read(int(fd), b[n:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			clear(b)
			return nil, err
		}
		if m == 0 {
			return b[:n], nil
		}
		n += m
	}
	clear(b)
	return nil, errors.New("it is being written")
}

// workingDir is AT_FDCWD. Names are absolute.
const workingDir = ^uintptr(99)
