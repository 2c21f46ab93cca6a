package loop

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/alert"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/store/sqlite"
	"github.com/homeostat/homeostat/internal/topology"
)

// stages is a loop whose stages are run by hand, over a real store.
type stages struct {
	*Loop
	b   *testing.B
	ctx context.Context
}

func newStages(b *testing.B) *stages {
	b.Helper()
	db, err := sqlite.Open(b.Context(), sqlite.Options{Path: filepath.Join(b.TempDir(), "state.db")})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := db.Close(); err != nil {
			b.Error(err)
		}
	})
	parts := Parts{Store: db, Topology: topology.New(topology.Options{})}
	s := &stages{Loop: New(parts, Options{Clock: time.Now, Entropy: rand.Reader, Backlog: 1 << 30}), b: b, ctx: b.Context()}
	s.check(s.recall(s.ctx))
	return s
}

func (s *stages) check(err error) {
	s.b.Helper()
	if err != nil {
		s.b.Fatal(err)
	}
}

// accept takes alerts 0 to n in groups of 50, over 1000 services.
func (s *stages) accept(n int) {
	s.b.Helper()
	const size = 50
	for first := 0; first < n; first += size {
		group := make([]heal.Alert, min(size, n-first))
		for k := range group {
			group[k] = benchAlert(first + k)
		}
		s.check(s.Accept(s.ctx, "alertmanager", group))
	}
}

func benchAlert(i int) heal.Alert {
	service := fmt.Sprintf("service-%d", i%1000)
	labels := map[string]string{
		"alertname": "HighLatency", "severity": "warning", "service": service, "instance": fmt.Sprintf("host-%d.example:8080", i), "job": "shop", "team": "checkout",
	}
	notes := map[string]string{
		"summary": "p99 of requests is over 500 ms for 5 minutes", "runbook_url": "https://wiki.example/runbooks/latency",
		"generator_url": "http://prometheus.example:9090/graph?g0.expr=job%3Alatency%3Ap99+%3E+0.5&g0.tab=1",
	}
	raw, err := json.Marshal(map[string]any{"status": "firing", "labels": labels, "annotations": notes, "fingerprint": fmt.Sprintf("%016x", i)})
	if err != nil {
		panic(err)
	}
	return alert.New(alert.Observed{
		Source: "alertmanager", Name: "HighLatency", Labels: labels, Annotations: notes, Severity: heal.Warning,
		Starts: time.Unix(1_750_000_000, 0), Fingerprint: fmt.Sprintf("%016x", i), Raw: raw,
	})
}

// drain runs a stage until nothing waits in its table.
func (s *stages) drain(table store.Table, stage func(context.Context) (time.Duration, error)) {
	s.b.Helper()
	for {
		_, err := stage(s.ctx)
		s.check(err)
		var waiting int64
		s.check(s.parts.Store.View(s.ctx, func(r store.Reader) error {
			waiting, err = r.Count(table)
			return err
		}))
		if waiting == 0 {
			return
		}
	}
}

// measure times a stage over n alerts that wait for it; beside the time it
// tells the processor time, which the disk has no part in.
func (s *stages) measure(n int, table store.Table, stage func(context.Context) (time.Duration, error)) {
	s.b.Helper()
	s.b.ReportAllocs()
	s.b.ResetTimer()
	before := processorTime(s.b)
	s.drain(table, stage)
	s.b.ReportMetric(float64((processorTime(s.b)-before).Nanoseconds())/float64(n), "cpu-ns/op")
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkAlertStage counts alerts: ones never seen, ones that repeat and are
// remembered, and ones that repeat and must be read.
func BenchmarkAlertStage(b *testing.B) {
	b.Run("fresh", func(b *testing.B) {
		s := newStages(b)
		s.accept(b.N)
		s.measure(b.N, store.Deliveries, s.takeDeliveries)
	})
	for _, remembered := range []bool{true, false} {
		name := map[bool]string{true: "repeated", false: "repeated and read"}[remembered]
		b.Run(name, func(b *testing.B) {
			s := newStages(b)
			s.accept(b.N)
			s.drain(store.Deliveries, s.takeDeliveries)
			if !remembered {
				s.known.forget()
			}
			s.accept(b.N)
			s.measure(b.N, store.Deliveries, s.takeDeliveries)
		})
	}
}

// BenchmarkIncidentStage counts the faults of alerts never seen, on 1000
// services.
func BenchmarkIncidentStage(b *testing.B) {
	s := newStages(b)
	s.accept(b.N)
	s.drain(store.Deliveries, s.takeDeliveries)
	s.measure(b.N, store.Faults, s.takeSignals)
}

// BenchmarkAccept counts alerts that are made durable in groups of 50.
func BenchmarkAccept(b *testing.B) {
	s := newStages(b)
	group := make([]heal.Alert, 50)
	for i := range group {
		group[i] = benchAlert(i)
	}
	b.ReportAllocs()
	b.ResetTimer()
	before := processorTime(b)
	for n := 0; n < b.N; n += len(group) {
		s.check(s.Accept(s.ctx, "alertmanager", group))
	}
	b.ReportMetric(float64((processorTime(b)-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
}
