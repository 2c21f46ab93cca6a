package detect

import (
	"math"
	"time"
)

// Direction is where a series is heading.
type Direction string

// The directions.
const (
	Unclear    Direction = "unclear" // too few points
	Stable     Direction = "stable"
	Increasing Direction = "increasing"
	Decreasing Direction = "decreasing"
	Volatile   Direction = "volatile" // it moves much and goes nowhere
)

// Trend fits a line through the points of a series, in which a point's weight
// falls to 1/e within a memory, and says where the line leads.
type Trend struct {
	memory              float64 // seconds
	at                  time.Time
	base                float64 // first value: sums are of what differs from it
	w, t, v, tt, tv, vv float64 // weighted sums, time in memories before the last point
	n                   int
	first               float64 // age of the first point, in memories
}

// NewTrend forgets within memory; an hour if it is not positive.
func NewTrend(memory time.Duration) *Trend {
	if memory <= 0 {
		memory = time.Hour
	}
	return &Trend{memory: memory.Seconds()}
}

// minTrend is how many points a trend needs.
const minTrend = 10

// Observe takes the next point. One that is not finite or not later than the
// one before is passed over.
func (t *Trend) Observe(at time.Time, v float64) {
	if !finite(v) || t.n > 0 && !at.After(t.at) {
		return
	}
	v = bounded(v)
	if t.n == 0 {
		t.base = v
	} else {
		t.age(at.Sub(t.at).Seconds() / t.memory)
	}
	t.at = at
	t.n++
	y := v - t.base
	t.w++
	t.v += y
	t.vv += y * y
}

// age moves the sums d memories into the past.
func (t *Trend) age(d float64) {
	k := math.Exp(-d)
	// Every t becomes t-d; in this order none is changed before it is used.
	t.tt = k * (t.tt - 2*d*t.t + d*d*t.w)
	t.tv = k * (t.tv - d*t.v)
	t.t = k * (t.t - d*t.w)
	t.w, t.v, t.vv = k*t.w, k*t.v, k*t.vv
	if !finite(t.w+t.t+t.v+t.tt+t.tv+t.vv) || t.w < 1e-9 { // a gap of many memories: begin anew
		t.w, t.t, t.v, t.tt, t.tv, t.vv, t.n = 0, 0, 0, 0, 0, 0, 0
		t.first = 0
		return
	}
	t.first = min(t.first+d, 1e6)
}

// line is the fit: the value now, the change in one memory, the spread of the
// points around the line, and around their mean.
func (t *Trend) line() (now, slope, around, spread float64, ok bool) {
	if t.n < minTrend || t.w <= 0 {
		return 0, 0, 0, 0, false
	}
	mt, mv := t.t/t.w, t.v/t.w
	vt := t.tt/t.w - mt*mt
	cov := t.tv/t.w - mt*mv
	vv := max(0, t.vv/t.w-mv*mv)
	if vt <= 0 {
		return 0, 0, 0, 0, false
	}
	slope = cov / vt
	around = math.Sqrt(max(0, vv-slope*cov))
	return mv - slope*mt + t.base, slope, around, math.Sqrt(vv), true
}

// Direction says where the series is heading over the last memory.
func (t *Trend) Direction() Direction {
	now, slope, around, spread, ok := t.line()
	if !ok {
		return Unclear
	}
	// Over the span that is known the line must rise by more than the points
	// lie around it, and by more than a rounding error.
	span := min(t.first, 1)
	rise := slope * span
	least := 1e-9 * (abs(now) + abs(t.base))
	switch {
	case rise > max(2*around, least):
		return Increasing
	case -rise > max(2*around, least):
		return Decreasing
	case spread > volatile*abs(now):
		return Volatile
	}
	return Stable
}

// volatile is from which share of the value a spread without a direction is
// called volatile.
const volatile = 0.25

// Forecast is the value expected after ahead, and how far from it most points
// may be: two spreads around the line, and what the slope may be wrong by.
func (t *Trend) Forecast(ahead time.Duration) (value, within float64, ok bool) {
	now, slope, around, _, ok := t.line()
	if !ok {
		return 0, 0, false
	}
	d := ahead.Seconds() / t.memory
	mt := t.t / t.w
	vt := t.tt/t.w - mt*mt
	// The usual error of a prediction by a fitted line.
	within = 2 * around * math.Sqrt(1+1/t.w+(d-mt)*(d-mt)/(t.w*vt))
	value = now + slope*d
	return value, within, finite(value) && finite(within)
}

// Reaches is after how long the line crosses a limit, if it does within most
// and it is clear in which direction the series is heading; at once if it is
// there already.
func (t *Trend) Reaches(limit float64, most time.Duration) (after time.Duration, ok bool) {
	now, slope, _, _, known := t.line()
	direction := t.Direction()
	if !known || direction != Increasing && direction != Decreasing {
		return 0, false
	}
	left := limit - now
	if left == 0 || left > 0 != (slope > 0) {
		return 0, left == 0
	}
	seconds := left / slope * t.memory
	if !(seconds <= most.Seconds()) {
		return 0, false
	}
	return time.Duration(seconds * float64(time.Second)), true
}
