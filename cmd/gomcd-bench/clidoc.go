package main

import (
	"strings"

	"gomcd/cmd/internal/clidoc"
	"gomcd/cmd/internal/release"

	"github.com/spf13/pflag"
)

// choices are the values of flags that have a list of them.
var choices = map[string][]string{
	"op": {"get", "set", "mixed"}, "protocol": {"classic", "meta"}, "client": {"raw", "gomemcache"},
	"print-completion": clidoc.Shells,
}

// program is the command line for the manual page and for shells.
func program(fs *pflag.FlagSet) clidoc.Program {
	p := clidoc.Program{
		Name: "gomcd-bench", Version: release.Version, Short: "load a memcached server and report how fast it answers",
		Before: []clidoc.Section{{Title: "SYNOPSIS", Text: []string{
			"gomcd-bench [flags]",
			"gomcd-bench --vs NAME=COMMAND --vs NAME=COMMAND [flags]",
		}}},
		After: []clidoc.Section{{Title: "SEE ALSO", Text: []string{"gomcd(1)"}}},
	}
	description := clidoc.Section{Title: "DESCRIPTION"}
	for paragraph := range strings.SplitSeq(strings.TrimSpace(help), "\n\n") {
		// What is indented is an example.
		text, examples, found := strings.Cut(paragraph, "\n  ")
		description.Text = append(description.Text, text)
		if found {
			description.Text = append(description.Text, "\t"+strings.ReplaceAll(examples, "\n  ", "\n"))
		}
	}
	p.Before = append(p.Before, description)
	fs.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		arg, usage := pflag.UnquoteUsage(f)
		if f.DefValue != "" && f.DefValue != "[]" && f.DefValue != "false" {
			usage += " (default: " + f.DefValue + ")"
		}
		p.Flags = append(p.Flags, clidoc.Flag{
			Long: f.Name, Short: f.Shorthand, Arg: arg, Optional: f.NoOptDefVal != "", Help: usage,
			Values: choices[f.Name], File: f.Name == "json" || f.Name == "report",
		})
	})
	return p
}
