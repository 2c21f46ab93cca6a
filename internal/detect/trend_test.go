package detect_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/detect"
)

func TestTrendDirection(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, tc := range []struct {
		name string
		n    int
		f    func(i int) float64
		want detect.Direction
	}{
		{"too few points", 5, func(i int) float64 { return float64(i) }, detect.Unclear},
		{"flat", 200, func(int) float64 { return 7 }, detect.Stable},
		{"a leak", 200, func(i int) float64 { return 1e9 + 1e6*float64(i) + 1e6*rng.NormFloat64() }, detect.Increasing},
		{"draining", 200, func(i int) float64 { return -float64(i) }, detect.Decreasing},
		{"a little noise", 200, func(int) float64 { return 100 + rng.NormFloat64() }, detect.Stable},
		{"much noise", 200, func(int) float64 { return 100 + 60*rng.NormFloat64() }, detect.Volatile},
		{"not finite is passed over", 200, func(i int) float64 {
			if i%2 == 0 {
				return math.NaN()
			}
			return float64(i)
		}, detect.Increasing},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tr := detect.NewTrend(time.Hour)
			for i := range tc.n {
				tr.Observe(now.Add(time.Duration(i)*time.Minute), tc.f(i))
			}
			if got := tr.Direction(); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestTrendForecast(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	tr := detect.NewTrend(time.Hour)
	for i := range 240 { // 10 a minute, 2,390 at the end
		tr.Observe(now.Add(time.Duration(i)*time.Minute), 10*float64(i)+5*rng.NormFloat64())
	}
	got, within, ok := tr.Forecast(30 * time.Minute)
	if !ok || math.Abs(got-2690) > 20 || within < 5 || within > 40 {
		t.Errorf("got %.1f within %.1f, %v, want about 2690 within about 12", got, within, ok)
	}
	for _, tc := range []struct {
		name   string
		limit  float64
		most   time.Duration
		want   time.Duration
		wantOK bool
	}{
		{"in an hour", 2990, 2 * time.Hour, time.Hour, true},
		{"later than asked", 2990, 30 * time.Minute, 0, false},
		{"behind", 100, 2 * time.Hour, 0, false},
	} {
		after, ok := tr.Reaches(tc.limit, tc.most)
		if ok != tc.wantOK || (after-tc.want).Abs() > 3*time.Minute {
			t.Errorf("%s: got %v, %v, want about %v, %v", tc.name, after, ok, tc.want, tc.wantOK)
		}
	}
}

func TestTrendKeepsItsDirectionInOtherUnits(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	a, b := detect.NewTrend(time.Hour), detect.NewTrend(time.Hour)
	for i := range 300 {
		v := float64(i) + 5*rng.NormFloat64()
		at := now.Add(time.Duration(i) * time.Minute)
		a.Observe(at, v)
		b.Observe(at, -1e6*v)
	}
	if a.Direction() != detect.Increasing || b.Direction() != detect.Decreasing {
		t.Errorf("got %s and, turned round in other units, %s, want increasing and decreasing", a.Direction(), b.Direction())
	}
}
