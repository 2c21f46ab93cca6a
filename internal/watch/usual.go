package watch

import (
	"math"
	"slices"
	"time"
)

// What a series usually is, in short: it goes along slowly, and stands still
// while the series is off.
type usual struct {
	mean, spread float64 // spread: mean distance from mean
	n            uint32
	since        time.Time // when it went off; zero: it is not
	back         uint8     // points in a row that were not off
	off          uint16    // points since it went off
}

const (
	usualMemory = 0.01 // what a point weighs at least
	usualPoints = 20   // before them nothing is off
	offSpreads  = 4.0  // this far from the mean is off
	backPoints  = 2    // in a row end it
	offMost     = 240  // points; what lasts longer is the new usual
)

// observe takes a point; odd says that the detectors found it out of the
// ordinary. It reports whether the series is off now.
func (u *usual) observe(at time.Time, v float64, odd bool) bool {
	far := math.Abs(v-u.mean) > offSpreads*u.spread+1e-9*math.Abs(u.mean)
	switch {
	case u.since.IsZero() && odd && far && u.n >= usualPoints:
		u.since, u.off, u.back = at, 0, 0
	case u.since.IsZero():
		u.learn(v)
		return false
	}
	if u.off++; far {
		u.back = 0
	} else {
		u.back++
	}
	if u.back < backPoints && u.off < offMost {
		return true
	}
	u.since = time.Time{}
	if u.off >= offMost {
		u.n = 0
	}
	u.learn(v)
	return false
}

func (u *usual) learn(v float64) {
	if u.n == 0 {
		u.mean, u.spread = v, 0
	}
	if u.n < math.MaxUint32 {
		u.n++
	}
	w := max(1/float64(u.n), usualMemory)
	if u.n > 1 {
		u.spread += w * (math.Abs(v-u.mean) - u.spread)
	}
	u.mean += w * (v - u.mean)
}

// memory is the last values of a golden signal from when all was well.
type memory struct {
	Values []float64 `json:"values"` // at most memoryPoints, as a ring
	At     int       `json:"at"`     // where the next goes once it is full
}

// memoryPoints is an hour of 15 s.
const memoryPoints = 240

func (m *memory) learn(v float64) {
	if len(m.Values) < memoryPoints {
		m.Values = append(m.Values, v)
		return
	}
	m.At %= memoryPoints
	m.Values[m.At] = v
	m.At++
}

// levels are the median and what all but a hundredth are below.
func (m *memory) levels() (median, high float64) {
	sorted := slices.Sorted(slices.Values(m.Values))
	return sorted[len(sorted)/2], sorted[(len(sorted)*99)/100]
}
