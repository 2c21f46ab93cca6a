package otlp

import (
	"bytes"
	"context"
	"net/http/httptest"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// converter is a Sink that converts all it gets.
type converter struct{}

func (converter) Traces(_ context.Context, td ptrace.Traces) error {
	Spans(td)
	Observations(td, nil)
	return nil
}

func (converter) Metrics(context.Context, pmetric.Metrics) error { return nil }

func (converter) Logs(_ context.Context, ld plog.Logs) error {
	Logs(ld, time.Time{})
	return nil
}

// fuzz sends bodies to one path: whatever they are, the answer is taken or
// refused for good, and nothing panics.
func fuzz(f *testing.F, path, contentType string, seeds ...[]byte) {
	for _, seed := range seeds {
		f.Add(seed)
	}
	handler := New(Options{MaxRequestBytes: 1 << 16}, converter{}).handler()
	f.Fuzz(func(t *testing.T, body []byte) {
		req := httptest.NewRequestWithContext(t.Context(), "POST", path, bytes.NewReader(body))
		req.Header.Set("Content-Type", contentType)
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, req)
		if answer.Code != 200 && answer.Code != 400 && answer.Code != 413 {
			t.Errorf("got %d %q, want 200, 400 or 413", answer.Code, answer.Body)
		}
	})
}

func FuzzTracesJSON(f *testing.F) {
	fuzz(f, "/v1/traces", "application/json",
		[]byte(`{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"cart"}}]},"scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","kind":2,"name":"GET","startTimeUnixNano":"1","endTimeUnixNano":"2","status":{"code":2},"events":[{"name":"exception","attributes":[{"key":"exception.type","value":{"arrayValue":{"values":[{"intValue":"1"}]}}}]}]}]}]}]}`),
		[]byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"x","kind":"SPAN_KIND_SERVER","attributes":[{"value":{"kvlistValue":{"values":[{}]}}}]}]}]}]}`))
}

func FuzzMetricsJSON(f *testing.F) {
	fuzz(f, "/v1/metrics", "application/json",
		[]byte(`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","unit":"s","histogram":{"aggregationTemporality":2,"dataPoints":[{"count":"3","sum":1,"bucketCounts":["1","2"],"explicitBounds":[0.5],"timeUnixNano":"1"}]}}]}]}]}`),
		[]byte(`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"exponentialHistogram":{"dataPoints":[{"scale":3,"positive":{"offset":1,"bucketCounts":["1"]}}]}}]}]}]}`))
}

func FuzzLogsJSON(f *testing.F) {
	fuzz(f, "/v1/logs", "application/json",
		[]byte(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"1","severityNumber":17,"severityText":"ERROR","body":{"kvlistValue":{"values":[{"key":"a","value":{"bytesValue":"aGk="}}]}},"attributes":[{"key":"b","value":{"boolValue":true}}]}]}]}]}`))
}

func FuzzTracesProtobuf(f *testing.F) {
	fuzz(f, "/v1/traces", "application/x-protobuf", nested(3), []byte{10, 2, 18, 0})
}

func FuzzLogsProtobuf(f *testing.F) {
	fuzz(f, "/v1/logs", "application/x-protobuf", []byte{10, 8, 18, 6, 18, 4, 42, 2, 10, 0}, nested(1))
}

func FuzzMetricsProtobuf(f *testing.F) {
	fuzz(f, "/v1/metrics", "application/x-protobuf", []byte{10, 8, 18, 6, 18, 4, 42, 2, 10, 0}, nested(1))
}
