package series

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
)

func TestPatience(t *testing.T) {
	tests := []struct {
		name string
		gaps []int64 // seconds
		want int64   // seconds, 0: unknown
	}{
		{"no gap", nil, 0},
		{"often", []int64{1, 1, 1, 1}, 10},
		{"seldom", []int64{60, 60, 60, 60}, 180},
		{"few gaps, the longest counts", []int64{1, 60}, 180},
		{"one pause among many", []int64{1, 1, 20, 1, 1}, 30},
		{"a habit of pausing", []int64{1, 20, 1, 1, 20}, 60},
		{"a pause long ago", []int64{200, 1, 1, 1, 1, 1, 1, 1, 1}, 10},
		{"very long", []int64{1 << 40, 1 << 40, 1, 1}, 3 * maxGap / 1000},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var r rhythm
			for _, gap := range tt.gaps {
				r.beat(r.seen+gap*1000, r.at)
			}
			got, known := r.patience()
			if !known {
				got = 0
			}
			if got/1000 != tt.want {
				t.Errorf("got %d ms, want %d s", got, tt.want)
			}
		})
	}
}

// from makes a sighting of a series of an instance.
func from(instance string, series int, at int64) sighting {
	return sighting{ref: storage.SeriesRef(series), labels: labels.FromStrings("job", "j", "instance", instance), at: at}
}

func TestSilenceWhileNothingCouldComeInMeansNothing(t *testing.T) {
	tr := newTracker(300_000, 100)
	for now := int64(0); now <= 5000; now += 1000 {
		tr.observe(now, []sighting{from("a", 1, now)})
	}
	tr.listenFrom(60_000)
	for now, want := range map[int64]int{60_000: 0, 70_000: 0} {
		if got := tr.overdue(now); len(got) != want {
			t.Errorf("at %d ms: got %v, want %d ended", now, got, want)
		}
	}
	if got := tr.overdue(70_001); len(got) != 1 || got[0].at != 5000 {
		t.Errorf("got %v, want the series, its newest sample of 5000 ms", got)
	}
}

func TestEndingsThatCouldNotBeMarkedAreGivenAgain(t *testing.T) {
	tr := newTracker(300_000, 100)
	for now := int64(0); now <= 2000; now += 1000 {
		tr.observe(now, []sighting{from("a", 1, now), from("a", 2, now)})
	}
	ended := tr.overdue(20_000)
	tr.retry(ended)
	tr.observe(20_500, []sighting{from("a", 2, 20_500)}) // which came again meanwhile
	if got := tr.overdue(21_000); len(ended) != 2 || len(got) != 1 || got[0].ref != 1 {
		t.Errorf("got %v then %v, want both series, then the first", ended, got)
	}
}

func TestTrackerIsBounded(t *testing.T) {
	tr := newTracker(300_000, 100)
	for i := range 150 {
		tr.observe(0, []sighting{from(fmt.Sprint(i), i, 1)})
	}
	if series, sources, untracked := tr.size(); series != 100 || sources != 100 || untracked != 50 {
		t.Errorf("got %d series, %d sources, %d untracked, want 100, 100, 50", series, sources, untracked)
	}
	tr.overdue(300_001)
	if series, sources, _ := tr.size(); series != 0 || sources != 0 {
		t.Errorf("long after: got %d series, %d sources, want none", series, sources)
	}
}

// TestRandomSources lets sources of random rhythm live for a while and stop.
func TestRandomSources(t *testing.T) {
	const second = int64(1000)
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 0))
		type life struct{ interval, next, last, dies, ended int64 }
		lives := make([]life, 100)
		for i := range lives {
			lives[i] = life{interval: 100 + random.Int64N(60*second), next: random.Int64N(60 * second), dies: (200 + random.Int64N(500)) * second}
		}
		tr := newTracker(300*second, 1000)
		for now := int64(0); now < 1200*second; now += 100 {
			for i := range lives {
				l := &lives[i]
				if now < l.next || l.next >= l.dies {
					continue
				}
				l.last = now
				l.next = now + l.interval/2 + random.Int64N(l.interval)
				tr.observe(now, []sighting{from(fmt.Sprint(i), 2*i, now), from(fmt.Sprint(i), 2*i+1, now)})
			}
			if now%second != 0 {
				continue
			}
			for _, e := range tr.overdue(now) {
				l := &lives[e.ref/2]
				l.ended++
				if silent := now - l.last; l.next < l.dies || silent <= leastPatience || e.at != l.last {
					t.Errorf("seed %d: source %d of interval %d ms: ended at %d ms, %d after its last push, alive until %d", seed, e.ref/2, l.interval, now, silent, l.dies)
				}
				if silent, most := now-l.last, max(leastPatience, 3*(l.interval*3/2+100))+second; silent > most {
					t.Errorf("seed %d: source %d of interval %d ms: ended %d ms after its last push, want %d at most", seed, e.ref/2, l.interval, silent, most)
				}
			}
		}
		for i, l := range lives {
			if l.ended != 2 {
				t.Errorf("seed %d: source %d of interval %d ms: got %d endings, want one a series", seed, i, l.interval, l.ended)
			}
		}
	}
}

// sightings makes a push of many series of many instances.
func sightings(n int) []sighting {
	out := make([]sighting, n)
	for i := range out {
		out[i] = from(fmt.Sprint(i/100), i+1, 0)
	}
	return out
}

func BenchmarkTrackerObserve(b *testing.B) {
	tr := newTracker(300_000, 500_000)
	push := sightings(1000)
	now := int64(0)
	for b.Loop() {
		now += 1000
		for i := range push {
			push[i].at = now
		}
		tr.observe(now, push)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(push)), "ns/sample")
}

func BenchmarkTrackerOverdue(b *testing.B) {
	tr := newTracker(300_000, 500_000)
	push := sightings(500_000)
	now := int64(0)
	for range 10 {
		now += 1000
		for i := range push {
			push[i].at = now
		}
		tr.observe(now, push)
	}
	for b.Loop() {
		tr.due = 0
		if got := tr.overdue(now); len(got) > 0 {
			b.Fatalf("got %d ended, want none", len(got))
		}
	}
}
