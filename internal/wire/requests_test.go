package wire

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

// requestPB has the form of an ExportTraceServiceRequest.
type requestPB = tracepb.TracesData

func text(key, value string) *commonpb.KeyValue {
	return &commonpb.KeyValue{Key: key, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: value}}}
}

func integer(key string, value int64) *commonpb.KeyValue {
	return &commonpb.KeyValue{Key: key, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: value}}}
}

// traffic makes requests like those of eight services that call each other: 2 %
// errors, 1 % slow, trace ids that never come again.
type traffic struct {
	random *rand.Rand
	n      int
}

func (g *traffic) id(size int) []byte {
	var id [16]byte
	binary.BigEndian.PutUint64(id[:], g.random.Uint64())
	binary.BigEndian.PutUint64(id[8:], g.random.Uint64())
	return id[:size]
}

// request makes one of n spans, in traces of ten: a server span, a client span
// to the next service and eight spans within.
func (g *traffic) request(tb testing.TB, n int) []byte {
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
			trace, caller = g.id(16), g.id(8)
		}
		rs := groups[service]
		if rs == nil {
			rs = &tracepb.ResourceSpans{
				Resource: &resourcepb.Resource{Attributes: []*commonpb.KeyValue{
					text("service.name", fmt.Sprintf("service-%d", service)), text("service.version", "1.4.2"), text("host.name", "node-17.example.com"),
				}},
				ScopeSpans: []*tracepb.ScopeSpans{{Scope: &commonpb.InstrumentationScope{Name: "go.opentelemetry.io/contrib/instrumentation/net/http", Version: "0.60.0"}}},
			}
			groups[service] = rs
			order = append(order, rs)
		}
		start := uint64(1_800_000_000_000_000_000) + uint64(g.random.IntN(1_000_000_000))
		took := uint64(g.random.IntN(200_000_000))
		span := &tracepb.Span{
			TraceId: trace, SpanId: g.id(8), ParentSpanId: caller, Name: fmt.Sprintf("GET /api/v1/items/{id}/%d", i%20),
			Kind: tracepb.Span_SPAN_KIND_INTERNAL, StartTimeUnixNano: start, EndTimeUnixNano: start + took, Flags: 0x101,
			Attributes: []*commonpb.KeyValue{
				text("http.request.method", "GET"), text("url.path", "/api/v1/items/82713"), text("http.route", "/api/v1/items/{id}"),
				integer("http.response.status_code", 200), text("network.protocol.version", "1.1"), text("user_agent.original", "shop-frontend/2.3 (linux; amd64)"),
				text("server.address", "items.shop.svc.cluster.local"), integer("server.port", 8080), text("thread.name", "worker-12"),
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
	b, err := proto.Marshal(&requestPB{ResourceSpans: order})
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func spansOf(tb testing.TB, request []byte) (spans []*tracepb.Span) {
	tb.Helper()
	decoded := new(requestPB)
	if err := proto.Unmarshal(request, decoded); err != nil {
		tb.Fatal(err)
	}
	for _, rs := range decoded.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			spans = append(spans, ss.Spans...)
		}
	}
	return spans
}

func newTraffic() *traffic { return &traffic{random: rand.New(rand.NewPCG(1, 2))} }

// BenchmarkScan is what the gateway does with a request before it is batched.
func BenchmarkScan(b *testing.B) {
	for _, size := range []int{1000, 200, 50} {
		b.Run(fmt.Sprintf("spans=%d", size), func(b *testing.B) {
			g := newTraffic()
			requests := make([][]byte, 2*1000/size) // 840 KB: what was just received lies in the cache
			var bytes int
			for i := range requests {
				requests[i] = g.request(b, size)
				bytes += len(requests[i])
			}
			perSpan := func(b *testing.B) {
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*size), "ns/span")
			}
			sampler := NewSampler(SamplerOptions{Rate: 0.05, Slow: 1e9})
			var out []byte
			b.Run("memcpy", func(b *testing.B) {
				buffer := make([]byte, 1<<20)
				for i := range b.N {
					copy(buffer, requests[i%len(requests)])
				}
				perSpan(b)
				b.ReportMetric(float64(bytes)/float64(size*len(requests)), "B/span")
			})
			b.Run("scan", func(b *testing.B) {
				s := new(Scanner)
				b.ReportAllocs()
				for i := range b.N {
					var err error
					if out, _, err = s.Scan(requests[i%len(requests)], sampler, out[:0]); err != nil {
						b.Fatal(err)
					}
				}
				perSpan(b)
			})
			b.Run("scan+RED", func(b *testing.B) {
				s, a, now := new(Scanner), New(Options{}, start), start
				b.ReportAllocs()
				for i := range b.N {
					var err error
					if out, _, err = s.Scan(requests[i%len(requests)], sampler, out[:0]); err != nil {
						b.Fatal(err)
					}
					a.Take(s)
					if i%(1000*1000/size) == 0 { // a flush each million spans
						now = now.Add(a.opts.PendingFor)
						a.Flush(now)
					}
				}
				perSpan(b)
			})
		})
	}
}
