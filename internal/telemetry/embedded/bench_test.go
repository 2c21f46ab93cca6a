package embedded_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/telemetry"
	"github.com/homeostat/homeostat/internal/telemetry/embedded"
)

// unbounded takes what a benchmark can make.
var unbounded = embedded.Options{RecordsPerSecond: 1 << 30, QueueRecords: 1 << 30, QueueBytes: 1 << 40, QueryTimeout: time.Minute}

// someLogs are records of ten services as a web shop might write them.
func someLogs(n int, from time.Time) []heal.LogRecord {
	random := rand.New(rand.NewPCG(1, 2))
	logs := make([]heal.LogRecord, n)
	for i := range logs {
		order, ms := random.IntN(1e6), random.IntN(2000)
		logs[i] = heal.LogRecord{
			Time: from.Add(time.Duration(i) * 100 * time.Microsecond), Service: fmt.Sprintf("service-%d", i%10), Instance: "instance-0001",
			Host: "node-17.example.net", Severity: 9, TraceID: fmt.Sprintf("%016x%016x", random.Uint64(), random.Uint64()), SpanID: fmt.Sprintf("%016x", random.Uint64()),
			Body:       fmt.Sprintf("GET /api/v1/orders/%d answered 200 in %d ms for customer %d", order, ms, random.IntN(1e5)),
			Attributes: map[string]string{"http.request.method": "GET", "http.route": "/api/v1/orders/{id}"},
		}
	}
	return logs
}

func someSpans(n int, from time.Time) []heal.Span {
	random := rand.New(rand.NewPCG(1, 2))
	spans := make([]heal.Span, n)
	for i := range spans {
		spans[i] = heal.Span{
			TraceID: fmt.Sprintf("%016x%016x", random.Uint64(), uint64(i/4)), SpanID: fmt.Sprintf("%016x", random.Uint64()), ParentID: fmt.Sprintf("%016x", random.Uint64()),
			Service: fmt.Sprintf("service-%d", i%10), Instance: "instance-0001", Operation: "GET /api/v1/orders/{id}", Kind: heal.SpanServer,
			Start: from.Add(time.Duration(i) * 100 * time.Microsecond), Duration: time.Duration(random.IntN(1e9)),
			Attributes: map[string]string{"http.request.method": "GET", "http.response.status_code": "200", "server.address": "shop.example.net"},
		}
	}
	return spans
}

const batch = 1000

func BenchmarkAppendLogs(b *testing.B) {
	s := start(b, b.TempDir(), unbounded)
	at := time.Now().Add(-time.Hour)
	n := 0
	for b.Loop() {
		if err := s.AppendLogs(b.Context(), someLogs(batch, at.Add(time.Duration(n)*time.Millisecond))); err != nil {
			b.Fatal(err)
		}
		n += batch
		flush(b, s)
	}
	report(b, s, n)
}

func BenchmarkAppendSpans(b *testing.B) {
	s := start(b, b.TempDir(), unbounded)
	at := time.Now().Add(-time.Hour)
	n := 0
	for b.Loop() {
		if err := s.AppendSpans(b.Context(), someSpans(batch, at.Add(time.Duration(n)*time.Millisecond))); err != nil {
			b.Fatal(err)
		}
		n += batch
		flush(b, s)
	}
	report(b, s, n)
}

func report(b *testing.B, s *embedded.Store, n int) {
	b.Helper()
	u, err := s.Usage(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(u.Bytes)/float64(n), "B/row")
}

// BenchmarkQuery asks 500,000 log records and as many spans.
func BenchmarkQuery(b *testing.B) {
	s := start(b, b.TempDir(), unbounded)
	at := time.Now().Add(-time.Hour)
	const n = 500_000
	if err := s.AppendLogs(b.Context(), someLogs(n, at)); err != nil {
		b.Fatal(err)
	}
	if err := s.AppendSpans(b.Context(), someSpans(n, at)); err != nil {
		b.Fatal(err)
	}
	flush(b, s)
	ask := func(name string, f func(context.Context) error) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := f(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	logs := func(q telemetry.LogQuery) func(context.Context) error {
		return func(ctx context.Context) error { _, err := s.Logs(ctx, q); return err }
	}
	spans := func(q telemetry.SpanQuery) func(context.Context) error {
		return func(ctx context.Context) error { _, err := s.Spans(ctx, q); return err }
	}
	ask("newest 500 logs of a service", logs(telemetry.LogQuery{Service: "service-3"}))
	ask("word in every log", logs(telemetry.LogQuery{Service: "service-3", Keyword: "answered"}))
	ask("word in few logs", logs(telemetry.LogQuery{Keyword: "4711"}))
	ask("word in no log", logs(telemetry.LogQuery{Keyword: "exhausted"}))
	ask("slowest spans of 10 s", spans(telemetry.SpanQuery{Service: "service-3", Order: telemetry.SlowestFirst, From: at, To: at.Add(10 * time.Second)}))
	ask("failing spans, none", spans(telemetry.SpanQuery{Service: "service-3", OnlyErrors: true}))
	ask("newest", func(ctx context.Context) error { _, err := s.Newest(ctx, "service-3"); return err })
}
