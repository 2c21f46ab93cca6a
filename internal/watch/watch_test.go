package watch_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/watch"
)

// TestQuiet wants nothing of services that are well, whatever happens to such
// services within an hour.
func TestQuiet(t *testing.T) {
	for seed := range uint64(2) {
		r := newRig(t, newWorld(50, seed), watch.Options{})
		r.pass(time.Hour)
		for _, f := range r.found {
			t.Errorf("seed %d, %s: %s (limit %g)", seed, f.At.Format(time.TimeOnly), f.Text, f.Limit)
		}
		s := r.Stats()
		t.Logf("seed %d: %d series, %d points, %d anomalies", seed, s.Series, s.Points, s.Anomalies)
		if s.Entities != 50 || s.Points == 0 || s.Dropped+s.Failed+s.Refused > 0 {
			t.Errorf("seed %d: got %+v, want every series of 50 services judged", seed, s)
		}
	}
}

// TestAlive breaks one of the services and wants it found, it alone, and found
// to be over.
func TestAlive(t *testing.T) {
	tests := []struct {
		name   string
		broken map[string]float64
		want   []string
		within time.Duration
	}{
		{"eight times as slow", map[string]float64{"latency": 8}, []string{"service/s07 latency suffers"}, 2 * time.Minute},
		{"every fifth request fails", map[string]float64{"errors": 0.2}, []string{"service/s07 errors suffers"}, 2 * time.Minute},
		{"slower, with more CPU and memory", map[string]float64{"latency": 2.2, "cpu": 3, "memory": 3}, []string{"service/s07 latency suffers"}, 3 * time.Minute},
		{"only more memory", map[string]float64{"memory": 4}, nil, 3 * time.Minute},
		{"only more traffic", map[string]float64{"traffic": 2}, nil, 3 * time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(8, 1)
			victim := w.services[7]
			victim.slow, victim.base, victim.fail = 0.08, 20, 0.001
			r := newRig(t, w, watch.Options{})
			r.pass(time.Hour)
			broke := r.at
			victim.broken = tt.broken
			r.pass(tt.within)
			if diff := cmp.Diff(r.told(), tt.want); diff != "" {
				t.Fatalf("told, got (-) and want (+):\n%s", diff)
			}
			if len(tt.want) == 0 {
				return
			}
			f := r.found[0]
			if f.Since.Before(broke) || f.Condition.Kind != heal.ConditionPromQL || f.Condition.Labels["service_name"] != "s07" || f.Value <= f.Limit || f.Limit <= f.Usual {
				t.Errorf("the finding: got %+v", f)
			}
			t.Logf("after %s: %s", f.At.Sub(broke), f.Text)
			odd := r.Anomalies("service/s07", broke)
			if len(odd) == 0 || len(odd[0].Said) == 0 || odd[0].Surprise <= 0 {
				t.Errorf("anomalies: got %+v, want some with what each detector said", odd)
			}
			victim.broken = map[string]float64{}
			r.found = nil
			r.pass(3 * time.Minute)
			over := strings.ReplaceAll(tt.want[0], "suffers", "is well")
			if diff := cmp.Diff(r.told(), []string{tt.want[0], over}); diff != "" {
				t.Errorf("told after the repair, got (-) and want (+):\n%s", diff)
			}
		})
	}
}

// TestKept starts anew in the middle: what was known is known, what stands
// still stands and ends.
func TestKept(t *testing.T) {
	w := newWorld(5, 3)
	dir := t.TempDir()
	w.services[2].slow, w.services[2].base = 0.05, 20
	r := newRig(t, w, watch.Options{Dir: dir})
	r.pass(30 * time.Minute)
	w.services[2].broken = map[string]float64{"latency": 20}
	r.pass(2 * time.Minute)
	before := r.Stats()
	if !r.open["service/s02 latency"] {
		t.Fatalf("told: %v", r.told())
	}
	if err := r.Save(); err != nil {
		t.Fatal(err)
	}
	again := newRig(t, w, watch.Options{Dir: dir})
	again.at = r.at
	if after := again.Stats(); after.Series != before.Series || after.Standing != 1 {
		t.Errorf("after a restart: got %+v, want what was before: %+v", after, before)
	}
	if diff := cmp.Diff(len(again.Anomalies("service/s02", begin)), len(r.Anomalies("service/s02", begin))); diff != "" {
		t.Errorf("anomalies: %s", diff)
	}
	again.pass(time.Minute)
	w.services[2].broken = map[string]float64{}
	again.pass(3 * time.Minute)
	if got := again.told(); !slices.Contains(got, "service/s02 latency suffers") || got[len(got)-1] != "service/s02 latency is well" {
		t.Errorf("told after a restart: %v", got)
	}
}

// TestWellAfterALostState tells once that a service is well: an alert from
// before a crash must end.
func TestWellAfterALostState(t *testing.T) {
	w := newWorld(1, 5)
	r := newRig(t, w, watch.Options{})
	r.open["service/s00 latency"], r.open["service/s00 errors"] = true, true
	r.pass(15 * time.Minute)
	if diff := cmp.Diff(r.told(), []string{"service/s00 errors is well", "service/s00 latency is well"}); diff != "" {
		t.Errorf("told, got (-) and want (+):\n%s", diff)
	}
}

// TestBounded gives more series than there is room for.
func TestBounded(t *testing.T) {
	r := newRig(t, newWorld(20, 1), watch.Options{MaxSeries: 50})
	r.pass(5 * time.Minute)
	if s := r.Stats(); s.Series != 50 || s.Dropped == 0 {
		t.Errorf("got %+v, want 50 series and the rest counted", s)
	}
}

// TestTold tells again what the sink did not take, and what stands every while.
func TestTold(t *testing.T) {
	w := newWorld(1, 5)
	w.services[0].slow, w.services[0].base = 0.05, 20
	r := newRig(t, w, watch.Options{})
	r.pass(30 * time.Minute)
	w.services[0].broken["latency"] = 20
	r.fails = true
	r.pass(2 * time.Minute)
	if s := r.Stats(); s.Refused == 0 || s.Standing != 1 {
		t.Errorf("got %+v, want a finding that was refused", s)
	}
	r.fails = false
	r.pass(3 * time.Minute)
	if n := len(r.found); n < 3 || n > 4 {
		t.Errorf("told %d times in 3 min, want once a minute", n)
	}
}

// TestGone ends a finding of a service that is not there any more, and forgets
// the service in the end.
func TestGone(t *testing.T) {
	w := newWorld(1, 5)
	w.services[0].slow, w.services[0].base = 0.05, 20
	r := newRig(t, w, watch.Options{Idle: time.Hour})
	r.pass(30 * time.Minute)
	w.services[0].broken["latency"] = 20
	r.pass(2 * time.Minute)
	w.silent = true
	r.pass(15 * time.Minute)
	if got := r.told(); len(got) == 0 || got[len(got)-1] != "service/s00 latency is well" {
		t.Errorf("told: %v", got)
	}
	r.pass(time.Hour)
	if s := r.Stats(); s.Series != 0 || s.Entities != 0 {
		t.Errorf("got %+v, want nothing left", s)
	}
}
