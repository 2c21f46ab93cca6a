package detect_test

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/detect"
)

// single makes one of each detector that judges alone.
var single = map[detect.Method]func() detect.Detector{
	detect.MethodEWMA:   func() detect.Detector { return detect.NewEWMA(0.2) },
	detect.MethodSigma:  func() detect.Detector { return detect.NewThreeSigma() },
	detect.MethodRobust: func() detect.Detector { return detect.NewRobust() },
	detect.MethodSeason: func() detect.Detector { return detect.NewSeason(false) },
	detect.MethodCUSUM:  func() detect.Detector { return detect.NewChangePoint() },
	detect.MethodRate:   func() detect.Detector { return detect.NewRate() },
}

// TestSingleDetectors gives each a series it must be silent about and a last
// point, or a few, it must not be.
func TestSingleDetectors(t *testing.T) {
	type series func(rng *rand.Rand, i int) float64
	noise := func(rng *rand.Rand, _ int) float64 { return 50 + rng.NormFloat64() }
	wave := func(rng *rand.Rand, i int) float64 {
		return 50 + 20*math.Sin(2*math.Pi*float64(i)/288) + 0.5*rng.NormFloat64()
	}
	ramp := func(rng *rand.Rand, i int) float64 { return float64(i) + 0.1*rng.NormFloat64() }
	const calm = 2000
	for _, tc := range []struct {
		method detect.Method
		name   string
		usual  series
		odd    []float64 // added to what is usual, after calm points
		most   int       // alarms on what is usual
	}{
		{detect.MethodEWMA, "spike", noise, []float64{10}, 20},
		{detect.MethodSigma, "spike", noise, []float64{5}, 20},
		{detect.MethodSigma, "drop", noise, []float64{-5}, 20},
		{detect.MethodRobust, "spike", noise, []float64{8}, 5},
		{detect.MethodSeason, "noon at night", wave, []float64{30}, 5},
		{detect.MethodCUSUM, "shift", noise, []float64{2, 2, 2, 2, 2, 2, 2, 2, 2, 2}, 3},
		{detect.MethodRate, "jump", ramp, []float64{40}, 0},
	} {
		t.Run(string(tc.method)+" "+tc.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 1))
			d := single[tc.method]()
			at, wrong := now, 0
			for i := range calm {
				at = at.Add(step)
				if d.Observe(at, tc.usual(rng, i)) >= d.Bar() {
					wrong++
				}
			}
			if wrong > tc.most {
				t.Errorf("got %d alarms on what is usual, want at most %d", wrong, tc.most)
			}
			told := false
			for i, odd := range tc.odd {
				at = at.Add(step)
				if d.Observe(at, tc.usual(rng, calm+i)+odd) >= d.Bar() {
					told = true
					if r := d.Reason(); r.Code != string(tc.method) || r.Text == "" {
						t.Errorf("got reason %+v, want one of %s", r, tc.method)
					}
				}
			}
			if !told {
				t.Errorf("got no alarm on %v, want one", tc.odd)
			}
		})
	}
}

func TestSingleDetectorsOfAFlatSeries(t *testing.T) {
	for m, make := range single {
		d := make()
		for i := range 600 {
			if got := d.Observe(now.Add(time.Duration(i)*step), 3); got != 0 {
				t.Fatalf("%s: got %v of a series that never moves, want 0", m, got)
			}
		}
		if got := d.Observe(now.Add(600*step), 4); m != detect.MethodCUSUM && got < d.Bar() {
			t.Errorf("%s: got %v of its first move, want at least %v", m, got, d.Bar())
		}
	}
}

func TestRobustIsNotMovedByWildPoints(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	robust, sigma := detect.NewRobust(), detect.NewThreeSigma()
	for i := range 400 {
		v := rng.NormFloat64()
		if i%4 == 0 {
			v = 1000
		}
		robust.Observe(now, v)
		sigma.Observe(now, v)
	}
	r, s := robust.Observe(now, 1000), sigma.Observe(now, 1000)
	if r < robust.Bar() || s >= sigma.Bar() {
		t.Errorf("a quarter of the points wild: got %.1f robust and %.1f sigma, want only the first to tell", r, s)
	}
}

func TestChangePointSaysSinceWhen(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	c := detect.NewChangePoint()
	for range 500 {
		c.Observe(now, rng.NormFloat64())
	}
	for i := range 40 {
		if c.Observe(now, 2+rng.NormFloat64()); c.Since() > 0 {
			if c.Since() < i-3 || c.Since() > i+8 {
				t.Errorf("got a change %d points ago, want about %d", c.Since(), i+1)
			}
			return
		}
	}
	t.Error("got no change in 40 points, want one")
}

func TestCounter(t *testing.T) {
	second := func(s float64) time.Time { return now.Add(time.Duration(s * float64(time.Second))) }
	var c detect.Counter
	for _, tc := range []struct {
		name   string
		at     time.Time
		v      float64
		want   float64
		wantOK bool
	}{
		{"first", second(0), 100, 0, false},
		{"grown", second(10), 150, 5, true},
		{"not a number", second(11), math.NaN(), 0, false},
		{"same time", second(10), 160, 0, false},
		{"late", second(5), 155, 0, false},
		{"began anew", second(20), 30, 3, true},
		{"negative", second(25), -1, 0, false},
		{"after a gap", second(120), 130, 1, true},
	} {
		if got, ok := c.Observe(tc.at, tc.v); got != tc.want || ok != tc.wantOK {
			t.Errorf("%s: got %v, %v, want %v, %v", tc.name, got, ok, tc.want, tc.wantOK)
		}
	}
	if c.Resets() != 1 {
		t.Errorf("got %d resets, want 1", c.Resets())
	}
}

func TestSingleDetectorsDoNotAllocate(t *testing.T) {
	x := daily(1, 3000)
	for m, make := range single {
		d, i := make(), 0
		if got := testing.AllocsPerRun(2000, func() {
			d.Observe(now.Add(time.Duration(i)*step), x[i])
			i++
		}); got != 0 {
			t.Errorf("%s: got %v allocations a point, want none", m, got)
		}
	}
}

// FuzzSingle gives each detector points as they come: 16 bytes, a time and a
// value.
func FuzzSingle(f *testing.F) {
	var wild []byte
	for i, v := range []float64{math.NaN(), math.Inf(-1), -math.MaxFloat64, math.MaxFloat64, 5e-324, 0, 1} {
		for k := range 10 {
			wild = binary.LittleEndian.AppendUint64(wild, uint64(i*k)*uint64(math.MaxInt64/50))
			wild = binary.LittleEndian.AppendUint64(wild, math.Float64bits(v))
		}
	}
	f.Add(wild)
	f.Fuzz(func(t *testing.T, b []byte) {
		all := map[detect.Method]detect.Detector{}
		for m, make := range single {
			all[m] = make()
		}
		trend, counter := detect.NewTrend(time.Hour), detect.Counter{}
		for ; len(b) >= 16; b = b[16:] {
			at := time.Unix(0, int64(binary.LittleEndian.Uint64(b)))
			v := math.Float64frombits(binary.LittleEndian.Uint64(b[8:]))
			for m, d := range all {
				if got := d.Observe(at, v); !(got >= 0) || math.IsInf(got, 0) {
					t.Errorf("%s: got %v of %v, want a finite number", m, got, v)
				}
				d.Reason()
			}
			if rate, _ := counter.Observe(at, v); math.IsNaN(rate) {
				t.Errorf("counter: got %v of %v, want a number", rate, v)
			}
			trend.Observe(at, v)
			trend.Reaches(1, time.Hour)
			if got, within, ok := trend.Forecast(time.Hour); ok && (math.IsNaN(got) || !(within >= 0)) {
				t.Errorf("trend: got %v within %v of %v, want numbers", got, within, v)
			}
		}
	})
}

func BenchmarkSingle(b *testing.B) {
	x := daily(1, 8192)
	for _, m := range []detect.Method{
		detect.MethodEWMA, detect.MethodSigma, detect.MethodRobust, detect.MethodSeason, detect.MethodCUSUM, detect.MethodRate,
	} {
		b.Run(string(m), func(b *testing.B) {
			d, at := single[m](), now
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				at = at.Add(step)
				d.Observe(at, x[i%len(x)])
			}
		})
	}
}
