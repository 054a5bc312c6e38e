package scale

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// plot is lines over one axis of numbers, as they would be drawn by hand.
type plot struct {
	title, x, y string
	lines       []line
}

type line struct {
	name   string
	points []point
}

type point struct{ x, y float64 }

const (
	plotWidth, plotHeight   = 640, 360
	plotLeft, plotRight     = 64, 16
	plotTop, plotBottom     = 40, 48
	innerWidth, innerHeight = plotWidth - plotLeft - plotRight, plotHeight - plotTop - plotBottom
	axisColour, gridColour  = "#666", "#ddd"
	steps                   = 5.0 // on an axis, or a few more
)

var lineColours = []string{"#1f6feb", "#d1570b", "#2da44e"}

// svg draws the plot. It stands on white, so that it reads on dark pages too.
func (p plot) svg() string {
	maxX, maxY := 0.0, 0.0
	for _, l := range p.lines {
		for _, at := range l.points {
			maxX, maxY = max(maxX, at.x), max(maxY, at.y)
		}
	}
	stepX, stepY := niceStep(maxX), niceStep(maxY)
	maxX, maxY = math.Ceil(maxX/stepX)*stepX, math.Ceil(maxY/stepY)*stepY
	atX := func(v float64) float64 { return plotLeft + v/maxX*innerWidth }
	atY := func(v float64) float64 { return plotTop + innerHeight - v/maxY*innerHeight }

	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", plotWidth, plotHeight)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", plotWidth, plotHeight)
	text := func(x, y float64, anchor, colour, words string) {
		fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" text-anchor="%s" fill="%s">%s</text>`+"\n", x, y, anchor, colour, html.EscapeString(words))
	}
	text(plotLeft, 20, "start", "#000", p.title+": "+p.y)
	text(plotWidth-plotRight, plotHeight-8, "end", axisColour, p.x)
	for v := 0.0; v <= maxY+stepY/2; v += stepY {
		fmt.Fprintf(&b, `<path d="M%d %.1fH%d" stroke="%s"/>`+"\n", plotLeft, atY(v), plotWidth-plotRight, gridColour)
		text(plotLeft-8, atY(v)+4, "end", axisColour, fmt.Sprintf("%g", v))
	}
	for v := 0.0; v <= maxX+stepX/2; v += stepX {
		text(atX(v), plotHeight-plotBottom+18, "middle", axisColour, fmt.Sprintf("%g", v))
	}
	for i, l := range p.lines {
		colour := lineColours[i%len(lineColours)]
		var path strings.Builder
		for j, at := range l.points {
			fmt.Fprintf(&path, "%c%.1f %.1f", "LM"[btoi(j == 0)], atX(at.x), atY(at.y))
			fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n", atX(at.x), atY(at.y), colour)
		}
		fmt.Fprintf(&b, `<path d="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", path.String(), colour)
		text(plotWidth-plotRight, 20+16*float64(i), "end", colour, l.name)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// niceStep is 1, 2 or 5 times a power of ten, so that about as many as steps reach most.
func niceStep(most float64) float64 {
	if most <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(most/steps)))
	for _, n := range []float64{1, 2, 5} {
		if n*power*steps >= most {
			return n * power
		}
	}
	return 10 * power
}
