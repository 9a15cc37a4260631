package server

import (
	"errors"
	"path/filepath"
	"strconv"
	"strings"

	"gomcd/sandbox"
	"gomcd/server/internal/sys"

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

// writePIDFile writes the pid file, if there is to be one, and opens its
// directory. It is no reason not to serve if either fails.
func writePIDFile(path string, pid int) pidFile {
	f := pidFile{path: path, dir: -1}
	if path == "" {
		return f
	}
	if other := runningPID(path); other != 0 && other != pid {
		warnRunning(path, other)
	}
	if err := publish(path, path+".tmp", strconv.Itoa(pid)+"\n"); err != nil {
		warn("could not write the pid file " + path + ": " + err.Error())
		return f
	}
	dir, err := unix.Open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == nil {
		if err = f.find(dir); err != nil {
			unix.Close(dir)
		}
	}
	if err != nil {
		warn("the pid file " + path + " will not be removed: " + err.Error())
	}
	return f
}

func warnRunning(path string, pid int) {
	warn("the pid file " + path + " names process " + strconv.Itoa(pid) + ", which is running")
}

// find notes which file it is, in its directory.
func (f *pidFile) find(dir int) error {
	var err error
	if f.name, err = sandbox.PinName(filepath.Base(f.path)); err != nil {
		return err
	}
	if errno := sys.StatAt(dir, f.name, &f.own); errno != 0 {
		return errno
	}
	f.dir = dir
	return nil
}

// runningPID is the process that a pid file names, if it is running, else 0.
func runningPID(path string) int {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	defer unix.Close(fd)
	buf := make([]byte, 32)
	n, err := unix.Read(fd, buf)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(buf[:n])))
	if err != nil || pid <= 0 || errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
		return 0
	}
	return pid
}

// removePIDFile removes the pid file, unless another server has put its own in place.
func (s *Server) removePIDFile() {
	f := &s.pidFile
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
		s.say(Warning, "could not remove the pid file "+f.path+": "+errno.Error())
	}
}
