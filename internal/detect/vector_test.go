package detect_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/homeostat/homeostat/internal/detect"
)

// service makes vectors of requests, CPU that follows them, latency and a
// metric that never moves.
func service(rng *rand.Rand, n int) [][]float64 {
	out := make([][]float64, n)
	for i := range out {
		load := 100 + 40*rng.Float64()
		out[i] = []float64{load, 0.5*load + rng.NormFloat64(), 20 + rng.NormFloat64(), 7}
	}
	return out
}

func TestJointSeesWhatNoMetricShowsAlone(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, tc := range []struct {
		name   string
		vector []float64
		metric int // that must carry most of it; -1: any
	}{
		{"latency out of range", []float64{120, 60, 40, 7}, 2},
		{"busy without load", []float64{102, 69, 20, 7}, -1},
		{"what never moved moves", []float64{120, 60, 20, 8}, 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			j, err := detect.NewJoint(4)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range service(rng, 2000) {
				j.Observe(v, true)
			}
			usual := 0.0
			for _, v := range service(rng, 200) {
				usual = max(usual, j.Observe(v, false))
			}
			worst := 0.0
			for range 10 {
				worst = j.Observe(tc.vector, false)
			}
			if worst < 1.5*usual {
				t.Errorf("got %.2f, want well above the greatest usual %.2f", worst, usual)
			}
			got := j.Shares(2)
			if len(got) == 0 || tc.metric >= 0 && got[0].Metric != tc.metric {
				t.Errorf("got shares %v, want metric %d first", got, tc.metric)
			}
		})
	}
}

func TestJointKeepsItsScoreInOtherUnits(t *testing.T) {
	a, _ := detect.NewJoint(4)
	b, _ := detect.NewJoint(4)
	rng := rand.New(rand.NewPCG(2, 2))
	for i, v := range service(rng, 3000) {
		if i == 2500 {
			v[2] = 60
		}
		w := []float64{1e9*v[0] - 5, -3 * v[1], v[2]/1024 + 1, v[3]}
		got, want := b.Observe(w, true), a.Observe(v, true)
		if math.Abs(got-want) > 1e-6*(1+want) {
			t.Fatalf("vector %d: got %v, want %v", i, got, want)
		}
	}
}

func TestJointTakesHolesAsExpected(t *testing.T) {
	a, _ := detect.NewJoint(4)
	rng := rand.New(rand.NewPCG(3, 3))
	for _, v := range service(rng, 1000) {
		a.Observe(v, true)
	}
	nan := math.NaN()
	for _, v := range [][]float64{{nan, nan, nan, nan}, {math.Inf(1), 60}, nil} {
		if got := a.Observe(v, true); !(got < 2) {
			t.Errorf("%v: got %v, want about 1 or less", v, got)
		}
	}
}

func TestForestSetsApartWhatIsUnlikeTheRest(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	sample := service(rng, 3000)
	f, err := detect.NewForest(sample, detect.ForestOptions{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	mean, most := 0.0, 0.0
	for _, v := range service(rng, 1000) {
		s := f.Score(v)
		mean += s / 1000
		most = max(most, s)
	}
	if mean < 0.35 || mean > 0.55 {
		t.Errorf("got a mean score of %.3f for what is usual, want about 0.45", mean)
	}
	odd := []float64{500, 60, 90, 7}
	if got := f.Score(odd); got <= most {
		t.Errorf("got %.3f, want more than the greatest usual %.3f", got, most)
	}
	for i, s := range f.Shares(odd, 2) {
		if s.Metric != 0 && s.Metric != 2 {
			t.Errorf("share %d: got metric %d, want 0 or 2", i, s.Metric)
		}
	}
	again, _ := detect.NewForest(sample, detect.ForestOptions{Seed: 1})
	if got, want := again.Score(odd), f.Score(odd); got != want {
		t.Errorf("grown again: got %v, want the same %v", got, want)
	}
}

func TestForestRefusesWhatCannotGrow(t *testing.T) {
	for _, tc := range []struct {
		name    string
		vectors [][]float64
	}{
		{"nothing", nil},
		{"one", [][]float64{{1}}},
		{"no metrics", [][]float64{{}, {}}},
		{"of different lengths", [][]float64{{1, 2}, {1}}},
		{"too many metrics", [][]float64{make([]float64, 1000), make([]float64, 1000)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := detect.NewForest(tc.vectors, detect.ForestOptions{}); err == nil {
				t.Error("got no error, want one")
			}
		})
	}
	same := [][]float64{{1, math.NaN()}, {1, math.Inf(1)}, {1, 2}}
	f, err := detect.NewForest(same, detect.ForestOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Score([]float64{1}); math.IsNaN(got) {
		t.Errorf("vectors all alike: got %v, want a number", got)
	}
}

func BenchmarkForest(b *testing.B) {
	rng := rand.New(rand.NewPCG(4, 4))
	f, err := detect.NewForest(service(rng, 3000), detect.ForestOptions{})
	if err != nil {
		b.Fatal(err)
	}
	v := service(rng, 1024)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		f.Score(v[i%len(v)])
	}
}

func BenchmarkJoint(b *testing.B) {
	rng := rand.New(rand.NewPCG(4, 4))
	j, err := detect.NewJoint(4)
	if err != nil {
		b.Fatal(err)
	}
	v := service(rng, 1024)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		j.Observe(v[i%len(v)], true)
	}
}

func TestJointGoesOnAfterItWasRestored(t *testing.T) {
	for _, cut := range []int{0, 1, 30, 333} {
		rng := rand.New(rand.NewPCG(5, 5))
		whole, _ := detect.NewJoint(4)
		first, _ := detect.NewJoint(4)
		vectors := service(rng, 600)
		for _, v := range vectors[:cut] {
			whole.Observe(v, true)
			first.Observe(v, true)
		}
		second, err := detect.RestoreJoint(first.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range vectors[cut:] {
			if got, want := second.Observe(v, true), whole.Observe(v, true); got != want {
				t.Fatalf("cut at %d: vector %d: got %v, want %v", cut, cut+i, got, want)
			}
		}
	}
}

// FuzzRestoreJoint wants no panic, and of what it accepts, finite scores.
func FuzzRestoreJoint(f *testing.F) {
	j, _ := detect.NewJoint(2)
	f.Add(j.Append(nil))
	rng := rand.New(rand.NewPCG(5, 5))
	for _, v := range service(rng, 120) {
		j.Observe(v[:2], true)
	}
	f.Add(j.Append(nil))
	f.Fuzz(func(t *testing.T, state []byte) {
		j, err := detect.RestoreJoint(state)
		if err != nil {
			return
		}
		for _, v := range [][]float64{{1, 2}, {-1e300, math.NaN()}, {math.Inf(1), 1e308}, nil} {
			if got := j.Observe(v, true); !(got >= 0) || math.IsInf(got, 0) {
				t.Errorf("got %v of %v, want a finite score", got, v)
			}
		}
		j.Shares(3)
		if _, err := detect.RestoreJoint(j.Append(nil)); err != nil {
			t.Errorf("got %v of a state of our own, want none", err)
		}
	})
}

func TestJointDoesNotAllocate(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	j, _ := detect.NewJoint(4)
	for _, v := range service(rng, 100) {
		j.Observe(v, true)
	}
	v := service(rng, 1)[0]
	if got := testing.AllocsPerRun(1000, func() { j.Observe(v, true) }); got != 0 {
		t.Errorf("got %v allocations a vector, want none", got)
	}
}
