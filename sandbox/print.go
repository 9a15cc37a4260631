package sandbox

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"golang.org/x/sys/unix"
)

// Print writes profiles for a reader ("text"), as data ("json"), or as the
// programs that the kernel gets ("bpf").
func Print(w io.Writer, profiles []Profile, format string) error {
	switch format {
	case "", "text":
		return printText(w, profiles)
	case "json":
		return printJSON(w, profiles)
	case "bpf":
		return printBPF(w, profiles)
	}
	return fmt.Errorf("format %q is not one of text, json, bpf", format)
}

func printText(w io.Writer, profiles []Profile) error {
	if len(profiles) > 1 {
		if err := printSummary(w, profiles); err != nil {
			return err
		}
	}
	for _, p := range profiles {
		fmt.Fprintf(w, "role %s: %d system calls\n", p.Role, len(p.Calls()))
		t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
		for _, r := range withoutBlocks(p.Rules) {
			effect := ""
			if r.Errno != 0 {
				effect = " -> " + unix.ErrnoName(r.Errno)
			}
			feature := ""
			if r.Feature != "" {
				feature = " [" + r.Feature + "]"
			}
			fmt.Fprintf(t, "  %s(%s)%s\t%s%s\n", r.Call, r.conditions(), effect, r.Reason, feature)
		}
		if err := t.Flush(); err != nil {
			return err
		}
		fmt.Fprintln(w)
	}
	return nil
}

// printSummary prints a line a role: how many calls it has, and which of them not
// every thread has.
func printSummary(w io.Writer, profiles []Profile) error {
	common := Profile{Rules: threadRules()}.Calls()
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, p := range profiles {
		calls := p.Calls()
		own := slices.DeleteFunc(slices.Clone(calls), func(call string) bool { return slices.Contains(common, call) })
		switch {
		case p.Role == Process:
			own = []string{"what any thread may do"}
		case p.Role == Reporter:
			own = calls // no Go thread
		case len(own) == 0:
			own = []string{"none of its own"}
		}
		fmt.Fprintf(t, "%s\t%d calls\t%s\n", p.Role, len(calls), strings.Join(own, " "))
	}
	fmt.Fprintf(t, "every Go thread\t%d of these\t%s\n\n", len(common), strings.Join(common, " "))
	return t.Flush()
}

// conditions is what a rule asks of the arguments, for a reader.
func (r Rule) conditions() string {
	var parts []string
	for _, c := range r.When {
		parts = append(parts, fmt.Sprintf("arg%d: %s", c.Arg, c.Text))
	}
	return strings.Join(parts, ", ")
}

// Calls lists the system calls that a profile allows at all, each once, in the
// order of its table.
func (p Profile) Calls() []string {
	var calls []string
	seen := map[string]bool{}
	for _, r := range p.Rules {
		if r.Errno == 0 && !seen[r.Call] {
			seen[r.Call] = true
			calls = append(calls, r.Call)
		}
	}
	return calls
}

func printJSON(w io.Writer, profiles []Profile) error {
	type cond struct {
		Arg   uint   `json:"arg"`
		Mask  string `json:"mask"`
		Value string `json:"value"`
		Below string `json:"below,omitempty"` // with it: from value up to it
		Text  string `json:"text"`
	}
	type rule struct {
		Call    string `json:"call"`
		When    []cond `json:"when,omitempty"`
		Errno   string `json:"errno,omitempty"`
		Reason  string `json:"reason"`
		Feature string `json:"feature,omitempty"`
	}
	type profile struct {
		Role  Role   `json:"role"`
		Rules []rule `json:"rules"`
	}
	var out []profile
	for _, p := range profiles {
		o := profile{Role: p.Role}
		for _, r := range p.Rules {
			one := rule{Call: r.Call, Reason: r.Reason, Feature: r.Feature}
			if r.Errno != 0 {
				one.Errno = unix.ErrnoName(r.Errno)
			}
			for _, c := range r.When {
				when := cond{Arg: c.Arg, Mask: fmt.Sprintf("%#x", c.Mask), Value: fmt.Sprintf("%#x", c.Value), Text: c.Text}
				if c.Below != 0 {
					when.Below = fmt.Sprintf("%#x", c.Below)
				}
				one.When = append(one.When, when)
			}
			o.Rules = append(o.Rules, one)
		}
		out = append(out, o)
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(out)
}

func printBPF(w io.Writer, profiles []Profile) error {
	for _, p := range profiles {
		program, err := p.Compile(Enforce)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "role %s: %d instructions\n", p.Role, len(program.code))
		for i, in := range program.code {
			fmt.Fprintf(w, "%4d: code=%#04x jt=%d jf=%d k=%#x\n", i, in.Code, in.Jt, in.Jf, in.K)
		}
	}
	return nil
}
