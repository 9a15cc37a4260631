package server

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// asUser calls f with the rights on files of the user to become. memcached
// opens its files when it has become that user; here descriptors are opened
// before. Otherwise root would follow the links that others lay, and what it
// creates the server could not open the next time. Only the calling thread is
// changed, which is locked to its goroutine.
func (s *Server) asUser(f func() error) error {
	if s.cfg.UID <= 0 || os.Geteuid() != 0 {
		return f()
	}
	groups, err := unix.Getgroups()
	if err != nil {
		return fail(ExitOSErr, "getgroups: %w", err)
	}
	if err := fileRights(s.cfg.UID, s.cfg.GID, []int{s.cfg.GID}); err != nil {
		return err
	}
	result := f()
	if err := fileRights(0, os.Getegid(), groups); err != nil {
		return err
	}
	return result
}

// fileRights sets whose rights the calling thread has on files. When the user
// stops being root, the kernel takes the capabilities that override
// permissions, and gives them back the other way round (capabilities(7)).
func fileRights(uid, gid int, groups []int) error {
	if err := unix.Setgroups(groups); err != nil {
		return fail(ExitOSErr, "failed to take on the groups of the user: %w", err)
	}
	// These two tell of no errors, but what was set before.
	unix.Setfsgid(gid)
	unix.Setfsuid(uid)
	if now, _ := unix.SetfsuidRetUid(-1); now != uid {
		return fail(ExitOSErr, "failed to take on the file rights of the user: %w", fmt.Errorf("uid %d stays %d", uid, now))
	}
	return nil
}
