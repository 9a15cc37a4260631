package main

import "gomcd/server"

// missing is what memcached has and this server has not, or not yet: it is
// refused by name rather than ignored. When the server gets one of these, its
// row goes, and -h changes with it.
var missing = []struct {
	flag string // in -h, what is said about it
	note string
	what string // in the refusal
	used func(cfg *server.Config) bool
}{
	{"-e", "not supported", "a memory file",
		func(cfg *server.Config) bool { return cfg.MemoryFile != "" }},
}

// refuse says what of the configuration is not to be had.
func (c *command) refuse() error {
	for _, m := range missing {
		if m.used(&c.cfg) {
			return usageError(server.ExitUsage, "%s: %s is not supported", m.flag, m.what)
		}
	}
	return nil
}

// notes is what -h says about a flag besides its help: what of it is missing.
func (f *flag) notes() string {
	for _, m := range missing {
		if m.flag == f.name() {
			return "\n(" + m.note + " by this version)"
		}
	}
	return ""
}
