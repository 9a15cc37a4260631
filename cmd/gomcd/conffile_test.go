package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func configFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "memcached.conf")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// What Debian's memcached has in /etc/memcached.conf, its comments, its -d and
// its logfile included.
const debianConfig = `# memcached default config file
# 2003 - Jay Bonci
-d

# Log memcached's output to /var/log/memcached
logfile /var/log/memcached.log
 # -vv
-m 256
-p 11311	# the second instance
-u memcache
-l 127.0.0.1
-l ::1
-c 4096
# -k
--max-item-size=2m
-D "#"
-o 'hashpower=20,no_lru_crawler'
-P /var/run/memcached/memcached.pid
`

func TestConfigFileOfDebian(t *testing.T) {
	want := defaults()
	want.MemLimit, want.Port, want.User, want.MaxConns = 256<<20, 11311, "memcache", 4096
	want.ConnsGiven = true
	want.ItemSizeMax, want.PrefixDelim, want.DetailEnabled = 2<<20, '#', true
	want.Inter, want.LRUCrawler = "127.0.0.1,::1", false
	want.HashPower, want.PIDFile = 20, "/var/run/memcached/memcached.pid"
	for name, text := range map[string]string{
		"as editors of Windows write it": "\ufeff" + strings.ReplaceAll(debianConfig, "\n", "\r\n"),
		"with blanks at the end":         strings.ReplaceAll(debianConfig, "\n", " \t\n"),
		"without the last line end":      strings.TrimSuffix(debianConfig, "\n"),
	} {
		if c := mustParse(t, "--config", configFile(t, text)); !reflect.DeepEqual(c.cfg, want) || len(c.warnings) != 0 {
			t.Errorf("%s: warnings %q\n got %+v\nwant %+v", name, c.warnings, c.cfg, want)
		}
	}
	path := configFile(t, debianConfig)
	c := mustParse(t, "--config", path)
	if !reflect.DeepEqual(c.cfg, want) {
		t.Errorf("\n got %+v\nwant %+v", c.cfg, want)
	}
	if c.daemon {
		t.Error("-d in a file puts the server into the background")
	}
	if !reflect.DeepEqual(c.listen, []string{"127.0.0.1", "::1"}) {
		t.Errorf("it listens on %q", c.listen)
	}
	notes := strings.Join(c.notes, "\n")
	if len(c.warnings) != 0 || !strings.Contains(notes, "line 3: -d is ignored") || !strings.Contains(notes, "line 6: logfile is ignored: the log goes to stderr, which with -d is lost unless there is -v as well") {
		t.Errorf("warnings %q, notes %q", c.warnings, c.notes)
	}
}

// -d is ignored in a file wherever it stands, and nothing else is.
func TestConfigFileStaysInForeground(t *testing.T) {
	for text, want := range map[string]struct {
		dropped string
		args    []string
	}{
		"-d":                         {"-d", nil},
		"--daemon":                   {"--daemon", nil},
		"-d -v":                      {"-d", []string{"-v"}},
		"-m 100 -d":                  {"-d", []string{"-m", "100"}},
		"-vd":                        {"-d", []string{"-v"}},
		"-dvm100":                    {"-d", []string{"-v", "-m", "100"}},
		"-v --daemo -k":              {"--daemo", []string{"-v", "-k"}},
		`OPTIONS="-d -m 128"`:        {"-d", []string{"-m", "128"}},
		`OPTIONS="-l 127.0.0.1 -vd"`: {"-d", []string{"-l", "127.0.0.1", "-v"}},
		"-P -d":                      {"", []string{"-P", "-d"}}, // a value
		"-vDd":                       {"", []string{"-v", "-D", "d"}},
		"--pidfile --daemon":         {"", []string{"-P", "--daemon"}},
	} {
		c := mustParse(t, "--config", configFile(t, "\n"+text+"\n"))
		if expected := mustParse(t, want.args...); c.daemon || !reflect.DeepEqual(c.cfg, expected.cfg) || len(c.warnings) != 0 {
			t.Errorf("%s: daemon %v, warnings %q\n got %+v\nwant %+v", text, c.daemon, c.warnings, c.cfg, expected.cfg)
		}
		if notes := strings.Join(c.notes, "\n"); want.dropped == "" && notes != "" || want.dropped != "" && !strings.Contains(notes, "line 2: "+want.dropped+" is ignored") {
			t.Errorf("%s: notes %q", text, notes)
		}
	}
	if c := mustParse(t, "-d", "--config", configFile(t, "-d\n")); !c.daemon {
		t.Error("-d of the command line is ignored")
	}
}

// A file's flags count where the file is named, so that a unit can have a file
// and OPTIONS after it.
func TestConfigFileCountsWhereItStands(t *testing.T) {
	path := configFile(t, "-m 100\n-c 200\n")
	for _, test := range []struct {
		args       []string
		mem, conns int
	}{
		{[]string{"--config=" + path}, 100, 200},
		{[]string{"--config", path, "-m", "300"}, 300, 200},
		{[]string{"-m", "300", "--config", path}, 100, 200},
		{[]string{"-vm", "300", "-P", "--config", "-c", "7"}, 300, 7}, // a value, not the flag
	} {
		c := mustParse(t, test.args...)
		if got := int(c.cfg.MemLimit >> 20); got != test.mem || c.cfg.MaxConns != test.conns {
			t.Errorf("%q: -m %d -c %d, want %d and %d", test.args, got, c.cfg.MaxConns, test.mem, test.conns)
		}
	}
}

func TestConfigFileErrors(t *testing.T) {
	for text, want := range map[string]string{
		"-m 64\n-l \"127.0.0.1\n":  "line 2: ",
		"--config /etc/other.conf": "line 1: a configuration file cannot name another",
		"-m 64\n-v --config=/x":    "line 2: a configuration file cannot name another",
		"OPTIONS=--config=/x":      "line 1: a configuration file cannot name another",
		"-v --daemon=yes":          "line 1: ",
		"-m 64\n-m":                "line 2: -m needs a value",
		"-m 64\n\n-dv --bogus":     "line 3: Illegal argument: there is no flag --bogus",
		"-v\n-vZ9":                 "line 2: Illegal argument: there is no flag -9",
		"# none\n-t many # each":   "line 2: -t many: ",
		"OPTIONS=\"-o no_such=1\"": "line 1: ",
	} {
		for _, after := range []string{"--check", "-v"} { // is no value of what the file ends with
			_, err := parse([]string{"--config", configFile(t, text), after}, os.Getenv)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: error %v, want one with %q", text, err, want)
			}
		}
	}
	for path, want := range map[string]string{
		"/nonexistent": "no such file", t.TempDir(): "not a regular file", "/dev/zero": "not a regular file",
	} {
		_, err := parse([]string{"--config", path}, os.Getenv)
		if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", path, err, want)
		}
	}
	for _, empty := range []string{`""`, "''"} {
		c := mustParse(t, "--config", configFile(t, "-m 64\n"+empty+"\n"))
		if len(c.warnings) != 1 || !strings.Contains(c.warnings[0], `line 2: "" is not a flag, and ignored`) {
			t.Errorf("%s: warnings %q", empty, c.warnings)
		}
	}
	c := mustParse(t, "--config", configFile(t, "ENABLE_MEMCACHED=yes\n"))
	if len(c.warnings) != 1 || !strings.Contains(c.warnings[0], `line 1: ENABLE_MEMCACHED is not a variable`) {
		t.Errorf("warnings %q", c.warnings)
	}
}

// What Fedora's memcached has in /etc/sysconfig/memcached, and a service's OPTIONS as
// systemd reads them: the whole line.
func TestConfigFileOfFedora(t *testing.T) {
	want := defaults()
	want.Port, want.User, want.MaxConns, want.MemLimit, want.ConnsGiven = 11311, "memcached", 2048, 128<<20, true
	want.Inter, want.Threads = "127.0.0.1,::1", 2
	for _, options := range []string{`OPTIONS="-l 127.0.0.1,::1 -t 2"`, `OPTIONS=-l 127.0.0.1,::1 -t 2`, `  OPTIONS='-l "127.0.0.1,::1" -t 2'  `} {
		text := "# of Fedora\nPORT=\"11311\"\nUSER=\"memcached\"\nMAXCONN=\"2048\"\nCACHESIZE=128\n" + options + "\n"
		c := mustParse(t, "--config", configFile(t, text))
		if !reflect.DeepEqual(c.cfg, want) || len(c.warnings) != 0 {
			t.Errorf("%s\n got %+v, warnings %q\nwant %+v", options, c.cfg, c.warnings, want)
		}
	}
	c := mustParse(t, "--config", configFile(t, "PORT=\nOPTIONS=\nOPTIONS=\"\"\n"))
	if want := defaults(); !reflect.DeepEqual(c.cfg, want) || len(c.warnings) != 0 {
		t.Errorf("empty values: %+v, warnings %q", c.cfg, c.warnings)
	}
	if _, err := parse([]string{"--config", configFile(t, "\nOPTIONS=-l \"127\n")}, os.Getenv); err == nil || !strings.Contains(err.Error(), "line 2: ") {
		t.Errorf("a quote that is not closed: %v", err)
	}
}

// What -S needs may be in such a file; the environment's counts more.
func TestConfigFileNamesUsers(t *testing.T) {
	path := configFile(t, "MEMCACHED_SASL_PWDB=/etc/gomcd/users\nOPTIONS=-S\n")
	for env, want := range map[string]string{"": "/etc/gomcd/users", "/other": "/other"} {
		c, err := parse([]string{"--config", path}, func(name string) string {
			return map[string]string{"MEMCACHED_SASL_PWDB": env}[name]
		})
		if err != nil || c.cfg.AuthFile != want || len(c.warnings) != 0 {
			t.Errorf("%q: %v, %+v", env, err, c)
		}
	}
}

// An empty name there is none, as in the environment; one may have spaces.
func TestConfigFileNamesNoUsers(t *testing.T) {
	for text, want := range map[string]string{"MEMCACHED_SASL_PWDB=": "", `MEMCACHED_SASL_PWDB=""`: "", "MEMCACHED_SASL_PWDB=/etc/two words": "/etc/two words"} {
		if c := mustParse(t, "--config", configFile(t, text+"\n")); c.saslFile != want || len(c.warnings) != 0 {
			t.Errorf("%s: %q, warnings %q", text, c.saslFile, c.warnings)
		}
	}
}

// A file whose name follows a "-" may be missing, but not wrong.
func TestConfigFileThatMayBeMissing(t *testing.T) {
	if c := mustParse(t, "--config=-/nonexistent", "-m", "100"); c.cfg.MemLimit != 100<<20 || len(c.warnings) != 0 {
		t.Errorf("-m %d, warnings %q", c.cfg.MemLimit, c.warnings)
	}
	if c := mustParse(t, "--config=-"+configFile(t, "-m 100\n")); c.cfg.MemLimit != 100<<20 {
		t.Errorf("-m %d", c.cfg.MemLimit)
	}
	if _, err := parse([]string{"--config=-" + t.TempDir()}, os.Getenv); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("of a directory: %v", err)
	}
}

// The image of memcached is run with flags, or with memcached and flags.
func TestFirstWordOfAContainer(t *testing.T) {
	if c := mustParse(t, "memcached", "-m", "100"); c.cfg.MemLimit != 100<<20 || len(c.warnings) != 0 {
		t.Errorf("-m %d, warnings %q", c.cfg.MemLimit, c.warnings)
	}
	if c := mustParse(t, "-m", "100", "memcached"); len(c.warnings) != 1 {
		t.Errorf("warnings %q", c.warnings)
	}
}
