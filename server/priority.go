package server

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// stderrFD is stderr's descriptor.
const stderrFD = 2

// Priority is how urgent a line on stderr is, as syslog(3) numbers it. Under the
// journal every line begins with it (sd-daemon(3)), so that `journalctl -p err`
// shows what ended the server.
type Priority uint8

// The priorities that there are lines of.
const (
	Critical Priority = 2 // a violation of the sandbox
	Error    Priority = 3 // the server does not start, or a call fails that cannot
	Warning  Priority = 4
	Notice   Priority = 5 // normal, but worth to know
	Info     Priority = 6 // with -v
	Debug    Priority = 7 // with -vv
)

// underJournal says whether stderr is the journal's: JOURNAL_STREAM has the
// device and inode of its socket (systemd.exec(5)).
var underJournal = func() bool {
	var st unix.Stat_t
	return unix.Fstat(stderrFD, &st) == nil && os.Getenv("JOURNAL_STREAM") == fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}()

// priorityPrefixes are what lines of each priority begin with.
var priorityPrefixes = func() (all [Debug + 1]string) {
	if underJournal {
		for p := range all {
			all[p] = fmt.Sprintf("<%d>", p)
		}
	}
	return all
}()

// Prefix is what a line of a priority begins with: nothing, or "<N>".
func (p Priority) Prefix() string { return priorityPrefixes[p] }

// Say writes a line to stderr as the operator should read it, at once. If the
// text has several lines, all have the priority. It is for the start, when no client
// is served yet: it may wait for the reader of stderr.
func Say(p Priority, text string) {
	var b strings.Builder
	for i, line := range strings.Split("gomcd: "+text, "\n") {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(p.Prefix())
		b.WriteString(line)
	}
	b.WriteByte('\n')
	// Not by os.Stderr: with it, a pipe whose reader has gone ends the process.
	for rest := []byte(b.String()); len(rest) > 0; {
		n, err := unix.Write(stderrFD, rest)
		switch err {
		case nil:
			rest = rest[n:]
		case unix.EINTR:
		case unix.EAGAIN:
			poll := []unix.PollFd{{Fd: stderrFD, Events: unix.POLLOUT}}
			unix.Poll(poll, -1)
		default:
			return
		}
	}
}

// warn warns at the start.
func warn(text string) { Say(Warning, text) }
