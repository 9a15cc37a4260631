package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"gomcd/server"

	"github.com/kballard/go-shellquote"
	"github.com/spf13/pflag"
)

// A configuration file is what Debian's memcached has in /etc/memcached.conf: a
// flag a line, with its value, quoted as a shell would have it; # begins a
// comment. Or it is what Fedora's has in /etc/sysconfig/memcached: variables whose
// values are of a flag (CACHESIZE="64") or are flags (OPTIONS="-l 127.0.0.1"). Its
// flags count where --config stands on the command line.

const (
	configFlag = "config"
	daemonFlag = "daemon"
)

// maxConfig is how long a configuration file may be, in bytes.
const maxConfig = 1 << 20

// variables are those of Fedora's file that stand for a flag.
var variables = map[string]string{"PORT": "-p", "USER": "-u", "MAXCONN": "-c", "CACHESIZE": "-m"}

// saslVariable is one of memcached's environment (-S), which such files have as well.
const saslVariable = "MEMCACHED_SASL_PWDB"

// assignment is a line with a variable. As for systemd, which reads such files
// (EnvironmentFile=), its value is the rest of the line, in quotes or not.
var assignment = regexp.MustCompile(`^\s*([A-Za-z_][A-Za-z0-9_]*)=(.*?)\s*$`)

// unquoted is a value without the quotes around it.
func unquoted(value string) string {
	if n := len(value); n > 1 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
		return value[1 : n-1]
	}
	return value
}

// assigned returns the words that a variable stands for. It returns false if it is
// not about flags.
func assigned(name, value string) ([]string, bool, error) {
	value = unquoted(value)
	if flag, ok := variables[name]; ok && value != "" {
		return []string{flag, value}, true, nil
	}
	words, err := shellquote.Split(value)
	return words, name == "OPTIONS" || variables[name] != "", err
}

// readConfig returns the words of a configuration file. One whose name follows a
// "-" may be missing, as with systemd.
func (c *command) readConfig(fs *pflag.FlagSet, path string) ([]string, error) {
	path, optional := strings.CutPrefix(path, "-")
	if path == "" {
		return nil, usageError(server.ExitUsage, "--config names no file")
	}
	text, err := readRegular(path, maxConfig)
	if optional && errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, usageError(server.ExitUsage, "--config %s: %w", path, err)
	}
	var words []string
	add := func(n int, line []string) error {
		line, dropped, err := withoutDaemon(fs, line)
		if err != nil {
			return usageError(server.ExitUsage, "--config %s: line %d: %w", path, n, err)
		}
		if dropped != "" {
			c.notes = append(c.notes, fmt.Sprintf("%s: line %d: %s is ignored in a file: a service manager wants the process in the foreground", path, n, dropped))
		}
		words = append(words, line...)
		c.fileLines = append(c.fileLines, fileLine{path, n, line})
		return nil
	}
	// Editors of Windows begin a file with a byte order mark.
	lines := bufio.NewScanner(bytes.NewReader(bytes.TrimPrefix(text, []byte("\ufeff"))))
	lines.Buffer(nil, maxConfig+1)
	for n := 1; lines.Scan(); n++ {
		if m := assignment.FindStringSubmatch(lines.Text()); m != nil {
			flags, ok, err := assigned(m[1], m[2])
			switch {
			case m[1] == saslVariable:
				c.saslFile = unquoted(m[2])
			case ok && err != nil:
				return nil, usageError(server.ExitUsage, "--config %s: line %d: %w", path, n, err)
			case ok:
				if err := add(n, flags); err != nil {
					return nil, err
				}
			default:
				c.warn("%s: line %d: %s is not a variable that is read, and ignored", path, n, m[1])
			}
			continue
		}
		line, err := shellquote.Split(uncommented(lines.Text()))
		switch {
		case err != nil:
			return nil, usageError(server.ExitUsage, "--config %s: line %d: %w", path, n, err)
		case len(line) == 0:
		case line[0] == "":
			c.warn("%s: line %d: %q is not a flag, and ignored", path, n, line[0])
		case line[0] == "logfile":
			c.notes = append(c.notes, fmt.Sprintf("%s: line %d: logfile is ignored: the log goes to stderr, which with -d is lost unless there is -v as well", path, n))
		case line[0][0] != '-':
			c.warn("%s: line %d: %q is not a flag, and ignored", path, n, line[0])
		default:
			if err := add(n, line); err != nil {
				return nil, err
			}
		}
	}
	return words, lines.Err()
}

// withoutDaemon returns the words of a line without -d, and what it left out. A service
// manager wants the process in the foreground; Debian's file has the flag, and its wrapper
// takes it out.
func withoutDaemon(fs *pflag.FlagSet, line []string) (kept []string, dropped string, err error) {
	err = eachFlag(fs, line, func(f *pflag.Flag, words ...string) error {
		switch {
		case f != nil && f.Name == configFlag:
			return errors.New("a configuration file cannot name another")
		case f != nil && f.Name == daemonFlag && !strings.Contains(words[0], "="):
			dropped = words[0]
		default:
			kept = append(kept, words...)
		}
		return nil
	})
	return kept, dropped, err
}

// fileLine is a line of a configuration file, with the words that it stands for.
type fileLine struct {
	path  string
	n     int
	words []string
}

// lacksValue is the error of a file whose last flag lacks its value: what follows the file on
// the command line is none.
func (c *command) lacksValue(words []string) error {
	var bare *pflag.ValueRequiredError
	if err := parseAlone(words); errors.As(err, &bare) {
		return c.placed(explain(err))
	}
	return nil
}

// parseAlone reads words of a file as if there were no others.
func parseAlone(words []string) error {
	alone := &command{cfg: defaults()}
	return alone.flagSet().Parse(words)
}

// placed adds to an error of parsing the line of a file that has it, if one does: the
// first that gives the same error by itself.
func (c *command) placed(err error) error {
	for _, line := range c.fileLines {
		failed := parseAlone(line.words)
		var exit *server.ExitError
		if failed != nil && errors.As(err, &exit) && explain(failed).Error() == err.Error() {
			return usageError(exit.Code, "--config %s: line %d: %w", line.path, line.n, err)
		}
	}
	return err
}

// uncommented is a line without its comment: a # that begins the line or a word,
// outside of quotes.
func uncommented(line string) string {
	var quote byte
	for i := 0; i < len(line); i++ {
		switch b := line[i]; {
		case quote != 0:
			if b == quote {
				quote = 0
			}
		case b == '\'' || b == '"':
			quote = b
		case b == '\\':
			i++
		case b == '#' && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t'):
			return line[:i]
		}
	}
	return line
}

// readRegular reads a regular file of up to max bytes.
func readRegular(path string, max int64) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err.(*os.PathError).Err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("not a regular file")
	case info.Size() > max:
		return nil, fmt.Errorf("longer than %d bytes", max)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err.(*os.PathError).Err
	}
	return text, nil
}
