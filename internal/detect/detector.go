package detect

import (
	"math"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// Method names a way of judging a series.
type Method string

// The methods that judge a series alone, and the members of Series and Vectors.
const (
	MethodEWMA   Method = "ewma"
	MethodSigma  Method = "three_sigma"
	MethodRobust Method = "robust_z"
	MethodSeason Method = "season"
	MethodCUSUM  Method = "change_point"
	MethodRate   Method = "rate_of_change"
	MethodDay    Method = "daily_range"
	MethodMonth  Method = "recent_daily_range"
	MethodLevel  Method = "level"
	MethodTurn   Method = "level_change"
	MethodValue  Method = "new_value"
	MethodShort  Method = "new_short_mean"
)

// Detector judges one series point by point, in constant memory and without
// allocating. It is owned by one goroutine at a time.
type Detector interface {
	// Observe takes the next point and says how far it is from what was
	// expected, in units of the series' own spread: 0 is as expected or not
	// enough known, and what is unusual depends on the method (see its Bar). A
	// value that is not finite is passed over.
	Observe(at time.Time, v float64) float64
	// Bar is what Observe gives from which a person should be told.
	Bar() float64
	// Reason explains the last point.
	Reason() heal.Reason
}

// average is a running mean: the plain mean of the first points, then an
// exponential one in which a point weighs at least floor. The difference of any
// two values must be finite.
type average struct {
	mean float64
	n    uint32
}

func (a *average) add(x, floor float64) {
	if a.n < math.MaxUint32 {
		a.n++
	}
	a.mean += max(1/float64(a.n), floor) * (x - a.mean)
}

// maxUnits bounds a deviation in units of spread: nothing tells apart what is
// further out, and products of it stay finite.
const maxUnits = 1e12

// units is a deviation in units of a spread. A series that never moved has no
// spread: any deviation is then as far out as can be.
func units(deviation, spread float64) float64 {
	if deviation == 0 || math.IsNaN(deviation) {
		return 0
	}
	if spread <= 0 {
		return math.Copysign(maxUnits, deviation)
	}
	return min(max(deviation/spread, -maxUnits), maxUnits)
}
