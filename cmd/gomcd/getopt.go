package main

import (
	"strings"

	"github.com/spf13/pflag"
)

// pflag and getopt_long, which memcached uses, understand most command lines
// alike. This file is about the rest, so that every command line that works
// with memcached means the same here:
//
//   - getopt_long takes any unambiguous beginning of a long name;
//   - `-p=1` is the value "=1" to it, and `-v=1` a flag '='.

// abbreviations returns the function by which pflag finds a flag by the
// beginning of its name. Names that memcached does not have are left out: they
// would make beginnings ambiguous that are not so for it.
func abbreviations() func(*pflag.FlagSet, string) pflag.NormalizedName {
	return func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if found := longNames(name); len(found) == 1 {
			return pflag.NormalizedName(found[0])
		}
		return pflag.NormalizedName(name)
	}
}

// longNames are the long names that a name can stand for: itself, or those of
// memcached's that begin with it.
func longNames(name string) []string {
	var found []string
	for _, f := range flags {
		if f.long == name {
			return []string{name}
		}
		if !f.ours && strings.HasPrefix(f.long, name) {
			found = append(found, f.long)
		}
	}
	return found
}

// separate takes bundles of short flags apart, -dvm64 to -d -v -m 64, because
// there are differences in how they are read. Everything else stays as it is.
// In place of --config it puts the words of that file.
func (c *command) separate(fs *pflag.FlagSet, args []string) ([]string, error) {
	var out []string
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "--":
			return append(append(out, arg), args...), nil
		case strings.HasPrefix(arg, "--"):
			out = append(out, arg)
			name, value, valued := strings.Cut(arg[2:], "=")
			f := lookup(fs, name)
			if f != nil && f.NoOptDefVal == "" && !valued && len(args) > 0 {
				value, valued = args[0], true
				out = append(out, value)
				args = args[1:]
			}
			if f == nil || f.Name != configFlag || !valued {
				continue
			}
			words, err := c.readConfig(value)
			if err != nil {
				return nil, err
			}
			if err := c.lacksValue(words); err != nil {
				return nil, err
			}
			if words, err = c.separate(fs, words); err != nil {
				return nil, err
			}
			out = append(out, words...)
		case len(arg) > 1 && arg[0] == '-':
			out, args = unbundle(fs, out, arg[1:], args)
		default:
			out = append(out, arg)
		}
	}
	return out, nil
}

// lookup finds a flag by what was written of its long name.
func lookup(fs *pflag.FlagSet, name string) *pflag.Flag {
	if name == "" {
		return nil
	}
	return fs.Lookup(name)
}

// unbundle appends the flags of one bundle; a value that it ends with, or that
// comes after it, is a word of its own.
func unbundle(fs *pflag.FlagSet, out []string, bundle string, args []string) ([]string, []string) {
	for i := range len(bundle) {
		out = append(out, "-"+bundle[i:i+1])
		f := fs.ShorthandLookup(bundle[i : i+1])
		switch {
		case f == nil:
			return out, args // pflag will say that there is no such flag
		case f.NoOptDefVal != "":
			continue
		case i+1 < len(bundle):
			return append(out, bundle[i+1:]), args
		case len(args) > 0:
			return append(out, args[0]), args[1:]
		}
	}
	return out, args
}
