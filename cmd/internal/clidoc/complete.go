package clidoc

import (
	"fmt"
	"io"
	"strings"
)

// Shells are those that Complete knows.
var Shells = []string{"bash", "zsh", "fish"}

// Complete writes the program's completions for one of Shells.
func (p Program) Complete(w io.Writer, shell string) error {
	switch shell {
	case "bash":
		return p.bash(w)
	case "zsh":
		return p.zsh(w)
	case "fish":
		return p.fish(w)
	}
	return fmt.Errorf("no completions for %q: the shells are %s", shell, strings.Join(Shells, ", "))
}

// values are the words that can begin a flag's value.
func (f Flag) values() []string {
	words := f.Values
	for _, s := range f.Sub {
		words = append(words, s.word())
	}
	return words
}

// word is how a word of a value is completed: with a = if it has a value.
func (f Flag) word() string {
	if f.Arg != "" {
		return f.Long + "="
	}
	return f.Long
}

// names lists how a flag is written.
func (f Flag) names() []string {
	if f.Short == "" {
		return []string{"--" + f.Long}
	}
	return []string{"-" + f.Short, "--" + f.Long}
}

// bash has a case for each flag whose value can be completed. A list is
// completed at its last comma.
//
// Where COMP_WORDBREAKS has a =, as it has unless it is changed, words are split there:
// what is typed is put together, and what is offered has only what follows the last =.
func (p Program) bash(w io.Writer) error {
	var b strings.Builder
	function := "_" + strings.ReplaceAll(p.Name, "-", "_")
	fmt.Fprintf(&b, `# bash completion for %s

%s() {
	local cur prev
	if declare -F _get_comp_words_by_ref >/dev/null; then
		_get_comp_words_by_ref -n = cur prev
	else
		local i=$COMP_CWORD
		cur=${COMP_WORDS[i]}
		while ((i > 1)) && [[ ${COMP_WORDS[i]} == =* || ${COMP_WORDS[i-1]} == *= ]]; do
			cur=${COMP_WORDS[--i]}$cur
		done
		prev=${COMP_WORDS[i-1]}
	fi
	COMPREPLY=()
	local flag=$prev word=$cur head= split= first=
	if [[ $COMP_WORDBREAKS == *=* ]]; then
		split='*='
	fi
	if [[ $cur == --*=* ]]; then
		flag=${cur%%%%=*} word=${cur#*=}
		head=$flag=
	fi
`, p.Name, function)
	if p.Command.Term != "" {
		// What follows the command is not this program's.
		fmt.Fprintf(&b, "\tif ((COMP_CWORD == 1)); then\n\t\tfirst=%s\n\telif [[ ${COMP_WORDS[1]} == %[1]s ]]; then\n\t\treturn\n\tfi\n", p.Command.Term)
	}
	b.WriteString("\tcase $flag in\n")
	var all []string
	for _, f := range p.Flags {
		all = append(all, f.names()...)
		names := strings.Join(f.names(), "|")
		switch words := f.values(); {
		case f.File:
			fmt.Fprintf(&b, "\t%s)\n\t\tCOMPREPLY=($(compgen -P \"${head##$split}\" -f -- \"$word\"))\n\t\treturn ;;\n", names)
		case len(words) > 0 && f.List:
			fmt.Fprintf(&b, "\t%s)\n\t\tif [[ $word == *,* ]]; then head+=${word%%,*},; fi\n"+
				"\t\tCOMPREPLY=($(compgen -P \"${head##$split}\" -W '%s' -- \"${word##*,}\"))\n"+
				"\t\tcompopt -o nospace\n\t\treturn ;;\n", names, strings.Join(words, " "))
		case len(words) > 0:
			fmt.Fprintf(&b, "\t%s)\n\t\tCOMPREPLY=($(compgen -P \"${head##$split}\" -W '%s' -- \"$word\"))\n\t\treturn ;;\n", names, strings.Join(words, " "))
		case f.Arg != "" && !f.Optional:
			fmt.Fprintf(&b, "\t%s)\n\t\treturn ;;\n", names)
		}
	}
	fmt.Fprintf(&b, "\tesac\n\tCOMPREPLY=($(compgen -W \"$first %s\" -- \"$cur\"))\n}\ncomplete -F %s %s\n", strings.Join(all, " "), function, p.Name)
	_, err := io.WriteString(w, b.String())
	return err
}

// zsh has a specification for each flag (zshcompsys(1), _arguments).
func (p Program) zsh(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "#compdef %s\n\n_arguments -s", p.Name)
	if p.Command.Term != "" {
		fmt.Fprintf(&b, " \\\n\t'1:command:(%s)'", p.Command.Term)
	}
	for _, f := range p.Flags {
		names := f.names()
		for _, name := range names {
			form := name
			if f.Arg != "" {
				form += "+"
				if strings.HasPrefix(name, "--") {
					form = name + "=" // with or without the =
					if f.Optional {
						form = name + "=-"
					}
				}
			}
			spec := "*" + form + "[" + zshText(firstLine(f.Help)) + "]"
			if f.Arg != "" {
				colon := ":"
				if f.Optional {
					colon = "::"
				}
				spec += colon + zshText(f.Arg) + ":" + f.zshAction()
			}
			fmt.Fprintf(&b, " \\\n\t'%s'", strings.ReplaceAll(spec, "'", `'\''`))
		}
	}
	b.WriteString("\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func (f Flag) zshAction() string {
	words := f.values()
	switch {
	case f.File:
		return "_files"
	case len(words) == 0:
		return ""
	case f.List:
		return "_sequence compadd -S \"\" - " + strings.Join(words, " ")
	}
	return "(" + strings.Join(words, " ") + ")"
}

var zshEscapes = strings.NewReplacer(`[`, `\[`, `]`, `\]`, `:`, `\:`)

func zshText(text string) string { return zshEscapes.Replace(text) }

// fish has a command for each flag.
func (p Program) fish(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# fish completion for %s\ncomplete -c %s -f\n", p.Name, p.Name)
	if c := p.Command; c.Term != "" {
		fmt.Fprintf(&b, "complete -c %s -n __fish_is_first_token -a %s -d %s\n", p.Name, c.Term, fishQuote(c.Text))
	}
	for _, f := range p.Flags {
		fmt.Fprintf(&b, "complete -c %s -l %s", p.Name, f.Long)
		if f.Short != "" {
			fmt.Fprintf(&b, " -s %s", f.Short)
		}
		words := f.values()
		switch {
		case f.File:
			b.WriteString(" -r -F")
		case len(words) > 0 && f.List:
			fmt.Fprintf(&b, " -x -a \"(__fish_append , %s)\"", strings.Join(words, " "))
		case len(words) > 0 && !f.Optional:
			fmt.Fprintf(&b, " -x -a %s", fishQuote(strings.Join(words, " ")))
		case len(words) > 0:
			fmt.Fprintf(&b, " -a %s", fishQuote(strings.Join(words, " ")))
		case f.Arg != "" && !f.Optional:
			b.WriteString(" -x")
		}
		fmt.Fprintf(&b, " -d %s\n", fishQuote(firstLine(f.Help)))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func fishQuote(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
