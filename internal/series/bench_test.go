package series

import (
	"context"
	"fmt"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/homeostat/homeostat/internal/heal"
)

func BenchmarkAppend(b *testing.B) {
	db, err := Open(Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	samples := make([]heal.Sample, 10_000)
	for i := range samples {
		samples[i] = sample(fmt.Sprintf("calls_total service_name=s%d span_name=op%d", i%20, i), time.Time{}, 1)
	}
	at := time.Now().Add(-time.Hour)
	b.ReportAllocs()
	for b.Loop() {
		at = at.Add(10 * time.Millisecond)
		for i := range samples {
			samples[i].At = at
		}
		if err := db.Append(context.Background(), samples); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*len(samples))/b.Elapsed().Seconds(), "samples/s")
}

func BenchmarkAppendOTLP(b *testing.B) {
	db, err := Open(Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	md, m := oneMetric("calls", "")
	m.SetEmptySum().SetIsMonotonic(true)
	m.Sum().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	const n = 1000
	for i := range n {
		m.Sum().DataPoints().AppendEmpty().Attributes().PutStr("operation", fmt.Sprint(i))
	}
	at := time.Now().Add(-time.Hour)
	b.ReportAllocs()
	for b.Loop() {
		at = at.Add(10 * time.Millisecond)
		for i := range n {
			m.Sum().DataPoints().At(i).SetTimestamp(stamp(at))
		}
		if err := db.AppendOTLP(context.Background(), md); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "points/s")
}

// BenchmarkMarkStale ends 10,000 series of one process and begins anew.
func BenchmarkMarkStale(b *testing.B) {
	db, err := Open(Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	md, m := oneMetric("pool", "")
	m.SetEmptyGauge()
	const n = 10_000 // and target_info
	for i := range n {
		m.Gauge().DataPoints().AppendEmpty().Attributes().PutStr("operation", fmt.Sprint(i))
	}
	at := time.Now().Add(-time.Hour)
	push := func() {
		at = at.Add(10 * time.Millisecond)
		for i := range n {
			m.Gauge().DataPoints().At(i).SetTimestamp(stamp(at))
		}
		if err := db.AppendOTLP(context.Background(), md); err != nil {
			b.Fatal(err)
		}
	}
	push()
	for b.Loop() {
		b.StopTimer()
		push()
		db.tracker.due = 0
		b.StartTimer()
		if got, err := db.MarkStale(context.Background(), time.Now().Add(4*time.Minute)); got != n+1 || err != nil {
			b.Fatalf("got %d marked, %v, want %d", got, err, n)
		}
	}
	b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "marks/s")
}
