package wire

import (
	"math/rand/v2"
	"testing"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"

	"github.com/homeostat/homeostat/internal/otlp/otlptest"
)

func logsRequest(t testing.TB) []byte {
	t.Helper()
	record := &logspb.LogRecord{
		TimeUnixNano: 1, SeverityText: "ERROR", EventName: "e", TraceId: make([]byte, 16), SpanId: make([]byte, 8),
		Body: otlptest.Text("", "out of memory").Value, Attributes: []*commonpb.KeyValue{otlptest.Text("a", "b")},
	}
	b, err := proto.Marshal(&logspb.LogsData{ResourceLogs: []*logspb.ResourceLogs{
		{ScopeLogs: []*logspb.ScopeLogs{{LogRecords: []*logspb.LogRecord{record, record}}, {LogRecords: []*logspb.LogRecord{record}}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func metricsRequest(t testing.TB) []byte {
	t.Helper()
	number := &metricspb.NumberDataPoint{Attributes: []*commonpb.KeyValue{otlptest.Text("a", "b")}, Exemplars: []*metricspb.Exemplar{{TraceId: make([]byte, 16)}}}
	metrics := []*metricspb.Metric{
		{Name: "gauge", Data: &metricspb.Metric_Gauge{Gauge: &metricspb.Gauge{DataPoints: []*metricspb.NumberDataPoint{number, number}}}},
		{Name: "sum", Data: &metricspb.Metric_Sum{Sum: &metricspb.Sum{DataPoints: []*metricspb.NumberDataPoint{number}}}},
		{Name: "histogram", Data: &metricspb.Metric_Histogram{Histogram: &metricspb.Histogram{DataPoints: []*metricspb.HistogramDataPoint{
			{BucketCounts: []uint64{1, 2}, ExplicitBounds: []float64{0.5}},
		}}}},
		{Name: "exponential", Data: &metricspb.Metric_ExponentialHistogram{ExponentialHistogram: &metricspb.ExponentialHistogram{DataPoints: []*metricspb.ExponentialHistogramDataPoint{
			{Positive: &metricspb.ExponentialHistogramDataPoint_Buckets{BucketCounts: []uint64{1, 300}}},
		}}}},
		{Name: "summary", Data: &metricspb.Metric_Summary{Summary: &metricspb.Summary{DataPoints: []*metricspb.SummaryDataPoint{
			{QuantileValues: []*metricspb.SummaryDataPoint_ValueAtQuantile{{Quantile: 0.5, Value: 1}}},
		}}}},
	}
	b, err := proto.Marshal(&metricspb.MetricsData{ResourceMetrics: []*metricspb.ResourceMetrics{{ScopeMetrics: []*metricspb.ScopeMetrics{{Metrics: metrics}}}}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestItemsAreCounted(t *testing.T) {
	if n, err := CheckLogs(logsRequest(t)); n != 3 || err != nil {
		t.Errorf("logs: got %d, %v, want 3 records", n, err)
	}
	if n, err := CheckMetrics(metricsRequest(t)); n != 6 || err != nil {
		t.Errorf("metrics: got %d, %v, want 6 data points", n, err)
	}
}

// checked holds a check against the oracle: what is taken can be decoded, and
// what cannot be decoded is refused.
func checked(t *testing.T, b []byte, check func([]byte) (int, error), into proto.Message) {
	t.Helper()
	_, err := check(b)
	wantErr := proto.Unmarshal(b, into)
	if err == nil && wantErr != nil {
		t.Fatalf("taken, but the oracle says %v\n%x", wantErr, b)
	}
}

func TestBrokenRequestsAreRefused(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 9))
	var refused int
	for range 2000 {
		for _, kind := range []struct {
			request []byte
			check   func([]byte) (int, error)
			into    proto.Message
		}{{logsRequest(t), CheckLogs, new(logspb.LogsData)}, {metricsRequest(t), CheckMetrics, new(metricspb.MetricsData)}} {
			b := kind.request
			b[r.IntN(len(b))] ^= 1 << r.IntN(8)
			checked(t, b, kind.check, kind.into)
			if _, err := kind.check(b); err != nil {
				refused++
			}
		}
	}
	if refused == 0 || refused == 4000 {
		t.Errorf("got %d of 4000 refused: the test shows nothing", refused)
	}
}

func FuzzCheckLogs(f *testing.F) {
	f.Add(logsRequest(f))
	f.Fuzz(func(t *testing.T, b []byte) { checked(t, b, CheckLogs, new(logspb.LogsData)) })
}

func FuzzCheckMetrics(f *testing.F) {
	f.Add(metricsRequest(f))
	f.Fuzz(func(t *testing.T, b []byte) { checked(t, b, CheckMetrics, new(metricspb.MetricsData)) })
}

func TestTracesStayTogether(t *testing.T) {
	g, s := newTraffic(), new(Scanner)
	request := g.Request(t, 1000)
	where := map[string]int{}
	var total int
	for place := range 3 {
		out, result, err := s.Pick(request, place, 3, nil)
		if err != nil {
			t.Fatal(err)
		}
		spans := spansOf(t, out)
		if len(spans) != result.Kept() || len(spans) < 200 {
			t.Errorf("place %d has %d spans, %d were counted, want about a third of 1000", place, len(spans), result.Kept())
		}
		total += len(spans)
		for _, span := range spans {
			if other, known := where[string(span.TraceId)]; known && other != place {
				t.Fatalf("trace %x is at places %d and %d", span.TraceId, other, place)
			}
			where[string(span.TraceId)] = place
		}
	}
	if total != 1000 {
		t.Errorf("got %d spans at all places, want 1000", total)
	}
	var moved int
	for id, before := range where {
		after := Place([]byte(id), 4)
		if after != before && after != 3 {
			t.Fatalf("a trace moved from place %d to %d when place 3 came", before, after)
		}
		if after == 3 {
			moved++
		}
	}
	if moved == 0 {
		t.Error("no trace moved to the new place")
	}
}
