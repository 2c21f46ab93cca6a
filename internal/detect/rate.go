package detect

import (
	"fmt"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// Rate compares how fast a series moves, per second between two points, with
// how fast it usually moves.
type Rate struct {
	before  float64
	at      time.Time
	has     bool
	usual   average // of the size of the rate
	rate, z float64
}

// NewRate is a detector that knows nothing yet.
func NewRate() *Rate { return &Rate{} }

// Observe implements Detector. A point not later than the one before is passed
// over.
func (r *Rate) Observe(at time.Time, v float64) float64 {
	if !finite(v) {
		return 0
	}
	v = bounded(v)
	seconds := at.Sub(r.at).Seconds()
	if r.has && seconds <= 0 {
		return 0
	}
	r.rate, r.z = 0, 0
	if r.has {
		r.rate = (v - r.before) / seconds
		if r.usual.n >= warm {
			r.z = units(r.rate, r.usual.mean)
		}
		r.usual.add(abs(r.rate), longMemory)
	}
	r.before, r.at, r.has = v, at, true
	return abs(r.z)
}

// PerSecond is how fast the series moved to the last point.
func (r *Rate) PerSecond() float64 { return r.rate }

// Bar implements Detector.
func (r *Rate) Bar() float64 { return 10 }

// Reason implements Detector.
func (r *Rate) Reason() heal.Reason {
	return reason(MethodRate, r.rate, r.z, fmt.Sprintf("it moves by %s a second, %s times as fast as usual", decimal(r.rate), decimal(abs(r.z))))
}
