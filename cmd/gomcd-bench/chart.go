package main

import (
	"fmt"
	"html"
	"strings"
)

// chart is a chart of horizontal bars in groups, one below the other.
type chart struct {
	title, note string
	groups      []group
	each        bool // every group has a scale of its own
	line        float64
}

type group struct {
	label string
	bars  []bar
}

// bar is one of a group. With low < high it shows what it lies between.
type bar struct {
	name             string
	value, low, high float64
	text             string
}

// Colours by name, and those for others, in order.
var (
	colours = map[string]string{"gomcd": "#0f766e", nameMemcached: "#8b95a5", nameMemcachedR: "#c0c7d1", namePogocache: "#d9a03f"}
	spare   = []string{"#7c6fb0", "#b56576", "#5b8c5a"}
)

const (
	chartWidth = 860
	labelRight = 196 // where labels end and bars begin
	barsRight  = 700 // where the longest bar ends; its text follows
	barHeight  = 13
	groupGap   = 13
	headHeight = 92
)

// svg draws the chart.
func (c *chart) svg() string {
	height := headHeight + 14
	for _, g := range c.groups {
		height += len(g.bars)*barHeight + groupGap
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif" role="img">`+"\n",
		chartWidth, height, chartWidth, height)
	fmt.Fprintf(&b, "<title>%s</title>\n", html.EscapeString(c.title))
	fmt.Fprintf(&b, `<rect x="0.5" y="0.5" width="%d" height="%d" rx="8" fill="#ffffff" stroke="#d5dae1"/>`+"\n", chartWidth-1, height-1)
	text(&b, 24, 32, 17, "#1a202c", "start", "600", c.title)
	text(&b, 24, 52, 12.5, "#5a6473", "start", "400", c.note)
	c.legend(&b)
	largest := 0.0
	for _, g := range c.groups {
		largest = max(largest, g.largest())
	}
	scale := func(v, largest float64) float64 { return v / largest * (barsRight - labelRight) }
	if c.line > 0 && largest > 0 {
		x := labelRight + scale(c.line, largest)
		fmt.Fprintf(&b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#8b95a5" stroke-dasharray="3 3"/>`+"\n", x, headHeight-4, x, height-18)
	}
	y := headHeight + 6
	for _, g := range c.groups {
		if c.each {
			largest = g.largest()
		}
		text(&b, labelRight-10, float64(y+len(g.bars)*barHeight/2)+4, 12.5, "#1a202c", "end", "400", g.label)
		for _, one := range g.bars {
			w := 0.0
			if largest > 0 {
				w = scale(one.value, largest)
			}
			fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.1f" height="%d" rx="1.5" fill="%s"/>`+"\n", labelRight, y, max(w, 1), barHeight-2, c.colour(one.name))
			end := labelRight + w
			if one.low < one.high && largest > 0 {
				from, to, mid := labelRight+scale(one.low, largest), labelRight+scale(one.high, largest), float64(y)+float64(barHeight-2)/2
				fmt.Fprintf(&b, `<path d="M%.1f %.1fH%.1fM%.1f %.1fv6M%.1f %.1fv6" stroke="#1a202c" stroke-width="1" fill="none"/>`+"\n",
					from, mid, to, from, mid-3, to, mid-3)
				end = max(end, to)
			}
			weight := "400"
			if one.name == "gomcd" {
				weight = "600"
			}
			text(&b, end+7, float64(y)+9.5, 11, "#1a202c", "start", weight, one.text)
			y += barHeight
		}
		y += groupGap
	}
	b.WriteString("</svg>\n")
	return b.String()
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

func (c *chart) colour(name string) string {
	if colour := colours[name]; colour != "" {
		return colour
	}
	n := 0
	for _, other := range c.names() {
		if other == name {
			break
		}
		if colours[other] == "" {
			n++
		}
	}
	return spare[n%len(spare)]
}

func (c *chart) legend(b *strings.Builder) {
	x := 24.0
	for _, name := range c.names() {
		fmt.Fprintf(b, `<rect x="%.0f" y="66" width="11" height="11" rx="2" fill="%s"/>`+"\n", x, c.colour(name))
		shown := shownName(name)
		text(b, x+17, 76, 12.5, "#1a202c", "start", "400", shown)
		x += 40 + 7*float64(len(shown))
	}
}

// largest is the largest number of a group.
func (g group) largest() float64 {
	most := 0.0
	for _, b := range g.bars {
		most = max(most, b.value, b.high)
	}
	return most
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

func text(b *strings.Builder, x, y, size float64, colour, anchor, weight, s string) {
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" font-size="%v" fill="%s" text-anchor="%s" font-weight="%s">%s</text>`+"\n",
		x, y, size, colour, anchor, weight, html.EscapeString(s))
}
