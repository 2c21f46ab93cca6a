package otlp

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/wire"
)

var when = time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)

func fill(t *testing.T, into pcommon.Map, attributes map[string]any) {
	t.Helper()
	if err := into.FromRaw(attributes); err != nil {
		t.Fatal(err)
	}
}

func TestSpans(t *testing.T) {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	fill(t, rs.Resource().Attributes(), map[string]any{"service.name": "cart", "service.instance.id": "cart-1", "host.name": "h1", "region": "eu"})
	span := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetTraceID([16]byte{15: 1})
	span.SetSpanID([8]byte{7: 2})
	span.SetParentSpanID([8]byte{7: 3})
	span.SetName("GET /cart\xff")
	span.SetKind(ptrace.SpanKindServer)
	span.SetStartTimestamp(pcommon.NewTimestampFromTime(when))
	span.SetEndTimestamp(pcommon.NewTimestampFromTime(when.Add(1500 * time.Millisecond)))
	span.Status().SetCode(ptrace.StatusCodeError)
	span.Status().SetMessage("pool exhausted")
	span.SetDroppedAttributesCount(2)
	fill(t, span.Attributes(), map[string]any{"region": "us", "http.response.status_code": 500, "retry": true, "tags": []any{"a", 1}})
	event := span.Events().AppendEmpty()
	event.SetName("exception")
	fill(t, event.Attributes(), map[string]any{"exception.type": "Timeout", "exception.message": "after 1s", "exception.stacktrace": "at main"})
	span.Events().AppendEmpty().SetName("another event")

	rootless := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	rootless.SetStartTimestamp(10)
	rootless.SetEndTimestamp(5)

	want := []heal.Span{
		{
			TraceID: "00000000000000000000000000000001", SpanID: "0000000000000002", ParentID: "0000000000000003",
			Service: "cart", Instance: "cart-1", Operation: "GET /cart\uFFFD", Kind: heal.SpanServer,
			Start: when, Duration: 1500 * time.Millisecond, Error: true, StatusMessage: "pool exhausted",
			Attributes: map[string]string{
				"host.name": "h1", "region": "us", "http.response.status_code": "500", "retry": "true", "tags": `["a",1]`,
				"otel.dropped_attributes_count": "2",
			},
			Exceptions: []heal.Exception{{Type: "Timeout", Message: "after 1s", Stacktrace: "at main"}},
		},
		{Service: "unknown_service", Kind: heal.SpanInternal, Start: time.Unix(0, 10).UTC()},
	}
	if diff := cmp.Diff(Spans(td), want); diff != "" {
		t.Errorf("spans (-got +want):\n%s", diff)
	}
}

func TestLogs(t *testing.T) {
	tests := []struct {
		name string
		set  func(r plog.LogRecord)
		want heal.LogRecord
	}{
		{
			"text", func(r plog.LogRecord) {
				r.SetTimestamp(pcommon.NewTimestampFromTime(when))
				r.SetSeverityNumber(plog.SeverityNumberError)
				r.Body().SetStr("pool exhausted")
				r.SetTraceID([16]byte{15: 1})
				r.SetSpanID([8]byte{7: 2})
			},
			heal.LogRecord{Time: when, Severity: 17, Body: "pool exhausted", TraceID: "00000000000000000000000000000001", SpanID: "0000000000000002"},
		},
		{
			"a map as JSON", func(r plog.LogRecord) {
				fill(t, r.Body().SetEmptyMap(), map[string]any{"msg": "slow", "ms": 12})
			},
			heal.LogRecord{Body: `{"ms":12,"msg":"slow"}`},
		},
		{"a number", func(r plog.LogRecord) { r.Body().SetDouble(1.5) }, heal.LogRecord{Body: "1.5"}},
		{"bytes", func(r plog.LogRecord) { r.Body().SetEmptyBytes().FromRaw([]byte("hi")) }, heal.LogRecord{Body: "aGk="}},
		{"nothing at all", func(plog.LogRecord) {}, heal.LogRecord{}},
		{
			"only an exception", func(r plog.LogRecord) {
				fill(t, r.Attributes(), map[string]any{"exception.type": "OOM", "exception.message": "heap"})
			},
			heal.LogRecord{Body: "OOM: heap", Attributes: map[string]string{"exception.type": "OOM", "exception.message": "heap"}},
		},
		{
			"only an event name", func(r plog.LogRecord) { r.SetEventName("started") },
			heal.LogRecord{Body: "started", Attributes: map[string]string{"event.name": "started"}},
		},
		{"severity from its text", func(r plog.LogRecord) { r.SetSeverityText(" Warning") }, heal.LogRecord{Severity: 13}},
		{"severity out of range", func(r plog.LogRecord) { r.SetSeverityNumber(99); r.SetSeverityText("odd") }, heal.LogRecord{}},
		{"time observed by the source", func(r plog.LogRecord) { r.SetObservedTimestamp(pcommon.NewTimestampFromTime(when.Add(-time.Hour))) }, heal.LogRecord{Time: when.Add(-time.Hour)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ld := plog.NewLogs()
			rl := ld.ResourceLogs().AppendEmpty()
			fill(t, rl.Resource().Attributes(), map[string]any{"service.name": "cart", "service.instance.id": "i"})
			tt.set(rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty())
			receipt := when.Add(time.Minute)
			want := tt.want
			want.Service, want.Instance, want.Observed = "cart", "i", receipt
			if want.Time.IsZero() {
				want.Time = receipt
			}
			if diff := cmp.Diff(Logs(ld, receipt), []heal.LogRecord{want}); diff != "" {
				t.Errorf("records (-got +want):\n%s", diff)
			}
		})
	}
}

func TestWhatIsKeptIsBounded(t *testing.T) {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr("service.name", strings.Repeat("s", 1<<20))
	record := rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	record.Body().SetStr(strings.Repeat("é", 1<<20))
	record.Attributes().PutStr("exception.stacktrace", strings.Repeat("\xff", 1<<20))
	for i := range 500 {
		record.Attributes().PutStr(fmt.Sprintf("%03d", i), strings.Repeat("ü", 5000))
	}
	got := Logs(ld, when)[0]
	if len(got.Service) > maxValue || len(got.Body) > maxBody || len(got.Attributes["exception.stacktrace"]) > maxStack {
		t.Errorf("got service of %d, body of %d, stack of %d bytes; want at most %d, %d, %d",
			len(got.Service), len(got.Body), len(got.Attributes["exception.stacktrace"]), maxValue, maxBody, maxStack)
	}
	if len(got.Attributes) != maxAttributes+1 || got.Attributes["otel.dropped_attributes_count"] != "373" {
		t.Errorf("got %d attributes, %s dropped; want %d and 373", len(got.Attributes), got.Attributes["otel.dropped_attributes_count"], maxAttributes+1)
	}
	for key, value := range got.Attributes {
		if !utf8.ValidString(value) || (key != "exception.stacktrace" && len(value) > maxValue) {
			t.Errorf("attribute %s: got %d bytes, valid %v; want at most %d valid ones", key, len(value), utf8.ValidString(value), maxValue)
		}
	}
	if !utf8.ValidString(got.Body) {
		t.Error("the body was cut within a rune")
	}
}

func TestPeers(t *testing.T) {
	tests := []struct {
		name       string
		attributes map[string]any
		want       wire.Peer
	}{
		{"none", nil, wire.Peer{Kind: heal.KindExternal}},
		{"host and port", map[string]any{"server.address": "10.0.0.1", "server.port": 8080}, wire.Peer{Name: "10.0.0.1:8080", Kind: heal.KindExternal}},
		{"old names, IPv6", map[string]any{"net.peer.name": "::1", "net.peer.port": "80"}, wire.Peer{Name: "[::1]:80", Kind: heal.KindExternal}},
		{"name before network address", map[string]any{"network.peer.address": "10.0.0.1", "server.address": "cart"}, wire.Peer{Name: "cart", Kind: heal.KindExternal}},
		{"url only", map[string]any{"url.full": "https://api.example.com:8443/pay?x=1"}, wire.Peer{Name: "api.example.com:8443", Kind: heal.KindExternal}},
		{"url that is none", map[string]any{"http.url": "://"}, wire.Peer{Kind: heal.KindExternal}},
		{"peer.service wins", map[string]any{"peer.service": "cart", "server.address": "x"}, wire.Peer{Name: "cart", Kind: heal.KindExternal}},
		{"database", map[string]any{"db.system.name": "postgresql", "server.address": "db", "server.port": 5432}, wire.Peer{Name: "db:5432", Kind: heal.KindDatabase, System: "postgresql"}},
		{"cache", map[string]any{"db.system": "redis"}, wire.Peer{Kind: heal.KindCache, System: "redis"}},
		{"queue", map[string]any{"messaging.system": "kafka", "messaging.destination.name": "orders", "server.address": "broker"}, wire.Peer{Name: "orders", Kind: heal.KindQueue, System: "kafka"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			td := ptrace.NewTraces()
			rs := td.ResourceSpans().AppendEmpty()
			rs.Resource().Attributes().PutStr("service.name", "web")
			span := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
			span.SetName("call")
			span.SetKind(ptrace.SpanKindClient)
			span.Status().SetCode(ptrace.StatusCodeError)
			span.SetSpanID([8]byte{1})
			span.SetEndTimestamp(1000)
			fill(t, span.Attributes(), tt.attributes)
			want := []wire.Span{{SpanID: [8]byte{1}, Service: "web", Operation: "call", Kind: wire.KindClient, Status: wire.StatusError, Duration: 1000, Peer: tt.want}}
			if diff := cmp.Diff(Observations(td, nil), want); diff != "" {
				t.Errorf("spans (-got +want):\n%s", diff)
			}
		})
	}
}
