package detect_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/detect"
)

// calm are series of many shapes in which nothing ever goes wrong: what comes
// next is made as what was before. Each call gives the next value; days is the
// time since the beginning.
var calm = map[string]func(rng *rand.Rand) func(days float64) float64{
	"noise": func(rng *rand.Rand) func(float64) float64 {
		return func(float64) float64 { return rng.NormFloat64() }
	},
	"slow noise": func(rng *rand.Rand) func(float64) float64 {
		v := 0.0
		return func(float64) float64 { v = 0.98*v + rng.NormFloat64(); return v }
	},
	"random walk": func(rng *rand.Rand) func(float64) float64 {
		v := 0.0
		return func(float64) float64 { v += rng.NormFloat64(); return v }
	},
	"only growing": func(rng *rand.Rand) func(float64) float64 {
		v := 0.0
		return func(float64) float64 { v += rng.Float64(); return v }
	},
	"latencies": func(rng *rand.Rand) func(float64) float64 {
		return func(float64) float64 { return math.Exp(rng.NormFloat64()) }
	},
	"heavy tail": func(rng *rand.Rand) func(float64) float64 {
		return func(float64) float64 { return math.Pow(1-rng.Float64(), -0.7) }
	},
	"small counts": func(rng *rand.Rand) func(float64) float64 {
		return func(float64) float64 {
			n := 0.0
			for rng.Float64() > 0.3 {
				n++
			}
			return n
		}
	},
	"mostly nothing": func(rng *rand.Rand) func(float64) float64 {
		return func(float64) float64 {
			if rng.Float64() < 0.02 {
				return 1
			}
			return 0
		}
	},
	"bursts": func(rng *rand.Rand) func(float64) float64 {
		left := 0
		return func(float64) float64 {
			if left--; left <= 0 && rng.Float64() < 0.005 {
				left = 5 + rng.IntN(30)
			}
			if left > 0 {
				return 50 + 10*rng.Float64()
			}
			return rng.Float64()
		}
	},
	"saw": func(*rand.Rand) func(float64) float64 {
		i := 0
		return func(float64) float64 { i++; return float64(i % 500) } // the worst: the same peak over and over is a record again and again
	},
	"days and weekends": func(rng *rand.Rand) func(float64) float64 {
		return func(days float64) float64 {
			load := 1.0
			if math.Mod(days, 7) >= 5 {
				load = 0.4
			}
			return load*(100+50*math.Sin(2*math.Pi*days)) + 2*rng.NormFloat64()
		}
	},
}

// TestSeriesKeepsItsPromiseOnAnyShape wants of series where nothing is wrong
// about the one alarm in 1,000 points that an alarm means, whatever their shape
// and the time between their points.
func TestSeriesKeepsItsPromiseOnAnyShape(t *testing.T) {
	const warmup, n = 2000, 20_000
	for name, shape := range calm {
		for _, step := range []time.Duration{time.Second, time.Minute, 5 * time.Minute, time.Hour} {
			next := shape(rand.New(rand.NewPCG(9, 9)))
			var s detect.Series
			got := 0
			for i := range warmup + n {
				after := time.Duration(i) * step
				if s.Observe(now.Add(after), next(after.Hours()/24)).Alarm() && i >= warmup {
					got++
				}
			}
			if got > 4*n/1000 {
				t.Errorf("%s, every %v: got %.2f alarms in 1,000 points, want about 1 and at most 4", name, step, 1000*float64(got)/n)
			}
		}
	}
}
