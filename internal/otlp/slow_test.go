package otlp

import (
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// begin opens requests and sends nothing of them, each over a connection of its
// own.
func begin(t *testing.T, s *Server, n int) (streams []grpc.ClientStream) {
	t.Helper()
	for range n {
		conn := dial(t, s, grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{})))
		stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true}, "/"+services[traces]+"/Export")
		if err != nil {
			t.Fatal(err)
		}
		// The server has seen the stream once it has answered a later one.
		if err := conn.Invoke(t.Context(), "/"+services[traces]+"/Export", &raw{}, &raw{}); err != nil {
			t.Fatal(err)
		}
		streams = append(streams, stream)
	}
	return streams
}

func TestSlowGRPCSendersTakeNoPlace(t *testing.T) {
	sink := &memory{}
	s := serve(t, Options{MaxInFlight: 2}, sink)
	begin(t, s, 5)
	client := ptraceotlp.NewGRPCClient(dial(t, s))
	for range 10 {
		if _, err := client.Export(t.Context(), ptraceotlp.NewExportRequestFromTraces(oneSpan())); err != nil {
			t.Fatalf("got %v, want it taken: the others have sent nothing yet", err)
		}
	}
	if got := s.held.Load(); got != 0 {
		t.Errorf("got %d bytes held, want none", got)
	}
}

func TestSlowGRPCSendersAreCut(t *testing.T) {
	s := serve(t, Options{ReadTimeout: 500 * time.Millisecond, SinkTimeout: 500 * time.Millisecond}, &memory{})
	for _, stream := range begin(t, s, 2) {
		if err := stream.RecvMsg(&raw{}); status.Code(err) != codes.DeadlineExceeded && status.Code(err) != codes.Canceled {
			t.Errorf("got %v, want the stream cut", err)
		}
	}
}
