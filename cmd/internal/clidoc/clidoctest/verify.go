// Package clidoctest verifies what package clidoc writes, for tests of programs.
package clidoctest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"gomcd/cmd/internal/clidoc"
)

// Verify has the tools that read a program's page and completions read them: man
// warns of nothing and shows every flag, and each shell completes every flag's
// name. dir is for the files. Tools that are not installed are skipped and named.
func Verify(p clidoc.Program, dir string) (skipped []string, err error) {
	has := func(tool string) bool {
		_, err := exec.LookPath(tool)
		if err != nil {
			skipped = append(skipped, tool)
		}
		return err == nil
	}
	if has("man") {
		if err := verifyMan(p, filepath.Join(dir, p.Name+".1")); err != nil {
			return skipped, err
		}
	}
	ask := map[string]string{
		"bash": `source "$0"; COMP_WORDS=(%s --) COMP_CWORD=1; _%s; printf '%%s\n' "${COMPREPLY[@]}"`,
		"fish": `source $argv[1]; complete -C '%s --'; # %s`,
		// zsh completes in a terminal only: its parser looks at the file.
		"zsh": `zsh -n "$0" && cat "$0"; : %s %s`,
	}
	for _, shell := range clidoc.Shells {
		if !has(shell) {
			continue
		}
		path := filepath.Join(dir, p.Name+"."+shell)
		if err := writeFile(path, func(b *bytes.Buffer) error { return p.Complete(b, shell) }); err != nil {
			return skipped, err
		}
		script := fmt.Sprintf(ask[shell], p.Name, strings.ReplaceAll(p.Name, "-", "_"))
		out, err := exec.Command(shell, "-c", script, path).CombinedOutput()
		if err != nil {
			return skipped, fmt.Errorf("%s: %w\n%s", shell, err, out)
		}
		for _, f := range p.Flags {
			if !strings.Contains(string(out), "--"+f.Long) {
				return skipped, fmt.Errorf("%s does not complete --%s:\n%s", shell, f.Long, out)
			}
		}
	}
	return skipped, nil
}

func verifyMan(p clidoc.Program, path string) error {
	if err := writeFile(path, func(b *bytes.Buffer) error { return p.Man(b) }); err != nil {
		return err
	}
	cmd := exec.Command("man", "--warnings", "-E", "UTF-8", "-l", path)
	cmd.Env = append(os.Environ(), "MANWIDTH=200", "MANROFFOPT=", "LC_ALL=C.UTF-8", "MANPAGER=cat")
	var out, warnings bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &warnings
	if err := cmd.Run(); err != nil || warnings.Len() > 0 {
		return fmt.Errorf("man --warnings: %v: %s", err, &warnings)
	}
	for _, f := range p.Flags {
		if !strings.Contains(out.String(), "--"+f.Long) {
			return fmt.Errorf("the page does not have --%s", f.Long)
		}
	}
	return nil
}

func writeFile(path string, write func(*bytes.Buffer) error) error {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}

// Bash returns what bash offers to complete the last of words, which are split as bash
// does it, at each = too. dir is for a file.
func Bash(p clidoc.Program, dir string, words ...string) ([]string, error) {
	path := filepath.Join(dir, p.Name+".bash")
	if err := writeFile(path, func(b *bytes.Buffer) error { return p.Complete(b, "bash") }); err != nil {
		return nil, err
	}
	// compopt has an effect, and no error, only where bash itself calls the function.
	script := `compopt() { :; }; source "$0"; COMP_WORDBREAKS=$' \t\n"\'><=;|&(:' COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); ` +
		"_" + strings.ReplaceAll(p.Name, "-", "_") + `; printf '%s\n' "${COMPREPLY[@]}"`
	out, err := exec.Command("bash", append([]string{"-c", script, path, p.Name}, words...)...).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("bash: %w\n%s", err, out)
	}
	return strings.Fields(string(out)), nil
}
