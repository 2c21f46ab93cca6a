package series

import (
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pmetric"
)

func TestLivePushersDoNotFlap(t *testing.T) {
	tests := []struct {
		name  string
		first int // ends for a pause that was never seen before
		live  func(p process)
	}{
		{"jitter", 0, func(p process) {
			for i := range 60 {
				p.push("g", time.Now())
				pass([]time.Duration{10, 26, 11, 7, 25}[i%5] * time.Second)
			}
		}},
		{"a pause now and then", 1, func(p process) {
			for i := range 60 {
				p.push("g", time.Now())
				pass([]time.Duration{5, 1, 20, 1, 1}[i%5] * time.Second)
			}
		}},
		{"reports in pieces", 0, func(p process) {
			for range 8 {
				began := time.Now()
				for piece := range 20 {
					p.push("g"+string(rune('a'+piece)), began)
					pass(100 * time.Millisecond)
				}
				pass(time.Minute)
			}
		}},
		{"a queue emptied at once", 1, func(p process) {
			var queue []time.Time
			for i := range 12 {
				queue = append(queue, time.Now())
				if i < 2 || i > 10 {
					for _, at := range queue {
						p.push("g", at)
						pass(10 * time.Millisecond)
					}
					queue = nil
				}
				pass(20 * time.Second)
			}
			for range 5 {
				p.push("g", time.Now())
				pass(20 * time.Second)
			}
		}},
		{"many points a push", 0, func(p process) {
			for range 8 {
				var points []time.Time
				for i := range 30 {
					points = append(points, time.Now().Add(time.Duration(i-29)*time.Second))
				}
				p.push("g", points...)
				pass(30 * time.Second)
			}
		}},
		{"two readers of one process", 0, func(p process) {
			for i := range 300 {
				p.push("fast", time.Now())
				if i%60 == 0 {
					p.push("slow", time.Now())
				}
				pass(time.Second)
			}
		}},
		{"a quiet delta counter beside a gauge", 0, func(p process) {
			for i := range 200 {
				md, list := p.report()
				at := stamp(time.Now())
				m := list.AppendEmpty()
				m.SetName("g")
				g := m.SetEmptyGauge().DataPoints().AppendEmpty()
				g.SetTimestamp(at)
				if i < 10 || i > 190 {
					m = list.AppendEmpty()
					m.SetName("d")
					m.SetEmptySum().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
					d := m.Sum().DataPoints().AppendEmpty()
					d.SetTimestamp(at)
					d.SetIntValue(1)
				}
				p.send(md)
				pass(time.Second)
			}
		}},
		{"a clock that is ahead", 0, func(p process) {
			for range 30 {
				p.push("g", time.Now().Add(5*time.Minute))
				pass(time.Second)
			}
		}},
		{"a clock that is set back", 0, func(p process) {
			for i := range 40 {
				p.push("g", time.Now().Add(-time.Duration(i/20)*9*time.Second))
				pass(time.Second)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inTime(t, func(t *testing.T, db *DB) {
				tt.live(process{t, db, "one"})
				if got := db.Stats().Ended; got != uint64(tt.first) {
					t.Errorf("got %d series ended, want %d", got, tt.first)
				}
			})
		})
	}
}

func TestASourceThatReturnsGoesOn(t *testing.T) {
	inTime(t, func(t *testing.T, db *DB) {
		p := process{t, db, "one"}
		for range 5 {
			p.push("g", time.Now())
			pass(time.Second)
		}
		pass(30 * time.Second)
		if has(t, db, "g") {
			t.Error("got a value after 30 s of silence, want none")
		}
		for range 20 {
			p.push("g", time.Now())
			if !has(t, db, "g") {
				t.Fatal("got no value after it came again, want one")
			}
			pass(time.Second)
		}
		pass(11 * time.Second)
		if has(t, db, "g") {
			t.Error("got a value after the second end, want none")
		}
		if got := db.Stats().Ended; got != 2 {
			t.Errorf("got %d endings, want 2", got)
		}
	})
}

func TestSeriesOfASourceThatLives(t *testing.T) {
	inTime(t, func(t *testing.T, db *DB) {
		p := process{t, db, "one"}
		for i := range 60 {
			p.push("stays", time.Now())
			if i < 5 {
				p.push("goes", time.Now())
			}
			pass(time.Second)
			silent := i - 3 // seconds since goes was pushed
			if want := silent <= 10; has(t, db, "goes") != want && silent != 11 {
				t.Errorf("a series gone from a live source, after %d s: got %t, want %t", silent, !want, want)
			}
		}
		p.push("once", time.Now())
		pass(5 * time.Second)
		if !has(t, db, "once") {
			t.Error("a series of the last push is missing before the source is overdue")
		}
		pass(10 * time.Second)
		if has(t, db, `{__name__=~"stays|once"}`) {
			t.Error("got a value of a source that ended, want none, not even of a series pushed once")
		}
	})
}
