package detect_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/detect"
)

func TestGate(t *testing.T) {
	at := func(minutes float64) time.Time { return now.Add(time.Duration(minutes * float64(time.Minute))) }
	for _, tc := range []struct {
		name  string
		then  []float64 // minutes of points, after 20 points a minute apart, the last at 19
		value float64
		want  detect.Flaw // of the last
		steps float64     // it says have passed
	}{
		{"the next", []float64{20}, 1, detect.Flawless, 1},
		{"not a number", []float64{20}, math.NaN(), detect.NotFinite, 0},
		{"infinite", []float64{20}, math.Inf(-1), detect.NotFinite, 0},
		{"twice", []float64{19}, 1, detect.Duplicate, 0},
		{"late", []float64{5}, 1, detect.OutOfOrder, 0},
		{"a gap", []float64{79}, 1, detect.Flawless, 60},
		{"late ones among others", []float64{20, 3, 21, 4, 22, 5, 23, 6, 24, 7, 25, 8, 26, 9, 27, 10}, 1, detect.OutOfOrder, 0},
		{"the clock set back, not yet sure", []float64{1, 2, 3, 4, 5, 6, 7}, 1, detect.OutOfOrder, 0},
		{"the clock set back", []float64{1, 2, 3, 4, 5, 6, 7, 8}, 1, detect.Flawless, 0},
		{"late ones in any order are no clock", []float64{8, 7, 6, 5, 4, 3, 2, 1}, 1, detect.OutOfOrder, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var g detect.Gate
			for i := range 20 {
				g.Admit(at(float64(i)), 1)
			}
			var steps float64
			var flaw detect.Flaw
			for _, m := range tc.then {
				steps, flaw = g.Admit(at(m), tc.value)
			}
			if flaw != tc.want || math.Abs(steps-tc.steps) > 1e-6 {
				t.Errorf("got %s, %v steps, want %s, %v", flaw, steps, tc.want, tc.steps)
			}
			if flaw != detect.Flawless && g.Refused(flaw) == 0 {
				t.Errorf("got none counted as %s, want at least one", flaw)
			}
		})
	}
}

// TestSeriesTakesPointsAsTheyCome spoils a series in ways that must neither raise
// an alarm of their own nor hide a true one.
func TestSeriesTakesPointsAsTheyCome(t *testing.T) {
	const n, at = 4000, 3500
	for _, tc := range []struct {
		name string
		more func(s *detect.Series, i int, t time.Time, v float64) // after point i
		skip func(i int) bool
	}{
		{"as it is", nil, nil},
		{"every point twice", func(s *detect.Series, _ int, t time.Time, v float64) { s.Observe(t, v) }, nil},
		{"late points", func(s *detect.Series, i int, t time.Time, v float64) {
			if i%10 == 9 {
				s.Observe(t.Add(-7*step), v+1000)
			}
		}, nil},
		{"no numbers between", func(s *detect.Series, _ int, t time.Time, _ float64) { s.Observe(t.Add(time.Second), math.NaN()) }, nil},
		{"holes", nil, func(i int) bool { return i%7 == 3 }},
		{"a gap of a day", nil, func(i int) bool { return i >= 2500 && i < 2788 }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			x := daily(4, n)
			x[at] += 150
			var s detect.Series
			wrong, told := 0, false
			for i, v := range x {
				if tc.skip != nil && tc.skip(i) && i != at {
					continue
				}
				when := now.Add(time.Duration(i) * step)
				switch verdict := s.Observe(when, v); {
				case i == at:
					told = verdict.Alarm()
				case i >= 2000 && verdict.Alarm():
					wrong++
				}
				if tc.more != nil {
					tc.more(&s, i, when, v)
				}
			}
			if !told || wrong > 4 {
				t.Errorf("got told %v and %d other alarms in 2,000 points, want the spike told and at most 4", told, wrong)
			}
		})
	}
}

func TestSeriesSaysWhy(t *testing.T) {
	x := daily(1, 3000)
	x[2999] = 400
	var s detect.Series
	observe(&s, x[:2999])
	if got := s.Observe(now.Add(2999*step), x[2999]); !got.Alarm() || got.Loudest == "" {
		t.Fatalf("got %+v, want an alarm of some member", got)
	}
	reasons := s.Reasons()
	seen := map[string]string{}
	for i, r := range reasons {
		seen[r.Code] = r.Text
		if i > 0 && r.Data["surprise"].(float64) > reasons[i-1].Data["surprise"].(float64) {
			t.Errorf("got reason %d louder than the one before, want the loudest first", i)
		}
	}
	for _, want := range []detect.Method{detect.MethodDay, detect.MethodValue} {
		if text := seen[string(want)]; !strings.Contains(text, "400") || !strings.Contains(text, "points") {
			t.Errorf("%s: got %q, want the value and how rare it is", want, text)
		}
	}
}
