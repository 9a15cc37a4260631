package main

import (
	"fmt"
	"strconv"
	"strings"

	"gomcd/cmd/internal/clidoc"
	"gomcd/sandbox"
	"gomcd/server"
)

// topHelp is what gomcd top does, for -h, the manual page and shells.
const topHelp = "show what a server is doing, until q is pressed; see gomcd-top(1)"

// program is the command line for the manual page and for shells: the tables
// that parsing and -h use.
func program() clidoc.Program {
	p := clidoc.Program{
		Name: "gomcd", Version: own,
		Short:   "a memcached server that runs every thread in its own sandbox",
		Command: clidoc.Item{Term: "top", Text: topHelp},
		Before: []clidoc.Section{
			{Title: "SYNOPSIS", Text: []string{"gomcd [flags]", "gomcd top [HOST[:PORT] | PATH]"}},
			{Title: "DESCRIPTION", Text: []string{
				"gomcd is a server that keeps values in memory for as long as there is room, and speaks the protocols of memcached " + compatible +
					": the text protocol, classic and meta, and the binary one. It takes memcached's flags and answers its statistics.",
				"Unless --sandbox=off is given, every thread has a seccomp filter of its own. The server starts only when the kernel has confirmed all of them. " +
					"A system call that is not in a thread's profile ends the process with a line that says which thread made which call; " +
					"see --sandbox and --print-profile.",
				"Started as root it needs -u. Numbers are read as memcached reads them: where that is not what was written, a warning says so. One that does not fit 32 bits with a sign is refused.",
				"gomcd top: " + topHelp + ".",
			}},
		},
		After: []clidoc.Section{
			{Title: "SIGNALS", Items: []clidoc.Item{
				{Term: "SIGTERM, SIGINT", Text: "Stop."},
				{Term: "SIGUSR1", Text: "Stop, and with -e keep the items for the next start."},
				{Term: "SIGHUP", Text: "With -Y or -S: read the authentication file again. With -Z: load the certificates again. Otherwise it is ignored."},
			}},
			{Title: "EXIT STATUS", Items: []clidoc.Item{
				{Term: "0", Text: "It was stopped."},
				{Term: strconv.Itoa(server.ExitFailure), Text: "A flag is wrong, or the server could not start."},
				{Term: "2", Text: "It crashed: a Go stack trace is on stderr."},
				{Term: strconv.Itoa(server.ExitUsage), Text: "Flags are wrong, or contradict each other."},
				{Term: strconv.Itoa(server.ExitNoUser), Text: "There is no user as -u names it."},
				{Term: strconv.Itoa(server.ExitOSErr), Text: "The system refused something, such as an address."},
				{Term: strconv.Itoa(sandbox.ExitViolation), Text: "A thread made a system call that its profile does not have."},
			}},
			{Title: "ENVIRONMENT", Items: []clidoc.Item{
				{Term: "MEMCACHED_PORT_FILENAME", Text: "A file that the ports are written to."},
				{Term: "MEMCACHED_SASL_PWDB", Text: "With -S: the file of users and passwords."},
				{Term: "NOTIFY_SOCKET, LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES", Text: "Set by a service manager: see sd_notify(3) and sd_listen_fds(3)."},
			}},
			{Title: "EXAMPLES", Text: []string{
				"A cache of 1 GiB on loopback, in the background:",
				"\tgomcd -l 127.0.0.1 -m 1024 -u memcache -d -P /run/memcached/memcached.pid",
				"What memcached was started with on Debian:",
				"\tgomcd --config /etc/memcached.conf",
				"Whether it would start so, and what would differ:",
				"\tgomcd --check --config /etc/memcached.conf",
				"What a worker thread may do, and why:",
				"\tgomcd --print-profile=worker",
			}},
			{Title: "SEE ALSO", Text: []string{"gomcd-top(1), gomcd-bench(1), memcached(1), seccomp(2), landlock(7)"}},
		},
	}
	for i := range flags {
		f := &flags[i]
		if f.hidden {
			continue
		}
		d := clidoc.Flag{
			Long: f.long, Short: f.short, Arg: bare(f.arg), Optional: f.optional, Help: withDefaults(f.help),
			Values: f.values, File: f.arg == "<file>",
		}
		if f.optional && f.short != "" {
			d.Arg, d.Optional = "", false // -v: a value is taken and not looked at
		}
		if f.long == "extended" {
			d.List = true
			for _, o := range options {
				word := clidoc.Flag{Long: o.name, Help: withDefaults(o.help)}
				if o.valued {
					word.Arg = "value"
				}
				if o.help == "" {
					word.Help = fmt.Sprintf("See memcached(1)%s.", map[bool]string{true: "; takes a value"}[o.valued])
				}
				d.Sub = append(d.Sub, word)
			}
		}
		p.Flags = append(p.Flags, d)
	}
	return p
}

// bare is what a value is called, without the angle brackets that -h has.
func bare(arg string) string { return strings.Trim(arg, "<>") }
