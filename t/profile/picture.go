package profile

import (
	"fmt"
	"html"
	"slices"
	"strings"

	"gomcd/sandbox"
)

// The picture of the threads and of what each may do, docs/threads.svg, is drawn from
// the profiles with every option on: the calls in a box are those of its profile that
// not every thread has.

// subjects say in a few words what a thread does, and how many there are.
var subjects = map[sandbox.Role][2]string{
	sandbox.Acceptor:    {"acceptor", "accepts connections"},
	sandbox.Worker:      {"worker-N (-t)", "serves clients"},
	sandbox.UDP:         {"udp-N (-U)", "serves one UDP socket"},
	sandbox.Logger:      {"logger (unless -W)", "sends events to watchers"},
	sandbox.Housekeeper: {"housekeeper", "clock, LRUs, page mover"},
	sandbox.Metrics:     {"metrics (--metrics)", "answers scrapes"},
	sandbox.Reloader:    {"reloader (-Y)", "reads the password file"},
	sandbox.Doorman:     {"doorman (-Z)", "takes connections with TLS"},
	sandbox.Front:       {"front (-Z)", "a process: shakes hands"},
	sandbox.Stderr:      {"stderr", "writes log lines"},
	sandbox.Reporter:    {"reporter", "reports violations"},
	sandbox.Runtime:     {"main, Go's own", "runs the process"},
}

// What calls reach besides memory: it colours a box.
var reaches = []struct {
	what, colour string
	calls        []string
}{
	{"network", "#dbeafe", []string{"accept4", "recvfrom", "sendto", "recvmsg"}},
	{"files", "#fef3c7", []string{"openat", "pread64", "pwrite64", "unlinkat"}},
	{"neither", "#dcfce7", nil},
}

const (
	boxWidth     = 205
	boxHead      = 44 // above the calls
	boxGap       = 12
	boxesInRow   = 4
	textLeft     = 10
	lineHeight   = 15
	callsInLine  = 25 // characters
	pictureWidth = boxesInRow*(boxWidth+boxGap) + boxGap
)

// Picture draws the threads as an SVG.
func Picture() []byte {
	profiles := profiles(1)
	common := commonCalls(profiles)
	var b strings.Builder
	var boxes []sandbox.Profile
	for _, p := range profiles {
		if p.Role != sandbox.Process {
			boxes = append(boxes, p)
		}
	}
	slices.SortStableFunc(boxes, func(a, b sandbox.Profile) int { return reachOf(a) - reachOf(b) })
	const head, foot = 92, 52
	height := head + foot
	for row := range slices.Chunk(boxes, boxesInRow) {
		height += rowHeight(row, common) + boxGap
	}
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="system-ui, sans-serif" font-size="12">`+"\n",
		pictureWidth, height, pictureWidth, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", pictureWidth, height)
	text := func(x, y int, attributes, s string) {
		fmt.Fprintf(&b, `<text x="%d" y="%d"%s>%s</text>`+"\n", x, y, attributes, html.EscapeString(s))
	}
	text(boxGap, 26, ` font-size="16" font-weight="bold" fill="#111827"`, "The threads of gomcd, and every system call that each may make")
	text(boxGap, 46, ` fill="#374151"`, "Each box is a seccomp filter of its own, here with every option on. Any other call ends the process.")
	x := boxGap
	for _, r := range reaches {
		fmt.Fprintf(&b, `<rect x="%d" y="60" width="14" height="14" fill="%s" stroke="#6b7280"/>`+"\n", x, r.colour)
		text(x+20, 72, ` fill="#374151"`, map[string]string{"neither": "reaches neither", "network": "reaches the network", "files": "reaches files"}[r.what])
		x += 150
	}
	y := head
	for row := range slices.Chunk(boxes, boxesInRow) {
		tall := rowHeight(row, common)
		for i, p := range row {
			x := boxGap + i*(boxWidth+boxGap)
			fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%d" height="%d" rx="6" fill="%s" stroke="#6b7280"/>`+"\n", x, y, boxWidth, tall, reaches[reachOf(p)].colour)
			text(x+textLeft, y+20, ` font-weight="bold" fill="#111827"`, subjects[p.Role][0])
			text(x+textLeft, y+36, ` fill="#374151"`, subjects[p.Role][1])
			for n, line := range wrap(ownCalls(p, common), callsInLine) {
				text(x+textLeft, y+boxHead+(n+1)*lineHeight-2, ` font-family="monospace" fill="#111827"`, line)
			}
		}
		y += tall + boxGap
	}
	y += lineHeight
	text(boxGap, y, ` fill="#374151"`, "Besides, every Go thread may wait and wake, yield, read the clock, and crash:")
	text(boxGap, y+18, ` font-family="monospace" fill="#111827"`, strings.Join(common, " "))
	b.WriteString("</svg>\n")
	return []byte(b.String())
}

// rowHeight is as high as the longest list of calls in a row of boxes takes.
func rowHeight(row []sandbox.Profile, common []string) int {
	lines := 0
	for _, p := range row {
		lines = max(lines, len(wrap(ownCalls(p, common), callsInLine)))
	}
	return boxHead + lines*lineHeight + textLeft
}

// commonCalls are those that every Go thread with a role may make.
func commonCalls(profiles []sandbox.Profile) []string {
	var common []string
	for _, p := range profiles {
		switch {
		case slices.Contains([]sandbox.Role{sandbox.Process, sandbox.Runtime, sandbox.Reporter, sandbox.Front}, p.Role):
		case common == nil:
			common = p.Calls()
		default:
			calls := p.Calls()
			common = slices.DeleteFunc(common, func(call string) bool { return !slices.Contains(calls, call) })
		}
	}
	return common
}

// ownCalls are a profile's without those of every Go thread, and without what
// only test privileges bring.
func ownCalls(p sandbox.Profile, common []string) []string {
	p.Rules = slices.DeleteFunc(slices.Clone(p.Rules), func(r sandbox.Rule) bool { return r.Feature == testFeature })
	own := p.Calls()
	if p.Role != sandbox.Reporter { // which is no Go thread
		own = slices.DeleteFunc(own, func(call string) bool { return slices.Contains(common, call) })
	}
	if len(own) == 0 {
		return []string{"(no", "other", "call)"}
	}
	return own
}

// reachOf is the index in reaches of what a profile reaches.
func reachOf(p sandbox.Profile) int {
	calls := ownCalls(p, nil)
	for i, r := range reaches {
		if r.calls == nil || slices.ContainsFunc(r.calls, func(call string) bool { return slices.Contains(calls, call) }) {
			return i
		}
	}
	return 0
}

// wrap puts words into lines.
func wrap(words []string, width int) []string {
	var lines []string
	line := ""
	for _, word := range words {
		switch {
		case line == "":
			line = word
		case len(line)+1+len(word) > width:
			lines = append(lines, line)
			line = word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
}
