package detect

import (
	"math"
	"time"
)

// Flaw is why a point cannot be judged.
type Flaw uint8

// The flaws.
const (
	Flawless   Flaw = iota
	NotFinite       // NaN or an infinity
	Duplicate       // a second value for the time of the last point
	OutOfOrder      // older than the last point
)

func (f Flaw) String() string {
	switch f {
	case Flawless:
		return "flawless"
	case NotFinite:
		return "not_finite"
	case Duplicate:
		return "duplicate"
	case OutOfOrder:
		return "out_of_order"
	}
	return "unknown"
}

// clockBack is how many points in order among themselves, but older than the
// newest, show that the clock was set back rather than that points came late.
const clockBack = 8

// Gate admits the points of one series that can be judged, and counts those
// that cannot.
type Gate struct {
	last, late int64   // unix nanoseconds of the newest point; of the last one refused as late
	lates      uint32  // refused as late, one after the other and in order
	points     uint32  // admitted
	step       average // seconds between points
	refused    [OutOfOrder + 1]uint32
}

// Admit says whether a point can be judged, and how many steps of the series'
// usual length have passed since the point before: 1 is the next one, 0 the
// first, more than 1 a gap.
func (g *Gate) Admit(at time.Time, v float64) (steps float64, flaw Flaw) {
	now := at.UnixNano()
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return 0, g.refuse(NotFinite)
	case g.points == 0:
	case now == g.last:
		return 0, g.refuse(Duplicate)
	case now < g.last:
		if g.lates > 0 && now <= g.late {
			g.lates = 0
		}
		g.lates++
		g.late = now
		if g.lates < clockBack {
			return 0, g.refuse(OutOfOrder)
		}
	default:
		passed := (float64(now) - float64(g.last)) / float64(time.Second)
		steps = 1
		if g.step.mean > 0 {
			steps = passed / g.step.mean
		}
		if steps < gapSteps || g.step.n < minSteps {
			g.step.add(passed, 0.01)
		}
	}
	g.last, g.lates = now, 0
	if g.points < math.MaxUint32 {
		g.points++
	}
	return steps, Flawless
}

// A gap of gapSteps steps is no step of its own; before minSteps are known,
// anything may be.
const (
	gapSteps = 10
	minSteps = 8
)

// Refused is how many points had a flaw.
func (g *Gate) Refused(f Flaw) int {
	if int(f) >= len(g.refused) {
		return 0
	}
	return int(g.refused[f])
}

// Points is how many points were admitted.
func (g *Gate) Points() int { return int(g.points) }

func (g *Gate) refuse(f Flaw) Flaw {
	if g.refused[f] < math.MaxUint32 {
		g.refused[f]++
	}
	return f
}
