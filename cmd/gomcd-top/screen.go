package main

import (
	"fmt"
	"time"

	"github.com/gdamore/tcell/v2"
)

// answer is what asking the server came to.
type answer struct {
	sample *sample
	err    error
}

// runScreen fills the terminal until q is pressed or a signal ends it. Keys work while the
// server does not answer; what it said last stays on the screen, below the reason.
func runScreen(screen *terminal, a *asker, before *sample, hot *prefixes, o options) error {
	defer screen.end()
	ask, answers := make(chan struct{}), make(chan answer, 1)
	defer close(ask)
	go func() {
		for range ask {
			s, err := a.sample()
			answers <- answer{s, err}
		}
	}()
	var lines, last []string // on the screen; below the title, of the last report
	say := func(title string, reason ...string) {
		lines = append(append([]string{a.addr + "  " + title + ", q quits"}, reason...), last...)
		show(screen, lines)
	}
	say("the first figures come in " + o.interval.String())
	tick := time.NewTicker(o.interval)
	defer tick.Stop()
	var asked time.Time // zero: there is an answer to what was asked
	for n := 0; o.count == 0 || n < o.count; {
		select {
		case <-screen.ended:
			return nil
		case event := <-screen.keys:
			switch e := event.(type) {
			case *tcell.EventKey:
				if e.Key() == tcell.KeyCtrlC || e.Key() == tcell.KeyEscape || e.Rune() == 'q' {
					return nil
				}
			case *tcell.EventResize:
				screen.Sync()
				show(screen, lines)
			case nil:
				return nil
			}
		case <-tick.C:
			if !asked.IsZero() {
				say(fmt.Sprintf("no answer for %v", time.Since(asked).Round(time.Second)))
				continue
			}
			asked = time.Now()
			ask <- struct{}{}
		case got := <-answers:
			asked = time.Time{}
			n++
			const most = 200 // lines; show leaves out what does not fit
			switch {
			case got.err != nil:
				say(fmt.Sprintf("no answer, asked again every %v", o.interval), got.err.Error())
			case before != nil:
				lines = screenful(a.addr, compare(before, got.sample), hot, most)
				last = lines[1:]
				show(screen, lines)
			default:
				if hot != nil {
					hot.take(0) // what came before this answer is of more than one interval
				}
				say("answers again")
			}
			before = got.sample
		}
	}
	return nil
}

// show puts lines on the screen, as many as fit. The first one stands out.
func show(screen tcell.Screen, lines []string) {
	screen.Clear()
	width, height := screen.Size()
	for y, line := range lines[:min(len(lines), height)] {
		style := tcell.StyleDefault.Bold(y == 0)
		x := 0
		for _, r := range line {
			if x == width {
				break
			}
			screen.SetContent(x, y, r, nil, style)
			x++
		}
	}
	screen.Show()
}
