package wire

import (
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
