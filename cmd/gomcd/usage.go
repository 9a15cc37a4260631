package main

import (
	_ "embed"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"gomcd/server"
)

//go:embed license.txt
var licenseText string

// show prints what the command line asked for instead of serving.
func (c *command) show(w io.Writer) error {
	switch c.print {
	case "help":
		usage(w)
	case "version":
		fmt.Fprintln(w, banner)
	case "license":
		fmt.Fprintf(w, "%s\n\n%s", banner, licenseText)
	case "profile":
		return c.showProfiles(w)
	case "man":
		return program().Man(w)
	case "completion":
		if err := program().Complete(w, c.shell); err != nil {
			return usageError(server.ExitUsage, "--print-completion: %w", err)
		}
	}
	return nil
}

// Columns where -h's explanations begin.
const (
	flagColumn   = 26
	optionColumn = 26
)

// usage prints -h. Its first line, and the names and forms of flags and
// options, are as memcached prints them, for scripts look whether a name is
// there to find out what a server can do: so a feature that gomcd has not got
// must not be named.
func usage(w io.Writer) {
	fmt.Fprintln(w, banner)
	ours := false
	for i := range flags {
		f := &flags[i]
		if f.hidden {
			continue
		}
		if f.ours && f.short == "" && !ours {
			ours = true
			fmt.Fprintln(w, "\nWhat memcached does not have:")
			row(w, "top [HOST[:PORT]]", flagColumn, topHelp)
		}
		row(w, f.form(), flagColumn, withDefaults(f.help))
		if f.long == "extended" {
			for _, o := range options {
				if o.help != "" {
					row(w, "   - "+o.name+":", optionColumn, withDefaults(o.help))
				}
			}
		}
	}
}

// placeholder is where a help text shows a default: {Field}, or with a unit
// {Field/Ki} and {Field/Mi}, of server.Config.
var placeholder = regexp.MustCompile(`\{((?:TLS\.)?\w+)(?:/(Ki|Mi))?\}`)

// withDefaults puts the defaults into a help text.
func withDefaults(help string) string {
	cfg := reflect.ValueOf(defaults())
	return placeholder.ReplaceAllStringFunc(help, func(place string) string {
		m := placeholder.FindStringSubmatch(place)
		field := cfg
		for name := range strings.SplitSeq(m[1], ".") {
			field = field.FieldByName(name)
		}
		switch v := field.Interface().(type) {
		case float64:
			return strconv.FormatFloat(v, 'f', 2, 64)
		case byte:
			return strconv.Quote(string(rune(v)))
		case uint32:
			if m[1] == "UnixMask" {
				return strconv.FormatUint(uint64(v), 8)
			}
			return fmt.Sprint(v)
		case time.Duration:
			return fmt.Sprint(int(v.Seconds()))
		case int64:
			return fmt.Sprint(v >> shifts[m[2]])
		case int:
			return fmt.Sprint(v >> shifts[m[2]])
		default:
			return fmt.Sprint(v)
		}
	})
}

// shifts are the units of placeholders.
var shifts = map[string]uint{"": 0, "Ki": 10, "Mi": 20}

// form is how a flag is written.
func (f *flag) form() string {
	var b strings.Builder
	if f.short != "" {
		b.WriteString("-" + f.short + ", ")
	}
	b.WriteString("--" + f.long)
	switch {
	case f.optional && f.short == "":
		b.WriteString("[=" + f.arg + "]")
	case f.arg != "" && !f.optional:
		b.WriteString("=" + f.arg)
	}
	return b.String()
}

// row prints a name and, from a column on, its explanation.
func row(w io.Writer, name string, column int, help string) {
	for i, line := range strings.Split(help, "\n") {
		if i > 0 {
			name = ""
		}
		fmt.Fprintf(w, "%-*s%s\n", column, pad(name), line)
	}
}

// pad sees that a name that is too long for its column is still followed by a
// space.
func pad(name string) string {
	if name == "" {
		return name
	}
	return name + " "
}
