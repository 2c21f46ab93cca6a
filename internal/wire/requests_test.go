package wire

import (
	"fmt"
	"math/rand/v2"
	"testing"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/homeostat/homeostat/internal/otlp/otlptest"
)

// requestPB has the form of an ExportTraceServiceRequest.
type requestPB = tracepb.TracesData

func newTraffic() *otlptest.Traffic { return otlptest.New(rand.New(rand.NewPCG(1, 2))) }

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

// BenchmarkScan is what the gateway does with a request before it is batched.
func BenchmarkScan(b *testing.B) {
	for _, size := range []int{1000, 200, 50} {
		b.Run(fmt.Sprintf("spans=%d", size), func(b *testing.B) {
			g := newTraffic()
			requests := make([][]byte, 2*1000/size) // 840 KB: what was just received lies in the cache
			var bytes int
			for i := range requests {
				requests[i] = g.Request(b, size)
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
