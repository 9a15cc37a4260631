package profile

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"gomcd/sandbox"
)

const header = `# Every system call that is allowed, and whether it is used

Written by ` + "`make profile`" + `, which runs the protocol suite and a load with every
server's system calls reported, thread by thread. A rule has been seen at work,
so many times, or says why it stays. What no rule allows ends the server, and
the suite with it.

N stands for a number that each server has of its own; ` + "`gomcd --print-profile`" + `
prints the rules as they are installed. The baseline (role process) is asked
about every call of every thread, so it has what the roles have.
`

// render makes the table. seen is how often each rule was at work.
func render(rows []Row, seen []int64) string {
	var b strings.Builder
	b.WriteString(header)
	role := sandbox.Role("")
	for i := range rows {
		r := &rows[i]
		if r.Role != role {
			role = r.Role
			fmt.Fprintf(&b, "\n## %s\n\n| call | arguments | why it is allowed | only with | seen | stays though not seen |\n|---|---|---|---|---:|---|\n", role)
		}
		stays := r.Stays
		if seen[i] > 0 {
			stays = ""
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %d | %s |\n",
			r.Call, cell(r.Arguments), cell(r.Reason), cell(r.Feature), seen[i], cell(stays))
	}
	return b.String()
}

// cell is text as it can be in a table's cell.
func cell(s string) string { return strings.ReplaceAll(s, "|", "\\|") }

var seenCell = regexp.MustCompile(`\| ([0-9]+) \| [^|]*\|$`)

// readSeen reads the numbers out of a table.
func readSeen(text string) []int64 {
	var all []int64
	for line := range strings.Lines(text) {
		if m := seenCell.FindStringSubmatch(strings.TrimSuffix(line, "\n")); m != nil {
			n, _ := strconv.ParseInt(m[1], 10, 64)
			all = append(all, n)
		}
	}
	return all
}
