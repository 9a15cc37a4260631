package sandbox

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// ReloadFlags is what the reloader opens files with, exactly. A FIFO or a
// device does not make it wait.
const ReloadFlags = unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOCTTY

// reloader reads the authentication file again on SIGHUP. Its
// descriptor table is its own and has, besides stderr, the directory of the
// file alone; so what it opens always gets the same descriptor, and there is
// no connection that it could read from. A path in memory is out of a filter's
// sight: that it leads into that directory is what Landlock sees to.
func reloader(p Params) Profile {
	dir := Is(0, uint64(p.ReloadDirFD), fmt.Sprintf("its directory %d", p.ReloadDirFD))
	file := Is(0, uint64(p.ReloadFileFD), fmt.Sprintf("the file %d", p.ReloadFileFD))
	name := Is(1, uint64(p.ReloadNameAt), fmt.Sprintf("its name at %d", p.ReloadNameAt))
	flags := Is(2, ReloadFlags, "O_RDONLY|O_CLOEXEC|O_NONBLOCK|O_NOCTTY")
	rules := []Rule{
		AllowIf("openat", "opens the authentication file, to read it alone", dir, name, flags),
		AllowIf("fstat", "looks who may write to it, or replace it",
			Is(0, uint64(p.ReloadFileFD), fmt.Sprintf("the file or its directory %d", p.ReloadFileFD))),
		AllowIf("fstat", "looks who may write to it, or replace it",
			Is(0, uint64(p.ReloadDirFD), fmt.Sprintf("the file or its directory %d", p.ReloadDirFD))),
		AllowIf("read", "reads it", file),
		AllowIf("close", "closes it", file),
	}
	for i := range rules {
		rules[i].Feature = "-Y, -S"
	}
	return Profile{Role: Reloader, Rules: append(rules, threadRules()...)}
}
