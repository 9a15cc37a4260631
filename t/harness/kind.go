package harness

import (
	"crypto/tls"
	"fmt"
	"io"
	"os"
	"slices"
	"sync/atomic"
)

// Kind is a sort of server that tests run against.
type Kind struct {
	Name  string
	Gomcd bool // gomcd, or else memcached

	binary   string
	args     []string
	env      []string  // besides, for a server that writes coverage data
	notifier *notifier // if its system calls are asked about
	stderr   *os.File  // where it goes, nil: to the harness
	says     string    // the one line that it says on stderr

	files  []*os.File // open in it, from descriptor 3 on
	passed []*os.File // sockets to be served that it is started with, instead
	socket string     // the path of the first, if that is a unix socket

	client *tls.Config // of clients, for a server with TLS
}

// started counts servers that should have written coverage data.
var started atomic.Int64

const privileged = "test-privileges"

// Privileged is gomcd with coverage and the privileges to write it.
func Privileged() Kind {
	k := Kind{
		Name: privileged, Gomcd: true, binary: binaries.cover,
		args: []string{"--test-privileges"},
		says: "gomcd: test privileges are on: the process may open and write files; not for production\n",
	}
	k.says += raceWarning()
	if binaries.coverage != "" {
		k.env = []string{"GOCOVERDIR=" + binaries.coverage}
	}
	return k
}

// Production is gomcd as an operator runs it.
func Production() Kind {
	return Kind{Name: "production", Gomcd: true, binary: binaries.plain, says: raceWarning()}
}

// raceWarning is what a server says that was built with the race detector.
func raceWarning() string {
	if !binaries.race {
		return ""
	}
	return "gomcd: built with the race detector: every role may do what that needs; not for production\n"
}

// Limited is a kind with a limit of ulimit(1): "-f 64" for files that cannot grow
// beyond 64 kilobytes.
func Limited(k Kind, limit string) Kind {
	return StartedBy(k, "/bin/bash", "-c", fmt.Sprintf(`ulimit %s && exec "$0" "$@"`, limit))
}

// StartedBy is a kind whose servers are started by a program that becomes the
// server: the server's path and flags follow its own arguments.
func StartedBy(k Kind, program string, args ...string) Kind {
	k.args = append(append(slices.Clone(args), k.binary), k.args...)
	k.binary = program
	return k
}

// Binary is the path of the server's program.
func (k Kind) Binary() string { return k.binary }

// Memcached is the server whose replies are expected of gomcd, if the
// environment has one.
func Memcached() (Kind, bool) {
	path := os.Getenv("MEMCACHED")
	return Kind{Name: "memcached", binary: path}, path != ""
}

// Kinds lists the kinds there are.
func Kinds() []Kind {
	all := []Kind{Privileged(), Production()}
	if k, ok := Memcached(); ok {
		all = append(all, k)
	}
	return all
}

// WithEnv is a kind whose servers have more in their environment.
func WithEnv(k Kind, env ...string) Kind {
	k.env = append(slices.Clone(k.env), env...)
	return k
}

// StderrTo is a kind whose servers have a file as stderr. The harness does not see
// what they say.
func StderrTo(k Kind, f *os.File) Kind {
	k.stderr, k.says = f, ""
	return k
}

// standardError is what a server gets as stderr.
func (k Kind) standardError(otherwise io.Writer) io.Writer {
	if k.stderr != nil {
		return k.stderr
	}
	return otherwise
}
