package detect_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"

	"github.com/homeostat/homeostat/internal/detect"
)

const step = 5 * time.Minute

// daily is a made-up load with a cycle of a day and noise.
func daily(seed uint64, n int) []float64 {
	rng := rand.New(rand.NewPCG(seed, 1))
	out := make([]float64, n)
	for i := range out {
		phase := 2 * math.Pi * float64(i%288) / 288
		out[i] = 100 + 30*math.Sin(phase) + 3*rng.NormFloat64()
	}
	return out
}

func observe(s *detect.Series, values []float64) []detect.Verdict {
	out := make([]detect.Verdict, len(values))
	for i, v := range values {
		out[i] = s.Observe(now.Add(time.Duration(i)*step), v)
	}
	return out
}

func alarms(verdicts []detect.Verdict, from, to int) int {
	n := 0
	for _, v := range verdicts[from:to] {
		if v.Alarm() {
			n++
		}
	}
	return n
}

func TestSeriesSeesWhatIsWrong(t *testing.T) {
	const at = 3000
	for _, tc := range []struct {
		name  string
		spoil func(x []float64)
		by    int // points after at by which it must be told
	}{
		{"a spike", func(x []float64) { x[at] += 150 }, 1},
		{"a drop", func(x []float64) { x[at] = 0 }, 1},
		{"a shift that stays", func(x []float64) {
			for i := at; i < len(x); i++ {
				x[i] += 60
			}
		}, 96},
		{"night at noon", func(x []float64) {
			for i := at; i < at+72; i++ {
				x[i] = 200 - x[i]
			}
		}, 72},
		{"stuck", func(x []float64) {
			for i := at; i < at+288; i++ {
				x[i] = x[at]
			}
		}, 288},
		{"a cycle that stops", func(x []float64) {
			for i := at; i < at+288; i++ {
				x[i] = 70
			}
		}, 288},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for seed := range uint64(5) {
				x := daily(seed, 4000)
				var calm, spoilt detect.Series
				before := observe(&calm, x)
				tc.spoil(x)
				after := observe(&spoilt, x)
				if got := alarms(after, at, at+tc.by); got == 0 {
					t.Errorf("seed %d: got no alarm in %d points, want one", seed, tc.by)
				}
				if got := alarms(before, at, at+tc.by); got > 1 {
					t.Errorf("seed %d: got %d alarms without it, want at most one by chance", seed, got)
				}
			}
		})
	}
}

func TestSeriesIsQuietWhenNothingIsWrong(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	noise := make([]float64, 20_000)
	for i := range noise {
		noise[i] = rng.NormFloat64()
	}
	flat := make([]float64, 20_000)
	for i := range flat {
		flat[i] = 42
	}
	for _, tc := range []struct {
		name   string
		values []float64
		most   int // alarms after the first 2,000 points
	}{
		{"flat", flat, 0},
		{"noise", noise, 18}, // once in 1,000 points is what an alarm means
		{"a daily cycle", daily(3, 20_000), 18},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var s detect.Series
			if got := alarms(observe(&s, tc.values), 2000, 20_000); got > tc.most {
				t.Errorf("got %d alarms, want at most %d", got, tc.most)
			}
		})
	}
}

// TestSeriesKeepsItsVerdictInOtherUnits multiplies by a power of two, which is
// exact, and by others, after which a value may round to another side of a
// limit.
func TestSeriesKeepsItsVerdictInOtherUnits(t *testing.T) {
	x := daily(1, 6000)
	x[2500] += 90
	for i := 4000; i < 4200; i++ {
		x[i] -= 40
	}
	var s detect.Series
	want := observe(&s, x)
	for _, tc := range []struct {
		name string
		a, b float64
		most int // verdicts that may differ by more than a thousandth
	}{
		{"twice", 2, 0, 0},
		{"upside down", -1, 0, 0},
		{"per mille of a thousandth", 1.0 / (1 << 20), 0, 0},
		{"other units", 9.0 / 5, 32, 30},
		{"huge", 1e200, -1e201, 30},
		{"tiny, far from zero", 1e-3, 1e6, 60},
	} {
		t.Run(tc.name, func(t *testing.T) {
			y := make([]float64, len(x))
			for i := range x {
				y[i] = tc.a*x[i] + tc.b
			}
			var s detect.Series
			differ := 0
			for i, got := range observe(&s, y) {
				if math.Abs(got.Score-want[i].Score) > 1e-3 {
					differ++
				}
			}
			if differ > tc.most {
				t.Errorf("got %d of %d verdicts that differ, want at most %d", differ, len(x), tc.most)
			}
		})
	}
}

func TestSeriesDoesNotAllocate(t *testing.T) {
	x := daily(1, 3000)
	var s detect.Series
	i := 0
	if got := testing.AllocsPerRun(2000, func() {
		s.Observe(now.Add(time.Duration(i)*step), x[i])
		i++
	}); got != 0 {
		t.Errorf("got %v allocations a point, want none", got)
	}
}

func BenchmarkSeries(b *testing.B) {
	x := daily(1, 8192)
	var s detect.Series
	at := now
	b.ReportAllocs()
	b.ReportMetric(float64(unsafe.Sizeof(s)), "B/series")
	for i := 0; b.Loop(); i++ {
		at = at.Add(step)
		s.Observe(at, x[i%len(x)])
	}
	b.ReportMetric(float64(unsafe.Sizeof(s)), "B/series")
}
