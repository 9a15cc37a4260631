package server

import (
	"gomcd/server/internal/sys"
	"path/filepath"

	"gomcd/sandbox"

	"golang.org/x/sys/unix"
)

// pidFile is how main finds the pid file again when it ends. The filters allow
// this name in this directory and no other, whatever the path.
type pidFile struct {
	path string
	dir  int // descriptor, or -1
	name int // address (sandbox.PinName)
	own  unix.Stat_t
}

// openPIDFile opens the directory of the pid file, which has been written. It
// is no reason not to serve if that fails: the file is not removed then.
func openPIDFile(path string) pidFile {
	f := pidFile{path: path, dir: -1}
	if path == "" {
		return f
	}
	dir, err := unix.Open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return f
	}
	if f.name, err = sandbox.PinName(filepath.Base(path)); err == nil {
		if errno := sys.StatAt(dir, f.name, &f.own); errno != 0 {
			err = errno
		}
	}
	if err != nil {
		warn("the pid file " + path + " will not be removed: " + err.Error())
		unix.Close(dir)
		return f
	}
	f.dir = dir
	return f
}

// remove removes the pid file, unless another server has put its own in place.
func (f *pidFile) remove() {
	if f.dir < 0 {
		return
	}
	var now unix.Stat_t
	errno := sys.StatAt(f.dir, f.name, &now)
	if errno == 0 && (now.Dev != f.own.Dev || now.Ino != f.own.Ino || now.Mtim != f.own.Mtim) {
		return
	}
	if errno == 0 {
		errno = sys.UnlinkAt(f.dir, f.name)
	}
	if errno != 0 {
		warn("could not remove the pid file " + f.path + ": " + errno.Error())
	}
}
