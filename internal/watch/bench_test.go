package watch_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/watch"
)

// crowd is a system of n series, ten a service.
type crowd struct {
	n    int
	expr string
	list []heal.Sample
}

func newCrowd(n int) *crowd {
	c := &crowd{n: n}
	for _, s := range watch.Signals(4*interval, []string{"service_name"}) {
		if s.Raw {
			c.expr = s.Expr
		}
	}
	for i := range n {
		c.list = append(c.list, heal.Sample{Metric: fmt.Sprintf("queue_%d_length", i%10), Labels: []heal.Label{{Name: "service_name", Value: fmt.Sprintf("service-%d", i/10)}, {Name: "queue_name", Value: "orders-of-today"}}})
	}
	return c
}

func (c *crowd) Vector(_ context.Context, expr string, at time.Time) ([]heal.Sample, error) {
	if expr != c.expr {
		return nil, nil
	}
	for i := range c.list {
		c.list[i].At, c.list[i].Value = at, float64((int64(i)*7919+at.Unix()/15*104729)%1009)
	}
	return c.list, nil
}

func grownBy(t testing.TB, series, looks int) (bytes uint64, w *watch.Watcher) {
	t.Helper()
	c := newCrowd(series)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	w = watch.New(c, func(context.Context, []watch.Finding) error { return nil }, watch.Options{Interval: interval})
	for i := range looks {
		w.Look(context.Background(), begin.Add(time.Duration(i)*interval))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	return after.HeapAlloc - min(before.HeapAlloc, after.HeapAlloc), w
}

// TestMemory holds what is promised of 100,000 series to a tenth of them.
func TestMemory(t *testing.T) {
	const series, promised = 10_000, 500 << 20 / 10
	grown, w := grownBy(t, series, 12)
	if s := w.Stats(); s.Series < series {
		t.Fatalf("got %+v, want %d series", s, series)
	}
	if grown > promised {
		t.Errorf("%d series take %d MB, want at most %d", series, grown>>20, promised>>20)
	}
	runtime.KeepAlive(w)
}

func BenchmarkLook(b *testing.B) {
	const series = 100_000
	_, w := grownBy(b, series/11*10, 5) // ten series and the whole of each service
	at := begin.Add(time.Hour)
	b.ReportAllocs()
	for b.Loop() {
		at = at.Add(interval)
		w.Look(context.Background(), at)
	}
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(m.HeapAlloc>>20), "MB")
	b.ReportMetric(float64(w.Stats().Series), "series")
}
