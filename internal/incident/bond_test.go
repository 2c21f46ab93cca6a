package incident

import (
	"math"
	"testing"
)

func TestLowerBound(t *testing.T) {
	// Newcombe 1998, "Two-sided confidence intervals for the single proportion",
	// table I, and the least that is more often than not.
	for _, tt := range []struct {
		some, n int
		want    float64
	}{
		{81, 263, 0.2553}, {15, 148, 0.0624}, {0, 20, 0}, {1, 29, 0.0061}, {4, 4, 0.5101}, {3, 3, 0.4385}, {0, 0, 0},
	} {
		if got := lowerBound(tt.some, tt.n); math.Abs(got-tt.want) > 5e-5 {
			t.Errorf("%d of %d: got %.4f, want %.4f", tt.some, tt.n, got, tt.want)
		}
	}
}

// TestTailBound: it is never below the exact tail of the binomial distribution.
func TestTailBound(t *testing.T) {
	for _, p := range []float64{0.001, 0.02, 1.0 / 6, 0.5} {
		for n := 1; n <= 40; n++ {
			tail := 0.0
			for some := n; some >= 0; some-- {
				choose, _ := math.Lgamma(float64(n + 1))
				a, _ := math.Lgamma(float64(some + 1))
				b, _ := math.Lgamma(float64(n - some + 1))
				tail += math.Exp(choose - a - b + float64(some)*math.Log(p) + float64(n-some)*math.Log(1-p))
				if got := tailBound(some, n, p); got < tail*(1-1e-9) {
					t.Fatalf("%d of %d at %g: got %g, want at least %g", some, n, p, got, tail)
				}
			}
		}
	}
	if got := tailBound(4, 4, 0.1); math.Abs(got-1e-4) > 1e-15 {
		t.Errorf("4 of 4 at 0.1: got %g, want 0.0001, which is exact", got)
	}
}
