package wire

import "math"

// The bounds no steered rate leaves.
const (
	leastSteered = 0.01
	mostSteered  = 1.0
)

// Steering chooses the base rate so that about Target spans are kept a second.
type Steering struct {
	Target float64 // spans a second; 0 or less: the rate is not steered
	Least  float64 // the band the rate stays in; 0: 0.01
	Most   float64 // 0: 0.10
}

// Rate gives the base rate for a throughput in spans a second. Without traffic
// it is the most: what there is can be kept.
func (s Steering) Rate(throughput float64) float64 {
	least, most := s.Least, s.Most
	if !(least > 0) {
		least = 0.01
	}
	if !(most > 0) {
		most = 0.10
	}
	least = math.Min(math.Max(least, leastSteered), mostSteered)
	most = math.Min(math.Max(most, least), mostSteered)
	if !(throughput > 0) {
		return most
	}
	return math.Min(math.Max(s.Target/throughput, least), most)
}
