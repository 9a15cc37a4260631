package clidoc

import (
	"fmt"
	"io"
	"strings"
)

// Man writes the program's manual page, of section 1.
func (p Program) Man(w io.Writer) error {
	m := man{w: w}
	m.line(`.TH %s 1 "" "%s %s"`, quote(strings.ToUpper(p.Name)), quote(p.Name), quote(p.Version))
	m.line(".SH NAME")
	m.line(`%s \- %s`, escape(p.Name), escape(p.Short))
	for _, s := range p.Before {
		m.section(s)
	}
	m.line(".SH OPTIONS")
	for _, f := range p.Flags {
		m.flag(f)
	}
	for _, s := range p.After {
		m.section(s)
	}
	return m.err
}

type man struct {
	w   io.Writer
	err error
}

func (m *man) line(format string, args ...any) {
	if m.err == nil {
		_, m.err = fmt.Fprintf(m.w, format+"\n", args...)
	}
}

func (m *man) section(s Section) {
	m.line(".SH %s", quote(s.Title))
	for i, text := range s.Text {
		if i > 0 {
			m.line(".PP")
		}
		if example, ok := strings.CutPrefix(text, "\t"); ok {
			m.line(".RS 4\n.nf")
			m.text(example)
			m.line(".fi\n.RE")
			continue
		}
		m.text(text)
	}
	for _, item := range s.Items {
		m.line(".TP\n.B %s", escape(item.Term))
		m.text(item.Text)
	}
}

func (m *man) flag(f Flag) {
	m.line(".TP")
	var b strings.Builder
	if f.Short != "" {
		fmt.Fprintf(&b, `\fB\-%s\fR, `, escape(f.Short))
	}
	fmt.Fprintf(&b, `\fB\-\-%s\fR`, escape(f.Long))
	switch {
	case f.Arg != "" && f.Optional:
		fmt.Fprintf(&b, `[=\fI%s\fR]`, escape(f.Arg))
	case f.Arg != "":
		fmt.Fprintf(&b, `=\fI%s\fR`, escape(f.Arg))
	}
	m.line("%s", b.String())
	m.text(f.Help)
	if len(f.Sub) == 0 {
		return
	}
	m.line(".RS")
	for _, s := range f.Sub {
		m.line(".TP\n.B %s", escape(s.Long))
		m.text(s.Help)
	}
	m.line(".RE")
}

// text writes lines of text, none of which is taken for a request.
func (m *man) text(text string) {
	for line := range strings.Lines(text) {
		line = escape(strings.TrimSuffix(line, "\n"))
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			line = `\&` + line
		}
		m.line("%s", line)
	}
}

var escapes = strings.NewReplacer(`\`, `\e`, "-", `\-`, "^", `\(ha`, "~", `\(ti`, "`", `\(ga`)

// escape has troff print text as it is.
func escape(text string) string { return escapes.Replace(text) }

// quote is escape for an argument of a request.
func quote(text string) string {
	text = strings.ReplaceAll(escape(text), `"`, `""`)
	if strings.Contains(text, " ") {
		return `"` + text + `"`
	}
	return text
}
