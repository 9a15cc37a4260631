package sandbox

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/landlock-lsm/go-landlock/landlock"
	lsys "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/cap"
)

// The locks besides system call filters. They are closed before any thread
// blocks signals, for some reach other threads by signalling them.

// LockParams say what the locks leave open.
type LockParams struct {
	// Writable are directories in which files may be written and removed.
	Writable []string
	// Readable are directories in which files may be opened to be read.
	Readable []string
	// Removable are directories in which files may be removed, no more.
	Removable []string
	// Datagrams may be answered, from sockets that are bound by then.
	Datagrams bool
	// CoreDumps leaves the limit on core files, and has the process dumpable.
	CoreDumps bool
}

// Lock is one lock and whether it could be closed.
type Lock struct {
	Key  string // a short name, for statistics
	Name string
	Err  error // nil: it is closed
}

// Unavailable lists the locks that could not be closed, each with the reason, for an
// operator; "" if there are none.
func Unavailable(locks []Lock) string {
	var b strings.Builder
	why := ""
	for _, l := range locks {
		switch {
		case l.Err == nil:
			continue
		case why == "":
		case l.Err.Error() == why:
			b.WriteString(", ")
		default:
			b.WriteString(": " + why + "; ")
		}
		b.WriteString(l.Name)
		why = l.Err.Error()
	}
	if why != "" {
		b.WriteString(": " + why)
	}
	return b.String()
}

// DropPrivileges has every thread become a user with one group (uid -1 keeps who
// it is), and lose all capabilities and ways to get any. The error says that the
// user could not be changed; a lock that the system does not have is only noted.
//
// Each of some fifty steps reaches the other threads by signalling them: it comes
// early, while they are few.
func DropPrivileges(uid, gid int) ([]Lock, error) {
	var locks []Lock
	note := func(key, name string, err error) { locks = append(locks, Lock{key, name, err}) }
	// Only a thread that may still set capabilities can take them from the bounding set.
	bounding := dropBounding()
	if uid >= 0 {
		if err := becomeUser(uid, gid, note); err != nil {
			return nil, err
		}
	}
	note("capabilities", "no capabilities", dropCapabilities())
	if !errors.Is(bounding, unix.EPERM) {
		// A process that may not empty it has no privileges, and gets none by exec either.
		note("bounding_set", "no capabilities to be had (bounding set)", bounding)
	}
	note("no_new_privs", "no new privileges", NoNewPrivileges())
	return locks, nil
}

// Locks closes all others. A lock that the system does not have is only noted.
func Locks(p LockParams) []Lock {
	var locks []Lock
	note := func(key, name string, err error) { locks = append(locks, Lock{key, name, err}) }
	if p.CoreDumps {
		unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0) // who changes user is not any more
	} else {
		note("core_files", "no core files", unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}))
		note("dumpable", "not dumpable", unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0))
	}
	note("mdwe", "memory never executable (MDWE)", unix.Prctl(unix.PR_SET_MDWE, unix.PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0))
	abi, err := closeFiles(p)
	for _, l := range landlocks {
		switch {
		case err != nil:
			note(l.key, l.name, err)
		case abi < l.abi:
			note(l.key, l.name, fmt.Errorf("version %d of Landlock is here, this needs %d", abi, l.abi))
		default:
			note(l.key, l.name, nil)
		}
	}
	return locks
}

// dropCapabilities empties the sets of every thread. A process that has none may
// not be allowed even that, and does not need it.
func dropCapabilities() error {
	none := cap.NewSet()
	err := none.SetProc()
	if err == nil {
		return nil
	}
	if differs, unlike := cap.GetProc().Cf(none); unlike == nil && differs == 0 {
		return nil
	}
	return err
}

// becomeUser drops root. Supplementary groups that may not be dropped, as in a
// user namespace without a map of groups, are only noted: memcached, too, goes on.
//
// The system calls are made on each thread without libc, which package syscall
// would ask: musl 1.2.3, for one, signals the threads without regard to signal
// stacks, and its handler overwrites what lies next to the small stack of a
// goroutine.
func becomeUser(uid, gid int, note func(key, name string, err error)) error {
	switch errno := setGroups(gid); errno {
	case 0:
	case unix.EPERM:
		note("groups", "no supplementary groups", errno)
	default:
		return fmt.Errorf("failed to drop supplementary groups: %w", errno)
	}
	if _, _, errno := onAllThreads(unix.SYS_SETGID, uintptr(gid), 0, 0); errno != 0 {
		return fmt.Errorf("failed to assume the group of the user: %w", errno)
	}
	if _, _, errno := onAllThreads(unix.SYS_SETUID, uintptr(uid), 0, 0); errno != 0 {
		return fmt.Errorf("failed to assume identity of the user: %w", errno)
	}
	return nil
}

// dropBounding empties the bounding set, so that not even exec of a privileged
// program could bring a capability back. It takes CAP_SETPCAP.
func dropBounding() error {
	for c := cap.Value(0); c < cap.MaxBits(); c++ {
		if has, err := cap.GetBound(c); err != nil || !has {
			continue
		}
		if err := cap.DropBound(c); err != nil {
			return err
		}
	}
	return nil
}

// landlocks are what Landlock closes, and since which of its versions
// (landlock(7)). Newer ones close more, of what the filters leave no way to
// reach in any case: connecting to unix sockets, datagrams.
var landlocks = []struct {
	key, name string
	abi       int
}{
	{"landlock_files", "files closed (Landlock)", 1},
	{"landlock_tcp", "TCP bind and connect closed (Landlock)", 4},
	{"landlock_scope", "abstract sockets and signals to others closed (Landlock)", 6},
}

// netSendUDP is the right to send a datagram to an address
// (LANDLOCK_ACCESS_NET_CONNECT_SEND_UDP).
const netSendUDP = landlock.AccessNetSet(1 << 3)

// closeFiles closes the file system but for the given directories, and the
// network: listeners that are open stay open, nothing new is bound or
// connected. It returns the version of Landlock there is; with an older one,
// less is closed.
func closeFiles(p LockParams) (int, error) {
	abi, err := lsys.LandlockGetABIVersion()
	if err != nil {
		return 0, fmt.Errorf("this kernel has no Landlock, or it is not enabled: %w", err)
	}
	// The proof that no thread is open is read from here, before filters close
	// open(2) for good.
	rules := []landlock.Rule{landlock.RODirs("/proc/self/task")}
	if len(p.Writable) > 0 {
		rules = append(rules, landlock.RWDirs(p.Writable...).IgnoreIfMissing())
	}
	if len(p.Readable) > 0 {
		rules = append(rules, landlock.PathAccess(lsys.AccessFSReadFile, p.Readable...).IgnoreIfMissing())
	}
	if len(p.Removable) > 0 {
		rules = append(rules, landlock.PathAccess(lsys.AccessFSRemoveFile, p.Removable...).IgnoreIfMissing())
	}
	config := landlock.V11
	if p.Datagrams {
		config.HandledAccessNet &^= netSendUDP
	}
	return abi, config.BestEffort().Restrict(rules...)
}

// CloseInherited closes every descriptor above stderr that the process was
// started with, but for those in keep, and returns how many it closed.
func CloseInherited(keep ...int) (int, error) {
	names, err := listDir("/proc/self/fd")
	if err != nil {
		return 0, fmt.Errorf("sandbox: listing descriptors (is /proc mounted?): %w", err)
	}
	closed := 0
	for _, name := range names {
		fd, err := strconv.Atoi(name)
		if err != nil || fd <= 2 || slices.Contains(keep, fd) {
			continue
		}
		// What the Go runtime opened for itself has close-on-exec set; nothing
		// that was inherited can have.
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC != 0 {
			continue
		}
		if unix.Close(fd) == nil {
			closed++
		}
	}
	return closed, nil
}

// listDir lists a directory without Go's os package, whose files bring the
// runtime's poller into the process.
func listDir(path string) ([]string, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	return readDir(fd)
}

// readDir lists an open directory.
func readDir(fd int) ([]string, error) {
	var names []string
	buf := make([]byte, 16<<10)
	for {
		n, err := unix.Getdents(fd, buf)
		if err != nil {
			return nil, err
		}
		if n <= 0 {
			return names, nil
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names)
	}
}

// RuntimePoller finds the descriptors of the Go runtime's poller and of what wakes it
// among those that [Descriptors] lists.
func RuntimePoller(open map[int]string) (poll, event int, err error) {
	for fd, what := range open {
		switch what {
		case "anon_inode:[eventpoll]":
			poll = fd
		case "anon_inode:[eventfd]":
			event = fd
		}
	}
	if poll == 0 || event == 0 {
		return 0, 0, fmt.Errorf("the Go runtime's poller is not among the open descriptors %v", open)
	}
	return poll, event, nil
}

// Descriptors lists the open descriptors of the process and what each leads
// to, as /proc names it.
func Descriptors() (map[int]string, error) {
	names, err := listDir("/proc/self/fd")
	if err != nil {
		return nil, err
	}
	fds := map[int]string{}
	buf := make([]byte, unix.PathMax)
	for _, name := range names {
		n, err := unix.Readlink("/proc/self/fd/"+name, buf)
		if err != nil {
			continue // the descriptor that the list was read with
		}
		if fd, err := strconv.Atoi(name); err == nil {
			fds[fd] = string(buf[:n])
		}
	}
	return fds, nil
}
