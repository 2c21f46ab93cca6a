package detect

import (
	"fmt"
	"math"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// ChangePoint adds up by how much points keep to one side of the level so far
// (a cumulative sum in both directions, Page 1954). It finds a shift of about
// one standard deviation within some ten points, and begins anew at the level
// it finds.
type ChangePoint struct {
	n, mean, squares float64
	up, down         float64 // sums, in standard deviations
	upRun, downRun   int     // points in each sum
	value, sum       float64
	since            int // points since the change, 0 if there was none at the last point
}

// drift is half the shift that is looked for; changeBar the sum at which it is
// called one: by chance once in about 10,000 points of normal noise.
const (
	drift     = 0.5
	changeBar = 8
)

// NewChangePoint is a detector that knows nothing yet.
func NewChangePoint() *ChangePoint { return &ChangePoint{} }

// Observe implements Detector. It gives the greater of the two sums.
func (c *ChangePoint) Observe(_ time.Time, v float64) float64 {
	if !finite(v) {
		return 0
	}
	v = bounded(v)
	c.value, c.sum, c.since = v, 0, 0
	if c.n >= warm {
		// One wild point is no change: it counts at most three deviations.
		z := min(max(units(v-c.mean, math.Sqrt(c.squares)), -3), 3)
		c.up, c.upRun = max(0, c.up+z-drift), c.upRun+1
		if c.up == 0 {
			c.upRun = 0
		}
		c.down, c.downRun = max(0, c.down-z-drift), c.downRun+1
		if c.down == 0 {
			c.downRun = 0
		}
		c.sum = max(c.up, c.down)
		if c.sum >= changeBar {
			c.since = c.downRun
			if c.up >= c.down {
				c.since = c.upRun
			}
			sum, since := c.sum, c.since
			*c = ChangePoint{value: v, sum: sum, since: since}
		}
	}
	c.n = min(c.n+1, 1/longMemory)
	d := v - c.mean
	c.mean += d / c.n
	c.squares += (d*(v-c.mean) - c.squares) / c.n
	c.squares = max(0, c.squares)
	return c.sum
}

// Since is how many points ago the change began that the last point showed; 0
// if it showed none.
func (c *ChangePoint) Since() int { return c.since }

// Bar implements Detector.
func (c *ChangePoint) Bar() float64 { return changeBar }

// Reason implements Detector.
func (c *ChangePoint) Reason() heal.Reason {
	text := "no change of level: deviations to one side add up to " + decimal(c.sum)
	if c.since > 0 {
		text = fmt.Sprintf("the level changed about %d points ago: deviations to one side add up to %s", c.since, decimal(c.sum))
	}
	return reason(MethodCUSUM, c.value, c.sum, text)
}
