package console

import (
	"fmt"
	"math"
	"time"

	"github.com/weir-registry/weir/internal/admin"
)

// The chart's sizes, in units of its own: what is around the bars, and all of it.
const (
	chartLeft, chartTop     = 72, 10
	chartRight, chartBottom = 716, 176
	chartWidth, chartHeight = 720, 200
)

// chart is bars over time, two for each step: bytes of what was held, and bytes that
// upstreams sent.
type chart struct {
	ID, Title     string // Title in the visitor's language
	Steps         []admin.TrafficStep
	Times         string // how their times are written
	Width, Height int
	Left, Right   int
	Grid          []gridLine
	Bars          []bar
	Marks         []mark
}

// Empty says that there is nothing to be drawn.
func (c chart) Empty() bool { return len(c.Bars) == 0 }

type gridLine struct {
	Y, TextY int
	Text     string
}

type bar struct {
	X, Y, W, H string
	Class      string
	Title      string
}

type mark struct {
	X    string
	Y    int
	Text string
}

// draw draws the chart's steps; below returns what stands below a step, "" for nothing.
func (f Format) draw(c chart, below func(time.Time) string) chart {
	c.Width, c.Height, c.Left, c.Right = chartWidth, chartHeight, chartLeft, chartRight
	var top int64
	for _, s := range c.Steps {
		top = max(top, s.HitBytes, s.Upstream)
	}
	if top == 0 {
		return c
	}
	step, lines := scale(top)
	high := float64(chartBottom-chartTop) / (float64(lines) * float64(step)) // of a byte
	for n := range lines + 1 {
		y := chartBottom - int(float64(n)*float64(step)*high)
		c.Grid = append(c.Grid, gridLine{y, y + 4, f.Bytes(int64(n) * step)})
	}
	slot := float64(chartRight-chartLeft) / float64(len(c.Steps))
	for n, s := range c.Steps {
		left := chartLeft + float64(n)*slot
		add := func(share float64, bytes int64, class, what string) {
			if bytes == 0 {
				return
			}
			h := max(float64(bytes)*high, 1)
			c.Bars = append(c.Bars, bar{
				X: decimal(left + share*slot), Y: decimal(chartBottom - h), W: decimal(.38 * slot), H: decimal(h), Class: class,
				Title: s.At.Format(c.Times) + " UTC: " + f.T(what, f.Bytes(bytes)),
			})
		}
		add(.1, s.HitBytes, "series1", "%s from what was held")
		add(.52, s.Upstream, "series2", "%s from upstreams")
		if text := below(s.At); text != "" {
			c.Marks = append(c.Marks, mark{decimal(left + slot/2), chartHeight - 6, text})
		}
	}
	return c
}

// scale returns at which steps, and how many, a scale up to top has its lines: at round
// numbers of the unit that top is in.
func scale(top int64) (step int64, lines int) {
	unit := int64(1)
	for unit<<10 <= top && unit < 1<<50 {
		unit <<= 10
	}
	for _, n := range []int64{1, 2, 5, 10, 20, 50, 100, 200, 256} {
		if step = n * unit; step <= math.MaxInt64/4 && 4*step >= top {
			break
		}
	}
	return step, int((top + step - 1) / step)
}

func decimal(x float64) string { return fmt.Sprintf("%.1f", x) }
