package gateway

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/protobuf/proto"

	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/otlp"
	"github.com/homeostat/homeostat/internal/wire"
)

func TestIntakeCountsAllAndKeepsSome(t *testing.T) {
	red := wire.New(wire.Options{}, time.Now())
	var kept int
	var answer error
	in := NewIntake(wire.NewSampler(wire.SamplerOptions{}), IntakeOptions{RED: red, Keep: func(_ context.Context, _ otlp.Signal, _ []byte, items int) error {
		kept += items
		return answer
	}})
	request, _, bad := spans(t, 100)
	if n, err := in.Take(t.Context(), otlp.SignalTraces, request); n != 100 || err != nil {
		t.Errorf("got %d, %v, want 100 spans taken", n, err)
	}
	if kept != len(bad) || red.Stats().Spans != 100 {
		t.Errorf("got %d spans kept and %d counted, want %d and 100", kept, red.Stats().Spans, len(bad))
	}

	answer = heal.Errorf(heal.Transient, "", "full")
	if n, err := in.Take(t.Context(), otlp.SignalTraces, request); n != 0 || !heal.Is(err, heal.Transient) {
		t.Errorf("refused: got %d, %v", n, err)
	}
	if got := red.Stats().Spans; got != 100 {
		t.Errorf("got %d spans counted, want none of a request that comes again", got)
	}

	answer = &heal.Rejected{Count: 1, Reason: "too old"}
	n, err := in.Take(t.Context(), otlp.SignalTraces, request)
	if _, partly := errors.AsType[*heal.Rejected](err); n != 100 || !partly {
		t.Errorf("taken in part: got %d, %v", n, err)
	}
	if got := red.Stats().Spans; got != 200 {
		t.Errorf("got %d spans counted, want those of a request taken in part too", got)
	}
	if got := in.Reasons(); got[wire.ReasonError] != uint64(2*len(bad)) || got[wire.ReasonDropped] != uint64(200-2*len(bad)) {
		t.Errorf("got reasons %v", got)
	}
}

func TestIntakeMendsTextIfItIsToldTo(t *testing.T) {
	broken := func(request []byte, text string) []byte {
		b := bytes.Replace(request, []byte(text), bytes.Repeat([]byte{0xff}, len(text)), 1)
		if bytes.Equal(b, request) {
			t.Fatalf("the request has no %q", text)
		}
		return b
	}
	traces, _, _ := spans(t, 10)
	logs, err := proto.Marshal(&logspb.LogsData{ResourceLogs: []*logspb.ResourceLogs{{ScopeLogs: []*logspb.ScopeLogs{{LogRecords: []*logspb.LogRecord{{SeverityText: "ERROR"}}}}}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, mend := range []bool{true, false} {
		var kept []byte
		in := NewIntake(wire.NewSampler(wire.SamplerOptions{Rate: 1}), IntakeOptions{
			RED: wire.New(wire.Options{}, time.Now()), Mend: mend,
			Keep: func(_ context.Context, _ otlp.Signal, request []byte, _ int) error {
				kept = bytes.Clone(request)
				return nil
			},
		})
		for sig, request := range map[otlp.Signal][]byte{otlp.SignalTraces: broken(traces, "GET /"), otlp.SignalLogs: broken(logs, "ERROR")} {
			kept = nil
			_, err := in.Take(t.Context(), sig, request)
			if mend && (err != nil || !bytes.Contains(kept, []byte("?????"))) {
				t.Errorf("%s: got %q, %v, want repaired text", sig, kept, err)
			}
			if !mend && !heal.Is(err, heal.Invalid) {
				t.Errorf("%s: got %v, want a refusal", sig, err)
			}
		}
	}
}
