package detect

import (
	"fmt"
	"slices"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// robustWindow is over how many points a median is taken.
const robustWindow = 64

// Robust compares a point with the median of the last ones, in units of their
// median absolute deviation, scaled so that it is the standard deviation of
// normal noise. Up to half of those points may be wild without moving it.
type Robust struct {
	ring   [robustWindow]float64
	sorted [robustWindow]float64
	at, n  int
	median float64
	value  float64
	z      float64
}

// NewRobust is a detector that knows nothing yet.
func NewRobust() *Robust { return &Robust{} }

// Observe implements Detector.
func (r *Robust) Observe(_ time.Time, v float64) float64 {
	if !finite(v) {
		return 0
	}
	v = bounded(v)
	r.value, r.z = v, 0
	sorted := r.sorted[:r.n]
	if r.n >= warm {
		r.median = middle(sorted)
		r.z = units(v-r.median, deviation(sorted, r.median)/0.6745)
	}
	if r.n == robustWindow {
		out, _ := slices.BinarySearch(sorted, r.ring[r.at])
		copy(sorted[out:], sorted[out+1:])
	} else {
		r.n++
	}
	sorted = r.sorted[:r.n]
	in, _ := slices.BinarySearch(sorted[:r.n-1], v)
	copy(sorted[in+1:], sorted[in:r.n-1])
	sorted[in] = v
	r.ring[r.at] = v
	r.at = (r.at + 1) % robustWindow
	return abs(r.z)
}

// deviation is the median of the distances of sorted values from their median,
// found by walking outwards from it.
func deviation(sorted []float64, median float64) float64 {
	n := len(sorted)
	lo, hi := (n-1)/2, (n-1)/2+1
	var before, last float64
	for range n/2 + 1 {
		before = last
		switch {
		case lo < 0:
			last = sorted[hi] - median
			hi++
		case hi >= n || median-sorted[lo] <= sorted[hi]-median:
			last = median - sorted[lo]
			lo--
		default:
			last = sorted[hi] - median
			hi++
		}
	}
	if n%2 == 0 {
		return before/2 + last/2
	}
	return last
}

// Bar implements Detector.
func (r *Robust) Bar() float64 { return 5 }

// Reason implements Detector.
func (r *Robust) Reason() heal.Reason {
	return reason(MethodRobust, r.value, r.z, fmt.Sprintf("%s is %s robust deviations from %s, the median of the last %d points",
		decimal(r.value), decimal(r.z), decimal(r.median), robustWindow))
}
