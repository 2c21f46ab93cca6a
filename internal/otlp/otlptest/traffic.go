// Package otlptest makes export requests like those of a real system, for tests
// and benchmarks. Its one invariant: the same seed makes the same requests. It is
// not for requests that are wrong.
package otlptest

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Text makes an attribute.
func Text(key, value string) *commonpb.KeyValue {
	return &commonpb.KeyValue{Key: key, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: value}}}
}

// Integer makes an attribute.
func Integer(key string, value int64) *commonpb.KeyValue {
	return &commonpb.KeyValue{Key: key, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: value}}}
}

// Traffic makes requests like those of eight services that call each other: 2 %
// errors, 1 % slow, trace ids that never come again.
type Traffic struct {
	random *rand.Rand
	n      int
}

// New makes a Traffic that draws from random.
func New(random *rand.Rand) *Traffic { return &Traffic{random: random} }

// ID draws an id of so many bytes, 16 at most.
func (g *Traffic) ID(size int) []byte {
	var id [16]byte
	binary.BigEndian.PutUint64(id[:], g.random.Uint64())
	binary.BigEndian.PutUint64(id[8:], g.random.Uint64())
	return id[:size]
}

// Request makes one of n spans, in traces of ten: a server span, a client span
// to the next service and eight spans within.
func (g *Traffic) Request(tb testing.TB, n int) []byte {
	tb.Helper()
	const perTrace = 10
	groups := map[int]*tracepb.ResourceSpans{}
	var order []*tracepb.ResourceSpans
	var trace, caller []byte
	for i := range n {
		service := g.n % 8
		if i%perTrace == 0 {
			g.n++
			service = g.n % 8
			trace, caller = g.ID(16), g.ID(8)
		}
		rs := groups[service]
		if rs == nil {
			rs = &tracepb.ResourceSpans{
				Resource: &resourcepb.Resource{Attributes: []*commonpb.KeyValue{
					Text("service.name", fmt.Sprintf("service-%d", service)), Text("service.version", "1.4.2"), Text("host.name", "node-17.example.com"),
				}},
				ScopeSpans: []*tracepb.ScopeSpans{{Scope: &commonpb.InstrumentationScope{Name: "go.opentelemetry.io/contrib/instrumentation/net/http", Version: "0.60.0"}}},
			}
			groups[service] = rs
			order = append(order, rs)
		}
		start := uint64(1_800_000_000_000_000_000) + uint64(g.random.IntN(1_000_000_000))
		took := uint64(g.random.IntN(200_000_000))
		span := &tracepb.Span{
			TraceId: trace, SpanId: g.ID(8), ParentSpanId: caller, Name: fmt.Sprintf("GET /api/v1/items/{id}/%d", i%20),
			Kind: tracepb.Span_SPAN_KIND_INTERNAL, StartTimeUnixNano: start, EndTimeUnixNano: start + took, Flags: 0x101,
			Attributes: []*commonpb.KeyValue{
				Text("http.request.method", "GET"), Text("url.path", "/api/v1/items/82713"), Text("http.route", "/api/v1/items/{id}"),
				Integer("http.response.status_code", 200), Text("network.protocol.version", "1.1"), Text("user_agent.original", "shop-frontend/2.3 (linux; amd64)"),
				Text("server.address", "items.shop.svc.cluster.local"), Integer("server.port", 8080), Text("thread.name", "worker-12"),
			},
		}
		switch i % perTrace {
		case 0:
			span.Kind = tracepb.Span_SPAN_KIND_SERVER
		case 1:
			span.Kind = tracepb.Span_SPAN_KIND_CLIENT
			caller = span.SpanId
		}
		switch p := g.random.IntN(100); {
		case p < 2:
			span.Status = &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR, Message: "upstream answered 503"}
		case p < 3:
			span.EndTimeUnixNano = start + 1_500_000_000
		}
		rs.ScopeSpans[0].Spans = append(rs.ScopeSpans[0].Spans, span)
	}
	b, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: order})
	if err != nil {
		tb.Fatal(err)
	}
	return b
}
