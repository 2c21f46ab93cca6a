package otlp

import (
	"bufio"
	"context"
	"errors"
	"io"
	"testing"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// broken is a RawSink that panics.
type broken struct{}

func (broken) Take(context.Context, Signal, []byte) (int, error) { panic("a bug") }

func TestAPanicEndsOneRequest(t *testing.T) {
	for _, prompt := range []bool{false, true} {
		s := serveRaw(t, Options{MaxInFlight: 1, Prompt: func(Signal) bool { return prompt }}, broken{})
		client := plogotlp.NewGRPCClient(dial(t, s))
		for range 2 { // places come back
			if _, err := client.Export(t.Context(), plogotlp.NewExportRequestFromLogs(oneLog())); status.Code(err) != codes.Internal {
				t.Errorf("gRPC, prompt %v: got %v, want INTERNAL", prompt, err)
			}
			c := connect(t, s)
			from := bufio.NewReader(c)
			send(t, c, plainRequest)
			if got := answerOf(t, from); got.code != 500 {
				t.Errorf("HTTP: got %d %s, want 500", got.code, got.body)
			}
			if _, err := from.ReadByte(); !errors.Is(err, io.EOF) {
				t.Errorf("HTTP: got %v after the answer, want the end", err)
			}
		}
		if got := s.stats[logs].refused.Load(); got != 4 {
			t.Errorf("got %d refused, want 4", got)
		}
	}
}
