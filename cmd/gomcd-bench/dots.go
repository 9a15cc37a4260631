package main

import (
	"fmt"
	"math"
	"time"
)

// dots is a chart of latencies: for each case and server the times within which
// replies came, on a logarithmic axis.
type dots struct {
	title, note, axis string
	groups            []dotGroup
}

type dotGroup struct {
	label string
	rows  []dotRow
}

// dotRow is one server. The spreads are in nanoseconds.
type dotRow struct {
	name          string
	p50, p99, top spread
}

const rowHeight = 19

// svg draws the chart.
func (c *dots) svg() string {
	height := headHeight + footHeight
	least, most := math.Inf(1), 0.0
	var names []string
	for _, g := range c.groups {
		height += len(g.rows)*rowHeight + groupGap
		for _, r := range g.rows {
			least, most = min(least, r.p50.min), max(most, r.top.median, r.p99.max)
			if len(names) < len(g.rows) {
				names = append(names, r.name)
			}
		}
	}
	least, most = max(least*0.85, 1), most*1.1
	d := newDrawing(c.title, c.note, height)
	x := d.legend(names) + 10
	for _, m := range []struct{ shape, says string }{{"half", "half within"}, {"most", "99% within"}, {"all", "99.9% within"}} {
		d.shape(m.shape, x, 73, "soft")
		d.text(x+12, 77.5, "ink", "start", m.says)
		x += 36 + 6.6*float64(len(m.says))
	}
	at := func(ns float64) float64 {
		return labelRight + math.Log(max(ns, least)/least)/math.Log(most/least)*(barsRight-labelRight)
	}
	steps := []float64{1, 2, 5}
	if most > 300*least {
		steps = steps[:1] // there is no room for more
	}
	for unit := 1e3; unit < most; unit *= 10 {
		for _, n := range steps {
			if v := n * unit; v > least && v < most {
				d.tick(at(v), headHeight-6, height-footHeight, short(time.Duration(v)))
			}
		}
	}
	d.text((labelRight+barsRight)/2, float64(height-footHeight+34), "soft", "middle", c.axis)
	y := float64(headHeight)
	for _, g := range c.groups {
		d.text(labelRight-10, y+float64(len(g.rows)*rowHeight)/2+4, "ink", "end", g.label)
		for _, r := range g.rows {
			mid := y + rowHeight/2
			class := d.class(r.name)
			fmt.Fprintf(d, `<rect x="%.1f" y="%.1f" width="%.1f" height="2" class="%s"/>`+"\n", at(r.p50.median), mid-1, at(r.top.median)-at(r.p50.median), class)
			for _, s := range []spread{r.p50, r.p99} {
				fmt.Fprintf(d, `<rect x="%.1f" y="%.1f" width="%.1f" height="13" rx="3" class="%s band"/>`+"\n",
					at(s.min), mid-6.5, max(at(s.max)-at(s.min), 1), class)
			}
			d.shape("half", at(r.p50.median), mid, class)
			d.shape("most", at(r.p99.median), mid, class)
			d.shape("all", at(r.top.median), mid, class)
			d.text(barsRight+16, mid+4, textClass(r.name), "start", fmt.Sprintf("%s · %s · %s µs", micro(r.p50.median), micro(r.p99.median), micro(r.top.median)))
			y += rowHeight
		}
		y += groupGap
	}
	return d.end()
}

// micro writes nanoseconds as microseconds.
func micro(ns float64) string {
	if ns < 1e5 {
		return fmt.Sprintf("%.3g", ns/1e3)
	}
	return thousands(ns / 1e3)
}

// shape draws the mark of a percentile.
func (d *drawing) shape(kind string, x, y float64, class string) {
	switch kind {
	case "half":
		fmt.Fprintf(d, `<circle cx="%.1f" cy="%.1f" r="4.5" class="%s"/>`+"\n", x, y, class)
	case "most":
		fmt.Fprintf(d, `<path d="M%.1f %.1fl5.5 5.5l-5.5 5.5l-5.5 -5.5z" class="%s"/>`+"\n", x, y-5.5, class)
	default:
		fmt.Fprintf(d, `<rect x="%.1f" y="%.1f" width="3" height="11" class="%s"/>`+"\n", x-1.5, y-5.5, class)
	}
}
