package detect

import (
	"fmt"
	"math"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
)

// ThreeSigma compares a point with the mean of a long past, in units of its
// standard deviation. What it calls unusual teaches it as much as any point: a
// few wild points widen what it takes as usual (see Robust, which they do not).
type ThreeSigma struct {
	n, mean, squares float64 // Welford's sums; squares over n
	value, z         float64
}

// NewThreeSigma is a detector that knows nothing yet.
func NewThreeSigma() *ThreeSigma { return &ThreeSigma{} }

// Observe implements Detector.
func (s *ThreeSigma) Observe(_ time.Time, v float64) float64 {
	if !finite(v) {
		return 0
	}
	v = bounded(v)
	s.value, s.z = v, 0
	if s.n >= warm {
		s.z = units(v-s.mean, math.Sqrt(s.squares))
	}
	s.n = min(s.n+1, 1/longMemory)
	d := v - s.mean
	s.mean += d / s.n
	s.squares += (d*(v-s.mean) - s.squares) / s.n
	s.squares = max(0, s.squares)
	return abs(s.z)
}

// Bar implements Detector.
func (s *ThreeSigma) Bar() float64 { return 3 }

// Reason implements Detector.
func (s *ThreeSigma) Reason() heal.Reason {
	return reason(MethodSigma, s.value, s.z, fmt.Sprintf("%s is %s standard deviations from the mean %s",
		decimal(s.value), decimal(s.z), decimal(s.mean)))
}
