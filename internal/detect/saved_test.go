package detect_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/detect"
)

// goesOn feeds one half of a series to whole and to half, saves and restores
// half, and wants the same of both on the other half. see gives what an
// observer sees.
func goesOn[T detect.Saved](t *testing.T, fresh func() T, see func(T, time.Time, float64) any) {
	t.Helper()
	x := daily(8, 2000)
	for _, cut := range []int{0, 1, 40, 1000} {
		whole, half := fresh(), fresh()
		at := func(i int) time.Time { return now.Add(time.Duration(i) * step) }
		for i, v := range x[:cut] {
			see(whole, at(i), v)
			see(half, at(i), v)
		}
		restored, err := detect.Restore[T](detect.Save(nil, half))
		if err != nil {
			t.Fatalf("%T cut at %d: %v", half, cut, err)
		}
		for i := cut; i < len(x); i++ {
			got, want := see(restored, at(i), x[i]), see(whole, at(i), x[i])
			if diff := cmp.Diff(got, want); diff != "" {
				t.Fatalf("%T cut at %d: point %d: got -, want +:\n%s", half, cut, i, diff)
			}
		}
	}
}

func observeOne[T detect.Detector](d T, at time.Time, v float64) any {
	return []any{d.Observe(at, v), d.Reason()}
}

func TestWhatIsRestoredGoesOn(t *testing.T) {
	goesOn(t, func() *detect.EWMA { return detect.NewEWMA(0.3) }, observeOne[*detect.EWMA])
	goesOn(t, detect.NewThreeSigma, observeOne[*detect.ThreeSigma])
	goesOn(t, detect.NewRobust, observeOne[*detect.Robust])
	goesOn(t, func() *detect.Season { return detect.NewSeason(true) }, observeOne[*detect.Season])
	goesOn(t, detect.NewChangePoint, observeOne[*detect.ChangePoint])
	goesOn(t, detect.NewRate, observeOne[*detect.Rate])
	goesOn(t, func() *detect.Trend { return detect.NewTrend(time.Hour) }, func(d *detect.Trend, at time.Time, v float64) any {
		d.Observe(at, v)
		value, within, ok := d.Forecast(time.Hour)
		return []any{d.Direction(), value, within, ok}
	})
	goesOn(t, func() *detect.Counter { return new(detect.Counter) }, func(d *detect.Counter, at time.Time, v float64) any {
		rate, ok := d.Observe(at, v)
		return []any{rate, ok, d.Resets()}
	})
}

func TestRestoreRefusesAnotherKind(t *testing.T) {
	state := detect.Save(nil, detect.NewRate())
	if _, err := detect.Restore[*detect.EWMA](state); err == nil {
		t.Error("got no error for the state of another kind, want one")
	}
	for _, bad := range [][]byte{nil, {1}, {2, 0}, {1, 200}, state[:len(state)-1], append(slices.Clip(state), 0)} {
		if _, err := detect.Restore[detect.Saved](bad); err == nil {
			t.Errorf("got no error for %v, want one", bad)
		}
	}
}

// FuzzRestore wants no panic, and of what it accepts, that it can be used and
// saved again.
func FuzzRestore(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 1))
	trend, counter := detect.NewTrend(time.Hour), new(detect.Counter)
	for i := range 100 {
		trend.Observe(now.Add(time.Duration(i)*step), rng.NormFloat64())
		counter.Observe(now.Add(time.Duration(i)*step), float64(i))
	}
	f.Add(detect.Save(nil, trend))
	f.Add(detect.Save(nil, counter))
	for _, fresh := range single {
		d := fresh()
		f.Add(detect.Save(nil, d.(detect.Saved)))
		for i := range 100 {
			d.Observe(now.Add(time.Duration(i)*step), rng.NormFloat64())
		}
		f.Add(detect.Save(nil, d.(detect.Saved)))
	}
	f.Fuzz(func(t *testing.T, state []byte) {
		s, err := detect.Restore[detect.Saved](state)
		if err != nil {
			return
		}
		for i, v := range []float64{1, -1e300, math.NaN(), 1e300, 0} {
			at := now.Add(time.Duration(i) * time.Minute)
			switch d := s.(type) {
			case detect.Detector:
				if got := d.Observe(at, v); !(got >= 0) || math.IsInf(got, 0) {
					t.Errorf("%T: got %v of %v, want a finite number", d, got, v)
				}
				d.Reason()
			case *detect.Trend:
				d.Observe(at, v)
				d.Direction()
				d.Reaches(1, time.Hour)
			case *detect.Counter:
				d.Observe(at, v)
			}
		}
		if _, err := detect.Restore[detect.Saved](detect.Save(nil, s)); err != nil {
			t.Errorf("%T: got %v of a state of our own, want none", s, err)
		}
	})
}
