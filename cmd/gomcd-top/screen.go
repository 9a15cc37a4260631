package main

import (
	"time"

	"github.com/gdamore/tcell/v2"
)

// runScreen fills the terminal until q is pressed.
func runScreen(c *client, hot *prefixes, o options) error {
	screen, err := tcell.NewScreen()
	if err != nil {
		return err
	}
	if err := screen.Init(); err != nil {
		return err
	}
	defer screen.Fini()
	keys := make(chan tcell.Event)
	quit := make(chan struct{})
	defer close(quit)
	go screen.ChannelEvents(keys, quit)
	before, err := c.sample()
	if err != nil {
		return err
	}
	now := before
	show(screen, []string{c.addr + "  the first figures come in " + o.interval.String() + ", q quits"})
	tick := time.NewTicker(o.interval)
	defer tick.Stop()
	var lines []string
	for n := 0; o.count == 0 || n < o.count; {
		select {
		case event := <-keys:
			switch e := event.(type) {
			case *tcell.EventKey:
				if e.Key() == tcell.KeyCtrlC || e.Key() == tcell.KeyEscape || e.Rune() == 'q' {
					return nil
				}
			case *tcell.EventResize:
				screen.Sync()
				if lines != nil {
					show(screen, lines)
				}
			case nil:
				return nil
			}
		case <-tick.C:
			if now, err = c.sample(); err != nil {
				return err
			}
			const most = 200 // lines; show leaves out what does not fit
			lines = screenful(c.addr, compare(before, now), hot, most)
			show(screen, lines)
			before = now
			n++
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
