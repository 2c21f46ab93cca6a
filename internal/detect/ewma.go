package detect

import (
	"fmt"
	"math"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// EWMA compares a point with the exponentially weighted mean of those before,
// in units of their exponentially weighted standard deviation.
type EWMA struct {
	alpha          float64
	mean, variance float64
	n              int
	value, z       float64
}

// NewEWMA weighs the newest point by alpha, above 0 and at most 1; 0.2 if it is
// neither.
func NewEWMA(alpha float64) *EWMA {
	if !(alpha > 0 && alpha <= 1) {
		alpha = 0.2
	}
	return &EWMA{alpha: alpha}
}

// warm is how many points a detector takes before it says anything.
const warm = 20

// Observe implements Detector.
func (e *EWMA) Observe(_ time.Time, v float64) float64 {
	if !finite(v) {
		return 0
	}
	v = bounded(v)
	d := v - e.mean
	e.value, e.z = v, 0
	if e.n >= warm {
		e.z = units(d, math.Sqrt(e.variance))
	}
	if e.n == 0 {
		e.mean, d = v, 0
	}
	e.n++
	// Incremental exponential mean and variance (Finch, 2009).
	w := max(e.alpha, 1/float64(e.n))
	e.mean += w * d
	e.variance = (1 - w) * (e.variance + w*d*d)
	return abs(e.z)
}

// Bar implements Detector.
func (e *EWMA) Bar() float64 { return 4 }

// Reason implements Detector.
func (e *EWMA) Reason() heal.Reason {
	return reason(MethodEWMA, e.value, e.z, fmt.Sprintf("%s is %s standard deviations from the weighted mean of the points before",
		decimal(e.value), decimal(e.z)))
}

// reason is what every single detector says in the same form.
func reason(m Method, value, units float64, text string) heal.Reason {
	return heal.Reason{Code: string(m), Text: text + ".", Data: map[string]any{"value": value, "units": units}}
}

// farValue bounds a value so that sums of squares of differences are finite.
const farValue = 1e140

// bounded is a value as a single detector takes it.
func bounded(v float64) float64 { return min(max(v, -farValue), farValue) }
