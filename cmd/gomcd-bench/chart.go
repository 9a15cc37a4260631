package main

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// chart is a chart of horizontal bars in groups, one below the other, over one
// axis, or, with each, every group with a scale of its own.
type chart struct {
	title, note string
	axis        string // what the axis counts
	groups      []group
	each        bool
	goal        string // what goals are called in the legend
}

type group struct {
	label string
	bars  []bar
	goal  float64 // of the first bar; 0: none
}

// bar is one of a group. With low < high it shows what it lies between.
type bar struct {
	name             string
	value, low, high float64
	text             string
}

const (
	chartWidth = 860
	labelRight = 196 // where labels end and bars begin
	barsRight  = 690 // where the longest bar ends; its text follows
	barHeight  = 14
	groupGap   = 12
	headHeight = 112
	footHeight = 44
	textRoom   = 45 // what the text after a bar takes
)

// svg draws the chart.
func (c *chart) svg() string {
	height := headHeight + footHeight
	if c.each {
		height -= 34
	}
	for _, g := range c.groups {
		height += len(g.bars)*barHeight + groupGap
	}
	d := newDrawing(c.title, c.note, height)
	x := d.legend(c.names())
	if c.goal != "" {
		d.mark("goal", "M%.1f 67v12", x+5)
		d.text(x+13, 77, "ink", "start", c.goal)
	}
	largest := 0.0
	for _, g := range c.groups {
		largest = max(largest, g.largest())
	}
	if !c.each {
		d.linearAxis(largest, headHeight-6, height-footHeight, c.axis)
	}
	y := float64(headHeight)
	if c.each {
		y -= 10
	}
	for _, g := range c.groups {
		if c.each {
			largest = g.largest()
		}
		at := func(v float64) float64 { return labelRight + v/max(largest, 1e-300)*(barsRight-labelRight) }
		d.text(labelRight-10, y+float64(len(g.bars)*barHeight)/2+3, "ink", "end", g.label)
		for j, one := range g.bars {
			fmt.Fprintf(d, `<rect x="%d" y="%.1f" width="%.1f" height="%d" rx="1.5" class="%s"/>`+"\n",
				labelRight, y, max(at(one.value)-labelRight, 1), barHeight-3, d.class(one.name))
			end := at(one.value)
			if one.low < one.high {
				mid := y + float64(barHeight-3)/2
				d.mark("whisker", "M%.1f %.1fH%.1fM%.1f %.1fv6M%.1f %.1fv6", at(one.low), mid, at(one.high), at(one.low), mid-3, at(one.high), mid-3)
				end = max(end, at(one.high))
			}
			if goal := at(g.goal); j == 0 && g.goal > 0 && g.goal <= largest {
				d.mark("goal", "M%.1f %.1fv%d", goal, y-2, barHeight+1)
				if goal > end && goal < end+textRoom {
					end = goal
				}
			}
			d.text(end+8, y+9.5, textClass(one.name), "start", one.text)
			y += barHeight
		}
		y += groupGap
	}
	return d.end()
}

// names are those of all bars, in order of appearance.
func (c *chart) names() []string {
	var names []string
	seen := map[string]bool{}
	for _, g := range c.groups {
		for _, b := range g.bars {
			if !seen[b.name] {
				seen[b.name] = true
				names = append(names, b.name)
			}
		}
	}
	return names
}

// largest is the largest number of a group, and its goal if bars come near.
func (g group) largest() float64 {
	most := 0.0
	for _, b := range g.bars {
		most = max(most, b.value, b.high)
	}
	if g.goal < 3*most {
		most = max(most, g.goal)
	}
	return most
}

// drawing is an SVG with a title on a card, light or dark as the reader's
// screen is. Where style sheets are not understood in full it is light.
type drawing struct {
	strings.Builder
	height int
	others []string // names without a colour of their own
}

const style = `<style>
text{font:12.5px system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif}
.title{font-size:17px;font-weight:600}.small{font-size:11px}.strong{font-size:11px;font-weight:700}
.card{fill:#fff;stroke:#d5dae1}.ink,.title,.small,.strong{fill:#1a202c}.soft{fill:#5a6473}
.grid{stroke:#e3e7ec}.whisker{stroke:#1a202c}.goal{stroke:#dc2626;stroke-width:2}
.gomcd{fill:#0f9488}.memcached{fill:#7c8798}.memcachedR{fill:#b9c2cf}.pogocache{fill:#d9a03f}
.other0{fill:#8b7cc4}.other1{fill:#c06c80}.other2{fill:#6a9e69}.band{opacity:.35}
@media(prefers-color-scheme:dark){
.card{fill:#11161d;stroke:#343b45}.ink,.title,.small,.strong{fill:#e6edf3}.soft{fill:#9aa5b4}
.grid{stroke:#2a313b}.whisker{stroke:#f0f4f8}.goal{stroke:#f87171}
.gomcd{fill:#2bb3a3}.memcached{fill:#77808f}.memcachedR{fill:#525b68}.pogocache{fill:#c58e2f}}
</style>
`

func newDrawing(title, note string, height int) *drawing {
	d := &drawing{height: height}
	fmt.Fprintf(d, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">`+"\n",
		chartWidth, height, chartWidth, height)
	fmt.Fprintf(d, "<title>%s</title>\n%s", html.EscapeString(title), style)
	fmt.Fprintf(d, `<rect x="0.5" y="0.5" width="%d" height="%d" rx="8" class="card"/>`+"\n", chartWidth-1, height-1)
	d.text(24, 32, "title", "start", title)
	d.text(24, 53, "soft", "start", note)
	return d
}

func (d *drawing) end() string {
	d.WriteString("</svg>\n")
	return d.String()
}

// text writes s with a class of the style sheet.
func (d *drawing) text(x, y float64, class, anchor, s string) {
	fmt.Fprintf(d, `<text x="%.1f" y="%.1f" class="%s" text-anchor="%s">%s</text>`+"\n", x, y, class, anchor, html.EscapeString(s))
}

// mark draws lines.
func (d *drawing) mark(class, path string, at ...any) {
	fmt.Fprintf(d, `<path d="`+path+`" class="%s" fill="none"/>`+"\n", append(at, class)...)
}

// legend says which colour is whose, and returns where it ends.
func (d *drawing) legend(names []string) float64 {
	x := 24.0
	for _, name := range names {
		fmt.Fprintf(d, `<rect x="%.0f" y="67" width="12" height="12" rx="2" class="%s"/>`+"\n", x, d.class(name))
		d.text(x+18, 77.5, "ink", "start", shownName(name))
		x += 42 + 7*float64(len(shownName(name)))
	}
	return x
}

// linearAxis draws an axis from 0 to a bit above the largest number.
func (d *drawing) linearAxis(largest float64, top, bottom int, what string) {
	step := math.Pow(10, math.Floor(math.Log10(max(largest, 1e-300)/4)))
	for _, more := range []float64{2, 2.5, 2} {
		if largest/step > 9 {
			step *= more
		}
	}
	for v := 0.0; v <= largest; v += step {
		x := labelRight + v/largest*(barsRight-labelRight)
		d.tick(x, top, bottom, fmt.Sprintf("%.3g", v))
	}
	d.text((labelRight+barsRight)/2, float64(bottom+34), "soft", "middle", what)
}

// tick is a line across the chart, with what it stands for above and below.
func (d *drawing) tick(x float64, top, bottom int, s string) {
	d.mark("grid", "M%.1f %dV%d", x, top, bottom)
	d.text(x, float64(top-4), "soft", "middle", s)
	d.text(x, float64(bottom+16), "soft", "middle", s)
}

// class is what the style sheet calls a server.
func (d *drawing) class(name string) string {
	switch name {
	case "gomcd", nameMemcached, namePogocache:
		return name
	case nameMemcachedR:
		return "memcachedR"
	}
	for i, other := range d.others {
		if other == name {
			return fmt.Sprintf("other%d", i%3)
		}
	}
	d.others = append(d.others, name)
	return d.class(name)
}

func textClass(name string) string {
	if name == "gomcd" {
		return "strong"
	}
	return "small"
}

// shownName is what people call a server.
func shownName(name string) string {
	switch name {
	case nameMemcachedR:
		return "memcached -R 100000"
	case namePogocache:
		return "Pogocache"
	}
	return name
}
