package server

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// The pid file and the file of ports are for others to read. They are written
// aside and renamed, so that none is ever empty, and by the user that serves.
// That they cannot be written is no reason not to serve, as with memcached.

// writePorts writes which ports were bound to the file that
// $MEMCACHED_PORT_FILENAME names.
func (s *Server) writePorts() {
	path := s.cfg.PortFile
	if path == "" || s.cfg.UnixSocket != "" && len(s.cfg.Passed) == 0 {
		return // memcached writes none for a unix socket
	}
	var b strings.Builder
	line := func(transport string, l listener) {
		version := "6"
		if l.addr.Addr().Is4() {
			version = ""
		}
		fmt.Fprintf(&b, "%s INET%s: %d\n", transport, version, l.addr.Port())
	}
	for _, l := range s.listeners {
		if l.addr.IsValid() {
			line("TCP", l)
		}
	}
	for _, u := range s.udps {
		line("UDP", u.listener)
	}
	if err := publish(path, path+".lck", b.String()); err != nil {
		warn("could not write the file of ports " + path + ": " + err.Error())
	}
}

// publish writes a file aside, and renames it to its path. No link is followed,
// and only a regular file or a link is replaced.
func publish(path, aside, text string) error {
	if err := replaceable(path); err != nil {
		return err
	}
	if err := unix.Unlink(aside); err != nil && err != unix.ENOENT {
		return fmt.Errorf("%s: %w", aside, err)
	}
	if err := writeFile(aside, text); err != nil {
		unix.Unlink(aside)
		return fmt.Errorf("%s: %w", aside, err)
	}
	if err := unix.Rename(aside, path); err != nil {
		unix.Unlink(aside)
		return fmt.Errorf("renaming %s: %w", aside, err)
	}
	return nil
}

// writeFile writes a new file without Go's os package, whose files bring the
// runtime's poller into the process, and with it calls that the sandbox would
// have to allow.
func writeFile(path, text string) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return err
	}
	n, err := unix.Write(fd, []byte(text))
	if err == nil && n < len(text) {
		err = unix.ENOSPC
	}
	if cerr := unix.Close(fd); err == nil {
		err = cerr
	}
	return err
}

// replaceable says whether what is at a path, if anything, is what publish replaces.
func replaceable(path string) error {
	var old unix.Stat_t
	if err := unix.Lstat(path, &old); err == nil && old.Mode&unix.S_IFMT != unix.S_IFREG && old.Mode&unix.S_IFMT != unix.S_IFLNK {
		return fmt.Errorf("%s is not a regular file", path)
	}
	return nil
}
