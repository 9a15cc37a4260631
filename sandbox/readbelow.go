package sandbox

import (
	"fmt"

	"github.com/landlock-lsm/go-landlock/landlock"
	lsys "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// ReadBelow has the calling thread, which is locked to its goroutine, open files
// below a directory to read them, and no others: a layer of Landlock (landlock(7))
// besides the process's, which opens more for other threads. The thread must have
// no_new_privs. Without Landlock, which [Locks] reports, it does nothing.
func ReadBelow(dir int) error {
	if _, err := lsys.LandlockGetABIVersion(); err != nil {
		return nil
	}
	// What later versions tell apart, the process's layer closes.
	fd, err := lsys.LandlockCreateRuleset(&lsys.RulesetAttr{HandledAccessFS: uint64(landlock.V1.HandledAccessFS)}, 0)
	if err == nil {
		defer unix.Close(fd)
		err = lsys.LandlockAddPathBeneathRule(fd, &lsys.PathBeneathAttr{AllowedAccess: lsys.AccessFSReadFile, ParentFd: dir}, 0)
	}
	if err == nil {
		err = lsys.LandlockRestrictSelf(fd, 0)
	}
	if err != nil {
		return fmt.Errorf("sandbox: closing files to a thread (Landlock): %w", err)
	}
	return nil
}
