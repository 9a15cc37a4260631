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
func (c *command) separate(fs *pflag.FlagSet, args []string) (out []string, err error) {
	err = eachFlag(fs, args, func(f *pflag.Flag, words ...string) error {
		out = append(out, words...)
		if f == nil || f.Name != configFlag {
			return nil
		}
		file := words[len(words)-1]
		if len(words) == 1 {
			_, value, valued := strings.Cut(file, "=")
			if !valued {
				return nil // pflag will say that it needs one
			}
			file = value
		}
		words, err := c.readConfig(fs, file)
		if err == nil {
			err = c.lacksValue(words)
		}
		out = append(out, words...)
		return err
	})
	return out, err
}

// eachFlag calls do for each flag of args, with the words that it is: one, or two with a
// value that is a word of its own. What is no flag is passed on without one.
func eachFlag(fs *pflag.FlagSet, args []string, do func(f *pflag.Flag, words ...string) error) (err error) {
	for len(args) > 0 && err == nil {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "--":
			return do(nil, append([]string{arg}, args...)...)
		case strings.HasPrefix(arg, "--"):
			name, _, valued := strings.Cut(arg[2:], "=")
			f := lookup(fs, name)
			if f != nil && f.NoOptDefVal == "" && !valued && len(args) > 0 {
				err = do(f, arg, args[0])
				args = args[1:]
				continue
			}
			err = do(f, arg)
		case len(arg) > 1 && arg[0] == '-':
			args, err = eachOfBundle(fs, arg[1:], args, do)
		default:
			err = do(nil, arg)
		}
	}
	return err
}

// lookup finds a flag by what was written of its long name.
func lookup(fs *pflag.FlagSet, name string) *pflag.Flag {
	if name == "" {
		return nil
	}
	return fs.Lookup(name)
}

// eachOfBundle is eachFlag for one bundle of short flags, whose last can have a value in
// it or after it. It returns the words that are left.
func eachOfBundle(fs *pflag.FlagSet, bundle string, args []string, do func(f *pflag.Flag, words ...string) error) ([]string, error) {
	for i := range len(bundle) {
		name := "-" + bundle[i:i+1]
		f := fs.ShorthandLookup(bundle[i : i+1])
		switch {
		case f == nil:
			return args, do(nil, name) // pflag will say that there is no such flag
		case f.NoOptDefVal != "":
			if err := do(f, name); err != nil {
				return nil, err
			}
		case i+1 < len(bundle):
			return args, do(f, name, bundle[i+1:])
		case len(args) > 0:
			return args[1:], do(f, name, args[0])
		default:
			return nil, do(f, name)
		}
	}
	return args, nil
}
