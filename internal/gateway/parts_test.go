package gateway

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestBreaker(t *testing.T) {
	var now time.Time
	b := &breaker{opts: BreakerOptions{FailureThreshold: 3, SuccessThreshold: 2, Timeout: 30 * time.Second, HalfOpenTimeout: 10 * time.Second}}
	for i, step := range []struct {
		after time.Duration
		call  string // ok, fails, refused, or hangs: a call that never ends
		want  BreakerState
	}{
		{0, "fails", BreakerClosed},
		{0, "fails", BreakerClosed},
		{0, "ok", BreakerClosed},
		{0, "fails", BreakerClosed},
		{0, "fails", BreakerClosed},
		{0, "fails", BreakerOpen},
		{29 * time.Second, "refused", BreakerOpen},
		{time.Second, "fails", BreakerOpen},
		{30 * time.Second, "ok", BreakerHalfOpen},
		{0, "hangs", BreakerHalfOpen},
		{9 * time.Second, "refused", BreakerHalfOpen},
		{time.Second, "ok", BreakerClosed},
	} {
		now = now.Add(step.after)
		ok, wait := b.allow(now)
		if ok != (step.call != "refused") || (wait > 0) == ok {
			t.Errorf("step %d: got %v, wait %s for a call that is %s", i, ok, wait, step.call)
		}
		if step.call == "ok" || step.call == "fails" {
			b.ended(step.call == "ok", now)
		}
		if got, _ := b.stats(); got != step.want {
			t.Errorf("step %d: got %v, want %v", i, got, step.want)
		}
	}
	if _, times := b.stats(); times != 2 {
		t.Errorf("got %d times opened, want 2", times)
	}
}

func TestWaitsGrowAndStop(t *testing.T) {
	o := RetryOptions{}.withDefaults()
	for _, tt := range []struct {
		failures int
		chance   float64
		want     time.Duration
	}{
		{1, 0.5, 100 * time.Millisecond},
		{1, 0, 90 * time.Millisecond},
		{1, 1, 110 * time.Millisecond},
		{2, 0.5, 200 * time.Millisecond},
		{8, 0.5, 10 * time.Second},
		{1 << 20, 0.5, 10 * time.Second},
	} {
		if got := o.wait(tt.failures, tt.chance); got.Round(time.Microsecond) != tt.want {
			t.Errorf("after %d failures, chance %g: got %s, want %s", tt.failures, tt.chance, got, tt.want)
		}
	}
}

func TestBatchesAdapt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAdapter(BatchOptions{}.withDefaults(), time.Now())
		after := func(latency time.Duration, slow int) int {
			for i := range 100 {
				l := latency
				if i < slow {
					l = time.Minute
				}
				a.observe(l, time.Now())
			}
			time.Sleep(30 * time.Second)
			a.observe(latency, time.Now())
			return a.items()
		}
		for _, step := range []struct {
			latency time.Duration
			slow    int // of 100
			want    int
		}{
			{time.Millisecond, 0, 1100},
			{time.Millisecond, 4, 1210}, // the p95 is what counts
			{time.Millisecond, 10, 1089},
			{time.Second, 0, 980},
		} {
			if got := after(step.latency, step.slow); got != step.want {
				t.Errorf("latency %s, %d slow: got %d items, want %d", step.latency, step.slow, got, step.want)
			}
		}
		for range 40 {
			after(time.Millisecond, 0)
		}
		if got := a.items(); got != 10_000 {
			t.Errorf("got %d items, want the most", got)
		}
		for range 60 {
			after(time.Second, 0)
		}
		if got := a.items(); got != 100 {
			t.Errorf("got %d items, want the least", got)
		}
	})
}
