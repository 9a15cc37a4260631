package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"gomcd/server"

	"github.com/spf13/pflag"
)

// command is what the command line asks for.
type command struct {
	cfg    server.Config
	daemon bool
	// print is a request to print something and exit: "", "help", "license",
	// "version", "profile", "man" or "completion".
	print         string
	shell         string // whose completions
	profileRole   string
	profileFormat string
	warnings      []string
	notes         []string // what a configuration file has that does not count
	fileLines     []fileLine

	listen    []string // -l, one address each, without repetitions
	slabSizes string   // -o slab_sizes as written
	napiIDs   int      // -N
	saslFile  string   // $MEMCACHED_SASL_PWDB

	portGiven, udpGiven, listenGiven, protocolGiven bool
	listenDefault                                   string     // -l, if it is not given
	metrics                                         listenSpec // --metrics
	slabSizesGiven, chunkMaxGiven                   bool

	at   string   // the flag that is being read, for warnings
	seen []string // those that were read

	passed passed
}

// flag is one flag: a row in the table that parsing, -h and the tests share.
type flag struct {
	long, short string
	arg         string // what -h calls its value; "" if it takes none
	optional    bool   // the value may be left out
	ours        bool   // memcached does not have it
	hidden      bool   // -h does not list it
	help        string
	values      []string // what the value can be, if that is a list
	set         func(c *command, v string) error
}

// usageError is a misuse of the command line, with the status that memcached
// exits with for it.
func usageError(status int, format string, args ...any) error {
	return &server.ExitError{Code: status, Err: fmt.Errorf(format, args...)}
}

func (c *command) warn(format string, args ...any) {
	c.warnings = append(c.warnings, fmt.Sprintf(format, args...))
}

// errPrint ends parsing: what follows -h, -i and -V does not count.
var errPrint = errors.New("something is to be printed")

// flagSet has all flags set what they do in c.
func (c *command) flagSet() *pflag.FlagSet {
	fs := pflag.NewFlagSet("gomcd", pflag.ContinueOnError)
	fs.SetOutput(io.Discard)
	for i := range flags {
		f := &flags[i]
		p := fs.VarPF(value{c, f}, f.long, f.short, "")
		if f.arg == "" || f.optional {
			p.NoOptDefVal = noValue
		}
	}
	fs.SetNormalizeFunc(abbreviations())
	return fs
}

// parse reads the command line and the environment, as memcached does: one
// flag after the other, so that the first error counts, then what must fit
// together. It looks nothing up; that is complete's.
func parse(args []string, getenv func(string) string) (*command, error) {
	c := &command{cfg: defaults()}
	fs := c.flagSet()
	if len(args) > 0 && args[0] == "memcached" {
		args = args[1:] // users of memcached's container image name the program first
	}
	words, err := c.separate(fs, args)
	if err != nil {
		return nil, err
	}
	if err := fs.Parse(words); errors.Is(err, errPrint) {
		return c, nil
	} else if err != nil {
		return nil, c.placed(explain(err))
	}
	for _, arg := range fs.Args() {
		c.warn("%q is neither a flag nor a flag's value, and ignored", arg)
	}
	c.cfg.PortFile = getenv("MEMCACHED_PORT_FILENAME")
	c.saslFile = cmp.Or(getenv(saslVariable), c.saslFile)
	if c.cfg.TestPrivileges {
		// As memcached's own tests have it. What is no number is 0.
		n, _ := strconv.ParseInt(getenv("T_MEMD_INITIAL_MALLOC"), 10, 64)
		c.cfg.Malloced = max(n, 0)
	}
	if c.passed, err = passedTo(os.Getpid(), getenv); err != nil {
		return nil, err
	}
	c.otherImage(getenv)
	return c, c.check()
}

// otherImage warns of variables by which Bitnami's image of memcached has clients log in:
// a server that was moved here would be open to all.
func (c *command) otherImage(getenv func(string) string) {
	if c.cfg.AuthFile != "" || c.cfg.SASL {
		return
	}
	var given []string
	for _, name := range []string{"MEMCACHED_USERNAME", "MEMCACHED_PASSWORD"} {
		if getenv(name) != "" {
			given = append(given, name)
		}
	}
	if len(given) > 0 {
		c.warn("no effect of %s: clients need not log in; that takes -Y FILE, with lines of user:password", strings.Join(given, ", "))
	}
}

// complete looks up what can only be known on the machine: the user to become
// and the addresses of host names. The sandbox allows neither later.
func (c *command) complete(root bool) error {
	if err := c.identity(root); err != nil {
		return err
	}
	if err := c.metricsAddr(); err != nil {
		return err
	}
	if c.passed.count > 0 {
		return c.inherit()
	}
	return c.listening()
}

// noValue is what pflag passes for a flag without a value, and -o for a word without a =.
const noValue = "\x00"

// value is a flag as pflag knows it.
type value struct {
	c *command
	f *flag
}

func (v value) String() string { return "" }

func (v value) Type() string { return "value" }

func (v value) Set(text string) error {
	if v.f.arg == "" && text != noValue {
		return usageError(server.ExitFailure, "the flag takes no value")
	}
	if text == noValue {
		text = ""
	}
	v.c.at = v.f.name()
	v.c.seen = append(v.c.seen, v.c.at)
	return v.f.set(v.c, strings.TrimLeft(text, spaces))
}

// name is the flag's shortest name.
func (f *flag) name() string {
	if f.short != "" {
		return "-" + f.short
	}
	return "--" + f.long
}

// explain puts what pflag says into one line, with the status for it.
func explain(err error) error {
	var invalid *pflag.InvalidValueError
	var unknown *pflag.NotExistError
	var bare *pflag.ValueRequiredError
	switch {
	case errors.As(err, &invalid):
		f := invalid.GetFlag()
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand
		}
		given := ""
		switch v := invalid.GetValue(); {
		case v == "":
			given = ` ""`
		case v != noValue && f.Shorthand != "o":
			given = " " + v
		}
		code := server.ExitFailure
		var exit *server.ExitError
		if errors.As(err, &exit) {
			code = exit.Code
		}
		return usageError(code, "%s%s: %w", name, given, invalid.Unwrap())
	case errors.As(err, &unknown):
		name := unknown.GetSpecifiedName()
		if unknown.GetSpecifiedShortnames() != "" {
			return usageError(server.ExitFailure, "Illegal argument: there is no flag -%s (see -h)", name)
		}
		if found := longNames(name); len(found) > 1 {
			return usageError(server.ExitFailure, "Illegal argument: --%s is ambiguous: --%s", name, strings.Join(found, ", --"))
		}
		return usageError(server.ExitFailure, "Illegal argument: there is no flag --%s (see -h)", name)
	case errors.As(err, &bare):
		name := "--" + bare.GetSpecifiedName()
		if bare.GetSpecifiedShortnames() != "" {
			name = name[1:]
		}
		return usageError(server.ExitFailure, "%s needs a value", name)
	}
	return usageError(server.ExitFailure, "Illegal argument: %w", err)
}
